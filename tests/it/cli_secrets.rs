//! No command ever prints a secret, however talkative it is made.

use entra_sync::simulator::Effect;
use entra_sync::simulator::Fault;

use crate::cli_exit_codes::world;
use crate::support::binary::entra_sync;
use crate::support::doorman::Doorman;

/// The password, as it is and as a URL has it.
const PASSWORD: &str = "hunter2-db";

/// Shorter ones are refused.
const SERVER_TOKEN: &str = "server-token-that-is-long-enough";

const COMMANDS: [&[&str]; 10] = [
    &["config", "-vv"],
    &["config", "-vv", "--format", "json"],
    &["check", "-vv"],
    &["check", "-vv", "--format", "json"],
    &["migrate", "-vv"],
    &["plan", "-vv", "--log-format", "json"],
    &["sync", "-vv", "--log-format", "json"],
    &["status", "-vv"],
    &["history", "-vv", "--format", "json"],
    &["show", "last", "-vv"],
];

#[tokio::test(flavor = "multi_thread")]
async fn no_command_prints_a_secret() {
    let mut world = world().await;
    let door = Doorman::before(&world.database.url()).await;
    door.ask_for(PASSWORD);
    world.set("DATABASE_URL", door.url_with(PASSWORD));
    world.set("ENTRA_SYNC__SERVER__TOKEN", SERVER_TOKEN);
    world.set("ENTRA_SYNC__ENTRA__ATTEMPTS", "2");
    world.set(
        "ENTRA_SYNC__NOTIFY__WEBHOOK_URL",
        "https://hooks.example.com/hook-secret-x",
    );
    world.set(
        "ENTRA_SYNC__LITELLM__REDIS_URL",
        "redis://:redis-secret-x@localhost/0",
    );
    world.set("LITELLM_LICENSE", "licence-secret-x");
    let secret = world.environment()["MICROSOFT_CLIENT_SECRET"].clone();
    // As it is sent, too.
    let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let cut = || Fault::new(Effect::TruncatedJson).always();
    // Whom a fault befalls, and what the commands that ask Entra then end with.
    let trouble: [(Option<Fault>, &str, i32); 4] = [
        (None, "servicePrincipals/{id}", 0),
        (
            Some(Fault::status(401).on("/servicePrincipals*").always()),
            "servicePrincipals/{id}",
            1,
        ),
        (
            Some(cut().on("/servicePrincipals*")),
            "servicePrincipals/{id}",
            1,
        ),
        (Some(cut().on("*/token")), "token", 1),
    ];
    for (fault, endpoint, code) in trouble {
        world.entra.clear_faults();
        if let Some(fault) = fault {
            world.entra.fault(fault);
        }
        for arguments in COMMANDS {
            world.entra.reset_requests();
            let ended = entra_sync(world.environment(), arguments).await;
            let asks = ["check", "plan", "sync"].contains(&arguments[0]);
            let asked = world.entra.requests().of(endpoint).requests;
            assert_eq!(
                asked > 0,
                asks,
                "{arguments:?} asked {endpoint} {asked} times"
            );
            let said = format!("{}{}", ended.stdout, ended.stderr);
            // Every bearer token begins like this: base64 of `{"`.
            for hidden in [
                secret.as_str(),
                encoded.as_str(),
                PASSWORD,
                "Bearer ",
                "eyJ",
                SERVER_TOKEN,
                "hook-secret-x",
                "redis-secret-x",
                "licence-secret-x",
            ] {
                assert!(!said.contains(hidden), "{hidden} in {arguments:?}: {said}");
            }
            ended.exits_with(if asks { code } else { 0 });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_secrets_are_not_repeated() {
    let mut world = world().await;
    let door = Doorman::before(&world.database.url()).await;
    door.ask_for(PASSWORD);
    world.set("DATABASE_URL", door.url_with("wrong-password-x"));
    world.set("MICROSOFT_CLIENT_SECRET", "wrong-secret-x");
    for arguments in COMMANDS {
        let ended = entra_sync(world.environment(), arguments).await;
        let said = format!("{}{}", ended.stdout, ended.stderr);
        for hidden in ["wrong-password-x", "wrong-secret-x", PASSWORD] {
            assert!(!said.contains(hidden), "{hidden} in {arguments:?}: {said}");
        }
    }
    // Nor when what is wrong is the URL itself.
    for url in [
        "postgresql://u:wrong-password-x@",
        "postgresql://u:wrong-password-x@h:port/d",
        "wrong-password-x",
    ] {
        world.set("DATABASE_URL", url);
        let ended = entra_sync(world.environment(), &["sync", "-vv"])
            .await
            .exits_with(64);
        assert!(
            !ended.stderr.contains("wrong-password-x"),
            "{}",
            ended.stderr
        );
    }
}

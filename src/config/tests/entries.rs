use std::time::Duration;

use secrecy::ExposeSecret;

use super::support::{self, CLIENT, GROUP, Room, TENANT, origin, value};
use crate::config::{OnStart, Settings, Shown};
use crate::model::policy::Organizations;

const OTHER: &str = "55555555-5555-4555-8555-555555555555";

/// Two sources: `north` is all of the top level, `south-2` has its own
/// application and secret.
fn two() -> Room {
    Room::complete().file(
        "settings.yaml",
        &format!(
            "schedule: {{on_start: false, jitter: 7s}}\n\
             litellm: {{allowed_email_domains: [north.example.org]}}\n\
             sources:\n\
             \x20 south-2:\n\
             \x20   entra:\n\
             \x20     service_principal_id: {OTHER}\n\
             \x20     client_secret: south-secret\n\
             \x20   schedule: {{jitter: 9s}}\n\
             \x20   guard: {{max_removals: 3}}\n\
             \x20   litellm: {{create_organizations: true, allowed_email_domains: null}}\n\
             \x20 north:\n"
        ),
    )
}

fn names(sources: &[Settings]) -> Vec<&str> {
    sources.iter().map(|one| one.source.as_str()).collect()
}

#[test]
fn without_entries_there_is_one_source_by_the_name_of_default() {
    let loaded = Room::complete().loaded();
    assert_eq!(names(&loaded.sources), ["default"]);
    assert_eq!(loaded.settings.source, loaded.sources[0].source);
    let empty = Room::complete().file("none.yaml", "sources: {}\n").loaded();
    assert_eq!(names(&empty.sources), ["default"]);
}

#[test]
fn an_entry_has_what_it_says_and_else_what_the_top_level_says() {
    let loaded = two().loaded();
    assert_eq!(names(&loaded.sources), ["north", "south-2"]);
    let [north, south] = loaded.sources.as_slice() else {
        panic!("two sources")
    };
    assert_eq!(south.entra.service_principal_id.to_string(), OTHER);
    assert_eq!(
        (&*south.entra.tenant, &*south.entra.client_id),
        (TENANT, CLIENT)
    );
    let secret = |one: &Settings| support::secret(one).value().expose_secret().to_owned();
    assert_eq!(
        (&*secret(north), &*secret(south)),
        ("client-secret-value", "south-secret")
    );
    let jitter = |one: &Settings| one.schedule.jitter;
    assert_eq!(
        (jitter(north), jitter(south)),
        (Duration::from_secs(7), Duration::from_secs(9))
    );
    assert!(
        [north, south]
            .iter()
            .all(|one| one.schedule.on_start == OnStart::Wait)
    );
    assert_eq!(
        (north.guard.max_removals, south.guard.max_removals),
        (500, 3)
    );
    assert_eq!(north.litellm.policy.organizations, Organizations::Off);
    assert!(matches!(
        south.litellm.policy.organizations,
        Organizations::On(_)
    ));
    let domains = |one: &Settings| one.litellm.policy.email_domains.is_some();
    assert!(domains(north) && !domains(south), "null is \"not set\"");
    assert!(
        north.litellm.database.connection == south.litellm.database.connection,
        "one LiteLLM"
    );
}

#[test]
fn a_secret_file_of_an_entry_replaces_a_secret_of_the_top_level() {
    let room = two().write("secret", "from-the-file\n");
    let file = room.path("secret").display().to_string();
    let room = room.with(
        "ENTRA_SYNC__SOURCES__NORTH__ENTRA__CLIENT_SECRET_FILE",
        &file,
    );
    let loaded = room.loaded();
    let secret = support::secret(&loaded.sources[0]);
    assert_eq!(secret.value().expose_secret(), "from-the-file");
    std::fs::write(&file, "rotated\n").unwrap();
    let again = secret.reread().unwrap();
    assert_eq!(again.value().expose_secret(), "rotated");
    let both = room.with("ENTRA_SYNC__SOURCES__NORTH__ENTRA__CLIENT_SECRET", "x");
    assert!(
        both.wrong().contains(
            "`sources.north.entra.client_secret` contradicts \
             `sources.north.entra.client_secret_file`"
        ),
        "{}",
        both.wrong()
    );
}

#[test]
fn the_environment_gives_entries_with_an_underscore_for_a_dash() {
    let loaded = two()
        .with("ENTRA_SYNC__SOURCES__SOUTH_2__ENTRA__CONCURRENCY", "3")
        .with(
            "ENTRA_SYNC__SOURCES__WEST__ENTRA__SERVICE_PRINCIPAL_ID",
            GROUP,
        )
        .loaded();
    assert_eq!(names(&loaded.sources), ["north", "south-2", "west"]);
    assert_eq!(loaded.sources[1].entra.concurrency, 3);
    assert_eq!(
        origin(&loaded, "sources.south-2.entra.concurrency"),
        "environment ENTRA_SYNC__SOURCES__SOUTH_2__ENTRA__CONCURRENCY"
    );
}

#[test]
fn what_is_shown_of_an_entry_hides_its_secrets() {
    let loaded = two().loaded();
    let secret = support::effective(&loaded, "sources.south-2.entra.client_secret");
    assert_eq!(secret.shown, Shown::Hidden);
    assert_eq!(
        value(&loaded, "sources.south-2.guard.max_removals"),
        serde_json::json!(3)
    );
    let shown = format!("{:?}", loaded.origins);
    assert!(!shown.contains("south-secret"), "{shown}");
    assert!(!format!("{:?}", loaded.sources).contains("south-secret"));
}

#[test]
fn what_is_wrong_in_an_entry_is_named_with_file_and_key() {
    let room = two().file(
        "more.yaml",
        "sources:\n  north:\n    entra: {tenent: x, concurrency: many}\n    litellm: \
         {database_url: x, seats: 3}\n    server: {listen: 127.0.0.1:1}\n    telemetry: {}\n    \
         sources: {}\n",
    );
    let wrong = room.wrong();
    for told in [
        "more.yaml: `sources.north.entra.tenent` is not a known key; did you mean \
         `sources.north.entra.tenant`?",
        "more.yaml: `sources.north.entra.concurrency` is `many`, not a whole number",
        "more.yaml: `sources.north.litellm.database_url` is the same for all sources; give it at \
         the top level",
        "more.yaml: `sources.north.litellm.seats` is the same for all sources",
        "more.yaml: `sources.north.server` is the same for all sources",
        "more.yaml: `sources.north.telemetry` is the same for all sources",
        "more.yaml: `sources.north.sources` is not a known key",
    ] {
        assert!(wrong.contains(told), "{told}\n{wrong}");
    }
}

#[test]
fn what_all_sources_share_is_complained_of_once() {
    let wrong = two()
        .with("ENTRA_SYNC__ENTRA__ATTEMPTS", "0")
        .without("DATABASE_URL")
        .wrong();
    assert_eq!(wrong.matches("`entra.attempts`").count(), 1, "{wrong}");
    assert_eq!(
        wrong.matches("`litellm.database_url` is not set").count(),
        1,
        "{wrong}"
    );
    let loaded = two().loaded();
    let seats = loaded
        .settings
        .warnings
        .iter()
        .filter(|one| one.contains("seats"));
    assert!(seats.count() <= 1, "{:?}", loaded.settings.warnings);
}

#[test]
fn what_an_entry_lacks_is_asked_for_in_the_entry() {
    let wrong = Room::complete()
        .without("MICROSOFT_TENANT")
        .file("settings.yaml", "sources: {contoso-eu: {}}\n")
        .wrong();
    assert!(
        wrong.contains(
            "`sources.contoso-eu.entra.tenant` is not set; set \
             ENTRA_SYNC__SOURCES__CONTOSO_EU__ENTRA__TENANT, or `sources.contoso-eu.entra.tenant` \
             in a --config file"
        ),
        "{wrong}"
    );
}

#[test]
fn a_name_is_lower_case_letters_digits_and_dashes() {
    let long = "a".repeat(64);
    for bad in ["Contoso", "-x", "a.b", "a_b", "", "default", &long] {
        let wrong = Room::complete()
            .file("settings.yaml", &format!("sources: {{\"{bad}\": {{}}}}\n"))
            .wrong();
        assert!(
            wrong.contains(&format!("settings.yaml: `sources.{bad}` is ")),
            "{bad}: {wrong}"
        );
    }
    for good in ["a", "0", "a-b-", &long[1..]] {
        let loaded = Room::complete()
            .file("settings.yaml", &format!("sources: {{\"{good}\": {{}}}}\n"))
            .loaded();
        assert_eq!(names(&loaded.sources), [good]);
    }
}

#[test]
fn two_sources_of_one_application_are_refused() {
    let room = Room::complete().file("settings.yaml", "sources: {a: {}, b: {}}\n");
    assert!(
        room.wrong().contains(
            "`sources.b` has the service principal of `sources.a`; give each source an Enterprise \
             Application of its own, or remove one"
        ),
        "{}",
        room.wrong()
    );
    // However the tenant is written: the application is the same.
    for tenant in [
        "CONTOSO.example.com",
        "contoso.onmicrosoft.com",
        "99999999-9999-4999-8999-999999999999",
    ] {
        let room = Room::complete()
            .with("MICROSOFT_TENANT", "contoso.example.com")
            .file(
                "settings.yaml",
                &format!("sources: {{a: {{}}, b: {{entra: {{tenant: {tenant}}}}}}}\n"),
            );
        let wrong = room.wrong();
        assert!(wrong.contains("of `sources.a`"), "{tenant}: {wrong}");
    }
}

#[test]
fn a_token_endpoint_that_is_not_the_tenants_own_is_doubted() {
    let room = two()
        .with(
            "MICROSOFT_TOKEN_ENDPOINT",
            "https://login.microsoftonline.com/x.example.com/token",
        )
        .with(
            "ENTRA_SYNC__SOURCES__SOUTH_2__ENTRA__TENANT",
            "south.example.com",
        );
    let doubts = |room: &Room| {
        let warnings = room.loaded().settings.warnings;
        warnings
            .into_iter()
            .filter(|one| one.contains("is it this tenant's?"))
            .count()
    };
    assert_eq!(doubts(&room), 1);
    let own = room.with(
        "ENTRA_SYNC__SOURCES__SOUTH_2__ENTRA__TOKEN_ENDPOINT",
        "https://login.microsoftonline.com/south.example.com/token",
    );
    assert_eq!(doubts(&own), 0);
}

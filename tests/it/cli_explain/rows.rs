//! Which row stands for a person and how it is found, and which app roles
//! count.

use entra_sync::plan;
use entra_sync::plan::explain::{Explanation, explain};
use entra_sync::simulator::{RoleState, person_id};
use serde_json::{Value, json};

use super::{text, told, whom};
use crate::support::World;
use crate::support::binary::entra_sync;
use crate::support::look::{group, person};
use crate::support::seed;

/// All of them from one reading.
async fn explained<const N: usize>(world: &World, keys: [&str; N]) -> [Explanation; N] {
    let planned = world.plan().await;
    let settings = world.settings();
    let whole = plan::World {
        directory: &planned.directory,
        target: &planned.target,
        owned: &planned.owned,
        policy: &settings.litellm.policy,
        scope: &Default::default(),
    };
    keys.map(|key| explain(whole, &planned.plan, person_id(key), &[]))
}

/// The row's id, how it is found, and whether the ledger knows it.
fn row(told: &Explanation) -> (&str, &str, &str) {
    let row = told.user.as_ref().expect("a row");
    (row.id.as_str(), row.found_by, row.ledger)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_in_which_a_row_is_found_is_named() {
    let people = ["by-id", "by-sso", "by-login", "by-email", "nobody-yet"];
    let world = World::new(|tenant| {
        tenant.group("team").members(people).assigned_by_default();
    })
    .await;
    let unbound = |id: &str| seed::user(id).with("sso_user_id", json!(null));
    let [by_id, by_sso, by_login, _, nobody_yet] = people.map(person);
    for row in [
        seed::user(&by_id),
        seed::user("row-sso").with("sso_user_id", by_sso.as_str()),
        unbound("row-login"),
        unbound("row-email").with("user_email", "BY-email@contoso.example.com"),
        seed::verified_subject(&by_login, "row-login"),
    ] {
        row.insert(&world.database).await;
    }
    let found = explained(&world, people).await;
    let wanted = [
        (by_id.as_str(), "user_id"),
        ("row-sso", "sso_user_id"),
        ("row-login", "verified_login"),
        ("row-email", "email"),
        (nobody_yet.as_str(), "not_there_yet"),
    ];
    let with = |ledger| wanted.map(|(id, by)| (id, by, ledger));
    assert_eq!(found.each_ref().map(row), with("new"));

    world.settle().await;
    // Only the ledger still knows whose row that is.
    world.sql("DELETE FROM \"LiteLLM_VerifiedSubject\"").await;
    let found = explained(&world, people).await;
    let mut managed = with("managed");
    managed[2].1 = "ledger";
    managed[3].1 = "sso_user_id";
    managed[4].1 = "user_id";
    assert_eq!(found.each_ref().map(row), managed);

    // Entra does not want them any more, and LiteLLM has the row no more.
    world.entra.tenant(|tenant| {
        tenant.group("team").without_member("by-sso");
    });
    world
        .sql(
            "DELETE FROM \"LiteLLM_TeamMembership\" WHERE user_id = 'row-sso';
             DELETE FROM \"LiteLLM_UserTable\" WHERE user_id = 'row-sso'",
        )
        .await;
    let [gone] = explained(&world, ["by-sso"]).await;
    assert_eq!(row(&gone), ("row-sso", "gone", "managed"));
    assert_eq!(gone.account, "not_shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_found_by_the_attribute_that_litellm_takes_for_the_id() {
    let world = World::new(|tenant| {
        tenant.user("ada").attribute("employeeId", "E/7");
        tenant
            .group("science")
            .member("ada")
            .assigned("internal_user");
    })
    .await
    .with("MICROSOFT_USER_ID_ATTRIBUTE", "employeeId");
    assert_eq!(whom(&world, "E/7").await, person("ada").as_str());
    let told = told(&world, &["E/7"]).await;
    assert_eq!(told["user"]["id"], "E/7", "{told}");
    assert_eq!(told["user"]["found_by"], "not_there_yet", "{told}");
    // A row's id may hold anything, and is no membership for that.
    assert_eq!(told["planned"][0]["action"], "create", "{told}");
    assert_eq!(told["teams"][0]["planned"][0]["action"], "add", "{told}");
    world.settle().await;
    let [ada] = explained(&world, ["ada"]).await;
    assert_eq!(row(&ada), ("E/7", "user_id", "managed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_known_on_one_side_only_is_told_or_named_as_such() {
    let world = World::new(|tenant| {
        tenant.user("ada").display_name("Ada Example");
        tenant.user("bob").disabled();
        let science = tenant.group("science");
        science.members(["ada", "bob", "cyd"]).assigned_by_default();
    })
    .await;
    // Entra knows Bob, LiteLLM does not, and that stays so.
    let bob = person("bob");
    let said = text(&world, &[&bob]).await;
    assert!(said.contains(", disabled in Entra\n"), "{said}");
    assert!(
        said.contains("user    no row in LiteLLM, and none is planned\n"),
        "{said}"
    );
    assert!(
        said.contains("wanted yes (member of the group in Entra), membership none\n"),
        "{said}"
    );
    assert!(said.contains(". left out: disabled\n"), "{said}");

    // Ada has left every group: LiteLLM and the ledger know her.
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("ada");
    });
    let ada = person("ada");
    for word in [ada.as_str(), "ada@contoso.example.com", "ada example"] {
        let told = told(&world, &[word]).await;
        assert_eq!(told["person"], ada.as_str(), "{word}: {told}");
        assert_eq!(told["account"], "not_shown", "{told}");
        assert_eq!(told["name"], "Ada Example", "{told}");
        assert_eq!(told["user"]["found_by"], "user_id", "{told}");
        assert_eq!(told["teams"][0]["wanted"], "no", "{told}");
        let planned = &told["teams"][0]["planned"][0];
        assert_eq!(planned["action"], "remove", "{told}");
        assert_eq!(planned["reason"], "left the group", "{told}");
    }

    // A user of somebody's making is nobody's business here, member or not.
    seed::user("guest").insert(&world.database).await;
    seed::join(&world.database, "guest", &group("science")).await;
    let guest = entra_sync(world.environment(), &["explain", "guest"])
        .await
        .exits_with(1);
    let message = guest.message();
    assert!(
        message.contains("nobody in the assigned groups"),
        "{message}"
    );
    assert!(message.contains("is left alone"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn app_roles_are_listed_with_where_they_come_from_and_whether_they_count() {
    let world = World::new(|tenant| {
        let makers = tenant.group("makers").member("ada");
        makers.assigned("internal_user").assigned("org_admin");
        tenant.group("others").member("bob").assigned("proxy_admin");
        let ada = tenant.user("ada").assigned("proxy_admin_viewer");
        ada.assigned("billing").assigned("internal_user_viewer");
        let application = tenant.application();
        application
            .role("proxy_admin_viewer", RoleState::Disabled)
            .without_role("internal_user_viewer");
    })
    .await;
    let ada = person("ada");
    let told = told(&world, &[&ada]).await;
    let listed = told["app_roles"].as_array().expect("a list");
    let mut roles: Vec<(&Value, &Value, &str)> = listed
        .iter()
        .map(|role| {
            let counts = role["counts"].as_str().expect("a word");
            (&role["value"], &role["group"], counts)
        })
        .collect();
    roles.sort_by_key(|(_, _, counts)| *counts);
    let makers = json!(group("makers"));
    let none = &Value::Null;
    assert_eq!(
        roles,
        [
            (&json!("proxy_admin_viewer"), none, "disabled"),
            (&json!("billing"), none, "foreign"),
            (&json!("org_admin"), &makers, "refused"),
            (none, none, "removed"),
            (&json!("internal_user"), &makers, "yes"),
        ]
    );
    assert_eq!(told["planned"][0]["after"]["user_role"], "internal_user");
    let said = text(&world, &[&ada]).await;
    let through = format!("role    internal_user, through group {}\n", group("makers"));
    assert!(said.contains(&through), "{said}");
    let none = "role    proxy_admin_viewer, assigned directly; disabled: counts as none\n";
    assert!(said.contains(none), "{said}");
}

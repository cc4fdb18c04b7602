//! Users who log in for the first time, and again.

use serde_json::{Value, json};

use super::{MEMBERSHIP, PARAMS, Section, TEAM, USER, ada};
use crate::support::World;
use crate::support::look::person;
use crate::support::seed;

#[tokio::test(flavor = "multi_thread")]
async fn a_new_user_in_two_teams() {
    let section = Section::read(
        "new_user_joins_existing_teams_only",
        &["grp-a", "grp-b"],
        &["u-1"],
    );
    let world = World::new(|tenant| {
        ada(tenant, "u-1", "Ada.Lovelace@example.com");
        tenant
            .group("grp-a")
            .display_name("Group A")
            .member("u-1")
            .assigned_by_default();
        tenant
            .group("grp-b")
            .display_name("Group B")
            .member("u-1")
            .assigned_by_default();
        tenant.group("grp-does-not-exist").member("u-1");
    })
    .await
    .with(PARAMS, section.params());

    world.settle().await;

    section.check(&world, TEAM, &["team_id"], &[]).await;
    section
        .check(&world, MEMBERSHIP, &["user_id", "team_id"], &[])
        .await;
    // LiteLLM lists teams in the order in which the login named them.
    section.check(&world, USER, &["user_id"], &["teams"]).await;
    assert_eq!(
        sorted_teams(&world.user("u-1").await),
        sorted_teams(&section.rows(USER)[0])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_whose_groups_address_and_role_change() {
    let section = Section::read(
        "user_logs_in_again_with_other_groups",
        &["grp-a", "grp-b"],
        &["u-1"],
    );
    let world = World::new(|tenant| {
        ada(tenant, "u-1", "ada@example.com");
        tenant
            .group("grp-a")
            .display_name("Group A")
            .member("u-1")
            .assigned_by_default();
        tenant
            .group("grp-b")
            .display_name("Group B")
            .assigned_by_default();
    })
    .await
    // LiteLLM's login takes nobody out of a team.
    .with("ENTRA_SYNC__DEPROVISION__MEMBERSHIP", "keep");
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant
            .user("u-1")
            .names("Ada", "King")
            .user_principal_name("ada.new@example.com")
            .assigned("internal_user");
        tenant.group("grp-a").without_member("u-1");
        tenant.group("grp-b").member("u-1");
    });

    world.settle().await;

    section.check(&world, TEAM, &["team_id"], &[]).await;
    section
        .check(&world, MEMBERSHIP, &["user_id", "team_id"], &[])
        .await;
    // LiteLLM's login fills an empty alias only; we follow the name that we
    // wrote (design 2.1, last row of the mapping).
    section
        .check(&world, USER, &["user_id"], &["user_alias"])
        .await;
    assert_eq!(world.user("u-1").await["user_alias"], "Ada King");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_users_with_and_without_a_role() {
    let people = ["u-role", "u-admin", "u-none"];
    let section = Section::read("new_user_with_role_from_sso", &[], &people);
    let world = World::new(|tenant| {
        for (key, role) in [("u-role", "internal_user"), ("u-admin", "proxy_admin")] {
            let address = format!("{}@example.com", &key[2..]);
            ada(tenant, key, "ignored@example.com");
            tenant.user(key).mail(&address).assigned(role);
        }
        tenant
            .user("u-none")
            .without_display_name()
            .without_mail()
            .assigned_by_default();
    })
    .await
    // A principal name is never missing; this login had no address at all.
    .with("MICROSOFT_USER_EMAIL_ATTRIBUTE", "mail");

    world.settle().await;

    section.check(&world, USER, &["user_id"], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_user_who_is_found_by_address() {
    let mut section = Section::read("existing_user_is_found_by_email", &["grp-a"], &[]);
    section
        .ids
        .insert("idp-object-id".to_owned(), person("known"));
    let world = World::new(|tenant| {
        ada(tenant, "known", "known@example.com");
        tenant
            .group("grp-a")
            .display_name("Group A")
            .member("known")
            .assigned_by_default();
    })
    .await;
    // As the fixture's first step made it.
    let mut before = section.rows(USER).remove(0);
    for (column, value) in [
        ("user_alias", json!(null)),
        ("sso_user_id", json!(null)),
        ("teams", json!([])),
        ("user_email", json!("Known@Example.com")),
    ] {
        before[column] = value;
    }
    seed::recorded(USER, before).insert(&world.database).await;

    world.settle().await;

    // An address that differs by its case only is equal to us, and a person's
    // spelling stays; LiteLLM's login lower-cases it.
    section
        .check(&world, USER, &["user_id"], &["user_email"])
        .await;
    section
        .check(&world, MEMBERSHIP, &["user_id", "team_id"], &[])
        .await;
    section
        .check(&world, TEAM, &["team_id"], &["members_with_roles"])
        .await;
    let roster = world.team("grp-a").await["members_with_roles"].clone();
    let entry =
        json!([{ "role": "user", "user_id": "pre-existing", "user_email": "Known@Example.com" }]);
    assert_eq!(roster, entry);
}

fn sorted_teams(user: &Value) -> Vec<String> {
    let teams = user["teams"].as_array().expect("a list");
    let mut teams: Vec<String> = teams
        .iter()
        .filter_map(|team| Some(team.as_str()?.to_owned()))
        .collect();
    teams.sort();
    teams
}

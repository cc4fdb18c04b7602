//! What the ledger says is ours, when a person gets another row or a pass does
//! several things to one: nobody keeps, loses or regains access by mistake.

use entra_sync::model::policy::Scope;
use entra_sync::model::report::Status;
use entra_sync::simulator::person_id;
use serde_json::{Value, json};

use crate::support::look::{group, people, person, text};
use crate::support::{World, seed};

async fn two_groups() -> World {
    World::new(|tenant| {
        tenant
            .group("science")
            .members(["ada", "bob"])
            .assigned_by_default();
        tenant
            .group("sales")
            .members(["ada", "bob"])
            .assigned_by_default();
    })
    .await
}

async fn known(world: &World, key: &str) -> Value {
    let person = person(key);
    world
        .row("entra_sync.owned_user", "person_id", &person)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_dies_between_two_rows_of_a_person_leaves_nothing_unmanaged() {
    let world = two_groups()
        .await
        .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true");
    seed::user("legacy")
        .with("sso_user_id", json!(null))
        .with("user_email", "bob@contoso.example.com")
        .insert(&world.database)
        .await;
    world.entra.tenant(|tenant| {
        tenant.user("bob").mail("bob@contoso.example.com");
    });
    world.settle().await;
    assert!(!world.has_user("bob").await, "Bob is the row of old");
    let (ada, bob) = (person("ada"), person("bob"));
    // A row of his own takes the place, and he leaves one of two groups.
    world
        .sql(
            "UPDATE \"LiteLLM_UserTable\" SET sso_user_id = NULL, user_email = NULL \
             WHERE user_id = 'legacy'",
        )
        .await;
    seed::user(&bob).insert(&world.database).await;
    world.entra.tenant(|tenant| {
        tenant.group("sales").without_member("bob");
    });
    world
        .on_write(
            "LiteLLM_TeamMembership",
            &format!("NEW.user_id = '{bob}'"),
            "PERFORM pg_terminate_backend(pg_backend_pid());",
        )
        .await;

    let (report, _) = world.try_pass().await;

    assert_eq!(report.status, Status::Failed, "{}", report.json());
    assert_eq!(text(&known(&world, "bob").await, "user_id"), bob);
    let both = vec![ada.clone(), "legacy".to_owned()];
    assert_eq!(world.members("sales").await, both);
    world.relent().await;
    world.settle().await;
    assert_eq!(world.members("sales").await, people(["ada"]));
    assert_eq!(world.organization_members("sales").await, people(["ada"]));
    let all = vec![ada, bob, "legacy".to_owned()];
    assert_eq!(world.members("science").await, all, "still in the group");
    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("bob");
    });
    world.settle().await;
    assert_eq!(world.members("science").await, people(["ada"]));
    assert_eq!(world.organization_members("science").await, people(["ada"]));
    assert_eq!(world.managed("science").await, people(["ada"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_holds_the_role_that_a_pass_lowered_and_not_the_one_before() {
    let world = World::new(|tenant| {
        tenant
            .group("science")
            .members(["ada", "bob"])
            .assigned_by_default();
        tenant.user("ada").assigned("internal_user");
    })
    .await;
    world.settle().await;
    let ada = person("ada");
    // The new name stands in both places already: the pass only takes note.
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_UserTable\" SET user_alias = 'Ada' WHERE user_id = '{ada}'"
        ))
        .await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").display_name("Ada").unassigned_entirely();
    });

    world.settle().await;

    let known = known(&world, "ada").await;
    assert_eq!(text(&known, "alias"), "Ada");
    assert_eq!(text(&known, "role"), "internal_user_viewer");
    // What somebody gives her now is not ours to lower.
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_UserTable\" SET user_role = 'internal_user' WHERE user_id = '{ada}'"
        ))
        .await;
    world.settle().await;
    assert_eq!(text(&world.user("ada").await, "user_role"), "internal_user");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deactivation_is_of_whom_it_is_taken_from_and_of_nobody_before() {
    let world = two_groups().await;
    world.settle().await;
    let (ada, bob) = (person("ada"), person("bob"));
    // Ada was Bob's row once, and deactivated; somebody ended that by hand.
    world
        .ledger_sql(&format!(
            "UPDATE entra_sync.owned_user SET user_id = '{bob}', deactivated_by_us = true \
             WHERE person_id = '{ada}'"
        ))
        .await;
    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("ada");
        tenant.group("sales").without_member("ada");
        tenant.user("bob").disabled();
    });

    let (report, _) = world.try_pass().await;

    assert_eq!(report.changes.users.deactivated, 1, "{}", report.json());
    assert_eq!(known(&world, "bob").await["deactivated_by_us"], true);
    assert_eq!(known(&world, "ada").await["deactivated_by_us"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_a_default_team_is_not_taken_out_of_it_as_a_former_member() {
    let science = group("science");
    let world = two_groups().await.with(
        "ENTRA_SYNC__LITELLM__DEFAULT_INTERNAL_USER_PARAMS",
        json!({ "teams": [science] }),
    );
    world.settle().await;
    // Somebody deletes Bob's row, and he leaves the group: whoever is new joins
    // its team all the same.
    let bob = person("bob");
    world
        .sql(&format!(
            "DELETE FROM \"LiteLLM_UserTable\" WHERE user_id = '{bob}'; \
             DELETE FROM \"LiteLLM_TeamMembership\" WHERE user_id = '{bob}'; \
             UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = \
                 (SELECT jsonb_agg(entry) FROM jsonb_array_elements(members_with_roles) AS entry \
                  WHERE entry ->> 'user_id' <> '{bob}')"
        ))
        .await;
    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("bob");
    });
    let scope = Scope::asked([].into(), [person_id("bob")].into());
    let (report, error) = world.pass_of(&world.source(), scope).await;
    assert!(error.is_none(), "{}", report.json());
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    assert_eq!(world.managed("science").await, people(["ada"]));

    world.settle().await;

    assert_eq!(world.members("science").await, people(["ada", "bob"]));
}

/// What is refused, or left to the next pass, is the change of the row. Who is
/// behind it is known all the same, and loses access when Entra says so.
#[tokio::test(flavor = "multi_thread")]
async fn whose_row_could_not_be_changed_leaves_like_anybody() {
    let world = two_groups().await;
    let (ada, bob) = (person("ada"), person("bob"));
    for user in [&ada, &bob] {
        seed::user(user)
            .with("sso_user_id", user.as_str())
            .with("user_alias", json!(null))
            .insert(&world.database)
            .await;
    }
    let action = format!(
        "IF NEW.user_id = '{bob}' THEN RAISE EXCEPTION 'refused by the test'; END IF; RETURN NULL;"
    );
    world
        .on_write("LiteLLM_UserTable", "NEW.user_alias IS NOT NULL", &action)
        .await;

    let report = world.pass().await;

    assert_eq!(report.changes.users.updated, 0, "{}", report.json());
    assert_eq!(report.errors.len(), 1, "{:?}", report.errors);
    assert_eq!(world.managed("science").await, people(["ada", "bob"]));
    world.relent().await;
    world.entra.tenant(|tenant| {
        tenant.group("science").member("cyd");
        tenant.user("ada").purged();
        tenant.user("bob").disabled();
        tenant.group("sales").without_member("bob");
    });
    let report = world.settle().await;
    assert_eq!(report.changes.users.deactivated, 2, "{}", report.json());
    assert_eq!(world.members("science").await, people(["bob", "cyd"]));
    assert_eq!(world.managed("sales").await, people([]));
}

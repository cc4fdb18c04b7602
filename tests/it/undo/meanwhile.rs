//! What happened between the removal and the undo stays, and is said.

use entra_sync::model::report::Status;
use entra_sync::simulator::AccountEnabled;
use serde_json::{Value, json};

use super::{assert_nothing_left, in_use, leaves, returns, undo, world};
use crate::support::look::{group, people, person, skipped, text};
use crate::support::{Tables, World, seed};

async fn key(world: &World, token: &str) -> Value {
    world.row("LiteLLM_VerificationToken", "token", token).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_came_back_through_entra_gets_the_keys_and_keeps_the_membership_of_now() {
    let world = world().await;
    world.settle().await;
    in_use(&world).await;
    leaves(&world, "bob", &["science"]);
    let taken = world.settle().await;
    returns(&world, "bob", &["science"]);
    world.settle().await;
    let (science, bob) = (group("science"), person("bob"));
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_TeamMembership\" SET spend = 77 \
             WHERE user_id = '{bob}' AND team_id = '{science}'"
        ))
        .await;

    let report = undo(&world, taken.run_id).await;

    assert_eq!(report.status, Status::Succeeded);
    assert_eq!(report.changes.team_memberships.repaired, 1);
    assert_eq!(report.changes.total(), 1);
    let id = format!("{science}/{bob}");
    assert_eq!(
        skipped(&report),
        [(id.as_str(), "member_again")],
        "the organization's, in which nothing is missing"
    );
    assert_eq!(key(&world, "science-bob").await["user_id"], bob.as_str());
    let rows = world.database.rows("LiteLLM_TeamMembership").await;
    let membership = rows
        .iter()
        .find(|row| row["user_id"] == bob.as_str() && row["team_id"] == science.as_str());
    assert_eq!(membership.expect("a membership")["spend"], json!(77));
    assert_nothing_left(&world, taken.run_id).await;
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_back_with_nothing_missing_is_only_named() {
    let world = world().await;
    world.settle().await;
    leaves(&world, "bob", &["science"]);
    world.entra.tenant(|tenant| {
        tenant.user("cem").disabled();
    });
    let taken = world.settle().await;
    returns(&world, "bob", &["science"]);
    world.entra.tenant(|tenant| {
        tenant.user("cem").account(AccountEnabled::Enabled);
    });
    world.settle().await;
    let before = Tables::read(&world.database).await;

    let report = undo(&world, taken.run_id).await;

    assert_eq!(report.status, Status::Unchanged);
    let id = format!("{}/{}", group("science"), person("bob"));
    let cem = person("cem");
    let mut expected = [
        (id.as_str(), "member_again"),
        (id.as_str(), "member_again"),
        (cem.as_str(), "active_again"),
    ];
    expected.sort_unstable();
    assert_eq!(skipped(&report), expected);
    assert!(before.differences(&world.database).await.is_empty());
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_lost_its_team_organization_or_row_stays_away() {
    let world = world().await;
    world.settle().await;
    in_use(&world).await;
    for user in ["bob", "cem"] {
        leaves(&world, user, &["science", "sales"]);
    }
    let taken = world.settle().await;
    let (science, sales) = (group("science"), group("sales"));
    let (bob, cem) = (person("bob"), person("cem"));
    world
        .sql(&format!(
            "DELETE FROM \"LiteLLM_TeamMembership\" WHERE team_id = '{science}'; \
             DELETE FROM \"LiteLLM_TeamTable\" WHERE team_id = '{science}'; \
             DELETE FROM \"LiteLLM_OrganizationMembership\" WHERE organization_id = '{science}'; \
             DELETE FROM \"LiteLLM_OrganizationTable\" WHERE organization_id = '{science}'; \
             DELETE FROM \"LiteLLM_TeamMembership\" WHERE user_id = '{cem}'; \
             DELETE FROM \"LiteLLM_OrganizationMembership\" WHERE user_id = '{cem}'; \
             DELETE FROM \"LiteLLM_UserTable\" WHERE user_id = '{cem}'"
        ))
        .await;

    let report = undo(&world, taken.run_id).await;

    assert_eq!(report.status, Status::Succeeded);
    assert_eq!(report.changes.team_memberships.added, 1);
    assert_eq!(report.changes.organization_memberships.added, 1);
    let id = |team: &str, user: &str| format!("{team}/{user}");
    let mut expected = vec![
        (id(&science, &bob), "organization_gone"),
        (id(&science, &bob), "team_gone"),
        (id(&science, &cem), "organization_gone"),
        (id(&science, &cem), "team_gone"),
        (id(&sales, &cem), "user_gone"),
        (id(&sales, &cem), "user_gone"),
    ];
    expected.sort();
    let skipped: Vec<(String, &str)> = skipped(&report)
        .into_iter()
        .map(|(id, reason)| (id.to_owned(), reason))
        .collect();
    assert_eq!(skipped, expected);
    assert_eq!(world.members("sales").await, people(["ada", "bob", "dan"]));
    assert_nothing_left(&world, taken.run_id).await;

    // Its copy is not spent: with the row there again, it comes back.
    seed::user(&cem).insert(&world.database).await;
    let report = undo(&world, taken.run_id).await;
    assert_eq!(report.changes.team_memberships.added, 1);
    assert_eq!(
        key(&world, "sales-cem").await["spend"],
        1_234.567_890_123_456_7
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_alias_is_used_comes_back_without_and_is_named() {
    let world = world().await;
    world.settle().await;
    in_use(&world).await;
    leaves(&world, "bob", &["science"]);
    let taken = world.settle().await;
    seed::key("newer", "somebody")
        .with("key_alias", "bob in science")
        .insert(&world.database)
        .await;

    let report = undo(&world, taken.run_id).await;

    assert_eq!(skipped(&report), [("science-bob", "key_alias_taken")]);
    assert_eq!(key(&world, "science-bob").await["key_alias"], Value::Null);
    assert_eq!(key(&world, "newer").await["key_alias"], "bob in science");
    let changes = world.database.rows("entra_sync.change").await;
    let change = changes
        .iter()
        .find(|change| change["object_id"] == "science-bob" && change["action"] == "create")
        .expect("the key's change");
    assert_eq!(change["before"], json!({ "key_alias": "bob in science" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_there_again_stays_as_it_is() {
    let world = world().await;
    world.settle().await;
    in_use(&world).await;
    leaves(&world, "bob", &["science"]);
    let taken = world.settle().await;
    seed::key("science-bob", "somebody")
        .with("key_alias", "anew")
        .insert(&world.database)
        .await;

    let report = undo(&world, taken.run_id).await;

    assert_eq!(skipped(&report), [("science-bob", "key_there")]);
    assert_eq!(report.changes.team_memberships.added, 1);
    let row = key(&world, "science-bob").await;
    assert_eq!(text(&row, "key_alias"), "anew");
    assert_eq!(text(&row, "user_id"), "somebody");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_what_was_anothers() {
    let (bob, cem) = (person("bob"), person("cem"));
    // Whom the ledger knows, and somebody outside of what is read here.
    for other in [cem.as_str(), "4e0c2f5e-9a53-4d52-8c43-5a5f6b0f7a11"] {
        let world = world().await;
        world.settle().await;
        leaves(&world, "bob", &["science"]);
        let taken = world.settle().await;
        // Bob's row is bound to them by now.
        world
            .sql(&format!(
                "UPDATE \"LiteLLM_UserTable\" SET sso_user_id = NULL WHERE user_id = '{cem}'; \
                 UPDATE \"LiteLLM_UserTable\" SET sso_user_id = '{other}' WHERE user_id = '{bob}'"
            ))
            .await;

        let report = undo(&world, taken.run_id).await;

        assert_eq!(report.status, Status::Unchanged, "{other}");
        let id = format!("{}/{bob}", group("science"));
        assert_eq!(
            skipped(&report),
            [(id.as_str(), "row_taken"), (id.as_str(), "row_taken")],
            "{other}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_stands_for_two_people_is_given_nothing() {
    let world = world().await;
    world.settle().await;
    leaves(&world, "bob", &["science"]);
    world.entra.tenant(|tenant| {
        tenant.user("bob").disabled();
    });
    let taken = world.settle().await;
    let (bob, cem) = (person("bob"), person("cem"));
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_UserTable\" SET sso_user_id = NULL WHERE user_id = '{bob}'"
        ))
        .await;
    world
        .ledger_sql(&format!(
            "UPDATE entra_sync.owned_user SET user_id = '{bob}' WHERE person_id = '{cem}'"
        ))
        .await;

    let report = undo(&world, taken.run_id).await;

    assert_eq!(report.status, Status::Unchanged);
    let id = format!("{}/{bob}", group("science"));
    let mut expected = [
        (id.as_str(), "row_taken"),
        (id.as_str(), "row_taken"),
        (bob.as_str(), "row_taken"),
    ];
    expected.sort_unstable();
    assert_eq!(skipped(&report), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_switched_off_since_stays_off() {
    let world = world()
        .await
        .with("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", "block");
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("science").unassigned_entirely();
        tenant.user("cem").disabled();
    });
    let taken = world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("science").assigned_by_default();
        tenant.user("cem").account(AccountEnabled::Enabled);
    });
    world.settle().await;
    let (science, cem) = (group("science"), person("cem"));
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_TeamTable\" SET blocked = true WHERE team_id = '{science}'; \
             UPDATE \"LiteLLM_UserTable\" SET metadata = metadata || \
                 '{{\"scim_active\": false}}' WHERE user_id = '{cem}'"
        ))
        .await;

    let report = undo(&world, taken.run_id).await;

    assert_eq!(report.status, Status::Unchanged);
    let mut expected = [
        (science.as_str(), "blocked_by_others"),
        (cem.as_str(), "deactivated_by_others"),
    ];
    expected.sort_unstable();
    assert_eq!(skipped(&report), expected);
}

/// Undoing one run does not reverse another.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_later_run_took_again_stays_with_that_run() {
    let world = world()
        .await
        .with("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", "block");
    world.entra.tenant(|tenant| {
        tenant.user("dan").assigned("proxy_admin_viewer");
    });
    world.settle().await;
    in_use(&world).await;
    let take = async || {
        world.entra.tenant(|tenant| {
            tenant.user("ada").disabled();
            tenant.user("dan").unassigned_entirely();
            tenant.group("arts").unassigned_entirely();
        });
        leaves(&world, "bob", &["science"]);
        world.settle().await.run_id
    };
    let first = take().await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").account(AccountEnabled::Enabled);
        tenant.user("dan").assigned("proxy_admin_viewer");
        tenant.group("arts").assigned_by_default();
    });
    returns(&world, "bob", &["science"]);
    world.settle().await;
    let second = take().await;
    let before = Tables::read(&world.database).await;

    let report = undo(&world, first).await;

    assert_eq!(report.status, Status::Unchanged, "{}", report.json());
    assert_eq!(report.skipped.len(), 5, "{}", report.json());
    let reasons: Vec<&str> = skipped(&report).iter().map(|(_, why)| *why).collect();
    assert_eq!(reasons, ["taken_again"; 5]);
    assert!(before.differences(&world.database).await.is_empty());
    assert!(!world.members("science").await.contains(&person("bob")));

    // Each in its turn: the second, then what is left of the first.
    let report = undo(&world, second).await;
    assert_eq!(report.changes.users.reactivated, 1, "{}", report.json());
    assert_eq!(report.changes.users.updated, 1);
    assert_eq!(report.changes.teams.unblocked, 1);
    assert_eq!(report.changes.team_memberships.added, 1);
    let report = undo(&world, first).await;
    assert_eq!(report.changes.team_memberships.repaired, 1, "keys");
    assert_eq!(report.changes.total(), 1, "{}", report.json());
    assert_eq!(key(&world, "science-bob").await["user_id"], person("bob"));
}

/// Also through a team that was deleted as a whole.
#[tokio::test(flavor = "multi_thread")]
async fn who_left_a_team_that_was_made_again_does_not_come_back_with_the_old_one() {
    let world = world()
        .await
        .with("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", "delete");
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("science").unassigned_entirely();
    });
    let taken = world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("science").assigned_by_default();
    });
    world.settle().await;
    leaves(&world, "bob", &["science"]);
    world.settle().await;
    let report = undo(&world, taken.run_id).await;
    let id = format!("{}/{}", group("science"), person("bob"));
    assert!(
        skipped(&report).contains(&(id.as_str(), "taken_again")),
        "{}",
        report.json()
    );
    assert_eq!(
        world.members("science").await,
        people(["ada", "cem", "dan"])
    );
}

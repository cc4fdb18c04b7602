//! What goes, and what stays.

use entra_sync::litellm::members::{self, Pair, Removal, Terms};
use entra_sync::litellm::{Audit, organizations};
use entra_sync::model::ids::{OrganizationId, TeamId, UserId};
use serde_json::{Value, json};

use super::{remove, world};
use crate::support::deeds::changed_columns;
use crate::support::{Tables, seed};

const NOW: &str = "2026-11-21T19:30:15.123";

fn tokens(rows: &[Value]) -> Vec<&str> {
    rows.iter()
        .filter_map(|row| row["token"].as_str())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_leaves_every_copy_and_nothing_else_moves() {
    let hands = world().await;
    let before = Tables::read(&hands.database).await;

    let removed = remove(&hands, &["ada", "cy", "zoe"], Audit::Off).await;

    assert_eq!(removed.admins, ["cy"]);
    assert_eq!(removed.absent, ["zoe"]);
    let [ada] = &removed.taken[..] else {
        panic!("only Ada went: {:#?}", removed.taken);
    };
    assert_eq!(ada.user, "ada");
    assert_eq!(
        ada.entry,
        Some(json!({ "user_id": "ada", "user_email": null, "role": "user" }))
    );
    assert_eq!(
        ada.membership,
        Some(json!({
            "user_id": "ada", "team_id": "t", "spend": 3.25, "budget_id": "adas",
            "total_spend": 7.5,
        }))
    );
    assert_eq!(ada.keys.len(), 2);
    assert_eq!(ada.keys[0].mappings.len(), 1);

    let mut now = before.differences(&hands.database).await;
    let team = now.remove("LiteLLM_TeamTable").expect("the roster");
    assert_eq!(
        changed_columns(&team.gone[0], &team.new[0]),
        ["members_with_roles", "updated_at"]
    );
    assert_eq!(
        team.new[0]["members_with_roles"],
        json!([
            { "user_id": "cy", "user_email": null, "role": "admin" },
            { "user_id": "bob", "user_email": null, "role": "user" },
        ])
    );
    assert_eq!(team.new[0]["updated_at"], NOW);
    let user = now.remove("LiteLLM_UserTable").expect("Ada's row");
    assert_eq!(user.new.len(), 1);
    assert_eq!(
        changed_columns(&user.gone[0], &user.new[0]),
        ["teams", "updated_at"]
    );
    assert_eq!(user.new[0]["teams"], json!(["o"]));
    let membership = now.remove("LiteLLM_TeamMembership").expect("a membership");
    assert_eq!((membership.gone.len(), membership.new.len()), (1, 0));
    assert_eq!(membership.gone[0]["team_id"], "t");
    let keys = now.remove("LiteLLM_VerificationToken").expect("keys");
    assert_eq!(tokens(&keys.gone), ["ada-t", "ada-t-2"]);
    assert!(keys.new.is_empty());
    let mappings = now.remove("LiteLLM_JWTKeyMapping").expect("a mapping");
    assert_eq!((mappings.gone.len(), mappings.new.len()), (1, 0));
    let stones = now
        .remove("LiteLLM_DeletedVerificationToken")
        .expect("tombstones");
    assert_eq!((stones.gone.len(), stones.new.len()), (0, 2));
    assert!(now.is_empty(), "{now:#?}");

    let key = keys
        .gone
        .iter()
        .find(|key| key["token"] == "ada-t")
        .expect("the key");
    let stone = stones
        .new
        .iter()
        .find(|stone| stone["token"] == "ada-t")
        .expect("its tombstone");
    for (column, value) in key.as_object().expect("a row") {
        match column.as_str() {
            "budget_limits" => assert!(stone.get(column).is_none()),
            "policies" => assert_eq!(stone[column], json!([])),
            _ => assert_eq!(&stone[column], value, "{column}"),
        }
    }
    assert_eq!(stone["deleted_at"], NOW);
    assert_eq!(stone["deleted_by"], Value::Null);
    assert_eq!(stone["id"].as_str().map(str::len), Some(36));

    let again = Tables::read(&hands.database).await;
    let removed = remove(&hands, &["ada"], Audit::On).await;
    assert_eq!(removed.absent, ["ada"]);
    assert!(again.differences(&hands.database).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_removed_and_added_starts_anew() {
    let hands = world().await;
    remove(&hands, &["ada"], Audit::Off).await;
    let (team, ada) = (TeamId::new("t"), UserId::new("ada"));
    let mut transaction = hands.begin().await;
    members::lock_team(&mut transaction, &team)
        .await
        .expect("the lock");
    members::ensure(
        &mut transaction,
        hands.writing(),
        &[Pair {
            team: &team,
            user: &ada,
        }],
        Terms::MEMBER,
    )
    .await
    .expect("Ada joins");
    transaction.commit().await.expect("durable");
    let rows = hands.database.rows("LiteLLM_TeamMembership").await;
    let row = rows
        .iter()
        .find(|row| row["user_id"] == "ada" && row["team_id"] == "t")
        .expect("a membership");
    assert_eq!(
        (&row["spend"], &row["budget_id"]),
        (&json!(0), &Value::Null)
    );
    let removed = remove(&hands, &["ada"], Audit::Off).await;
    assert_eq!(removed.taken.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_rows_are_those_of_litellm() {
    let hands = world().await;
    remove(&hands, &["ada"], Audit::On).await;
    let rows = hands.database.rows("LiteLLM_AuditLog").await;
    assert_eq!(rows.len(), 3);
    let roster = rows
        .iter()
        .find(|row| row["table_name"] == "LiteLLM_TeamTable")
        .expect("the roster's row");
    assert_eq!(roster["action"], "updated");
    assert_eq!(roster["object_id"], "t");
    assert_eq!(roster["changed_by"], "default_user_id");
    assert_eq!(roster["changed_by_api_key"], "");
    assert_eq!(roster["before_value"]["team_alias"], "t");
    assert_eq!(
        roster["before_value"]["members_with_roles"]
            .as_array()
            .map(Vec::len),
        Some(3)
    );
    assert_eq!(
        roster["updated_values"],
        json!({ "team_alias": "t", "members_with_roles": [
            { "user_id": "cy", "user_email": null, "role": "admin" },
            { "user_id": "bob", "user_email": null, "role": "user" },
        ] })
    );
    let key = rows
        .iter()
        .find(|row| row["object_id"] == "ada-t")
        .expect("the key's row");
    assert_eq!(
        (&key["action"], &key["table_name"], &key["updated_values"]),
        (
            &json!("deleted"),
            &json!("LiteLLM_VerificationToken"),
            &json!({})
        )
    );
    let value = &key["before_value"];
    assert_eq!(value["key_alias"], "********");
    assert_eq!(value["expires"], "2030-01-02T03:04:05Z");
    assert_eq!(value["metadata"], json!({ "note": null }));
    assert!(
        value.get("policies").is_none() && value.get("blocked").is_none(),
        "{value}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rosters_of_any_shape_are_read_alike() {
    let mut hands = world().await;
    hands.database = hands.database.unexported();
    hands
        .sql(
            "UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = \
                 to_jsonb(members_with_roles::text) WHERE team_id = 't'; \
             UPDATE \"LiteLLM_UserTable\" SET teams = NULL WHERE user_id = 'bob'",
        )
        .await;
    let removed = remove(&hands, &["ada", "bob", "cy"], Audit::Off).await;
    assert_eq!(removed.taken.len(), 2);
    assert_eq!(removed.admins, ["cy"]);
    hands
        .sql("UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = '{}' WHERE team_id = 't'")
        .await;
    assert_eq!(remove(&hands, &["ada"], Audit::Off).await.absent, ["ada"]);
    // Joining reads it the same way: nobody is lost.
    hands
        .sql(
            "UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = to_jsonb( \
                 '[{\"user_id\": \"cy\", \"user_email\": null, \"role\": \"admin\"}]'::text) \
             WHERE team_id = 't'",
        )
        .await;
    let (team, zoe) = (TeamId::new("t"), UserId::new("zoe"));
    let mut transaction = hands.begin().await;
    let joined = members::ensure(
        &mut transaction,
        hands.writing(),
        &[Pair {
            team: &team,
            user: &zoe,
        }],
        Terms::MEMBER,
    )
    .await
    .expect("Zoe joins");
    transaction.commit().await.expect("durable");
    assert_eq!(joined.joined, [("t".to_owned(), "zoe".to_owned())]);
    let teams = hands.database.rows("LiteLLM_TeamTable").await;
    assert!(
        teams
            .iter()
            .any(|row| row["members_with_roles"][0]["user_id"] == "cy"
                && row["members_with_roles"][1]["user_id"] == "zoe")
    );
    let gone = TeamId::new("nowhere");
    let mut transaction = hands.begin().await;
    let removal = members::remove(&mut transaction, hands.writing(), &gone, &[]).await;
    assert_eq!(removal.expect("no error"), Removal::TeamGone);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_leave_an_organization_and_come_back() {
    let hands = world().await;
    seed::organization("org", "adas")
        .insert(&hands.database)
        .await;
    seed::organization_membership("ada", "org")
        .with("spend", 2.5)
        .insert(&hands.database)
        .await;
    seed::organization_membership("bob", "org")
        .with("user_role", "org_admin")
        .insert(&hands.database)
        .await;
    let before = Tables::read(&hands.database).await;
    let (org, ada, bob) = (
        OrganizationId::new("org"),
        UserId::new("ada"),
        UserId::new("bob"),
    );
    let mut transaction = hands.begin().await;
    let removed = organizations::remove_members(&mut transaction, &org, &[&ada, &bob])
        .await
        .expect("they leave");
    transaction.commit().await.expect("durable");
    assert_eq!(removed.kept, ["bob"]);
    assert_eq!(removed.taken.len(), 1);
    let now = before.differences(&hands.database).await;
    assert_eq!(
        now.keys().collect::<Vec<_>>(),
        ["LiteLLM_OrganizationMembership"]
    );

    let mut transaction = hands.begin().await;
    let back =
        organizations::restore_members(&mut transaction, hands.writing(), &org, &removed.taken)
            .await
            .expect("they come back");
    transaction.commit().await.expect("durable");
    assert_eq!(back, ["ada"]);
    assert!(before.differences(&hands.database).await.is_empty());
}

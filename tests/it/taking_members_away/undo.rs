//! What comes back, also into another shape of the tables.

use entra_sync::litellm::Audit;
use entra_sync::litellm::members::{Removed, Restored};
use serde_json::{Value, json};

use super::{remove, restore, world};
use crate::support::database::connect;
use crate::support::deeds::changed_columns;
use crate::support::{Tables, seed};

#[tokio::test(flavor = "multi_thread")]
async fn undoing_gives_everything_back_but_the_tombstones_stay() {
    let hands = world().await;
    let before = Tables::read(&hands.database).await;
    let removed = remove(&hands, &["ada"], Audit::Off).await;
    // The ledger keeps copies as JSON.
    let kept = serde_json::to_string(&removed.taken).expect("JSON");
    let removed = Removed {
        taken: serde_json::from_str(&kept).expect("JSON"),
        ..Removed::default()
    };

    let restored = restore(&hands, &removed).await;

    assert_eq!(restored.joined, ["ada"]);
    assert_eq!(restored.memberships, ["ada"]);
    assert_eq!(restored.keys.tokens.len(), 2);
    let mut now = before.differences(&hands.database).await;
    let stones = now
        .remove("LiteLLM_DeletedVerificationToken")
        .expect("tombstones");
    assert_eq!(stones.new.len(), 2);
    for table in ["LiteLLM_UserTable", "LiteLLM_TeamTable"] {
        let row = now.remove(table).expect("a row that was written");
        assert_eq!(
            changed_columns(&row.gone[0], &row.new[0]),
            ["updated_at"],
            "{table}: in its old place"
        );
    }
    assert!(
        now.is_empty(),
        "keys and memberships are as they were: {now:#?}"
    );

    let settled = Tables::read(&hands.database).await;
    let again = restore(&hands, &removed).await;
    assert_eq!(again, Restored::default());
    assert!(settled.differences(&hands.database).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joined_again_meanwhile_keeps_the_membership_of_now() {
    let hands = world().await;
    let removed = remove(&hands, &["ada"], Audit::Off).await;
    seed::join(&hands.database, "ada", "t").await;
    hands
        .sql(
            "UPDATE \"LiteLLM_TeamMembership\" SET spend = 99 WHERE user_id = 'ada' AND team_id = 't'; \
             UPDATE \"LiteLLM_TeamMembership\" SET budget_id = NULL; \
             UPDATE \"LiteLLM_UserTable\" SET metadata = '{\"scim_active\": false}' WHERE user_id = 'ada'; \
             DELETE FROM \"LiteLLM_BudgetTable\"",
        )
        .await;

    let restored = restore(&hands, &removed).await;

    assert_eq!(restored.joined, Vec::<String>::new());
    assert_eq!(restored.memberships, Vec::<String>::new());
    assert_eq!(restored.keys.tokens.len(), 2);
    let rows = hands.database.rows("LiteLLM_TeamMembership").await;
    assert!(
        rows.iter()
            .any(|row| row["team_id"] == "t" && row["spend"] == json!(99))
    );
    let keys = hands.database.rows("LiteLLM_VerificationToken").await;
    let key = keys
        .iter()
        .find(|key| key["token"] == "ada-t")
        .expect("the key");
    assert_eq!(key["budget_id"], Value::Null, "the budget has gone since");
    assert_eq!(key["blocked"], true, "Ada has been deactivated since");
    assert_eq!(
        key["metadata"],
        json!({ "note": null, "scim_blocked": true })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_litellm_without_tombstones_and_with_restricted_mappings() {
    let mut hands = world().await;
    hands.database = hands.database.unexported();
    let owner = connect(&hands.database.url_as("postgres")).await;
    owner
        .batch_execute(
            "DROP TABLE \"LiteLLM_DeletedVerificationToken\", \"LiteLLM_DeletedTeamTable\"; \
             ALTER TABLE \"LiteLLM_JWTKeyMapping\" DROP CONSTRAINT \"LiteLLM_JWTKeyMapping_token_fkey\", \
                 ADD CONSTRAINT older FOREIGN KEY (token) \
                 REFERENCES \"LiteLLM_VerificationToken\" (token) ON DELETE RESTRICT; \
             ALTER TABLE \"LiteLLM_VerificationToken\" DROP COLUMN budget_limits, \
                 DROP COLUMN total_spend, DROP COLUMN settings_updated_at, DROP COLUMN project_id; \
             ALTER TABLE \"LiteLLM_TeamMembership\" DROP COLUMN total_spend",
        )
        .await
        .expect("an older shape");
    hands.look().await;

    let removed = remove(&hands, &["ada"], Audit::On).await;
    assert_eq!(removed.taken[0].keys.len(), 2);
    let restored = restore(&hands, &removed).await;
    assert_eq!(restored.keys.tokens.len(), 2);
    assert_eq!(hands.database.rows("LiteLLM_JWTKeyMapping").await.len(), 2);
}

/// Undoing after an upgrade: the copy lacks a column that must not be NULL.
#[tokio::test(flavor = "multi_thread")]
async fn copies_come_back_into_a_newer_schema() {
    let mut hands = world().await;
    hands.database = hands.database.unexported();
    let removed = remove(&hands, &["ada"], Audit::Off).await;
    let owner = connect(&hands.database.url_as("postgres")).await;
    owner
        .batch_execute(
            "ALTER TABLE \"LiteLLM_VerificationToken\" ADD COLUMN novelty text NOT NULL DEFAULT 'new', \
                 DROP COLUMN policies",
        )
        .await
        .expect("a newer shape");
    hands.look().await;
    assert_eq!(restore(&hands, &removed).await.keys.tokens.len(), 2);
}

/// A number of seventeen digits passes through JSON twice.
#[tokio::test(flavor = "multi_thread")]
async fn money_comes_back_to_the_last_bit() {
    let hands = world().await;
    hands
        .sql(
            "UPDATE \"LiteLLM_VerificationToken\" SET spend = 1234.5678901234567 \
             WHERE token = 'ada-t'",
        )
        .await;
    let before = Tables::read(&hands.database).await;
    let removed = remove(&hands, &["ada"], Audit::Off).await;
    restore(&hands, &removed).await;
    let now = before.differences(&hands.database).await;
    assert!(!now.contains_key("LiteLLM_VerificationToken"), "{now:#?}");
}

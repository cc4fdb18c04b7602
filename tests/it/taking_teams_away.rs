//! Teams blocked, and deleted as LiteLLM's SCIM deletes a group.

use entra_sync::litellm::organizations::Found;
use entra_sync::litellm::teams::{self, Deletion};
use entra_sync::litellm::{Audit, Mention, members};
use entra_sync::model::ids::TeamId;
use entra_sync::model::target::Block;
use serde_json::{Value, json};

use crate::support::database::connect;
use crate::support::deeds::changed_columns;
use crate::support::{Hands, Tables, TestDatabase, seed};

async fn world() -> Hands {
    let database = TestDatabase::create().await;
    for user in ["ada", "bob", "stray"] {
        seed::user(user).insert(&database).await;
    }
    for team in ["t", "o"] {
        seed::team(team)
            .with("access_group_ids", json!(["g"]))
            .with("metadata", json!({ "team_member_key_duration": "30d" }))
            .with("spend", 4.5)
            .with(
                "budget_limits",
                json!([{ "budget_duration": "1d", "max_budget": 2.0 }]),
            )
            .insert(&database)
            .await;
    }
    for (user, team) in [("ada", "t"), ("bob", "t"), ("ada", "o")] {
        seed::join(&database, user, team).await;
    }
    for (token, user, team) in [
        ("ada-t", "ada", json!("t")),
        ("ada-o", "ada", json!("o")),
        ("ada-own", "ada", Value::Null),
        ("stray-t", "stray", json!("t")),
    ] {
        seed::key(token, user)
            .with("team_id", team)
            .insert(&database)
            .await;
    }
    let hands = Hands::on(database).await;
    hands
        .sql(
            "INSERT INTO \"LiteLLM_AccessGroupTable\" (access_group_id, access_group_name, \
                 assigned_team_ids) VALUES ('g', 'g', '{o,t}'), ('h', 'h', '{o}'); \
             UPDATE \"LiteLLM_UserTable\" SET teams = '{t}' WHERE user_id = 'stray'; \
             INSERT INTO \"LiteLLM_JWTKeyMapping\" (id, jwt_claim_name, jwt_claim_value, token) \
                 VALUES ('m', 'sub', 'ada', 'ada-t')",
        )
        .await;
    hands
}

async fn delete(hands: &Hands, audit: Audit) -> Deletion {
    let team = TeamId::new("t");
    let mut transaction = hands.begin().await;
    members::lock_team(&mut transaction, &team)
        .await
        .expect("the lock");
    let deletion = teams::delete(&mut transaction, hands.writing_with(audit), &team)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    transaction.commit().await.expect("durable");
    deletion
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_goes_with_its_members_keys_and_every_mention() {
    let hands = world().await;
    let before = Tables::read(&hands.database).await;

    let Deletion::Deleted(taken) = delete(&hands, Audit::Off).await else {
        panic!("the team was there");
    };

    assert_eq!(taken.row["spend"], json!(4.5));
    assert_eq!(taken.memberships.len(), 2);
    assert_eq!(taken.keys.len(), 1);
    assert_eq!(taken.keys[0].mappings.len(), 1);
    let ids = |mentions: &[Mention]| -> Vec<String> {
        mentions.iter().map(|mention| mention.id.clone()).collect()
    };
    assert_eq!(ids(&taken.users), ["ada", "bob", "stray"]);
    assert_eq!(ids(&taken.access_groups), ["g"]);
    let mut now = before.differences(&hands.database).await;
    let team = now.remove("LiteLLM_TeamTable").expect("the row");
    assert_eq!((team.gone.len(), team.new.len()), (1, 0));
    let stones = now.remove("LiteLLM_DeletedTeamTable").expect("a tombstone");
    let [stone] = &stones.new[..] else {
        panic!("one tombstone: {stones:#?}");
    };
    for (column, value) in team.gone[0].as_object().expect("a row") {
        match column.as_str() {
            "budget_limits" | "default_team_member_models" => {
                assert!(stone.get(column).is_none());
            }
            _ => assert_eq!(&stone[column], value, "{column}"),
        }
    }
    assert_eq!(stone["deleted_at"], "2026-11-21T19:30:15.123");
    let users = now.remove("LiteLLM_UserTable").expect("users");
    assert_eq!(users.new.len(), 3);
    for (gone, new) in users.gone.iter().zip(&users.new) {
        assert_eq!(changed_columns(gone, new), ["teams"]);
        assert!(
            !new["teams"]
                .as_array()
                .expect("a list")
                .contains(&json!("t"))
        );
    }
    let memberships = now.remove("LiteLLM_TeamMembership").expect("memberships");
    assert_eq!((memberships.gone.len(), memberships.new.len()), (2, 0));
    let keys = now.remove("LiteLLM_VerificationToken").expect("keys");
    assert_eq!((keys.gone.len(), keys.new.len()), (1, 0));
    assert_eq!(keys.gone[0]["token"], "ada-t");
    let groups = now.remove("LiteLLM_AccessGroupTable").expect("a group");
    assert_eq!(
        changed_columns(&groups.gone[0], &groups.new[0]),
        ["assigned_team_ids"]
    );
    assert_eq!(groups.new[0]["assigned_team_ids"], json!(["o"]));
    let others: Vec<String> = now.into_keys().collect();
    assert_eq!(
        others,
        ["LiteLLM_DeletedVerificationToken", "LiteLLM_JWTKeyMapping"]
    );

    let settled = Tables::read(&hands.database).await;
    assert_eq!(delete(&hands, Audit::On).await, Deletion::TeamGone);
    assert!(settled.differences(&hands.database).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_litellm_deletes_without_a_tombstone() {
    let mut hands = world().await;
    hands.database = hands.database.unexported();
    let owner = connect(&hands.database.url_as("postgres")).await;
    owner
        .batch_execute(
            "DROP TABLE \"LiteLLM_DeletedVerificationToken\", \"LiteLLM_DeletedTeamTable\", \
                 \"LiteLLM_AccessGroupTable\", \"LiteLLM_JWTKeyMapping\"; \
             ALTER TABLE \"LiteLLM_TeamTable\" DROP COLUMN access_group_ids, DROP COLUMN policies",
        )
        .await
        .expect("an older shape");
    hands.look().await;
    let Deletion::Deleted(taken) = delete(&hands, Audit::Off).await else {
        panic!("the team was there");
    };
    assert_eq!(taken.keys.len(), 1);
    assert_eq!(taken.access_groups, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn blocking_writes_two_columns_and_only_a_change() {
    let hands = world().await;
    let before = Tables::read(&hands.database).await;
    for (block, expected) in [
        (Block::Blocked, Found::AsPlanned),
        (Block::Blocked, Found::Moved),
    ] {
        let mut transaction = hands.begin().await;
        let found = teams::set_blocked(&mut transaction, hands.writing(), &TeamId::new("t"), block)
            .await
            .expect("an answer");
        transaction.commit().await.expect("durable");
        assert_eq!(found, expected);
    }
    let now = before.differences(&hands.database).await;
    let team = &now["LiteLLM_TeamTable"];
    assert_eq!(
        changed_columns(&team.gone[0], &team.new[0]),
        ["blocked", "updated_at"]
    );
    assert_eq!(now.len(), 1);
}

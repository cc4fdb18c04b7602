//! Members out of a team and back, row by row, under the daemon's own role.

mod removal;
mod under_load;
mod undo;

use entra_sync::litellm::Audit;
use entra_sync::litellm::members::{self, Removal, Removed, Restoration, Restored};
use entra_sync::model::ids::{TeamId, UserId};
use serde_json::{Value, json};

use crate::support::{Hands, TestDatabase, seed};

/// Ada, Bob and Cy are in team `t`; Cy was made its administrator; Ada is in
/// team `o` too. Keys of every kind.
async fn world() -> Hands {
    let database = TestDatabase::create().await;
    for user in ["ada", "bob", "cy", "zoe"] {
        seed::user(user).insert(&database).await;
    }
    for team in ["t", "o"] {
        seed::team(team).insert(&database).await;
    }
    for (user, team) in [("cy", "t"), ("ada", "t"), ("bob", "t"), ("ada", "o")] {
        seed::join(&database, user, team).await;
    }
    for (token, user, team) in [
        ("ada-t", "ada", json!("t")),
        ("ada-t-2", "ada", json!("t")),
        ("ada-o", "ada", json!("o")),
        ("ada-own", "ada", Value::Null),
        ("bob-t", "bob", json!("t")),
        ("cy-t", "cy", json!("t")),
        ("zoe-t", "zoe", json!("t")),
    ] {
        seed::key(token, user)
            .with("team_id", team)
            .with("spend", 12.5)
            .insert(&database)
            .await;
    }
    seed::budget("adas").insert(&database).await;
    let hands = Hands::on(database).await;
    hands
        .sql(
            "UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = \
                 jsonb_set(members_with_roles, '{0,role}', '\"admin\"') WHERE team_id = 't'; \
             UPDATE \"LiteLLM_TeamMembership\" SET spend = 3.25, total_spend = 7.5, \
                 budget_id = 'adas' WHERE user_id = 'ada' AND team_id = 't'; \
             UPDATE \"LiteLLM_VerificationToken\" SET policies = '{p}', budget_id = 'adas', \
                 budget_limits = '[{\"budget_duration\": \"1d\", \"max_budget\": 1}]', \
                 key_alias = 'Ada in t', metadata = '{\"note\": null}', max_budget = 100, \
                 expires = '2030-01-02 03:04:05' WHERE token = 'ada-t'; \
             INSERT INTO \"LiteLLM_VerificationToken\" (token, team_id, models) \
                 VALUES ('service', 't', '{}'); \
             INSERT INTO \"LiteLLM_JWTKeyMapping\" (id, jwt_claim_name, jwt_claim_value, token) \
                 VALUES ('m', 'sub', 'ada', 'ada-t'), ('n', 'sub', 'ada-o', 'ada-o')",
        )
        .await;
    hands
}

async fn remove(hands: &Hands, users: &[&str], audit: Audit) -> Removed {
    let team = TeamId::new("t");
    let users: Vec<UserId> = users.iter().map(|user| UserId::new(*user)).collect();
    let users: Vec<&UserId> = users.iter().collect();
    let mut transaction = hands.begin().await;
    members::lock_team(&mut transaction, &team)
        .await
        .expect("the lock");
    let writing = hands.writing_with(audit);
    let removal = members::remove(&mut transaction, writing, &team, &users)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    transaction.commit().await.expect("the removal is durable");
    match removal {
        Removal::Removed(removed) => removed,
        Removal::TeamGone => panic!("the team is there"),
    }
}

async fn restore(hands: &Hands, removed: &Removed) -> Restored {
    let team = TeamId::new("t");
    let mut transaction = hands.begin().await;
    members::lock_team(&mut transaction, &team)
        .await
        .expect("the lock");
    let restoration = members::restore(&mut transaction, hands.writing(), &team, &removed.taken)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    transaction
        .commit()
        .await
        .expect("the restoration is durable");
    match restoration {
        Restoration::Restored(restored) => restored,
        Restoration::TeamGone => panic!("the team is there"),
    }
}

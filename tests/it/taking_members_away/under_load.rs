//! Others write at the same time, and teams are large.

use entra_sync::litellm::Audit;
use entra_sync::litellm::members::{self, Removal};
use entra_sync::model::ids::{TeamId, UserId};
use serde_json::json;

use super::{remove, restore, world};
use crate::support::Hands;
use crate::support::database::connect;
use crate::support::wait::wait_for;

#[tokio::test(flavor = "multi_thread")]
async fn a_login_and_a_spend_flush_at_the_same_time_lose_nothing() {
    let hands = world().await;
    let (team, ada) = (TeamId::new("t"), UserId::new("ada"));
    // A login joins Zoe under LiteLLM's lock, and a flush counts spend.
    let login = connect(&hands.database.url_as("litellm")).await;
    login
        .batch_execute(
            "BEGIN; SELECT pg_advisory_xact_lock(hashtext('t')); \
             UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = members_with_roles || \
                 '[{\"user_id\": \"zoe\", \"user_email\": null, \"role\": \"user\"}]'::jsonb \
                 WHERE team_id = 't'; \
             UPDATE \"LiteLLM_UserTable\" SET teams = array_append(teams, 't') WHERE user_id = 'zoe'; \
             INSERT INTO \"LiteLLM_TeamMembership\" (user_id, team_id) VALUES ('zoe', 't')",
        )
        .await
        .expect("a login under way");
    let flush = connect(&hands.database.url_as("litellm")).await;
    flush
        .batch_execute(
            "BEGIN; UPDATE \"LiteLLM_UserTable\" SET spend = spend + 5 WHERE user_id = 'ada'; \
             UPDATE \"LiteLLM_TeamMembership\" SET spend = spend + 5 \
                 WHERE user_id = 'ada' AND team_id = 't'; \
             UPDATE \"LiteLLM_VerificationToken\" SET spend = spend + 5 WHERE token = 'ada-t'; \
             UPDATE \"LiteLLM_TeamTable\" SET spend = spend + 5 WHERE team_id = 'o'",
        )
        .await
        .expect("a flush under way");

    let removal = async {
        let mut transaction = hands.begin().await;
        members::lock_team(&mut transaction, &team)
            .await
            .expect("the lock");
        let removal = members::remove(&mut transaction, hands.writing(), &team, &[&ada])
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        transaction.commit().await.expect("durable");
        removal
    };
    let others = async {
        wait_for_waiter(&hands, "advisory").await;
        login.batch_execute("COMMIT").await.expect("the login ends");
        wait_for_waiter(&hands, "transactionid").await;
        flush.batch_execute("COMMIT").await.expect("the flush ends");
    };
    let (removal, ()) = tokio::join!(removal, others);

    let Removal::Removed(removed) = removal else {
        panic!("the team is there");
    };
    let taken = &removed.taken[0];
    assert_eq!(
        taken.membership.as_ref().map(|row| row["spend"].clone()),
        Some(json!(8.25))
    );
    let key = taken
        .keys
        .iter()
        .find(|key| key.token() == Some("ada-t"))
        .expect("the key");
    assert_eq!(key.key["spend"], json!(17.5));
    let users = hands.database.rows("LiteLLM_UserTable").await;
    let row = |id: &str| {
        users
            .iter()
            .find(|row| row["user_id"] == id)
            .expect("a user")
    };
    assert_eq!(row("ada")["spend"], json!(5));
    assert_eq!(row("ada")["teams"], json!(["o"]));
    assert_eq!(row("zoe")["teams"], json!(["t"]));
    let teams = hands.database.rows("LiteLLM_TeamTable").await;
    let roster = &teams.iter().find(|row| row["team_id"] == "t").expect("t")["members_with_roles"];
    let ids: Vec<_> = roster
        .as_array()
        .into_iter()
        .flatten()
        .map(|e| &e["user_id"])
        .collect();
    assert_eq!(ids, ["cy", "bob", "zoe"]);
}

async fn wait_for_waiter(hands: &Hands, kind: &str) {
    wait_for("the removal to wait for a lock", || async {
        let waiting = hands
            .database
            .admin()
            .query_one(
                "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.datname = current_database() \
                 WHERE NOT l.granted AND l.locktype = $1 \
                   AND l.pid IN (SELECT pid FROM pg_stat_activity WHERE datid = d.oid)",
                &[&kind],
            )
            .await
            .expect("the locks");
        (waiting.get::<_, i64>(0) > 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_leave_a_very_large_team_at_once() {
    let mut hands = world().await;
    hands
        .sql(
            "INSERT INTO \"LiteLLM_UserTable\" (user_id, sso_user_id, teams, models) \
                 SELECT 'u' || n, 'u' || n, '{t}', '{}' FROM generate_series(1, 100000) n; \
             INSERT INTO \"LiteLLM_TeamMembership\" (user_id, team_id) \
                 SELECT 'u' || n, 't' FROM generate_series(1, 100000) n; \
             INSERT INTO \"LiteLLM_VerificationToken\" (token, user_id, team_id, models) \
                 SELECT 'k' || n, 'u' || n, 't', '{}' FROM generate_series(1, 100000, 2) n; \
             UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = (SELECT jsonb_agg( \
                 jsonb_build_object('user_id', 'u' || n, 'user_email', 'u' || n || '@example.com', \
                                    'role', 'user') ORDER BY n) \
                 FROM generate_series(1, 100000) n) WHERE team_id = 't'; \
             ANALYZE",
        )
        .await;
    hands.database = hands.database.unexported();
    let users: Vec<String> = (1..=2500).map(|n| format!("u{}", n * 40)).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    for audit in [Audit::Off, Audit::On] {
        let begun = std::time::Instant::now();
        let removed = remove(&hands, &users, audit).await;
        println!(
            "2,500 of 100,000 members, audit {audit:?}: {:?}",
            begun.elapsed()
        );
        assert_eq!(removed.taken.len(), 2500);
        let begun = std::time::Instant::now();
        let restored = restore(&hands, &removed).await;
        println!("and back: {:?}", begun.elapsed());
        assert_eq!(restored.joined.len(), 2500);
    }
}

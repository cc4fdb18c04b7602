//! Members out of a team and back, row by row, under the daemon's own role.

use entra_sync::litellm::members::{self, Removal, Removed, Restoration, Restored, Terms};
use entra_sync::litellm::{Audit, organizations};
use entra_sync::model::ids::{OrganizationId, TeamId, UserId};
use serde_json::{Value, json};

use crate::support::database::connect;
use crate::support::tables::changed_columns;
use crate::support::wait::wait_for;
use crate::support::{Hands, Tables, TestDatabase, seed};

const NOW: &str = "2026-11-21T19:30:15.123";

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
             INSERT INTO \"LiteLLM_VerificationToken\" (token, team_id) VALUES ('service', 't'); \
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
    let removal = members::remove(&mut transaction, hands.writing(), &team, &users, audit)
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
    let restoration = members::restore(
        &mut transaction,
        hands.writing(),
        &team,
        &removed.taken,
        Audit::Off,
    )
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
    assert_eq!(restored.keys.len(), 2);
    let mut now = before.differences(&hands.database).await;
    let stones = now
        .remove("LiteLLM_DeletedVerificationToken")
        .expect("tombstones");
    assert_eq!(stones.new.len(), 2);
    let user = now.remove("LiteLLM_UserTable").expect("Ada's row");
    assert_eq!(user.new[0]["teams"], json!(["o", "t"]));
    let team = now.remove("LiteLLM_TeamTable").expect("the roster");
    assert_eq!(
        team.new[0]["members_with_roles"]
            .as_array()
            .map(|roster| roster.len()),
        Some(3)
    );
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
    assert_eq!(restored.keys.len(), 2);
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
        &team,
        &[&ada],
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
    assert_eq!(restored.keys.len(), 2);
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
    assert_eq!(restore(&hands, &removed).await.keys.len(), 2);
}

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
        let removal = members::remove(
            &mut transaction,
            hands.writing(),
            &team,
            &[&ada],
            Audit::Off,
        )
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
    let gone = TeamId::new("nowhere");
    let mut transaction = hands.begin().await;
    let removal = members::remove(&mut transaction, hands.writing(), &gone, &[], Audit::Off).await;
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

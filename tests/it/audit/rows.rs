//! Row by row against what LiteLLM's own code makes of the same event.

use entra_sync::litellm::members::{self, Pair, Removal, Terms};
use entra_sync::litellm::organizations::Found;
use entra_sync::litellm::teams::{self, Deletion, TeamUpdate};
use entra_sync::litellm::{Audit, Writing};
use entra_sync::model::ids::{OrganizationId, TeamId, UserId};
use serde_json::{Value, json};

use super::{KEY, LOG, SETTING, TEAM, assert_same, cases, plain};
use crate::seats::licence;
use crate::support::look::{group, person};
use crate::support::{Hands, TestDatabase, World, seed};

fn on(hands: &Hands) -> Writing<'_> {
    hands.writing_with(Audit::On)
}

/// Another day's reset and another row's id, but the same form and, but for
/// the date, the same time.
fn alike(ours: &mut Value, theirs: &Value) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (name, ours) in ours {
                let Some(theirs) = theirs.get(name) else {
                    continue;
                };
                match name.as_str() {
                    "budget_reset_at" | "reset_at" => {
                        let text = |value: &Value| value.as_str().map(|text| text[10..].to_owned());
                        assert_eq!(text(ours), text(theirs), "{name}");
                        *ours = theirs.clone();
                    }
                    "team_member_budget_id" | "object_permission_id" | "model_id" => {
                        assert!(!ours.is_null(), "{name}");
                        *ours = theirs.clone();
                    }
                    "team_id" if *ours == json!(group("group")) => *ours = json!("group"),
                    _ => alike(ours, theirs),
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            for (ours, theirs) in ours.iter_mut().zip(theirs) {
                alike(ours, theirs);
            }
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_a_pass_makes() {
    for case in cases("team_created") {
        let mut world = World::new(|tenant| {
            tenant
                .group("group")
                .display_name("Group")
                .assigned_by_default();
        })
        .await
        .with(SETTING, "true")
        .with(
            "LITELLM_LICENSE",
            licence(&json!({ "expiration_date": "2099-01-01" })),
        );
        if !case["params"].is_null() {
            world.set(
                "ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS",
                case["params"].to_string(),
            );
        }
        if let Some(zone) = case["timezone"].as_str() {
            world.set("ENTRA_SYNC__LITELLM__TIMEZONE", zone);
        }
        seed::access_group("g").insert(&world.database).await;

        world.settle().await;

        let rows = world.database.rows(LOG).await;
        let [row] = &rows[..] else {
            panic!("one row for {}: {rows:#?}", case["params"]);
        };
        let mut ours = row.clone();
        assert_eq!(ours["object_id"], group("group").as_str());
        ours["object_id"] = json!("group");
        alike(
            &mut ours["updated_values"],
            &case["audit"]["updated_values"],
        );
        assert_same(&ours, &case["audit"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_that_a_pass_inserts() {
    let cases = cases("user_created");
    let cases: Vec<&Value> = cases
        .iter()
        .filter(|case| case["scenario"] == "new_user_with_role_from_sso")
        .collect();
    let world = World::new(|tenant| {
        for (key, role) in [("u-role", "internal_user"), ("u-admin", "proxy_admin")] {
            tenant
                .user(key)
                .without_display_name()
                .names("Ada", "Lovelace")
                .mail(&format!("{}@example.com", &key[2..]))
                .assigned(role);
        }
        tenant
            .user("u-none")
            .without_display_name()
            .without_mail()
            .assigned_by_default();
    })
    .await
    .with(SETTING, "true")
    // A principal name is never missing; this login had no address at all.
    .with("MICROSOFT_USER_EMAIL_ATTRIBUTE", "mail");

    world.settle().await;

    let rows = world.database.rows(LOG).await;
    assert_eq!((rows.len(), cases.len()), (3, 3));
    for case in cases {
        let mut theirs = case["audit"].clone();
        let key = theirs["object_id"].as_str().expect("an id").to_owned();
        let id = json!(person(&key));
        let ours = rows.iter().find(|row| row["object_id"] == id);
        let ours = ours.expect("a row about this user");
        let user = world.user(&key).await;
        theirs["object_id"] = id.clone();
        let values = &mut theirs["updated_values"];
        for column in ["user_id", "sso_user_id"] {
            values[column] = id.clone();
        }
        // The login went through another provider; another moment.
        values["metadata"]["auth_provider"] = json!("microsoft");
        for column in ["created_at", "updated_at"] {
            let at = user[column].as_str().expect("a time");
            let at: chrono::NaiveDateTime = at.parse().expect("a time");
            values[column] = json!(at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string());
            if at.and_utc().timestamp_subsec_millis() == 0 {
                values[column] = json!(at.format("%Y-%m-%dT%H:%M:%SZ").to_string());
            }
        }
        assert_same(ours, &theirs);
    }
}

/// A team with this roster, and a row for each user on it and for Bob.
async fn with_roster(roster: &Value) -> Hands {
    let database = TestDatabase::create().await;
    for user in ["ada", "bob"] {
        seed::user(user).insert(&database).await;
    }
    seed::team("group")
        .with("team_alias", "Group")
        .with("members_with_roles", roster.clone())
        .insert(&database)
        .await;
    Hands::on(database).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rosters_that_change() {
    let (team, bob) = (TeamId::new("group"), UserId::new("bob"));
    for case in cases("roster_changed") {
        let hands = with_roster(&case["before"]).await;
        let (before, after) = (&case["before"], &case["after"]);
        let mut transaction = hands.begin().await;
        members::lock_team(&mut transaction, &team)
            .await
            .expect("the lock");
        if before.as_array().map(Vec::len) > after.as_array().map(Vec::len) {
            let removal = members::remove(&mut transaction, on(&hands), &team, &[&bob]).await;
            assert!(matches!(removal, Ok(Removal::Removed(_))), "{removal:?}");
        } else {
            let pair = Pair {
                team: &team,
                user: &bob,
            };
            members::ensure(&mut transaction, on(&hands), &[pair], Terms::MEMBER)
                .await
                .expect("Bob joins");
        }
        transaction.commit().await.expect("durable");

        let rows = hands.database.rows(LOG).await;
        assert_eq!(rows.len(), 1, "{rows:#?}");
        assert_same(&rows[0], &case["audit"]);
        let team = &hands.database.rows(TEAM).await[0];
        assert_eq!(&team["members_with_roles"], after);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roster_that_stays_has_no_row() {
    let hands =
        with_roster(&json!([{ "user_id": "bob", "user_email": null, "role": "user" }])).await;
    let (team, bob) = (TeamId::new("group"), UserId::new("bob"));
    let pair = Pair {
        team: &team,
        user: &bob,
    };
    let mut transaction = hands.begin().await;
    // The other copies are mended, and Ada was never there.
    members::ensure(&mut transaction, on(&hands), &[pair], Terms::MEMBER)
        .await
        .expect("copies are mended");
    members::remove(&mut transaction, on(&hands), &team, &[&UserId::new("ada")])
        .await
        .expect("nothing to remove");
    transaction.commit().await.expect("durable");
    assert_eq!(hands.database.rows("LiteLLM_TeamMembership").await.len(), 1);
    assert_eq!(hands.database.rows(LOG).await, [] as [Value; 0]);
}

/// The fixture's team with its two members, who have rows.
async fn with_team(row: &Value) -> Hands {
    let database = TestDatabase::create().await;
    for user in ["ada", "bob"] {
        seed::user(user)
            .with("teams", json!(["t"]))
            .insert(&database)
            .await;
        seed::team_membership(user, "t").insert(&database).await;
    }
    seed::recorded(TEAM, row.clone()).insert(&database).await;
    seed::budget("b").insert(&database).await;
    seed::organization("org", "b").insert(&database).await;
    Hands::on(database).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_is_renamed_moved_or_given_other_models() {
    // The same row under the masker, which LiteLLM does not apply to text
    // inside JSON; we do not write down what it would hide.
    let masked = cases("team_deleted")[0]["audit"]["before_value"]["metadata"].clone();
    for case in cases("team_updated") {
        let hands = with_team(&case["row"]).await;
        let changes = &case["changes"];
        let list = |value: &Value| -> Option<Vec<String>> {
            let items = value.as_array()?.iter();
            items.map(|item| item.as_str().map(str::to_owned)).collect()
        };
        let models = list(&case["row"]["models"]).zip(list(&changes["models"]));
        let organization = changes["organization_id"].as_str().map(OrganizationId::new);
        let alias = changes["team_alias"].as_str();
        let update = TeamUpdate {
            team: &TeamId::new("t"),
            alias: alias.map(|alias| (Some("T"), Some(alias))),
            organization: organization.as_ref(),
            models: models
                .as_ref()
                .map(|(before, after)| (&before[..], &after[..])),
        };
        let mut transaction = hands.begin().await;
        let found = teams::update(&mut transaction, on(&hands), &update).await;
        assert!(matches!(found, Ok(Found::AsPlanned)), "{found:?}");
        // Somebody was faster: nothing is written, and nothing recorded.
        if alias.is_some() {
            let found = teams::update(&mut transaction, on(&hands), &update).await;
            assert!(matches!(found, Ok(Found::Moved)), "{found:?}");
        }
        transaction.commit().await.expect("durable");

        let rows = hands.database.rows(LOG).await;
        assert_eq!(rows.len(), 1, "{rows:#?}");
        let (mut ours, mut theirs) = (rows[0].clone(), case["audit"].clone());
        for value in [&mut ours["before_value"], &mut theirs["before_value"]] {
            let text = value.as_str().expect("JSON text in a JSON string");
            *value = serde_json::from_str(text).expect("JSON");
        }
        theirs["before_value"]["metadata"] = masked.clone();
        assert_same(&ours, &theirs);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_is_deleted_with_a_key() {
    let (team, key) = (&cases("team_deleted")[0], &cases("key_deleted")[0]);
    let hands = with_team(&team["row"]).await;
    seed::recorded(KEY, key["row"].clone())
        .insert(&hands.database)
        .await;
    let id = TeamId::new("t");
    let mut transaction = hands.begin().await;
    members::lock_team(&mut transaction, &id)
        .await
        .expect("the lock");
    let deletion = teams::delete(&mut transaction, on(&hands), &id).await;
    assert!(matches!(deletion, Ok(Deletion::Deleted(_))), "{deletion:?}");
    transaction.commit().await.expect("durable");

    let rows = hands.database.rows(LOG).await;
    assert_eq!(rows.len(), 2, "{rows:#?}");
    for theirs in [team, key] {
        let ours = rows
            .iter()
            .find(|row| row["object_id"] == theirs["audit"]["object_id"]);
        assert_same(ours.expect("its row"), &theirs["audit"]);
        assert_eq!(
            ours.expect("its row")["updated_at"],
            "2026-11-21T19:30:15.123"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_leaves_takes_a_row_for_each_key_of_the_team() {
    let key = &cases("key_deleted")[0];
    let hands = with_team(&cases("team_deleted")[0]["row"]).await;
    for (token, user) in [("hash-1", "bob"), ("hash-2", "ada")] {
        let mut row = key["row"].clone();
        row["token"] = json!(token);
        row["user_id"] = json!(user);
        seed::recorded(KEY, row).insert(&hands.database).await;
    }
    let (team, bob) = (TeamId::new("t"), UserId::new("bob"));
    let mut transaction = hands.begin().await;
    members::lock_team(&mut transaction, &team)
        .await
        .expect("the lock");
    members::remove(&mut transaction, on(&hands), &team, &[&bob])
        .await
        .expect("Bob leaves");
    transaction.commit().await.expect("durable");

    let rows = hands.database.rows(LOG).await;
    assert_eq!(rows.len(), 2, "{rows:#?}");
    let ours = rows.iter().find(|row| row["table_name"] == KEY);
    let mut theirs = key["audit"].clone();
    theirs["before_value"]["user_id"] = json!("bob");
    assert_same(ours.expect("the key's row"), &theirs);
    assert_eq!(plain(&theirs["updated_values"]), json!({}));
}

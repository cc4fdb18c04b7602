//! Deactivation, its reverse, and lower roles, as LiteLLM's SCIM does it.

use entra_sync::litellm::organizations::Found;
use entra_sync::litellm::users::{self, Administrators, Switched, Switching};
use entra_sync::model::ids::UserId;
use entra_sync::model::role::Role;
use serde_json::{Value, json};

use crate::support::deeds::changed_columns;
use crate::support::{Hands, Tables, TestDatabase, seed};

async fn world() -> Hands {
    let database = TestDatabase::create().await;
    for (user, role) in [
        ("ada", "internal_user"),
        ("bob", "internal_user"),
        ("root", "proxy_admin"),
    ] {
        seed::user(user)
            .with("user_role", role)
            .insert(&database)
            .await;
    }
    for (token, user, blocked, metadata) in [
        ("a-null", "ada", Value::Null, json!({ "note": 1 })),
        ("a-false", "ada", json!(false), json!({})),
        ("a-admin", "ada", json!(true), json!({ "why": "abuse" })),
        ("b", "bob", Value::Null, json!({})),
        ("r", "root", Value::Null, json!({})),
    ] {
        seed::key(token, user)
            .with("blocked", blocked)
            .with("metadata", metadata)
            .with("settings_updated_at", "2026-01-01T00:00:00")
            .insert(&database)
            .await;
    }
    Hands::on(database).await
}

enum Way {
    Off,
    On,
}

async fn switch(hands: &Hands, way: Way, names: &[&str], admins: Administrators) -> Switching {
    let ids: Vec<UserId> = names.iter().map(|user| UserId::new(*user)).collect();
    let ids: Vec<&UserId> = ids.iter().collect();
    let mut transaction = hands.begin().await;
    let switching = match way {
        Way::Off => users::deactivate(&mut transaction, hands.writing(), &ids, admins).await,
        Way::On => users::reactivate(&mut transaction, hands.writing(), &ids, admins).await,
    }
    .unwrap_or_else(|error| panic!("{error}"));
    transaction.commit().await.expect("durable");
    switching
}

fn of<'a>(rows: &'a [Value], column: &str, id: &str) -> &'a Value {
    rows.iter()
        .find(|row| row[column] == id)
        .unwrap_or_else(|| panic!("no {id} in {rows:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn access_goes_with_the_keys_and_comes_back_with_ours_only() {
    let hands = world().await;
    let before = Tables::read(&hands.database).await;

    let off = switch(
        &hands,
        Way::Off,
        &["ada", "root", "nobody"],
        Administrators::Spare,
    )
    .await;

    assert_eq!(
        off.changed,
        [Switched {
            user: "ada".to_owned(),
            keys: vec!["a-false".to_owned(), "a-null".to_owned()],
        }]
    );
    assert_eq!(off.keys(), 2);
    assert_eq!(off.spared, ["root"]);
    assert_eq!(off.without_row, ["nobody"]);
    let mut now = before.differences(&hands.database).await;
    let user = now.remove("LiteLLM_UserTable").expect("Ada's row");
    assert_eq!(
        changed_columns(&user.gone[0], &user.new[0]),
        ["metadata", "updated_at"]
    );
    assert_eq!(
        user.new[0]["metadata"],
        json!({ "auth_provider": "microsoft", "scim_active": false, "scim_metadata": {} })
    );
    let keys = now.remove("LiteLLM_VerificationToken").expect("keys");
    assert_eq!(keys.new.len(), 2);
    let key = of(&keys.new, "token", "a-null");
    assert_eq!(
        changed_columns(of(&keys.gone, "token", "a-null"), key),
        ["blocked", "metadata", "updated_at"]
    );
    assert_eq!(key["metadata"], json!({ "note": 1, "scim_blocked": true }));
    assert!(now.is_empty(), "{now:#?}");

    // Nothing changes a second time, not even a key made since.
    seed::key("a-late", "ada").insert(&hands.database).await;
    let settled = Tables::read(&hands.database).await;
    let again = switch(&hands, Way::Off, &["ada"], Administrators::Spare).await;
    assert_eq!(again.unchanged, ["ada"]);
    assert!(settled.differences(&hands.database).await.is_empty());

    let on = switch(&hands, Way::On, &["ada", "bob"], Administrators::Spare).await;
    assert_eq!(on.keys(), 2);
    assert_eq!(
        on.unchanged,
        ["bob"],
        "who was never deactivated is not written"
    );
    let mut now = before.differences(&hands.database).await;
    let keys = now.remove("LiteLLM_VerificationToken").expect("keys");
    for key in &keys.new {
        if key["token"] != "a-late" {
            assert_eq!(key["blocked"], false);
            assert!(key["metadata"].get("scim_blocked").is_none());
        }
    }
    let user = now.remove("LiteLLM_UserTable").expect("Ada's row");
    assert_eq!(user.new[0]["metadata"]["scim_active"], true);
    assert!(now.is_empty(), "{now:#?}");
    let keys = hands.database.rows("LiteLLM_VerificationToken").await;
    assert_eq!(of(&keys, "token", "a-admin")["blocked"], true);
    assert_eq!(
        of(&keys, "token", "a-null")["metadata"],
        json!({ "note": 1 })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_scim_knows_of_a_person_stays() {
    let hands = world().await;
    hands
        .sql(
            "UPDATE \"LiteLLM_UserTable\" SET metadata = \
             '{\"scim_active\": null, \"scim_metadata\": {\"givenName\": \"Ada\"}}' \
             WHERE user_id = 'ada'",
        )
        .await;
    switch(&hands, Way::Off, &["ada"], Administrators::Spare).await;
    let users = hands.database.rows("LiteLLM_UserTable").await;
    assert_eq!(
        of(&users, "user_id", "ada")["metadata"],
        json!({ "scim_active": false, "scim_metadata": { "givenName": "Ada" } })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_of_ours_may_be_deactivated() {
    let hands = world().await;
    let off = switch(&hands, Way::Off, &["root"], Administrators::Ours).await;
    assert_eq!(off.keys(), 1);
    let on = switch(&hands, Way::On, &["root"], Administrators::Spare).await;
    assert_eq!(on.spared, ["root"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_lowered_only_while_it_is_what_the_plan_saw() {
    let hands = world().await;
    let before = Tables::read(&hands.database).await;
    let ada = UserId::new("ada");
    for (from, expected) in [
        (Role::ProxyAdmin, Found::Moved),
        (Role::InternalUser, Found::AsPlanned),
        (Role::InternalUser, Found::Moved),
    ] {
        let mut transaction = hands.begin().await;
        let found = users::change_role(
            &mut transaction,
            hands.writing(),
            &ada,
            from,
            Role::InternalUserViewer,
        )
        .await
        .expect("an answer");
        transaction.commit().await.expect("durable");
        assert_eq!(found, expected);
    }
    let now = before.differences(&hands.database).await;
    assert_eq!(now.len(), 1);
    let user = &now["LiteLLM_UserTable"];
    assert_eq!(
        changed_columns(&user.gone[0], &user.new[0]),
        ["updated_at", "user_role"]
    );
}

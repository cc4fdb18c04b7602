//! People who leave and come back, and names and addresses that pass from one
//! to another: who keeps which row and which keys.

use entra_sync::simulator::AccountEnabled;
use entra_sync::sync::Report;
use serde_json::{Value, json};

use crate::support::look::{group, people, person, skipped};
use crate::support::{World, seed};

const UPN: &str = "ada@contoso.example.com";

async fn science() -> World {
    World::new(|tenant| {
        tenant
            .group("science")
            .members(["ada", "bob"])
            .assigned_by_default();
    })
    .await
}

async fn row(world: &World, user: &str) -> Value {
    world.row("LiteLLM_UserTable", "user_id", user).await
}

async fn keys(world: &World) -> Vec<Value> {
    let mut keys = world.database.rows("LiteLLM_VerificationToken").await;
    for key in &mut keys {
        key["updated_at"] = json!(null);
    }
    keys
}

/// Whom the report names because the address is another row's.
fn without_address(report: &Report) -> Vec<String> {
    let named = skipped(report).into_iter();
    named
        .map(|(id, reason)| {
            assert_eq!(reason, "email_taken", "{}", report.json());
            id.to_owned()
        })
        .collect()
}

/// Disabled, deleted, purged, and hired again under the old name, with a pass
/// after each.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_hired_again_begins_with_a_row_of_their_own() {
    for bound in [true, false] {
        let what = format!("bound to the old id: {bound}");
        let world = science().await;
        // Known by a login only: nothing in the row names the old id.
        let old = if bound {
            person("ada")
        } else {
            "local".to_owned()
        };
        if !bound {
            seed::user(&old)
                .with("sso_user_id", json!(null))
                .with("user_email", UPN)
                .insert(&world.database)
                .await;
            seed::verified_subject(&person("ada"), &old)
                .insert(&world.database)
                .await;
        }
        world.settle().await;
        seed::key("old", &old).insert(&world.database).await;
        seed::key("old-team", &old)
            .with("team_id", group("science"))
            .insert(&world.database)
            .await;
        world.entra.tenant(|tenant| {
            tenant.user("ada").disabled();
        });
        assert_eq!(world.settle().await.changes.users.deactivated, 1, "{what}");
        world.entra.tenant(|tenant| {
            tenant.user("ada").soft_deleted();
        });
        assert_eq!(world.settle().await.changes.total(), 0, "{what}");

        // Hired while Entra could still restore the old object.
        world.entra.tenant(|tenant| {
            tenant.user("ada again").user_principal_name(UPN);
            tenant.group("science").member("ada again");
        });
        let report = world.settle().await;

        let again = person("ada again");
        assert_eq!(report.changes.users.created, 1, "{what}");
        assert_eq!(report.changes.users.reactivated, 0, "{what}");
        assert_eq!(without_address(&report), [again.as_str()], "{what}");
        let mut members = vec![person("bob"), again.clone(), old.clone()];
        members.sort();
        assert_eq!(world.members("science").await, members, "{what}");

        world.entra.tenant(|tenant| {
            tenant.user("ada").purged();
        });
        let report = world.settle().await;

        assert_eq!(report.changes.team_memberships.removed, 1, "{what}");
        assert_eq!(without_address(&report), [again.as_str()], "{what}");
        let mut members = vec![person("bob"), again.clone()];
        members.sort();
        assert_eq!(world.members("science").await, members, "{what}");
        let [before, now] = [row(&world, &old).await, row(&world, &again).await];
        assert_eq!(before["metadata"]["scim_active"], false, "{what}");
        assert_eq!(before["user_email"], UPN, "{what}");
        let bound_to = if bound { json!(old) } else { json!(null) };
        assert_eq!(before["sso_user_id"], bound_to, "{what}: never rebound");
        assert_eq!(now["sso_user_id"], json!(again), "{what}");
        assert_eq!(now["user_email"], json!(null), "{what}");
        assert_ne!(now["metadata"]["scim_active"], false, "{what}");
        let left = keys(&world).await;
        assert_eq!(left.len(), 1, "{what}: {left:#?}");
        assert_eq!(left[0]["user_id"], json!(old), "{what}");
        assert_eq!(left[0]["blocked"], true, "{what}");
        assert_eq!(world.count("LiteLLM_UserTable").await, 3, "{what}");

        // An administrator who clears the old row's address gives it away.
        world
            .sql(&format!(
                "UPDATE \"LiteLLM_UserTable\" SET user_email = NULL WHERE user_id = '{old}'"
            ))
            .await;
        let report = world.settle().await;
        assert_eq!(report.skipped, [], "{what}");
        assert_eq!(row(&world, &again).await["user_email"], UPN, "{what}");
    }
}

/// What is restored is what this took, and nothing that somebody did meanwhile
/// is undone.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_restored_has_exactly_the_keys_of_before() {
    let world = science().await;
    world.settle().await;
    let ada = person("ada");
    for (token, metadata, blocked) in [
        ("a-plain", json!({}), json!(null)),
        ("b-noted", json!({ "made for": "a notebook" }), json!(false)),
        ("c-blocked", json!({}), json!(true)),
        ("d-deleted", json!({}), json!(null)),
    ] {
        seed::key(token, &ada)
            .with("team_id", group("science"))
            .with("metadata", metadata)
            .with("blocked", blocked)
            .with("spend", 2.5)
            .insert(&world.database)
            .await;
    }
    let mut before = keys(&world).await;
    let user = row(&world, &ada).await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").soft_deleted();
    });
    let report = world.settle().await;
    assert_eq!(report.changes.keys.blocked, 3, "{}", report.json());
    let all_blocked = keys(&world).await;
    assert!(all_blocked.iter().all(|key| key["blocked"] == true));
    world
        .sql("DELETE FROM \"LiteLLM_VerificationToken\" WHERE token = 'd-deleted'")
        .await;

    world.entra.tenant(|tenant| {
        tenant.user("ada").restored();
    });
    let report = world.settle().await;

    assert_eq!(report.changes.users.reactivated, 1, "{}", report.json());
    assert_eq!(report.changes.keys.unblocked, 2, "{}", report.json());
    before.retain(|key| key["token"] != "d-deleted");
    let mut after = keys(&world).await;
    for (before, after) in before.iter().zip(&mut after) {
        // Never blocked and blocked no more are the same to LiteLLM.
        assert_eq!(
            before["blocked"] == true,
            after["blocked"] == true,
            "{after}"
        );
        after["blocked"] = before["blocked"].clone();
    }
    assert_eq!(after, before);
    let now = row(&world, &ada).await;
    assert_eq!(now["teams"], user["teams"]);
    assert_ne!(now["metadata"]["scim_active"], false);
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
}

/// The first is renamed and stays; the name is somebody else's from now on.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_its_first_owner_gave_up_is_the_others() {
    for leaves in [false, true] {
        let what = format!("the first leaves the group: {leaves}");
        let world = science().await;
        world.settle().await;
        let (ada, zoe) = (person("ada"), person("zoe"));
        seed::key("adas", &ada).insert(&world.database).await;
        let before = keys(&world).await;
        world.entra.tenant(|tenant| {
            tenant
                .user("ada")
                .user_principal_name("ada.king@contoso.example.com");
            tenant.user("zoe").user_principal_name(UPN);
            tenant.group("science").member("zoe");
            if leaves {
                tenant.group("science").without_member("ada");
            }
        });

        let report = world.settle().await;

        assert_eq!(report.changes.users.created, 1, "{what}");
        let address = async |user: &str| row(&world, user).await["user_email"].clone();
        if leaves {
            // Nobody reads her any more, so the row keeps what it has.
            assert_eq!(without_address(&report), [zoe.as_str()], "{what}");
            assert_eq!(address(&ada).await, UPN);
            assert_eq!(address(&zoe).await, json!(null));
            world.entra.tenant(|tenant| {
                tenant.group("science").member("ada");
            });
            let report = world.settle().await;
            assert_eq!(report.skipped, [], "{what}: {}", report.json());
        } else {
            assert_eq!(report.skipped, [], "{what}: {}", report.json());
        }
        assert_eq!(address(&ada).await, "ada.king@contoso.example.com");
        assert_eq!(address(&zoe).await, UPN, "{what}");
        assert_eq!(row(&world, &ada).await["sso_user_id"], json!(ada));
        assert_eq!(row(&world, &zoe).await["sso_user_id"], json!(zoe));
        assert_eq!(
            world.members("science").await,
            people(["ada", "bob", "zoe"])
        );
        assert_eq!(keys(&world).await, before, "{what}");
        assert_eq!(world.count("LiteLLM_UserTable").await, 3);
    }
}

/// One has the address in LiteLLM, and keeps it whatever becomes of either.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_people_with_one_address_each_keeps_their_row() {
    let world = World::new(|tenant| {
        tenant.user("ada").mail("both@example.com");
        tenant.user("bob").mail("Both@example.com");
        tenant
            .group("science")
            .members(["ada", "bob"])
            .assigned_by_default();
    })
    .await
    .with("MICROSOFT_USER_EMAIL_ATTRIBUTE", "mail");
    seed::user("invited")
        .with("sso_user_id", json!(null))
        .with("user_email", "both@example.com")
        .insert(&world.database)
        .await;
    seed::key("k", "invited").insert(&world.database).await;
    let invited = row(&world, "invited").await;

    let report = world.settle().await;

    // It may be either's, so it is nobody's.
    assert_eq!(report.changes.users.created, 2);
    assert_eq!(without_address(&report), people(["ada", "bob"]));
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    for account in [AccountEnabled::Disabled, AccountEnabled::Enabled] {
        world.entra.tenant(|tenant| {
            tenant.user("bob").account(account);
        });
        world.settle().await;
    }
    world.entra.tenant(|tenant| {
        tenant.user("bob").purged();
    });
    let report = world.settle().await;
    assert_eq!(report.changes.users.deactivated, 1);
    assert_eq!(row(&world, "invited").await, invited);
    assert_ne!(keys(&world).await[0]["blocked"], true);
    for key in ["ada", "bob"] {
        let own = world.user(key).await;
        assert_eq!(own["sso_user_id"], json!(person(key)));
        assert_eq!(own["user_email"], json!(null));
    }
    assert_eq!(world.members("science").await, people(["ada"]));
}

//! What a tenant does to its groups and people over time, and how politely it
//! is asked about them.

use entra_sync::model::report::Status;
use entra_sync::simulator::{Effect, Fault};
use serde_json::Value;

use crate::support::look::{group, people, person, skipped};
use crate::support::wait::wait_for;
use crate::support::{World, seed};

async fn science() -> World {
    World::new(|tenant| {
        tenant
            .group("science")
            .display_name("Science")
            .members(["ada", "bob"])
            .assigned_by_default();
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true")
}

/// The rows that groups and memberships are made of.
async fn rows(world: &World) -> Vec<Vec<Value>> {
    let mut all = Vec::new();
    for table in [
        "LiteLLM_TeamTable",
        "LiteLLM_OrganizationTable",
        "LiteLLM_UserTable",
        "LiteLLM_TeamMembership",
        "LiteLLM_OrganizationMembership",
        "entra_sync.owned_team",
        "entra_sync.owned_organization",
        "entra_sync.owned_team_member",
    ] {
        all.push(world.database.rows(table).await);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_requests_are_in_flight_than_the_settings_allow() {
    for allowed in [1, 3, 7] {
        let world = World::new(|tenant| {
            for number in 0..40 {
                let person = format!("person-{number}");
                tenant
                    .group(&format!("group-{number}"))
                    .member(&person)
                    .assigned("internal_user");
                let alone = format!("alone-{number}");
                tenant.user(&alone).assigned_by_default();
            }
        })
        .await
        .with("ENTRA_SYNC__ENTRA__CONCURRENCY", allowed);
        // Nobody gets an answer before as many wait as may.
        let late = Effect::Latency {
            milliseconds: 600_000,
        };
        let late = Fault::new(late).on("/groups/*/members*");
        world.entra.fault(late.times(allowed));
        let all_wait = wait_for("all that are allowed", || async {
            let in_flight = world.entra.requests().in_flight;
            let all = world.entra.waiting_faults() == 0 && in_flight == allowed;
            all.then(|| world.entra.answer_now())
        });

        let (planned, _) = tokio::join!(world.plan(), all_wait);
        let directory = planned.directory;

        assert_eq!(directory.people.len(), 80);
        // Exactly: with fewer it would not be concurrency.
        assert_eq!(world.entra.requests().most_in_flight, allowed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_loses_one_of_its_two_assignments_stays() {
    for (gone, role) in [
        ("internal_user", "proxy_admin"),
        ("proxy_admin", "internal_user"),
    ] {
        let world = science().await;
        world.entra.tenant(|tenant| {
            tenant
                .group("science")
                .assigned("internal_user")
                .assigned("proxy_admin");
        });
        world.settle().await;
        let before = rows(&world).await;
        world.entra.tenant(|tenant| {
            tenant.group("science").unassigned(gone);
        });

        world.pass().await;

        let after = rows(&world).await;
        // What roles do to users is told elsewhere.
        assert_eq!(before[0], after[0], "teams");
        assert_eq!(before[3..], after[3..], "memberships");
        // It is not only left alone: it is still followed.
        world.entra.tenant(|tenant| {
            tenant.group("science").member("cyd");
        });
        world.settle().await;
        assert_eq!(
            world.members("science").await,
            people(["ada", "bob", "cyd"])
        );
        assert_eq!(world.user("cyd").await["user_role"], role);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_made_again_under_its_old_name_becomes_a_second_team() {
    let world = science().await;
    world.settle().await;
    let first = world.team("science").await;
    for user in people(["ada", "bob"]) {
        seed::key(&format!("old-{user}"), &user)
            .with("team_id", group("science"))
            .insert(&world.database)
            .await;
    }
    world.entra.tenant(|tenant| {
        tenant.group("science").purged();
        tenant
            .group("science again")
            .display_name("Science")
            .members(["ada", "cyd"])
            .assigned_by_default();
    });

    let report = world.pass().await;

    assert_eq!(report.errors, []);
    assert_eq!(report.changes.teams.created, 1);
    assert_ne!(group("science"), group("science again"));
    let second = world.team("science again").await;
    assert_eq!(second["team_alias"], "Science");
    assert_eq!(world.members("science again").await, people(["ada", "cyd"]));
    assert_eq!(
        world.organization_members("science again").await,
        people(["ada", "cyd"])
    );
    let old = world.team("science").await;
    for column in [
        "team_id",
        "team_alias",
        "max_budget",
        "spend",
        "models",
        "created_at",
    ] {
        assert_eq!(first[column], old[column], "{column}");
    }
    // The old team is as one whose group is unassigned: nobody of ours is in
    // it, and nobody's key of it goes over to the new one.
    assert!(world.members("science").await.is_empty());
    assert!(world.organization_members("science").await.is_empty());
    assert_eq!(world.count("LiteLLM_VerificationToken").await, 0);
    assert_eq!(world.count("LiteLLM_DeletedVerificationToken").await, 2);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_restored_is_the_team_that_it_was() {
    let world = science().await;
    world.entra.tenant(|tenant| {
        tenant.group("arts").member("cyd").assigned_by_default();
    });
    world.settle().await;
    let before = rows(&world).await;
    // Deleted and restored before anybody looked: nothing happened.
    world.entra.tenant(|tenant| {
        tenant.group("science").soft_deleted().restored();
    });
    let report = world.pass().await;
    assert_eq!(report.status, Status::Unchanged, "{}", report.json());
    assert_eq!(before, rows(&world).await);
    // A pass looked meanwhile: everything is as it was all the same.
    world.entra.tenant(|tenant| {
        tenant.group("science").soft_deleted();
    });
    assert_eq!(world.pass().await.errors, []);
    world.entra.tenant(|tenant| {
        tenant.group("science").restored();
    });

    world.pass().await;

    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    assert_eq!(world.managed("science").await, people(["ada", "bob"]));
    assert_eq!(
        world.organization_members("science").await,
        people(["ada", "bob"])
    );
    assert_eq!(world.team("science").await["team_alias"], "Science");
    assert_eq!(world.count("LiteLLM_TeamTable").await, 2);
    assert_eq!(world.count("LiteLLM_UserTable").await, 3);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_come_from_the_properties_that_litellm_is_told_to_read() {
    let world = World::new(|tenant| {
        // All have the usual names, too, which nobody asks for here.
        tenant
            .user("ada")
            .names("Given", "Surname")
            .attribute("jobTitle", "Countess")
            .attribute("department", "Analytical")
            .attribute("officeLocation", "Engine");
        tenant
            .user("bob")
            .names("Given", "Surname")
            .attribute("department", "Bob")
            .attribute("officeLocation", "Builder");
        tenant
            .user("cyd")
            .names("Given", "Surname")
            .attribute("officeLocation", "Alone");
        tenant.user("dan").names("Given", "Surname");
        tenant
            .group("science")
            .members(["ada", "bob", "cyd", "dan"])
            .assigned_by_default();
    })
    .await
    .with("MICROSOFT_USER_DISPLAY_NAME_ATTRIBUTE", "jobTitle")
    .with("MICROSOFT_USER_FIRST_NAME_ATTRIBUTE", "department")
    .with("MICROSOFT_USER_LAST_NAME_ATTRIBUTE", "officeLocation");

    let report = world.settle().await;

    assert_eq!(skipped(&report), []);
    assert_eq!(world.user("ada").await["user_alias"], "Countess");
    assert_eq!(world.user("bob").await["user_alias"], "Bob Builder");
    assert_eq!(world.user("cyd").await["user_alias"], "Alone");
    assert_eq!(world.user("dan").await["user_alias"], Value::Null);
    // Who moves to another office is called differently: nothing else asks.
    world.entra.tenant(|tenant| {
        tenant.user("cyd").attribute("officeLocation", "Together");
    });
    let report = world.settle().await;
    assert_eq!(report.changes.users.updated, 1);
    let cyd = world
        .row("LiteLLM_UserTable", "user_id", &person("cyd"))
        .await;
    assert_eq!(cyd["user_alias"], "Together");
}

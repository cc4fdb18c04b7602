//! The guard: what looks like a mistake is held, whatever else goes on.

use std::ops::Range;

use entra_sync::model::policy::Scope;
use entra_sync::model::report::Status;
use entra_sync::simulator::{AccountEnabled, Tenant, group_id};
use entra_sync::sync::Report;

use crate::support::World;
use crate::support::binary::entra_sync;
use crate::support::look::group;
use crate::support::seed;

/// How many are in each of the two groups.
pub const EACH: usize = 30;

pub fn key(group: &str, number: usize) -> String {
    format!("{group}-{number}")
}

pub fn crowd(tenant: &mut Tenant) {
    for group in ["science", "sales"] {
        for number in 0..EACH {
            tenant.group(group).member(&key(group, number));
        }
        tenant.group(group).assigned_by_default();
    }
}

/// The first so many leave.
pub fn leave(world: &World, group: &str, count: usize) {
    world.entra.tenant(|tenant| {
        for number in 0..count {
            tenant.group(group).without_member(&key(group, number));
        }
    });
}

/// The first so many come back.
pub fn come_back(world: &World, group: &str, count: usize) {
    world.entra.tenant(|tenant| {
        for number in 0..count {
            tenant.group(group).member(&key(group, number));
        }
    });
}

pub fn held(report: &Report) -> (String, u64) {
    assert_eq!(report.status, Status::Held, "{}", report.json());
    let held = report.held.as_ref().expect("what is held");
    assert_eq!(held.digest.len(), 64, "{held:?}");
    assert!(!held.reason.is_empty());
    (held.digest.clone(), held.removals)
}

pub async fn approve(world: &World, digest: &str) {
    entra_sync(world.environment(), &["approve", digest])
        .await
        .exits_with(0);
}

/// The runs so far become so old that no window counts them.
async fn let_a_day_pass(world: &World) {
    world
        .ledger_sql("UPDATE entra_sync.run SET started_at = started_at - interval '25 hours'")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_max_removals_are_all_held_while_additions_go_on() {
    let mut world = World::new(crowd)
        .await
        .with("ENTRA_SYNC__GUARD__MAX_REMOVALS", 5);
    world.settle().await;
    leave(&world, "science", 3);
    leave(&world, "sales", 3);
    let (digest, removals) = held(&world.pass().await);
    assert_eq!(removals, 6);

    world.entra.tenant(|tenant| {
        tenant.group("sales").member("newcomer");
    });
    let report = world.pass().await;
    assert_eq!(
        held(&report),
        (digest.clone(), 6),
        "additions are no part of it"
    );
    assert_eq!(report.changes.team_memberships.added, 1);
    assert_eq!(report.changes.team_memberships.removed, 0);
    let report = world.pass().await;
    assert_eq!(held(&report), (digest, 6));
    assert_eq!(report.changes.total(), 0);
    assert_eq!(world.members("science").await.len(), EACH);
    assert_eq!(world.members("sales").await.len(), EACH + 1);

    world.set("ENTRA_SYNC__GUARD__MAX_REMOVALS", 6);
    let report = world.settle().await;
    assert_eq!(report.changes.team_memberships.removed, 6);
    let plans = world.database.rows("entra_sync.held_plan").await;
    assert!(
        plans.iter().all(|plan| plan["status"] == "closed"),
        "{plans:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_window_counts_what_earlier_passes_took_also_filtered_ones() {
    let world = World::new(crowd)
        .await
        .with("ENTRA_SYNC__GUARD__MAX_REMOVALS", 5);
    world.settle().await;
    leave(&world, "science", 3);
    let scope = Scope::asked([group_id("science")].into(), [].into());
    let (report, error) = world.pass_of(&world.source(), scope).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(report.changes.team_memberships.removed, 3);

    leave(&world, "sales", 3);
    assert_eq!(held(&world.pass().await).1, 3);
    assert_eq!(world.members("sales").await.len(), EACH);

    let_a_day_pass(&world).await;
    let report = world.settle().await;
    assert_eq!(report.changes.team_memberships.removed, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_limit_is_no_reason_to_hold() {
    let world = World::new(crowd)
        .await
        .with("ENTRA_SYNC__GUARD__MAX_REMOVALS", 5);
    world.settle().await;
    leave(&world, "science", 5);
    let report = world.settle().await;
    assert_eq!(report.changes.team_memberships.removed, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_percentage_of_everything_holds_everything() {
    // No group is large enough to be guarded by itself.
    let world = World::new(crowd)
        .await
        .with("ENTRA_SYNC__GUARD__MIN_MANAGED", EACH + 1);
    world.settle().await;
    // 60 memberships and 60 people are managed; 25 are more than a fifth.
    disable(&world, "science", 29..30);
    leave(&world, "science", 12);
    leave(&world, "sales", 12);
    let report = world.pass().await;
    assert_eq!(held(&report).1, 25);
    assert_eq!(report.changes.total(), 0);
    let user = world.user(&key("science", 29)).await;
    assert!(user["metadata"].get("scim_active").is_none(), "{user}");

    come_back(&world, "sales", 1);
    let report = world.settle().await;
    assert_eq!(report.changes.users.deactivated, 1);
    assert_eq!(report.changes.team_memberships.removed, 23);
}

fn disable(world: &World, group: &str, numbers: Range<usize>) {
    world.entra.tenant(|tenant| {
        for number in numbers {
            tenant.user(&key(group, number)).disabled();
        }
    });
}

/// However many memberships they have between them.
#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_percentage_of_people_holds_everything() {
    let world = World::new(|tenant| {
        crowd(tenant);
        for number in 0..EACH {
            for group in ["arts", "music", "sports"] {
                tenant.group(group).member(&key("science", number));
            }
        }
        for group in ["arts", "music", "sports"] {
            tenant.group(group).assigned_by_default();
        }
    })
    .await;
    world.settle().await;
    // 13 of 60 people are more than a fifth, but not of 210 that are managed.
    disable(&world, "science", 0..13);
    let report = world.pass().await;
    assert_eq!(held(&report).1, 13);
    let reason = &report.held.as_ref().expect("held").reason;
    assert!(reason.contains("13 of 60 managed people"), "{reason}");

    world.entra.tenant(|tenant| {
        tenant
            .user(&key("science", 12))
            .account(AccountEnabled::Enabled);
    });
    assert_eq!(world.settle().await.changes.users.deactivated, 12);
    // One more within the window is as many.
    disable(&world, "science", 12..13);
    let report = world.pass().await;
    assert_eq!(held(&report).1, 1);
    let reason = &report.held.as_ref().expect("held").reason;
    assert!(reason.contains("13 of 60 managed people"), "{reason}");
    let_a_day_pass(&world).await;
    assert_eq!(world.settle().await.changes.users.deactivated, 1);
}

/// Nor is a team too small to be guarded because few of its members are ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_team_that_many_were_put_into_by_hand_is_guarded_as_large_as_it_is() {
    let world = World::new(|tenant| {
        crowd(tenant);
        tenant.group("small").member("ada").assigned_by_default();
    })
    .await
    .with("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", "delete");
    world.settle().await;
    // With ada 20 of the 122 that are managed.
    for number in 0..19 {
        let user = format!("by-hand-{number}");
        seed::user(&user).insert(&world.database).await;
        seed::join(&world.database, &user, &group("small")).await;
    }
    world.entra.tenant(|tenant| {
        tenant.group("small").unassigned_entirely();
    });
    let report = world.pass().await;
    assert_eq!(held(&report).1, 1);
    let reason = &report.held.as_ref().expect("held").reason;
    assert!(reason.contains("20 of 20 members"), "{reason}");
    assert_eq!(world.members("small").await.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_suspicious_group_is_held_and_the_others_go_on() {
    let world = World::new(|tenant| {
        crowd(tenant);
        tenant
            .group("tiny")
            .members(["ada", "bob", "cem"])
            .assigned_by_default();
    })
    .await;
    world.settle().await;
    leave(&world, "science", 7);
    leave(&world, "sales", 2);
    // Below guard.min_managed no share counts, not even all of it.
    world.entra.tenant(|tenant| {
        tenant.group("tiny").without_members();
    });

    let report = world.pass().await;
    assert_eq!(held(&report).1, 7);
    let reason = &report.held.as_ref().expect("held").reason;
    assert!(reason.contains(&group("science")), "{reason}");
    assert_eq!(report.changes.team_memberships.removed, 5);
    assert_eq!(world.members("science").await.len(), EACH);
    assert_eq!(world.members("sales").await.len(), EACH - 2);
    assert!(world.members("tiny").await.is_empty());

    come_back(&world, "science", 7);
    world.settle().await;
    let plans = world.database.rows("entra_sync.held_plan").await;
    assert_eq!(plans[0]["status"], "closed", "it closed by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn min_managed_decides_from_where_on_shares_count() {
    let mut world = World::new(crowd)
        .await
        .with("ENTRA_SYNC__GUARD__MIN_MANAGED", EACH + 1);
    world.settle().await;
    leave(&world, "science", 10);
    world.set("ENTRA_SYNC__GUARD__MIN_MANAGED", EACH);
    assert_eq!(held(&world.pass().await).1, 10);
    world.set("ENTRA_SYNC__GUARD__MIN_MANAGED", EACH + 1);
    assert_eq!(world.settle().await.changes.team_memberships.removed, 10);
}

/// Nor does a group become too small to be guarded by what it loses.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_loses_a_few_with_every_pass_is_held_once_they_are_many() {
    let world = World::new(crowd)
        .await
        .with("ENTRA_SYNC__GUARD__MIN_MANAGED", EACH);
    world.settle().await;
    // A fifth of 30 is 6.
    for count in [3, 6] {
        leave(&world, "science", count);
        assert_eq!(world.settle().await.changes.team_memberships.removed, 3);
    }
    leave(&world, "science", 7);
    leave(&world, "sales", 2);
    let report = world.pass().await;
    assert_eq!(held(&report).1, 1);
    let reason = &report.held.as_ref().expect("what is held").reason;
    let said = format!("7 of 30 managed members of group {}", group("science"));
    assert!(reason.contains(&said), "{reason}");
    assert_eq!(report.changes.team_memberships.removed, 2, "sales");
    assert_eq!(world.members("science").await.len(), EACH - 6);

    let_a_day_pass(&world).await;
    assert_eq!(world.settle().await.changes.team_memberships.removed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_group_read_as_empty_is_held_whatever_the_percentage() {
    let world = World::new(crowd)
        .await
        .with("ENTRA_SYNC__GUARD__MAX_REMOVAL_PERCENT", 100);
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("science").without_members();
    });
    leave(&world, "sales", 1);
    let report = world.pass().await;
    assert_eq!(held(&report).1, EACH as u64);
    assert_eq!(report.changes.team_memberships.removed, 1);
    assert_eq!(world.members("science").await.len(), EACH);
    come_back(&world, "science", EACH);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_source_is_held_also_when_percentages_are_off() {
    let world = World::new(crowd)
        .await
        .with("ENTRA_SYNC__GUARD__MAX_REMOVAL_PERCENT", 100)
        .with("ENTRA_SYNC__GUARD__MIN_MANAGED", 1_000);
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.application().without_assignments();
    });
    let report = world.pass().await;
    assert_eq!(held(&report).1, 2 * EACH as u64);
    assert_eq!(world.members("science").await.len(), EACH);
    world.entra.tenant(|tenant| {
        tenant.group("science").assigned_by_default();
        tenant.group("sales").assigned_by_default();
    });
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_is_deleted_or_blocked_counts_as_all_of_its_members() {
    for policy in ["delete", "block"] {
        let world = World::new(crowd)
            .await
            .with("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", policy);
        world.settle().await;
        world.entra.tenant(|tenant| {
            tenant.group("sales").unassigned_entirely();
        });
        let report = world.pass().await;
        assert_eq!(held(&report).1, 1, "{policy}");
        assert_eq!(report.changes.total(), 0);
        assert_eq!(world.members("sales").await.len(), EACH);
        assert_ne!(world.team("sales").await["blocked"], true);
        let digest = held(&report).0;
        approve(&world, &digest).await;
        let report = world.settle().await;
        let teams = report.changes.teams;
        assert_eq!(teams.deleted + teams.blocked, 1);
        assert!(world.has_user(&key("sales", 0)).await);
    }
}

/// Whom a person added by hand loses the team as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_team_with_few_members_of_ours_and_many_of_others_counts_as_all_of_them() {
    let world = World::new(|tenant| {
        crowd(tenant);
        tenant.group("small").member("ada").assigned_by_default();
    })
    .await
    .with("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", "delete")
    .with("ENTRA_SYNC__GUARD__MAX_REMOVALS", EACH)
    .with("ENTRA_SYNC__GUARD__MAX_REMOVAL_PERCENT", 100);
    world.settle().await;
    for number in 0..=EACH {
        let user = format!("by-hand-{number}");
        seed::user(&user).insert(&world.database).await;
        seed::join(&world.database, &user, &group("small")).await;
    }
    world.entra.tenant(|tenant| {
        tenant.group("small").unassigned_entirely();
    });
    let report = world.pass().await;
    assert_eq!(held(&report).1, 1);
    assert_eq!(world.members("small").await.len(), EACH + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_of_people_assigned_directly_is_not_empty() {
    let world = World::new(|tenant| {
        tenant.user("ada").assigned("internal_user");
        tenant.user("bob").assigned("internal_user");
    })
    .await;
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").account(AccountEnabled::Disabled);
    });
    let report = world.settle().await;
    assert_eq!(report.changes.users.deactivated, 1, "{}", report.json());
}

//! LiteLLM writes a user's `teams` whole, from what it read before
//! (litellm-contract 5), and a login joins what Entra showed it: each order of
//! that and a pass, by construction.

use serde_json::json;

use super::proxy::Proxy;
use crate::support::look::{group, people, person};
use crate::support::session::Session;
use crate::support::{World, seed};

/// Bob is in science, and in `solo`, which Entra does not know.
async fn world() -> (World, Proxy) {
    let world = World::new(|tenant| {
        tenant.group("arts").member("ada").assigned_by_default();
        tenant
            .group("science")
            .members(["ada", "bob"])
            .assigned_by_default();
    })
    .await;
    seed::team("solo").insert(&world.database).await;
    world.settle().await;
    let mut proxy = Proxy::of(&world.database, "proxy").await;
    proxy.join(&person("bob"), "solo").await;
    (world, proxy)
}

fn enters_arts(world: &World) {
    world.entra.tenant(|tenant| {
        tenant.group("arts").member("bob");
    });
}

fn leaves_arts(world: &World) {
    world.entra.tenant(|tenant| {
        tenant.group("arts").without_member("bob");
    });
}

async fn what_a_pass_would_do(world: &World) -> Vec<(&'static str, String)> {
    let items = world.plan().await.plan;
    items.items().map(|item| (item.action, item.id)).collect()
}

fn bob_in_arts() -> String {
    format!("{}/{}", group("arts"), person("bob"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_from_before_a_join_is_mended() {
    let (world, mut proxy) = world().await;
    let teams = proxy.teams_of(&person("bob")).await;
    enters_arts(&world);
    assert_eq!(world.pass().await.changes.team_memberships.added, 1);
    proxy.take_out(&person("bob"), "solo", teams).await;
    assert_eq!(proxy.book.lists.dropped, 1);

    let repair = [("repair", bob_in_arts())];
    assert_eq!(what_a_pass_would_do(&world).await, repair);
    let report = world.settle().await;

    assert_eq!(report.changes.team_memberships.repaired, 1);
    assert_eq!(report.changes.total(), 1, "{}", report.json());
    assert_eq!(world.members("arts").await, people(["ada", "bob"]));
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_from_before_a_removal_is_cleared_of_what_was_removed_and_of_nothing_else() {
    let (world, mut proxy) = world().await;
    enters_arts(&world);
    world.settle().await;
    let teams = proxy.teams_of(&person("bob")).await;
    leaves_arts(&world);
    assert_eq!(world.pass().await.changes.team_memberships.removed, 1);
    proxy.take_out(&person("bob"), "solo", teams).await;
    assert_eq!(proxy.book.lists.revived, 1);
    // Nobody took her out: whatever this means, it is a person's.
    seed::user("eve")
        .with("teams", json!([group("arts")]))
        .insert(&world.database)
        .await;
    let eve = world.row("LiteLLM_UserTable", "user_id", "eve").await;

    let repair = [("repair", bob_in_arts())];
    assert_eq!(what_a_pass_would_do(&world).await, repair);
    let report = world.settle().await;

    assert_eq!(report.changes.team_memberships.repaired, 1);
    assert_eq!(report.changes.total(), 1, "{}", report.json());
    let bob = world.user("bob").await;
    assert_eq!(bob["teams"], json!([group("science")]));
    assert_eq!(world.row("LiteLLM_UserTable", "user_id", "eve").await, eve);
    let rows = world.database.rows("entra_sync.membership_change").await;
    let repairs: Vec<_> = rows.iter().filter(|r| r["action"] == "repair").collect();
    assert_eq!(repairs.len(), 1, "{repairs:?}");
    assert_eq!(repairs[0]["user_ids"], json!([person("bob")]));
}

/// The clearing waits for the team's lock, and looks again once it has it.
#[tokio::test(flavor = "multi_thread")]
async fn who_joins_while_the_clearing_waits_stays() {
    let (world, mut proxy) = world().await;
    let (bob, arts) = (person("bob"), group("arts"));
    enters_arts(&world);
    world.settle().await;
    let teams = proxy.teams_of(&bob).await;
    leaves_arts(&world);
    world.settle().await;
    proxy.take_out(&bob, "solo", teams).await;
    let session = Session::holding_team(&world.database, &arts).await;
    // His `teams` name it already.
    let joins = format!(
        "INSERT INTO \"LiteLLM_TeamMembership\" (user_id, team_id) VALUES ('{bob}', '{arts}'); \
         UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = members_with_roles \
             || '[{{\"user_id\": \"{bob}\", \"user_email\": null, \"role\": \"user\"}}]' \
         WHERE team_id = '{arts}'"
    );

    let (report, ()) = tokio::join!(world.pass(), async {
        session.is_waited_for().await;
        session.run(&joins).await;
        session.commit().await;
    });

    assert_eq!(report.changes.total(), 0, "{}", report.json());
    assert_eq!(world.members("arts").await, people(["ada", "bob"]));
    assert_eq!(world.managed("arts").await, people(["ada"]));
    assert_eq!(what_a_pass_would_do(&world).await, []);
}

/// The row is locked by the write: a pass waits for it and works on what it
/// wrote.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_written_while_a_pass_waits_for_the_row_loses_nothing() {
    let (world, mut proxy) = world().await;
    let bob = person("bob");
    let whole = |teams: &[String]| {
        let teams = teams.join(",");
        format!("UPDATE \"LiteLLM_UserTable\" SET teams = '{{{teams}}}' WHERE user_id = '{bob}'")
    };
    for moves in [enters_arts, leaves_arts] {
        let teams = proxy.teams_of(&bob).await;
        moves(&world);
        let session = Session::begin(&world.database).await;
        session.run(&whole(&teams)).await;

        let (report, ()) = tokio::join!(world.settle(), async {
            session.is_waited_for().await;
            session.commit().await;
        });

        let counts = &report.changes.team_memberships;
        assert_eq!((counts.added + counts.removed, counts.repaired), (1, 0));
    }
    assert_eq!(world.members("arts").await, people(["ada"]));
    proxy.take_out(&bob, "solo", vec![group("science")]).await;
    assert_eq!(proxy.book.lists.fresh, 1);
}

/// Whoever comes first, there is one membership, and it ends when Entra says
/// so. A login that read its groups before the pass did is somebody's hand.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_before_or_after_a_pass_makes_one_membership() {
    let (world, mut proxy) = world().await;
    let (bob, arts) = (person("bob"), group("arts"));
    for (is_first, turns) in [(true, (1, 0)), (false, (1, 1))] {
        enters_arts(&world);
        if is_first {
            proxy.log_into(&bob, &arts).await;
        }
        world.settle().await;
        if !is_first {
            proxy.log_into(&bob, &arts).await;
        }
        assert_eq!((proxy.book.joins.first, proxy.book.joins.second), turns);
        assert_eq!(world.members("arts").await, people(["ada", "bob"]));
        assert_eq!(world.managed("arts").await, people(["ada", "bob"]));
        leaves_arts(&world);
        assert_eq!(world.settle().await.changes.team_memberships.removed, 1);
        assert_eq!(world.members("arts").await, people(["ada"]));
    }

    proxy.log_into(&bob, &arts).await;

    assert_eq!(what_a_pass_would_do(&world).await, []);
    world.settle().await;
    assert_eq!(world.members("arts").await, people(["ada", "bob"]));
    assert_eq!(world.managed("arts").await, people(["ada"]));
    enters_arts(&world);
    world.pass().await;
    leaves_arts(&world);
    assert_eq!(world.settle().await.changes.team_memberships.removed, 1);
    assert_eq!(world.members("arts").await, people(["ada"]));
}

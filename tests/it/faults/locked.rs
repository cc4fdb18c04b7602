//! Somebody holds a row or a lock that a removal needs: what it is about stays
//! whole and is named, everything else goes on, and the next pass does the
//! rest. The waits are PostgreSQL's, so the worlds wait side by side.

use std::time::{Duration, Instant};

use entra_sync::model::report::Status;
use entra_sync::simulator::{Effect, Fault};
use entra_sync::sync::{Error, Report};

use super::oracle::free_the_lease;
use crate::support::look::{group, people, person};
use crate::support::session::Session;
use crate::support::wait::wait_for;
use crate::support::{World, seed};

/// What another session holds while a pass runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    TeamRow,
    UserRow,
    TeamLock,
    Membership,
    Key,
    OrganizationMembership,
    /// It keeps no removal, but whoever is to come in.
    Organization,
    /// The one under which users are counted: it keeps no removal.
    Seats,
    /// Nothing at all can be written without it.
    Lease,
}

const ALL: [Held; 9] = [
    Held::TeamRow,
    Held::UserRow,
    Held::TeamLock,
    Held::Membership,
    Held::Key,
    Held::OrganizationMembership,
    Held::Organization,
    Held::Seats,
    Held::Lease,
];

impl Held {
    fn statement(self) -> String {
        let (science, bob) = (group("science"), person("bob"));
        match self {
            Self::TeamRow => {
                format!("SELECT FROM \"LiteLLM_TeamTable\" WHERE team_id = '{science}' FOR UPDATE")
            }
            Self::UserRow => {
                format!("SELECT FROM \"LiteLLM_UserTable\" WHERE user_id = '{bob}' FOR UPDATE")
            }
            Self::TeamLock => format!("SELECT pg_advisory_xact_lock(hashtext('{science}'))"),
            Self::Membership => format!(
                "SELECT FROM \"LiteLLM_TeamMembership\" \
                 WHERE team_id = '{science}' AND user_id = '{bob}' FOR UPDATE"
            ),
            Self::Key => {
                "SELECT FROM \"LiteLLM_VerificationToken\" WHERE token = 'k' FOR UPDATE".to_owned()
            }
            Self::OrganizationMembership => format!(
                "SELECT FROM \"LiteLLM_OrganizationMembership\" \
                 WHERE organization_id = '{science}' AND user_id = '{bob}' FOR UPDATE"
            ),
            Self::Organization => format!(
                "SELECT FROM \"LiteLLM_OrganizationTable\" WHERE organization_id = '{}' FOR UPDATE",
                group("arts")
            ),
            Self::Seats => "SELECT pg_advisory_xact_lock(468530001)".to_owned(),
            Self::Lease => "SELECT FROM entra_sync.lease FOR UPDATE".to_owned(),
        }
    }

    /// What the pass names; nothing where it cannot go on.
    fn about(self) -> Option<String> {
        let [bob, dan] = ["bob", "dan"].map(person);
        match self {
            Self::Lease => None,
            Self::Seats => Some(dan),
            Self::Organization => Some(format!("{}/{dan}", group("arts"))),
            _ => Some(format!("{}/{bob}", group("science"))),
        }
    }

    /// Whether Bob's membership of the team stays because of it.
    fn keeps_bob(self) -> bool {
        !matches!(
            self,
            Self::OrganizationMembership | Self::Organization | Self::Seats
        )
    }

    /// A pass that meets it, and what `then` does meanwhile. Without the lease
    /// a pass does not even begin, so that is taken while Entra is being read.
    async fn pass<T>(
        self,
        world: &World,
        then: impl AsyncFnOnce(Session) -> T,
    ) -> ((Report, Option<Error>), T) {
        if self != Self::Lease {
            let session = Session::begin(&world.database).await;
            session.run(&self.statement()).await;
            return tokio::join!(Box::pin(world.try_pass()), then(session));
        }
        let late = Effect::Latency {
            milliseconds: 600_000,
        };
        world.entra.fault(Fault::new(late).on("/groups/*"));
        tokio::join!(Box::pin(world.try_pass()), async {
            wait_for("a pass that reads", || async {
                (world.entra.waiting_faults() == 0).then_some(())
            })
            .await;
            let session = Session::begin_as(&world.database, "postgres").await;
            session.run(&self.statement()).await;
            world.entra.answer_now();
            then(session).await
        })
    }
}

/// Bob is to leave science, Cem arts, and Dan is to come into arts.
async fn world() -> World {
    let world = World::new(|tenant| {
        for key in ["arts", "science"] {
            tenant
                .group(key)
                .members(["ada", "bob", "cem"])
                .assigned_by_default();
        }
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true")
    .with("ENTRA_SYNC__LITELLM__SEATS", "10");
    world.settle().await;
    seed::key("k", &person("bob"))
        .with("team_id", group("science"))
        .insert(&world.database)
        .await;
    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("bob");
        tenant.group("arts").without_member("cem").member("dan");
    });
    world
}

async fn is_done(world: &World) {
    for (key, members) in [
        ("science", ["ada", "cem"].as_slice()),
        ("arts", &["ada", "bob", "dan"]),
    ] {
        let mut members: Vec<String> = members.iter().map(|key| person(key)).collect();
        members.sort();
        assert_eq!(world.members(key).await, members);
        assert_eq!(world.organization_members(key).await, members);
    }
    assert_eq!(world.count("LiteLLM_VerificationToken").await, 0);
    assert_eq!(world.count("LiteLLM_DeletedVerificationToken").await, 1);
}

async fn held_throughout(held: Held) {
    let world = world().await;

    let ((report, error), session) = held.pass(&world, async |session| session).await;

    println!("{held:?}: {:?} {error:?}", report.errors);
    let message = match held.about() {
        None => {
            assert_eq!(report.status, Status::Failed, "{held:?}");
            assert_eq!(report.changes.total(), 0, "{held:?}: {}", report.json());
            error.expect("it failed").to_string()
        }
        Some(about) => {
            assert_eq!(report.status, Status::Partial, "{held:?}");
            assert_eq!(report.errors.len(), 1, "{held:?}: {:?}", report.errors);
            assert_eq!(report.errors[0].id, about, "{held:?}");
            report.errors[0].message.clone()
        }
    };
    assert!(message.contains("lock"), "{held:?}: {message}");
    let bobs = match held.keeps_bob() {
        true => people(["ada", "bob", "cem"]).to_vec(),
        false => people(["ada", "cem"]).to_vec(),
    };
    assert_eq!(world.members("science").await, bobs, "{held:?}");
    let keys = world.count("LiteLLM_VerificationToken").await;
    assert_eq!(keys, usize::from(held.keeps_bob()), "{held:?}");
    let in_arts = match held {
        Held::Seats => people(["ada", "bob"]).to_vec(),
        Held::Lease => people(["ada", "bob", "cem"]).to_vec(),
        _ => people(["ada", "bob", "dan"]).to_vec(),
    };
    assert_eq!(world.members("arts").await, in_arts, "{held:?}");
    session.rollback().await;
    free_the_lease(&world).await;
    world.settle().await;
    is_done(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_locked_is_named_and_everything_else_goes_on() {
    futures::future::join_all(ALL.map(|held| Box::pin(held_throughout(held)))).await;
}

async fn held_for_a_while(held: Held) {
    let world = world().await;
    let ((report, error), ()) = held
        .pass(&world, async |session| {
            session.is_waited_for().await;
            // Its wait has timed out; the next attempt comes after a pause.
            session.is_left_alone().await;
            session.rollback().await;
        })
        .await;
    assert!(error.is_none(), "{held:?}: {error:?}");
    assert_eq!(
        report.status,
        Status::Succeeded,
        "{held:?}: {}",
        report.json()
    );
    assert_eq!(report.changes.team_memberships.removed, 2, "{held:?}");
    assert_eq!(report.changes.keys.deleted, 1, "{held:?}");
    is_done(&world).await;
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_let_go_of_in_time_costs_a_retry_and_is_taken_once() {
    futures::future::join_all(ALL.map(|held| Box::pin(held_for_a_while(held)))).await;
}

/// So many leave one team, come in, and get a team each.
const MANY: usize = 16;

/// A lock that many of a batch need, or one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shared {
    /// Of the team that they all leave: LiteLLM's own.
    TeamLock,
    /// The same team's row.
    TeamRow,
    /// Of one of those who leave.
    UserRow,
    /// All who come in need it.
    Seats,
    /// Of one of the teams that are to be made.
    NewTeam,
}

async fn shared(held: Shared) {
    let crowd: Vec<String> = (0..MANY).map(|number| format!("old-{number}")).collect();
    let world = World::new(|tenant| {
        for key in &crowd {
            tenant.group("crowd").member(key);
        }
        tenant.group("crowd").member("ada").assigned_by_default();
    })
    .await
    .with("ENTRA_SYNC__GUARD__MAX_REMOVAL_PERCENT", 100)
    .with("ENTRA_SYNC__LITELLM__SEATS", 1_000);
    world.settle().await;
    world.entra.tenant(|tenant| {
        for (number, key) in crowd.iter().enumerate() {
            tenant.group("crowd").without_member(key);
            tenant
                .group(&format!("new-{number}"))
                .members(["ada", &format!("new-{number}")])
                .assigned_by_default();
        }
    });
    let session = Session::begin(&world.database).await;
    let (team, user) = (group("crowd"), person("old-3"));
    let statement = match held {
        Shared::TeamLock => format!("SELECT pg_advisory_xact_lock(hashtext('{team}'))"),
        Shared::NewTeam => {
            let team = group("new-3");
            format!("SELECT pg_advisory_xact_lock(hashtext('{team}'))")
        }
        Shared::TeamRow => {
            format!("SELECT FROM \"LiteLLM_TeamTable\" WHERE team_id = '{team}' FOR UPDATE")
        }
        Shared::UserRow => {
            format!("SELECT FROM \"LiteLLM_UserTable\" WHERE user_id = '{user}' FOR UPDATE")
        }
        Shared::Seats => Held::Seats.statement(),
    };
    session.run(&statement).await;
    let begun = Instant::now();

    let report = world.pass().await;

    // One patient wait is 16 s. With one at every halving, or for everybody,
    // it would be 80 s at the least.
    let waited = begun.elapsed();
    println!("{held:?}: {waited:?} {:?}", report.errors);
    assert!(waited < Duration::from_secs(78), "{held:?}: {waited:?}");
    assert_eq!(report.errors.len(), 1, "{held:?}: {:?}", report.errors);
    let error = &report.errors[0];
    let said_of_all = format!("the same for {} more", MANY - 1);
    let all = matches!(held, Shared::TeamLock | Shared::TeamRow | Shared::Seats);
    assert_eq!(
        error.message.contains(&said_of_all),
        all,
        "{held:?}: {error:?}"
    );
    match held {
        Shared::UserRow => assert_eq!(error.id, format!("{team}/{user}")),
        Shared::NewTeam => assert_eq!(error.id, group("new-3")),
        _ => {}
    }
    let changes = &report.changes;
    let numbers = (
        changes.team_memberships.removed as usize,
        changes.users.created as usize,
        changes.teams.created as usize,
    );
    let wanted = match held {
        Shared::TeamLock | Shared::TeamRow => (0, MANY, MANY),
        Shared::UserRow => (MANY - 1, MANY, MANY),
        Shared::Seats => (MANY, 0, MANY),
        Shared::NewTeam => (MANY, MANY, MANY - 1),
    };
    assert_eq!(numbers, wanted, "{held:?}");
    session.rollback().await;
    world.settle().await;
    assert_eq!(world.members("crowd").await, people(["ada"]));
    assert_eq!(world.members("new-3").await, people(["ada", "new-3"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_many_need_is_waited_for_once_and_one_of_many_is_singled_out() {
    let all = [
        Shared::TeamLock,
        Shared::TeamRow,
        Shared::UserRow,
        Shared::Seats,
        Shared::NewTeam,
    ];
    futures::future::join_all(all.map(|held| Box::pin(shared(held)))).await;
}

//! Somebody holds a row or a lock that a removal needs: what it is about stays
//! whole and is named, everything else goes on, and the next pass does the
//! rest. The waits are PostgreSQL's, so the worlds wait side by side.

use entra_sync::model::report::Status;
use entra_sync::sync::Report;

use crate::support::look::{group, people, person};
use crate::support::session::Session;
use crate::support::{World, seed};

/// What another session holds while a pass runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    TeamRow,
    UserRow,
    TeamLock,
    Membership,
    Key,
    /// The one under which users are counted: it keeps no removal.
    Seats,
}

const ALL: [Held; 6] = [
    Held::TeamRow,
    Held::UserRow,
    Held::TeamLock,
    Held::Membership,
    Held::Key,
    Held::Seats,
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
            Self::Seats => "SELECT pg_advisory_xact_lock(468530001)".to_owned(),
        }
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
    assert_eq!(world.members("science").await, people(["ada", "cem"]));
    assert_eq!(world.members("arts").await, people(["ada", "bob", "dan"]));
    assert_eq!(world.count("LiteLLM_VerificationToken").await, 0);
    assert_eq!(world.count("LiteLLM_DeletedVerificationToken").await, 1);
}

async fn held_throughout(held: Held) -> Report {
    let world = world().await;
    let session = Session::begin(&world.database).await;
    session.run(&held.statement()).await;

    let report = world.pass().await;

    assert_eq!(report.status, Status::Partial, "{held:?}");
    let staying = match held {
        Held::Seats => people(["ada", "cem"]).to_vec(),
        _ => people(["ada", "bob", "cem"]).to_vec(),
    };
    assert_eq!(world.members("science").await, staying, "{held:?}");
    let keys = world.count("LiteLLM_VerificationToken").await;
    assert_eq!(keys, usize::from(held != Held::Seats), "{held:?}");
    let in_arts = match held {
        Held::Seats => people(["ada", "bob"]).to_vec(),
        _ => people(["ada", "bob", "dan"]).to_vec(),
    };
    assert_eq!(world.members("arts").await, in_arts, "{held:?}");
    session.rollback().await;
    world.settle().await;
    is_done(&world).await;
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_locked_is_named_and_everything_else_goes_on() {
    let reports = futures::future::join_all(ALL.map(held_throughout)).await;
    for (held, report) in ALL.into_iter().zip(reports) {
        assert_eq!(report.errors.len(), 1, "{held:?}: {:?}", report.errors);
        let error = &report.errors[0];
        println!("{held:?}: {error:?}");
        let about = match held {
            Held::Seats => person("dan"),
            _ => format!("{}/{}", group("science"), person("bob")),
        };
        assert_eq!(error.id, about, "{held:?}");
        let message = &error.message;
        assert!(message.contains("lock"), "{held:?}: {message}");
    }
}

async fn held_for_a_while(held: Held) {
    let world = world().await;
    let session = Session::begin(&world.database).await;
    session.run(&held.statement()).await;
    let (report, ()) = tokio::join!(world.pass(), async {
        session.is_waited_for().await;
        // Its wait has timed out; the next attempt comes after a pause.
        session.is_left_alone().await;
        session.rollback().await;
    });
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
    futures::future::join_all(ALL.map(held_for_a_while)).await;
}

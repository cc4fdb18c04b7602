//! Every request of a pass that follows what has changed, links among them,
//! with everything that can be wrong with an answer.
//!
//! After each: nothing happened that would not have without it, nothing is
//! torn, and passes that follow on come to the same rows as if there had been
//! none; what nobody can tell from the answer, a whole reading makes up for.

use std::collections::{BTreeMap, BTreeSet};

use entra_sync::model::policy::Scope;
use entra_sync::model::report::{Mode, Status};
use entra_sync::simulator::{Requests, group_id, person_id};
use entra_sync::sync::{Report, Source};

use super::kinds::{Kind, kinds, links};
use super::rows::{Backup, Rows};
use super::{Asked, GROUPS, PEOPLE, be_as_ever, change, furnished, hand_out_keys};
use crate::faults::oracle::Standing;
use crate::faults::seasons::Wanted;
use crate::support::World;
use crate::support::world::NARROW;

/// What only such a pass asks, or asks otherwise.
const FOLLOWING: [&str; 3] = [
    "groups/delta",
    "users/delta",
    "servicePrincipals/{id}/appRoleAssignedTo",
];

/// Passes after a fault until the rows are as they should be.
const SOON: usize = 3;

/// What a pass asked, each request told from all others.
fn asked(requests: &Requests) -> Vec<Asked> {
    let mut turns: BTreeMap<(&str, u32), u64> = BTreeMap::new();
    let mut list = Vec::new();
    for (place, one) in requests.log.iter().enumerate() {
        let turn = turns.entry((&one.path, one.page)).or_default();
        let mut later = requests.log.iter().skip(place + 1);
        let next = later.find(|later| later.path == one.path);
        let is_one = one.endpoint.ends_with("{id}");
        list.push(Asked {
            collection: one.endpoint.clone(),
            endpoint: one.endpoint.clone(),
            path: one.path.clone(),
            page: one.page,
            turn: *turn,
            has_next: next.is_some_and(|next| next.page == one.page + 1),
            is_look_up: is_one && !one.endpoint.starts_with("servicePrincipals"),
            is_item: one.user_agent.is_none(),
        });
        *turn += 1;
    }
    list
}

struct Scene {
    world: World,
    daemon: Source,
    backup: Backup,
    before: (Standing, Rows),
    healthy: Rows,
    wanted: Wanted,
    asked: Vec<Asked>,
}

impl Scene {
    async fn set() -> Self {
        let world = furnished().await;
        let daemon = world.source().narrowing(NARROW);
        for _ in 0..2 {
            followed(&world, &daemon, Mode::Full).await;
        }
        hand_out_keys(&world).await;
        for _ in 0..2 {
            followed(&world, &daemon, Mode::Full).await;
        }
        world.entra.tenant(change);
        be_as_ever(&world);
        let people = PEOPLE.map(|key| person_id(key).to_string());
        let groups = GROUPS.map(|key| group_id(key).to_string());
        let ids = people.iter().chain(&groups);
        let ids = ids.map(|id| id.parse().expect("an id"));
        let mut backup = Backup::of(&world, ids).await;
        let standing = Standing::of(&world).await;

        world.entra.reset_requests();
        let report = followed(&world, &daemon, Mode::Incremental).await;
        let asked = asked(&world.entra.requests());
        let changes = &report.changes;
        assert_eq!(report.mode, Mode::Incremental, "{}", report.json());
        assert!(changes.team_memberships.removed >= 6, "{}", report.json());
        assert!(changes.users.deactivated >= 4, "{}", report.json());
        assert!(changes.team_memberships.added >= 4, "{}", report.json());
        backup.watch_what_moved(&world).await;
        for _ in 0..SOON {
            followed(&world, &daemon, Mode::Incremental).await;
        }
        let healthy = backup.rows().await;
        let report = followed(&world, &daemon, Mode::Full).await;
        assert_eq!(report.changes.total(), 0, "{}", report.json());
        let wanted = Standing::of(&world).await.teams();
        backup.put_back().await;
        let before = backup.rows().await;
        assert_ne!(before, healthy);
        Self {
            before: (standing, before),
            daemon,
            healthy,
            wanted,
            asked,
            backup,
            world,
        }
    }

    /// A pass during which this happens to this request, and some without.
    async fn happens(&self, kind: &Kind, asked: &Asked) {
        let world = &self.world;
        let what = format!(
            "{} upon {}, page {}, of {}",
            kind.name, asked.collection, asked.page, asked.path
        );
        self.backup.put_back().await;
        world.entra.reset_requests();
        world.entra.fault(kind.fault(asked));
        let beginner = asked.is_envelope() || asked.is_token();
        let beginner = beginner.then(|| world.source().narrowing(NARROW));
        let daemon = beginner.as_ref().unwrap_or(&self.daemon);
        let pass = world.pass_by(daemon, Mode::Incremental, Scope::Everything);
        let (report, error) = pass.await;
        let log = world.entra.requests().log;
        world.entra.clear_faults();
        be_as_ever(world);
        println!("{what}: {:?} {:?} {error:?}", report.status, report.mode);
        let was_hit = log.iter().any(|one| {
            (one.path == asked.path && one.page == asked.page) && one.effects.contains(&kind.effect)
        });
        assert!(was_hit, "{what} did not happen");

        let standing = Standing::of(world).await;
        standing.follows(&self.before.0, &self.wanted, &what);
        let rows = self.backup.rows().await;
        rows.is_part_of(&self.before.1, &self.healthy, &what);
        self.heals(kind, &what).await;
        assert!(!self.backup.is_anything_held().await, "{what}");
    }

    async fn heals(&self, kind: &Kind, what: &str) {
        for _ in 0..SOON {
            if self.backup.rows().await == self.healthy {
                return;
            }
            self.goes_on(Mode::Incremental, what).await;
        }
        if kind.is_silent() {
            for _ in 0..SOON {
                self.goes_on(Mode::Full, what).await;
            }
        }
        let rows = self.backup.rows().await;
        let left = match kind.is_silent() {
            // What was blocked before it went depends on what came first.
            true => rows.alive().against(&self.healthy.alive()),
            false => rows.against(&self.healthy),
        };
        assert!(left.is_empty(), "{what}: the passes after:{left}");
    }

    async fn goes_on(&self, mode: Mode, what: &str) {
        let pass = self
            .world
            .pass_by(&self.daemon, mode, Scope::Everything)
            .await;
        let (report, error) = pass;
        assert!(error.is_none(), "{what}: a pass after: {error:?}");
        assert_ne!(report.status, Status::Held, "{what}: {}", report.json());
    }
}

async fn followed(world: &World, daemon: &Source, mode: Mode) -> Report {
    let (report, error) = world.pass_by(daemon, mode, Scope::Everything).await;
    assert!(error.is_none(), "{error:?}");
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn any_fault_in_following_changes_takes_nothing_wrongly_and_is_healed() {
    let scene = Scene::set().await;
    let mut collections: BTreeMap<&str, Vec<&Asked>> = BTreeMap::new();
    for asked in &scene.asked {
        let requests = collections.entry(&asked.collection).or_default();
        requests.push(asked);
    }
    for (name, requests) in &collections {
        println!("{name}: {} requests", requests.len());
    }
    for name in FOLLOWING {
        assert!(collections.contains_key(name), "{name} was not asked");
    }
    let (mut pairs, mut requests) = (0, BTreeSet::new());
    for (name, all) in &collections {
        let mut turn = 0;
        let kinds: Vec<Kind> = kinds().into_iter().chain(links()).collect();
        // What a whole reading asks as well meets all of them there.
        let (from, enough) = match FOLLOWING.contains(name) {
            true => (0, kinds.len()),
            false => (pairs % 5, all.len()),
        };
        let kinds = kinds
            .iter()
            .filter(|kind| all.iter().any(|asked| kind.fits(asked)));
        for kind in kinds.skip(from).take(enough) {
            let fits = |place: &usize| kind.fits(all[place % all.len()]);
            let Some(place) = (turn..turn + all.len()).find(fits) else {
                continue;
            };
            let asked = all[place % all.len()];
            turn = place + 1;
            scene.happens(kind, asked).await;
            requests.insert(asked);
            pairs += 1;
        }
    }
    let unmet = scene.asked.iter().filter(|asked| !requests.contains(asked));
    let unmet: Vec<_> = unmet.collect();
    assert!(unmet.is_empty(), "{unmet:#?}");
    println!("{pairs} pairs, {} requests", requests.len());
    scene.backup.nothing_else_moved(&scene.world).await;
}

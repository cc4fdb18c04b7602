//! Every request of a pass that is to take away a lot, every page of every
//! list among them, with everything that can be wrong with an answer.
//!
//! Every kind of fault comes upon every collection of each of the two looks,
//! and every request meets one at least; which, goes round. After each: nothing
//! happened that would not have without it, nothing is torn, a pass without
//! faults comes to the same rows as if there had been none, and the one after
//! it has nothing to do.

mod followed;
mod kinds;
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use entra_sync::model::policy::Scope;
use entra_sync::model::report::Status;
use entra_sync::simulator::{Effect, Fault, Requests, Tenant, group_id, person_id};
use entra_sync::sync::Source;

use self::kinds::{Kind, Outcome, kinds};
use self::rows::{Backup, Rows};
use super::oracle::Standing;
use super::seasons::Wanted;
use crate::support::look::{group, person};
use crate::support::{World, seed};

/// So short that every list has several.
const PAGE: Effect = Effect::ShortPages { rows: 2 };
/// A list of people that lags: whom its second page should show has to be asked
/// for alone.
const LAG: Effect = Effect::ShiftedPage { rows: 2 };
const GROUPS: [&str; 6] = ["staff", "makers", "club", "quiet", "lost", "fresh"];
const PEOPLE: [&str; 18] = [
    "ada", "bob", "cem", "dan", "eve", "fay", "gil", "hal", "ivy", "jon", "kim", "lea", "mia",
    "ned", "oda", "pia", "new-1", "new-2",
];

fn furnish(tenant: &mut Tenant) {
    tenant
        .group("staff")
        .members(["ada", "bob", "cem", "dan", "eve", "fay", "gil", "hal"])
        .assigned_by_default();
    let makers = tenant.group("makers").members(["ada", "bob", "cem"]);
    makers.assigned("internal_user");
    let quiet = tenant.group("quiet").members(["ada", "eve", "gil"]);
    quiet.assigned_by_default();
    let club = tenant.group("club").members(["ada", "dan", "ivy"]);
    club.assigned_by_default();
    let lost = tenant.group("lost").members(["ada", "bob"]);
    lost.assigned_by_default();
    tenant.user("jon").assigned_by_default();
    tenant.user("jon").assigned("proxy_admin_viewer");
    tenant.user("kim").assigned_by_default();
    tenant.user("lea").assigned_by_default();
    tenant.user("mia").assigned_by_default();
    tenant.user("ned").assigned_by_default();
    tenant.user("oda").assigned_by_default();
    tenant.user("pia").assigned_by_default();
}

/// Nothing is held; requests come one after the other, and none is sent twice.
async fn furnished() -> World {
    World::new(furnish)
        .await
        .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true")
        .with("ENTRA_SYNC__GUARD__MAX_REMOVALS", 1_000_000)
        .with("ENTRA_SYNC__GUARD__MAX_REMOVAL_PERCENT", 100)
        .with("ENTRA_SYNC__GUARD__MIN_MANAGED", 1_000_000)
        .with("ENTRA_SYNC__ENTRA__CONCURRENCY", 1)
        .with("ENTRA_SYNC__ENTRA__ATTEMPTS", 1)
}

/// One of everything that takes away, and some things to add.
fn change(tenant: &mut Tenant) {
    tenant.group("staff").without_member("bob");
    tenant.group("makers").without_member("cem").member("hal");
    tenant.group("quiet").member("new-1");
    tenant.group("club").unassigned_entirely();
    tenant.group("lost").purged();
    let fresh = tenant.group("fresh").members(["ada", "new-2"]);
    fresh.assigned_by_default();
    tenant.user("ada").display_name("Ada King");
    // In a group that goes: access ends before a membership does.
    tenant.user("dan").disabled();
    tenant.user("eve").soft_deleted();
    tenant.user("fay").purged();
    tenant.user("jon").unassigned("proxy_admin_viewer");
    tenant.user("kim").unassigned_entirely();
    tenant.user("lea").purged();
    tenant.user("ned").soft_deleted();
}

/// One request of a pass, told from all others of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// Which look, and which endpoint.
    collection: String,
    endpoint: String,
    path: String,
    page: u32,
    /// So many times this page was asked for before.
    turn: u64,
    has_next: bool,
    /// About one person who seems to be gone.
    is_look_up: bool,
    /// An item of a `$batch`.
    is_item: bool,
}

impl Asked {
    fn is_token(&self) -> bool {
        self.endpoint == "token"
    }

    fn is_envelope(&self) -> bool {
        self.endpoint == "$batch"
    }

    fn is_list(&self) -> bool {
        !self.is_token() && !self.is_envelope() && !self.endpoint.ends_with("{id}")
    }

    /// Whom this does not show is asked for alone.
    fn is_list_of_the_assigned(&self) -> bool {
        self.collection == "First look: users"
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    First,
    Second,
}

/// What a pass asked, by look.
fn asked(requests: &Requests) -> Vec<(Look, Asked)> {
    // Links from which changes are told take nothing: `incremental` is about them.
    let is_link = |path: &str| path.ends_with("/delta");
    let log: Vec<_> = requests
        .log
        .iter()
        .filter(|one| !is_link(&one.endpoint))
        .collect();
    let mut turns: BTreeMap<(&str, u32), u64> = BTreeMap::new();
    let mut looked_up: BTreeSet<&String> = BTreeSet::new();
    let mut look = Look::First;
    let mut list = Vec::new();
    for (place, one) in log.iter().enumerate() {
        let turn = turns.entry((&one.path, one.page)).or_default();
        // The second look begins with the assignments and the people, of whom
        // it need not know what they are called.
        let endpoint = one.endpoint.as_str();
        let about_accounts = endpoint == "users" && !one.query.contains("displayName");
        if about_accounts || (endpoint.ends_with("appRoleAssignedTo") && *turn == 1) {
            look = Look::Second;
        }
        let has_next = log
            .iter()
            .skip(place + 1)
            .take_while(|later| later.path != one.path || later.page != 1)
            .any(|later| later.path == one.path && later.page == one.page + 1);
        let is_person = endpoint == "users/{id}";
        let is_look_up = look == Look::Second && endpoint.ends_with("{id}");
        let again = if is_look_up && looked_up.contains(&one.path) {
            " again"
        } else {
            ""
        };
        let asked = Asked {
            collection: format!("{look:?} look: {endpoint}{again}"),
            endpoint: endpoint.to_owned(),
            path: one.path.clone(),
            page: one.page,
            turn: *turn,
            has_next,
            is_look_up,
            // It has no headers of its own.
            is_item: one.user_agent.is_none(),
        };
        *turn += 1;
        if is_look_up && is_person {
            looked_up.insert(&one.path);
        }
        list.push((look, asked));
    }
    list
}

/// A world to which the same happens again and again.
struct Scene {
    world: World,
    /// One daemon, which has its token by now.
    daemon: Source,
    backup: Backup,
    before: (Standing, Rows),
    healthy: Rows,
    wanted: Wanted,
    asked: Vec<(Look, Asked)>,
}

impl Scene {
    async fn set() -> Self {
        let world = furnished().await;
        world.settle().await;
        hand_out_keys(&world).await;
        world.settle().await;
        world.entra.tenant(change);
        be_as_ever(&world);
        let people = PEOPLE.map(|key| person_id(key).to_string());
        let groups = GROUPS.map(|key| group_id(key).to_string());
        let known = people
            .iter()
            .chain(&groups)
            .map(|id| id.parse().expect("an id"));
        let mut backup = Backup::of(&world, known).await;
        let standing = Standing::of(&world).await;

        world.entra.reset_requests();
        let report = world.pass().await;
        let asked = asked(&world.entra.requests());
        assert_eq!(report.status, Status::Succeeded, "{}", report.json());
        let changes = &report.changes;
        // Bob twice, Cem, Fay, the three of the club, Ada of what was lost.
        assert_eq!(changes.team_memberships.removed, 8, "{}", report.json());
        assert_eq!(changes.users.deactivated, 5, "{}", report.json());
        assert!(changes.team_memberships.added >= 4, "{}", report.json());
        backup.watch_what_moved(&world).await;
        let healthy = backup.rows().await;
        world.settle().await;
        assert_eq!(backup.rows().await, healthy);
        let wanted = Standing::of(&world).await.teams();
        backup.put_back().await;
        let before = backup.rows().await;
        assert_ne!(before, healthy);
        Self {
            before: (standing, before),
            daemon: world.source(),
            healthy,
            wanted,
            asked,
            backup,
            world,
        }
    }

    /// The requests of one look, by collection. Lists have several pages.
    fn collections(&self, look: Look) -> BTreeMap<&str, Vec<&Asked>> {
        let mut collections: BTreeMap<&str, Vec<&Asked>> = BTreeMap::new();
        for (_, asked) in self.asked.iter().filter(|(of, _)| *of == look) {
            collections
                .entry(&asked.collection)
                .or_default()
                .push(asked);
        }
        for (name, requests) in &collections {
            println!("{name}: {} requests", requests.len());
            let paged = requests.iter().any(|asked| asked.has_next);
            assert_eq!(paged, requests[0].is_list(), "{name}");
        }
        collections
    }

    /// A pass during which this happens to this request, and one without.
    async fn happens(&self, kind: &Kind, asked: &Asked) {
        let world = &self.world;
        let what = format!(
            "{} upon {}, page {}, of {}",
            kind.name, asked.collection, asked.page, asked.path
        );
        self.backup.put_back().await;
        world.entra.reset_requests();
        world.entra.fault(kind.fault(asked));
        // A reader that has seen batches refused sends no more of them.
        let is_first = asked.is_token() || asked.is_envelope();
        let beginner = is_first.then(|| world.source());
        let daemon = beginner.as_ref().unwrap_or(&self.daemon);
        let (report, error) = world.pass_of(daemon, Scope::default()).await;
        let log = world.entra.requests().log;
        world.entra.clear_faults();
        be_as_ever(world);
        let (status, json) = (report.status, report.json());
        let error = error.map(|error| error.to_string()).unwrap_or_default();
        println!("{what}: {status:?} {error}");
        let was_hit = log.iter().any(|one| {
            (one.path == asked.path && one.page == asked.page) && one.effects.contains(&kind.effect)
        });
        assert!(was_hit, "{what} did not happen");

        Standing::of(world)
            .await
            .follows(&self.before.0, &self.wanted, &what);
        let rows = self.backup.rows().await;
        rows.is_part_of(&self.before.1, &self.healthy, &what);
        match kind.comes_to(asked) {
            Outcome::Everything => {
                assert_eq!(status, Status::Succeeded, "{what}: {json}");
                let left = rows.against(&self.healthy);
                assert!(left.is_empty(), "{what}:{left}");
            }
            Outcome::Said => {
                let said = !error.is_empty() || !report.errors.is_empty();
                assert!(said, "{what}: nothing was said: {json}");
                // Held, where nothing is left that shows members; nobody says
                // then that Entra has none.
                let fits = match &report.held {
                    Some(held) => held.reason.contains("that could be read"),
                    None => matches!(status, Status::Failed | Status::Partial),
                };
                assert!(fits, "{what}: {json}");
            }
            Outcome::Silence => assert_eq!(error, "", "{what}"),
        }

        if rows != self.healthy {
            let (report, error) = world.pass_of(&self.daemon, Scope::default()).await;
            assert!(error.is_none(), "{what}: the pass after: {error:?}");
            assert_eq!(report.errors, [], "{what}: the pass after");
            let left = self.backup.rows().await.against(&self.healthy);
            assert!(left.is_empty(), "{what}: the pass after:{left}");
        }
        // These are the rows after which a healthy pass planned nothing.
        assert!(!self.backup.is_anything_held().await, "{what}");
    }

    /// The pass after the last one has nothing to do.
    async fn plans_nothing(&self) {
        let planned = self.world.plan().await.plan;
        let items: Vec<_> = planned.items().collect();
        assert!(items.is_empty(), "{items:#?}");
    }
}

/// What is so in every pass.
fn be_as_ever(world: &World) {
    world.entra.fault(Fault::new(PAGE).always());
    let lagging = Fault::new(LAG).on("/v1.0/users").page(2);
    world.entra.fault(lagging.always());
}

/// A key of every membership, and one of everybody.
async fn hand_out_keys(world: &World) {
    for team in GROUPS.iter().filter(|key| **key != "fresh") {
        for user in world.members(team).await {
            let key = seed::key(&format!("k-{team}-{user}"), &user);
            key.with("team_id", group(team))
                .insert(&world.database)
                .await;
        }
    }
    for key in PEOPLE.iter().filter(|key| !key.starts_with("new")) {
        let personal = seed::key(&format!("p-{key}"), &person(key));
        personal.insert(&world.database).await;
    }
    world
        .sql(
            "UPDATE \"LiteLLM_UserTable\" SET spend = 3.5; \
             UPDATE \"LiteLLM_TeamMembership\" SET spend = 4.5",
        )
        .await;
}

async fn every_kind_upon_every_collection(look: Look, names: &[&str]) {
    let scene = Scene::set().await;
    let collections = scene.collections(look);
    let seen: Vec<&str> = collections.keys().copied().collect();
    assert_eq!(seen, names);
    let kinds = kinds();
    let mut pairs = BTreeSet::new();
    let mut requests = BTreeSet::new();
    for (name, all) in &collections {
        let mut turn = 0;
        for kind in &kinds {
            // The next one that it fits, so that all have their turn.
            let fitting = (turn..turn + all.len()).find(|place| kind.fits(all[place % all.len()]));
            let Some(place) = fitting else { continue };
            let asked = all[place % all.len()];
            turn = place + 1;
            scene.happens(kind, asked).await;
            pairs.insert((*name, kind.name));
            requests.insert(asked);
        }
        scene.plans_nothing().await;
    }
    let fitting = |name: &str, kind: &Kind| collections[name].iter().any(|asked| kind.fits(asked));
    for name in names {
        for kind in kinds.iter().filter(|kind| fitting(name, kind)) {
            assert!(pairs.contains(&(*name, kind.name)), "{name}: {}", kind.name);
        }
    }
    let unmet: Vec<_> = collections
        .values()
        .flatten()
        .filter(|asked| !requests.contains(*asked))
        .collect();
    assert!(unmet.is_empty(), "{unmet:#?}");
    println!("{} pairs, {} requests", pairs.len(), requests.len());
    scene.backup.nothing_else_moved(&scene.world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_fault_in_the_first_look_takes_nothing_wrongly_and_is_healed() {
    every_kind_upon_every_collection(
        Look::First,
        &[
            "First look: $batch",
            "First look: groups",
            "First look: groups/{id}/members",
            "First look: servicePrincipals/{id}",
            "First look: servicePrincipals/{id}/appRoleAssignedTo",
            "First look: token",
            "First look: users",
            "First look: users/{id}",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_fault_in_the_second_look_takes_nothing_wrongly_and_is_healed() {
    every_kind_upon_every_collection(
        Look::Second,
        &[
            "Second look: $batch",
            "Second look: directory/deletedItems/{id}",
            "Second look: groups",
            "Second look: groups/{id}/members",
            "Second look: servicePrincipals/{id}/appRoleAssignedTo",
            "Second look: users",
            "Second look: users/{id}",
            "Second look: users/{id} again",
        ],
    )
    .await;
}

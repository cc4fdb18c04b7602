//! A small world that goes on and on: every season brings one of everything
//! that a pass can do, additions and removals alike, so that one database
//! serves many rounds of the same trouble.
//!
//! Invariant: what Entra wants in a season is known here without asking the
//! program, and nobody's access but that season's leavers' may go.

use std::collections::{BTreeMap, BTreeSet};

use entra_sync::simulator::{AccountEnabled, Tenant};
use serde_json::json;

use crate::support::gate::Gate;
use crate::support::look::{group, person};
use crate::support::{World, seed};

const ACTIVE: &str = "SELECT user_id FROM \"LiteLLM_UserTable\" \
     WHERE metadata -> 'scim_active' IS DISTINCT FROM 'false'";

/// The team that every new user joins.
pub const LOBBY: &str = "lobby";
/// The access group that every new team enters.
const CLUB: &str = "club";
/// Put into the team of the staff by hand.
pub const GUEST: &str = "guest";

fn newcomer(season: u64) -> String {
    format!("new-{season}")
}

fn laboratory(season: u64) -> String {
    format!("lab-{season}")
}

/// What Entra wants: teams with their users, all by their ids.
pub type Wanted = BTreeMap<String, BTreeSet<String>>;

/// A world, and the season it is in.
pub struct Seasons {
    pub world: World,
    season: u64,
}

impl Seasons {
    /// Settled in the third season: from now on each is like the other.
    pub async fn begin() -> Self {
        let world = World::new(|_| {}).await;
        Self::begin_in(world).await
    }

    /// The same in a world that somebody else made, and has not used.
    pub async fn begin_in(world: World) -> Self {
        let world = world
            .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true")
            .with("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", "delete")
            .with("ENTRA_SYNC__GUARD__MAX_REMOVALS", 1_000_000)
            .with("ENTRA_SYNC__GUARD__MAX_REMOVAL_PERCENT", 100)
            .with("ENTRA_SYNC__GUARD__MIN_MANAGED", 1_000_000)
            .with("ENTRA_SYNC__LITELLM__STORE_AUDIT_LOGS", "true")
            .with(
                "ENTRA_SYNC__LITELLM__DEFAULT_INTERNAL_USER_PARAMS",
                json!({ "teams": [LOBBY] }),
            )
            .with(
                "ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS",
                json!({
                    "models": ["gpt-4o"], "model_aliases": { "fast": "gpt-4o" },
                    "object_permission": { "mcp_servers": ["s"] },
                    "access_group_ids": [CLUB], "max_budget": 9.5, "budget_duration": "30d",
                    "team_member_budget": 1.5, "default_team_member_models": ["gpt-4o"],
                    "team_member_permissions": ["/key/generate"],
                }),
            );
        seed::team(LOBBY).insert(&world.database).await;
        seed::access_group(CLUB).insert(&world.database).await;
        seed::user(GUEST).insert(&world.database).await;
        let mut seasons = Self { world, season: 0 };
        seasons.change_entra();
        seasons.world.pass().await;
        seed::join(&seasons.world.database, GUEST, &group("staff")).await;
        for _ in 0..4 {
            seasons.turn().await;
            seasons.world.pass().await;
        }
        seasons.world.settle().await;
        seasons
    }

    /// From now on every message passes a gate. Says how many a pass sends.
    pub async fn behind_a_gate(mut self) -> (Self, Gate, u64) {
        let gate = Gate::before(&self.world.database.url()).await;
        self.world.set("DATABASE_URL", gate.url());
        self.turn().await;
        gate.stop_nowhere();
        self.world.pass().await;
        let sent = gate.sent();
        (self, gate, sent)
    }

    /// The next season: everybody gets keys, then Entra changes.
    pub async fn turn(&mut self) {
        self.hand_out_keys().await;
        self.turn_without_keys();
    }

    /// The same without new keys: Entra alone changes.
    pub fn turn_without_keys(&mut self) {
        self.season += 1;
        self.change_entra();
    }

    fn change_entra(&self) {
        let season = self.season;
        self.world.entra.tenant(|tenant| change(tenant, season));
    }

    /// A key of every membership that has none, and one of every user alone: of
    /// those who can log in. Each has a mapping, and an access group names all
    /// teams.
    async fn hand_out_keys(&self) {
        let season = self.season;
        self.world
            .sql(&format!(
                "INSERT INTO \"LiteLLM_VerificationToken\" (token, user_id, team_id, models, spend) \
                 SELECT 'k-{season}-' || user_id || team_id, user_id, team_id, '{{}}', 1.5 \
                 FROM \"LiteLLM_TeamMembership\" m WHERE NOT EXISTS ( \
                    SELECT FROM \"LiteLLM_VerificationToken\" k \
                    WHERE k.user_id = m.user_id AND k.team_id = m.team_id) \
                 AND user_id IN ({ACTIVE}); \
                 INSERT INTO \"LiteLLM_VerificationToken\" (token, user_id, models, spend) \
                 SELECT 'p-' || user_id, user_id, '{{}}', 2.5 FROM ({ACTIVE}) u \
                 ON CONFLICT DO NOTHING; \
                 INSERT INTO \"LiteLLM_JWTKeyMapping\" (id, jwt_claim_name, jwt_claim_value, token) \
                 SELECT token, 'sub', token, token FROM \"LiteLLM_VerificationToken\" \
                 ON CONFLICT DO NOTHING; \
                 UPDATE \"LiteLLM_AccessGroupTable\" SET assigned_team_ids = \
                     ARRAY(SELECT team_id FROM \"LiteLLM_TeamTable\"); \
                 UPDATE \"LiteLLM_UserTable\" SET spend = 3.5; \
                 UPDATE \"LiteLLM_TeamMembership\" SET spend = 4.5"
            ))
            .await;
    }

    /// What Entra wants now.
    pub fn wanted(&self) -> Wanted {
        let season = self.season;
        let mut wanted = Wanted::new();
        let mut put = |key: &str, people: &[&str]| {
            let people = people.iter().map(|key| person(key)).collect();
            wanted.insert(group(key), people);
        };
        let new = newcomer(season);
        put(&laboratory(season), &["ada", "bob", &new]);
        match season.checked_sub(1).map(|last| (newcomer(last), last)) {
            None => put("staff", &["ada", "bob", "cem", &new]),
            Some((last, number)) => {
                put("staff", &["ada", "bob", "cem", &new, &last]);
                put(&laboratory(number), &["ada", &last]);
            }
        }
        wanted
    }

    /// A pass that must heal everything, and a plan that must be empty.
    pub async fn heals(&self, what: &str) {
        let (report, error) = self.world.try_pass().await;
        assert!(error.is_none(), "{what}: {error:?}");
        assert_eq!(report.errors, [], "{what}");
        let planned = self.world.plan().await;
        let items: Vec<_> = planned.plan.items().collect();
        assert!(items.is_empty(), "{what}: {items:#?}");
    }
}

fn change(tenant: &mut Tenant, season: u64) {
    let new = newcomer(season);
    let name = format!("Staff {season}");
    let staff = tenant.group("staff").display_name(&name);
    staff
        .members(["ada", "bob", "cem", &new])
        .assigned_by_default();
    tenant
        .group(&laboratory(season))
        .members(["ada", "bob", &new])
        .assigned_by_default();
    if season.is_multiple_of(2) {
        tenant.user("bob").assigned("proxy_admin_viewer");
    } else {
        tenant.user("bob").unassigned("proxy_admin_viewer");
    }
    if let Some(last) = season.checked_sub(1) {
        tenant.group(&laboratory(last)).without_member("bob");
        tenant.user(&newcomer(last)).disabled();
    }
    if let Some(earlier) = season.checked_sub(2) {
        let leaver = newcomer(earlier);
        tenant.group("staff").without_member(&leaver);
        tenant.group(&laboratory(earlier)).unassigned_entirely();
        tenant.user(&leaver).account(AccountEnabled::Enabled);
    }
    if let Some(long_ago) = season.checked_sub(3) {
        tenant.user(&newcomer(long_ago)).purged();
    }
}

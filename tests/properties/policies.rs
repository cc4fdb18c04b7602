//! Settings, over everything they may say.

use std::collections::BTreeSet;

use entra_sync::model::defaults::{DefaultTeam, TeamDefaults, UserDefaults};
use entra_sync::model::ids::{OrganizationId, TeamId, UserId};
use entra_sync::model::policy::{
    EmailAdoption, GroupFilter, Limit, OrganizationTeamModels, Organizations, Policy,
};
use entra_sync::model::target::TeamRole;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::build::{group_id, models, person_id, ranked};
use crate::world::{GROUPS, PEOPLE};

#[derive(Debug, Clone)]
pub struct Rules {
    /// 0: off; 1: mirror; 2: the sentinel.
    pub organizations: u8,
    pub adopt_by_email: bool,
    /// Free seats beyond the rows that are there.
    pub seats: Option<u8>,
    pub teams: Option<u8>,
    /// A person's object id that is `PROXY_ADMIN_ID`.
    pub proxy_admin: Option<u8>,
    pub include: Vec<u8>,
    pub exclude: Vec<u8>,
    /// Only addresses in `x.org`.
    pub only_x_org: bool,
    pub default_role: Option<u8>,
    pub default_models: u8,
    /// 0: none; 1: one that LiteLLM has not; 2: the first group's.
    pub default_organization: u8,
    /// Group whose team is a default team, and whether as admin. `GROUPS` is a
    /// team that no group stands for.
    pub default_teams: Vec<(u8, bool)>,
}

pub fn rules() -> impl Strategy<Value = Rules> {
    let limits = (
        option::weighted(0.3, 0_u8..4),
        option::weighted(0.2, 0_u8..3),
        option::weighted(0.2, 0..PEOPLE),
    );
    let filters = (
        vec(0..GROUPS, 0..2),
        vec(0..GROUPS, 0..2),
        prop::bool::weighted(0.2),
    );
    let defaults = (
        option::weighted(0.4, 0_u8..4),
        0_u8..4,
        prop_oneof![8 => Just(0_u8), 1 => Just(1_u8), 1 => Just(2_u8)],
        vec((0..=GROUPS, prop::bool::weighted(0.3)), 0..3),
    );
    (0_u8..3, any::<bool>(), limits, filters, defaults).prop_map(
        |(organizations, adopt_by_email, limits, filters, defaults)| Rules {
            organizations,
            adopt_by_email,
            seats: limits.0,
            teams: limits.1,
            proxy_admin: limits.2,
            include: filters.0,
            exclude: filters.1,
            only_x_org: filters.2,
            default_role: defaults.0,
            default_models: defaults.1,
            default_organization: defaults.2,
            default_teams: defaults.3,
        },
    )
}

/// The id of a default team.
pub fn default_team(index: u8) -> TeamId {
    if index == GROUPS {
        TeamId::new("everybody")
    } else {
        TeamId::of(group_id(index))
    }
}

impl Rules {
    pub fn policy(&self, billable: u64, teams: u64) -> Policy {
        let limit = |room: Option<u8>, present| match room {
            None => Limit::Unlimited,
            Some(room) => Limit::AtMost(present + u64::from(room)),
        };
        let ids = |list: &[u8]| list.iter().map(|g| group_id(*g)).collect::<BTreeSet<_>>();
        let mut listed = BTreeSet::new();
        Policy {
            organizations: match self.organizations {
                0 => Organizations::Off,
                1 => Organizations::On(OrganizationTeamModels::Mirror),
                _ => Organizations::On(OrganizationTeamModels::AllOrgModels),
            },
            email_adoption: if self.adopt_by_email {
                EmailAdoption::Allowed
            } else {
                EmailAdoption::Forbidden
            },
            seats: limit(self.seats, billable),
            teams: limit(self.teams, teams),
            proxy_admin: self
                .proxy_admin
                .map(|person| UserId::new(person_id(person).to_string())),
            groups: GroupFilter {
                include: ids(&self.include),
                exclude: ids(&self.exclude),
            },
            email_domains: self
                .only_x_org
                .then(|| BTreeSet::from(["x.org".to_owned()])),
            team_defaults: TeamDefaults {
                models: models(self.default_models),
                organization: match self.default_organization {
                    0 => None,
                    1 => Some(OrganizationId::new("nowhere")),
                    _ => Some(OrganizationId::of(group_id(0))),
                },
                ..TeamDefaults::default()
            },
            user_defaults: UserDefaults {
                role: self.default_role.map(ranked),
                teams: self
                    .default_teams
                    .iter()
                    .filter(|(team, _)| listed.insert(*team))
                    .map(|(team, admin)| DefaultTeam {
                        team: default_team(*team),
                        max_budget: None,
                        role: if *admin {
                            TeamRole::Admin
                        } else {
                            TeamRole::User
                        },
                    })
                    .collect(),
                ..UserDefaults::default()
            },
        }
    }
}

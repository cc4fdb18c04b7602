//! What a new team, organization or user starts with, parsed from LiteLLM's
//! own `default_team_params`, `default_internal_user_params` and friends.
//!
//! Invariant: everything here has been validated; a field that we cannot write
//! as LiteLLM would has stopped the program by name, never been dropped.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::ids::{OrganizationId, TeamId};
use super::role::Role;
use super::target::TeamRole;

/// `litellm_settings.default_team_params`, in the form of the columns it fills
/// (litellm-contract 2a). Amounts are in US dollars.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TeamDefaults {
    /// `models`; empty means every model of the proxy.
    pub models: Vec<String>,
    /// `max_budget`.
    pub max_budget: Option<f64>,
    /// `soft_budget`, below `max_budget`.
    pub soft_budget: Option<f64>,
    /// `budget_duration`, for example `30d`.
    pub budget_duration: Option<String>,
    /// `tpm_limit`: tokens a minute.
    pub tpm_limit: Option<i64>,
    /// `rpm_limit`: requests a minute.
    pub rpm_limit: Option<i64>,
    /// `tpd_limit`: tokens a day.
    pub tpd_limit: Option<i64>,
    /// `organization_id` that every team joins.
    pub organization: Option<OrganizationId>,
    /// `team_member_permissions`: `KeyManagementRoutes` strings.
    pub team_member_permissions: Vec<String>,
    /// `metadata` with every field that LiteLLM folds into it; without
    /// `team_member_budget_id`, which is per team.
    pub metadata: Map<String, Value>,
    /// `blocked`.
    pub blocked: bool,
    /// `model_max_budget`, entries with their four keys as the team's column
    /// holds them; `{}` when not given.
    pub model_max_budget: Map<String, Value>,
    /// `router_settings`; `{}` when not given.
    pub router_settings: Map<String, Value>,
    /// `policies`.
    pub policies: Vec<String>,
    /// `access_group_ids`; each group lists the team in return.
    pub access_group_ids: Vec<String>,
    /// `default_team_member_models`: each new member gets a budget row of its
    /// own that allows just these.
    pub default_team_member_models: Vec<String>,
    /// `budget_limits`: several budgets at once. An empty list is stored as
    /// `[]`, absence as NULL.
    pub budget_limits: Option<Vec<BudgetLimit>>,
    /// `model_aliases`: one `LiteLLM_ModelTable` row per team, for an empty
    /// mapping too.
    pub model_aliases: Option<Map<String, Value>>,
    /// `object_permission`: one `LiteLLM_ObjectPermissionTable` row per team,
    /// holding only these columns, for an empty mapping too.
    pub object_permission: Option<BTreeMap<String, Value>>,
    /// Any of the `team_member_*` limits: one shared budget row per team.
    pub member_budget: Option<MemberBudget>,
}

/// One entry of `budget_limits`.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetLimit {
    /// `budget_duration`.
    pub duration: String,
    /// `max_budget`, US dollars.
    pub max_budget: f64,
}

/// The budget row that all members of one team share.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MemberBudget {
    /// `team_member_budget`, US dollars.
    pub max_budget: Option<f64>,
    /// `team_member_budget_duration` when that key is given (even null), else
    /// the team's own duration.
    pub duration: Option<String>,
    /// `team_member_tpm_limit`.
    pub tpm_limit: Option<i64>,
    /// `team_member_rpm_limit`.
    pub rpm_limit: Option<i64>,
    /// `team_member_model_max_budget`, entries without nulls as the budget's
    /// column holds them; an empty mapping is stored as `{}`, absence as NULL.
    pub model_max_budget: Option<Map<String, Value>>,
}

/// `default_internal_user_params` with `max_internal_user_budget` and
/// `internal_user_budget_duration` (litellm-contract 2c, insert).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UserDefaults {
    /// `user_role` for a person without app role.
    pub role: Option<Role>,
    /// `max_budget`: absent, given as null, or given.
    pub max_budget: Setting<f64>,
    /// `budget_duration`: absent, given as null, or given.
    pub budget_duration: Setting<String>,
    /// `models`; not for a `proxy_admin`.
    pub models: Vec<String>,
    /// `tpm_limit`; not for a `proxy_admin`.
    pub tpm_limit: Option<i64>,
    /// `rpm_limit`; not for a `proxy_admin`.
    pub rpm_limit: Option<i64>,
    /// `max_parallel_requests`; not for a `proxy_admin`.
    pub max_parallel_requests: Option<i32>,
    /// `teams` that every new user joins.
    pub teams: Vec<DefaultTeam>,
    /// `litellm_settings.max_internal_user_budget`, US dollars.
    pub max_internal_user_budget: Option<f64>,
    /// `litellm_settings.internal_user_budget_duration`.
    pub internal_user_budget_duration: Option<String>,
}

/// A key that LiteLLM treats differently when it is there with null.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Setting<T> {
    /// The key is not there.
    #[default]
    Absent,
    /// The key is there and null.
    Null,
    /// The key is there with a value.
    Given(T),
}

/// A team that every new user joins.
#[derive(Debug, Clone, PartialEq)]
pub struct DefaultTeam {
    /// `team_id`.
    pub team: TeamId,
    /// `max_budget_in_team`, US dollars: a budget row of the member's own.
    pub max_budget: Option<f64>,
    /// `user_role` within the team.
    pub role: TeamRole,
}

impl UserDefaults {
    /// `max_budget` of a new user with this role (litellm-contract 2c): the
    /// default if its key is there, even null; for an `internal_user` a null
    /// falls back once more.
    #[must_use]
    pub fn max_budget_for(&self, role: Role) -> Option<f64> {
        fall_back(
            &self.max_budget,
            self.max_internal_user_budget.as_ref(),
            role,
        )
        .copied()
    }

    /// `budget_duration` of a new user with this role, by the same rule.
    #[must_use]
    pub fn budget_duration_for(&self, role: Role) -> Option<&str> {
        fall_back(
            &self.budget_duration,
            self.internal_user_budget_duration.as_ref(),
            role,
        )
        .map(String::as_str)
    }
}

fn fall_back<'a, T>(own: &'a Setting<T>, global: Option<&'a T>, role: Role) -> Option<&'a T> {
    match own {
        Setting::Given(value) => Some(value),
        Setting::Null if role == Role::InternalUser => global,
        Setting::Null => None,
        Setting::Absent => global,
    }
}

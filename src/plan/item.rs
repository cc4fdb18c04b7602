//! A plan as a flat list: one line for one object, as people and programs are
//! shown it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::change::{Member, OrganizationChange, Plan, TeamChange, UserChange};
use super::restore::Restoration;
use crate::model::defaults::DefaultTeam;
use crate::model::ids::{OrganizationId, TeamId, UserId};
use crate::model::report::Kind;
use crate::model::target::TeamRole;

/// Actions that change nothing in LiteLLM: no drift.
pub const LISTED_FOR_INFORMATION: &str = "adopt";

/// Why a managed membership is added that we had added before.
pub const TAKEN_OUT: &str = "taken out in LiteLLM, still a member of the group";

/// One object and what is to happen to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Item {
    /// `create`, `update`, `add`, `repair`, `adopt`, `remove`, `deactivate`,
    /// `reactivate`, `block`, `unblock`, `delete`; `hold` for what the guard
    /// keeps back, `wait` for what is within its grace time.
    pub action: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its id; for a membership `parent/user`.
    pub id: String,
    /// Why.
    pub reason: &'static str,
    /// The columns concerned, before; null for a new object.
    pub before: Value,
    /// The columns concerned, after.
    pub after: Value,
    /// Of what is within its grace time: for how long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<Waits>,
}

/// How long something waits within its grace time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Waits {
    /// UTC; `None` until a complete pass has noted that it waits.
    pub since: Option<DateTime<Utc>>,
    /// UTC; likewise.
    pub until: Option<DateTime<Utc>>,
}

impl Item {
    /// Whether the item changes anything in LiteLLM.
    #[must_use]
    pub fn is_drift(&self) -> bool {
        !matches!(self.action, LISTED_FOR_INFORMATION | "hold" | "wait")
    }
}

impl Plan {
    /// Every item, in one stable order, made as it is asked for: a first pass
    /// over a large tenant has a million.
    pub fn items(&self) -> impl Iterator<Item = Item> + '_ {
        self.organizations
            .iter()
            .map(organization)
            .chain(self.teams.iter().map(team))
            .chain(self.users.iter().map(user))
            .chain(self.rosters.iter().flat_map(|change| {
                let team = TeamId::of(change.group);
                let repaired = team.clone();
                let add = change.add.iter().map(move |member| {
                    let reason = match change.restored.binary_search(&member.user) {
                        Ok(_) => TAKEN_OUT,
                        Err(_) => "member of the group",
                    };
                    let kind = Kind::TeamMembership;
                    membership(kind, "add", team.as_str(), &member.user, reason)
                });
                let repair = change.repair.iter().map(move |member| {
                    let reason = "copies of the membership disagree";
                    let team = repaired.as_str();
                    membership(Kind::TeamMembership, "repair", team, &member.user, reason)
                });
                add.chain(repair)
            }))
            .chain(self.deprovision.leftovers.iter().flat_map(|change| {
                let team = TeamId::of(change.group);
                let leftover = move |user| leftover(&team, user);
                change.users.iter().map(leftover)
            }))
            .chain(self.default_teams.iter().flat_map(|change| {
                change
                    .add
                    .iter()
                    .map(|member| default_membership(&change.team, member))
            }))
            .chain(self.organization_members.iter().flat_map(|change| {
                let id = OrganizationId::of(change.group);
                change.add.iter().map(move |member| {
                    let reason = match change.restored.binary_search(&member.user) {
                        Ok(_) => TAKEN_OUT,
                        Err(_) => "member of the group, create_organizations is on",
                    };
                    let kind = Kind::OrganizationMembership;
                    membership(kind, "add", id.as_str(), &member.user, reason)
                })
            }))
            .chain(self.restorations.iter().map(restoration))
            .chain(
                self.deprovision
                    .verdict
                    .released
                    .iter()
                    .map(|removal| removal.item("remove")),
            )
            .chain(
                self.deprovision
                    .verdict
                    .held
                    .iter()
                    .map(|removal| removal.item("hold")),
            )
            .chain(self.deprovision.waiting.iter().map(|waiting| Item {
                waits: Some(waiting.waits),
                ..waiting.removal.item("wait")
            }))
            .chain(self.adoptions())
    }

    fn adoptions(&self) -> impl Iterator<Item = Item> + '_ {
        let adopt = |kind, id: String, reason| Item {
            action: LISTED_FOR_INFORMATION,
            kind,
            id,
            reason,
            before: Value::Null,
            after: Value::Null,
            waits: None,
        };
        let seen = &self.adopted.first_seen;
        let found = "found in LiteLLM, wanted by Entra";
        seen.organizations
            .iter()
            .map(move |group| adopt(Kind::Organization, group.to_string(), found))
            .chain(
                seen.teams
                    .iter()
                    .map(move |group| adopt(Kind::Team, group.to_string(), found)),
            )
            .chain(
                seen.users
                    .iter()
                    .map(move |member| adopt(Kind::User, member.user.to_string(), found)),
            )
            .chain(self.adopted.team_members.iter().flat_map(move |list| {
                list.members.iter().map(move |member| {
                    let id = format!("{}/{}", list.group, member.user);
                    adopt(Kind::TeamMembership, id, found)
                })
            }))
            .chain(
                self.adopted
                    .organization_members
                    .iter()
                    .flat_map(move |list| {
                        list.members.iter().map(move |member| {
                            let id = format!("{}/{}", list.group, member.user);
                            adopt(Kind::OrganizationMembership, id, found)
                        })
                    }),
            )
    }
}

/// A default team has terms of its own, which are part of what is approved.
fn default_membership(team: &DefaultTeam, member: &Member) -> Item {
    let reason = "new user, default_internal_user_params.teams";
    let id = team.team.as_str();
    let mut item = membership(Kind::TeamMembership, "add", id, &member.user, reason);
    if team.role == TeamRole::Admin {
        item.after["role"] = json!("admin");
    }
    if let Some(budget) = team.max_budget {
        item.after["max_budget_in_team"] = json!(budget);
    }
    item
}

fn membership(
    kind: Kind,
    action: &'static str,
    parent: &str,
    user: &UserId,
    reason: &'static str,
) -> Item {
    Item {
        action,
        kind,
        id: format!("{parent}/{user}"),
        reason,
        before: Value::Null,
        after: json!({ "role": if kind == Kind::TeamMembership { "user" } else { "internal_user" } }),
        waits: None,
    }
}

/// Of the three copies only `teams` is there, and it is the one that changes.
fn leftover(team: &TeamId, user: &UserId) -> Item {
    Item {
        action: "repair",
        kind: Kind::TeamMembership,
        id: format!("{team}/{user}"),
        reason: "taken out before, and named in the user's teams again",
        before: json!({ "teams": team }),
        after: json!({ "teams": null }),
        waits: None,
    }
}

fn restoration(change: &Restoration) -> Item {
    match change {
        Restoration::Reactivation(member) => Item {
            action: "reactivate",
            kind: Kind::User,
            id: member.user.to_string(),
            reason: "enabled in Entra again",
            before: json!({ "active": false }),
            after: json!({ "active": true }),
            waits: None,
        },
        Restoration::UnblockTeam(group) => Item {
            action: "unblock",
            kind: Kind::Team,
            id: group.to_string(),
            reason: "group assigned again",
            before: json!({ "blocked": true }),
            after: json!({ "blocked": false }),
            waits: None,
        },
    }
}

fn organization(change: &OrganizationChange) -> Item {
    match change {
        OrganizationChange::Create { group, alias } => Item {
            action: "create",
            kind: Kind::Organization,
            id: group.to_string(),
            reason: "group assigned, create_organizations is on",
            before: Value::Null,
            after: json!({ "organization_alias": alias }),
            waits: None,
        },
        OrganizationChange::Rename { group, alias, .. } => Item {
            action: "update",
            kind: Kind::Organization,
            id: group.to_string(),
            reason: "group renamed in Entra",
            before: json!({ "organization_alias": alias.before }),
            after: json!({ "organization_alias": alias.after }),
            waits: None,
        },
    }
}

fn team(change: &TeamChange) -> Item {
    match change {
        TeamChange::Create {
            group,
            alias,
            organization,
            models,
        } => {
            let mut after = json!({ "team_alias": alias });
            if let Some(organization) = organization {
                after["organization_id"] = json!(organization);
            }
            if let Some(models) = models {
                after["models"] = json!(models);
            }
            Item {
                action: "create",
                kind: Kind::Team,
                id: group.to_string(),
                reason: "group assigned",
                before: Value::Null,
                after,
                waits: None,
            }
        }
        TeamChange::Update {
            group,
            alias,
            organization,
            models,
            ..
        } => {
            let (mut before, mut after) = (json!({}), json!({}));
            let mut reason = "the organization's models changed";
            if let Some(models) = models {
                before["models"] = json!(models.before);
                after["models"] = json!(models.after);
            }
            if let Some(alias) = alias {
                before["team_alias"] = json!(alias.before);
                after["team_alias"] = json!(alias.after);
                reason = "group renamed in Entra";
            }
            if let Some(organization) = organization {
                before["organization_id"] = Value::Null;
                after["organization_id"] = json!(organization);
                reason = "its organization can be made now";
            }
            Item {
                action: "update",
                kind: Kind::Team,
                id: group.to_string(),
                reason,
                before,
                after,
                waits: None,
            }
        }
    }
}

fn user(change: &UserChange) -> Item {
    match change {
        UserChange::Create {
            user,
            email,
            alias,
            role,
            ..
        } => Item {
            action: "create",
            kind: Kind::User,
            id: user.to_string(),
            reason: "assigned through a group or directly",
            before: Value::Null,
            after: json!({ "user_email": email, "user_alias": alias, "user_role": role }),
            waits: None,
        },
        UserChange::Update {
            user,
            bind,
            email,
            alias,
            role,
            ..
        } => {
            let (mut before, mut after) = (json!({}), json!({}));
            let mut reason = "name or address changed in Entra";
            if let Some(email) = email {
                before["user_email"] = json!(email.before);
                after["user_email"] = json!(email.after);
            }
            if let Some(alias) = alias {
                before["user_alias"] = json!(alias.before);
                after["user_alias"] = json!(alias.after);
            }
            if let Some(role) = role {
                before["user_role"] = json!(role.before);
                after["user_role"] = json!(role.after);
                reason = "app role in Entra is higher";
            }
            if let Some(bind) = bind {
                before["sso_user_id"] = Value::Null;
                after["sso_user_id"] = json!(bind);
                reason = "found by e-mail";
            }
            Item {
                action: "update",
                kind: Kind::User,
                id: user.to_string(),
                reason,
                before,
                after,
                waits: None,
            }
        }
    }
}

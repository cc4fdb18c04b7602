//! Organizations and teams: made and changed.

use std::collections::BTreeMap;

use entra_sync::model::ids::{GroupId, OrganizationId, TeamId};
use entra_sync::model::ledger::{LastWritten, Origin, OwnedOrganization, OwnedTeam, Placement};
use entra_sync::model::policy::Organizations;
use entra_sync::model::target::{OrganizationRow, TeamRow};
use entra_sync::plan::{OrganizationChange, TeamChange, created_team};

use super::people::write;
use super::{Outcome, expect, refuse};
use crate::build::Universe;

impl Universe {
    pub(super) fn organization(&mut self, change: OrganizationChange) -> Outcome {
        let group = change.group();
        let id = OrganizationId::of(group);
        let owned = match change {
            OrganizationChange::Create { alias, .. } => {
                let row = OrganizationRow {
                    alias: alias.clone(),
                    models: self.policy.team_defaults.models.clone(),
                    members: Vec::new(),
                    ..OrganizationRow::default()
                };
                let before = self.target.organizations.insert(id.clone(), row);
                expect(before.is_none(), || format!("organization {id} is there"))?;
                OwnedOrganization {
                    origin: Origin::Created,
                    alias: LastWritten::Value(alias),
                }
            }
            OrganizationChange::Rename { alias, owned, .. } => {
                let Some(row) = self.target.organizations.get_mut(&id) else {
                    return refuse(format!("organization {id} to rename is not there"));
                };
                expect(alias.before.as_ref() == Some(&row.alias), || {
                    format!("organization {id} is not what the plan saw")
                })?;
                match alias.after {
                    Some(after) => row.alias = after,
                    None => return refuse("organization_alias cannot be NULL"),
                }
                owned
            }
        };
        self.owned.organizations.insert(group, owned);
        Ok(())
    }

    pub(super) fn team(&mut self, change: TeamChange) -> Outcome {
        let group = change.group();
        let id = TeamId::of(group);
        let exists = |organizations: &BTreeMap<OrganizationId, _>,
                      organization: &Option<OrganizationId>| {
            organization
                .as_ref()
                .is_none_or(|o| organizations.contains_key(o))
        };
        let owned = match change {
            TeamChange::Create {
                alias,
                organization,
                models,
                ..
            } => {
                expect(exists(&self.target.organizations, &organization), || {
                    format!("team {id} would join an organization that is not there")
                })?;
                let defaults = &self.policy.team_defaults.models;
                let on = matches!(self.policy.organizations, Organizations::On(_));
                let ours = models.clone().or_else(|| on.then(|| defaults.clone()));
                let row = TeamRow {
                    alias: alias.clone(),
                    organization,
                    models: models.unwrap_or_else(|| defaults.clone()),
                    ..TeamRow::default()
                };
                let before = self.target.teams.insert(id.clone(), row);
                expect(before.is_none(), || format!("team {id} is there"))?;
                self.target.team_count += 1;
                created_team(alias, ours, Placement::Settled)
            }
            TeamChange::Update {
                alias,
                organization,
                models,
                owned,
                ..
            } => {
                expect(exists(&self.target.organizations, &organization), || {
                    format!("team {id} would join an organization that is not there")
                })?;
                let Some(row) = self.target.teams.get_mut(&id) else {
                    return refuse(format!("team {id} to change is not there"));
                };
                write(&mut row.alias, alias)?;
                if let Some(organization) = organization {
                    expect(row.organization.is_none(), || {
                        format!("team {id} has been placed")
                    })?;
                    row.organization = Some(organization);
                }
                if let Some(models) = models {
                    expect(models.before.as_ref() == Some(&row.models), || {
                        format!("the models of team {id} are not what the plan saw")
                    })?;
                    row.models = models.after.unwrap_or_default();
                }
                owned
            }
        };
        self.record_team(group, owned);
        Ok(())
    }

    /// Whose doing a block is, is recorded by whoever blocks or unblocks.
    pub(super) fn record_team(&mut self, group: GroupId, mut owned: OwnedTeam) {
        if let Some(known) = self.owned.teams.get(&group) {
            (owned.block, owned.lifted) = (known.block, known.lifted);
        }
        self.owned.teams.insert(group, owned);
    }
}

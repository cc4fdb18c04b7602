//! Teams: made from their group, renamed, attached, kept in step with their
//! organization's models.

use std::borrow::Cow;
use std::time::Instant;

use serde_json::{Value, json};

use super::Tally;
use super::step::{Desk, Writable};
use crate::db::Transaction;
use crate::ledger::changes::{self, Change};
use crate::ledger::ownership;
use crate::litellm::members::lock_team;
use crate::litellm::organizations::Found;
use crate::litellm::teams::{self, NewTeam, TeamUpdate};
use crate::model::ids::{GroupId, OrganizationId, TeamId};
use crate::model::ledger::{OwnedTeam, Placement};
use crate::model::policy::Organizations;
use crate::model::report::Kind;
use crate::plan::{FieldChange, Plan, TeamChange, created_team};
use crate::sync::error::{Error, Result};

/// Locks are taken on all new teams of a batch, so it stays small.
const BATCH: usize = 100;

pub(super) async fn write(desk: Desk<'_>, plan: &Plan, tally: &mut Tally) -> Result<()> {
    let stands_alone = |group| tally.without_organization.contains(&group);
    let changes: Vec<Cow<'_, TeamChange>> = plan
        .teams
        .iter()
        .filter_map(|change| match stands_alone(change.group()) {
            true => change.standing_alone().map(Cow::Owned),
            false => Some(Cow::Borrowed(change)),
        })
        .collect();
    let (mut new, mut updated) = (Vec::new(), Vec::new());
    for change in &changes {
        match change.as_ref() {
            TeamChange::Create {
                group,
                alias,
                organization,
                models,
            } => new.push(New {
                group: *group,
                team: TeamId::of(*group),
                alias: alias.as_deref(),
                organization: organization.as_ref(),
                models: models.as_deref(),
                placement: if stands_alone(*group) {
                    Placement::AwaitsOrganization
                } else {
                    Placement::Settled
                },
            }),
            TeamChange::Update {
                group,
                alias,
                organization,
                models,
                owned,
            } => updated.push(Updated {
                group: *group,
                team: TeamId::of(*group),
                alias: alias.as_ref(),
                organization: organization.as_ref(),
                models: models.as_ref(),
                owned,
            }),
        }
    }
    desk.run(&new, BATCH, tally).await?;
    // Those on which somebody else worked come once more, each alone and with
    // patience.
    let busy = std::mem::take(&mut tally.busy_teams);
    for one in new.iter().filter(|new| busy.contains(new.team.as_str())) {
        desk.run(std::slice::from_ref(one), 1, tally).await?;
    }
    // One team, one lock, one transaction.
    desk.run(&updated, 1, tally).await
}

struct New<'a> {
    group: GroupId,
    team: TeamId,
    alias: Option<&'a str>,
    organization: Option<&'a OrganizationId>,
    models: Option<&'a [String]>,
    placement: Placement,
}

impl Writable for New<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let rows: Vec<_> = items
            .iter()
            .map(|new| NewTeam {
                team: new.team.clone(),
                alias: new.alias,
                organization: new.organization,
                models: new.models,
            })
            .collect();
        let defaults = &desk.policy.team_defaults;
        let inserted = teams::insert(transaction, desk.writing, defaults, &rows).await?;
        let mut tally = Tally::default();
        tally.busy_teams.extend(inserted.busy);
        let (mut owned, mut records) = (Vec::new(), Vec::new());
        // One that a login made meanwhile is adopted by the next pass.
        for new in items
            .iter()
            .filter(|new| inserted.made.iter().any(|id| id == new.team.as_str()))
        {
            owned.push((new.group, new.owned(desk)));
            records.push(new.record());
            tally.counts.teams.created += 1;
        }
        ownership::record_teams(transaction, desk.lease.source, desk.run, &owned).await?;
        changes::record(transaction, desk.run, &records).await?;
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        tally.without_team.insert(self.group);
        let message = format!(
            "the team could not be made: {error}; its members wait for a pass that can make it"
        );
        tally.error(Kind::Team, self.group, message);
    }
}

impl New<'_> {
    /// The ledger's row. A team that waits for its organization will mirror
    /// its models later, so the list it has until then counts as ours.
    fn owned(&self, desk: Desk<'_>) -> OwnedTeam {
        let ours = match (desk.policy.organizations, self.models) {
            (_, Some(models)) => Some(models.to_vec()),
            (Organizations::On(_), None) => Some(desk.policy.team_defaults.models.clone()),
            (Organizations::Off, None) => None,
        };
        created_team(self.alias.map(str::to_owned), ours, self.placement)
    }

    fn record(&self) -> Change {
        Change {
            action: "create".to_owned(),
            kind: Kind::Team.as_str().to_owned(),
            id: self.group.to_string(),
            reason: match self.placement {
                Placement::Settled => "group assigned".to_owned(),
                Placement::AwaitsOrganization => {
                    "group assigned; stands alone until its organization can be made".to_owned()
                }
            },
            before: None,
            after: Some(json!({
                "team_alias": self.alias,
                "organization_id": self.organization,
                "models": self.models,
            })),
        }
    }
}

struct Updated<'a> {
    group: GroupId,
    team: TeamId,
    alias: Option<&'a FieldChange<String>>,
    organization: Option<&'a OrganizationId>,
    models: Option<&'a FieldChange<Vec<String>>>,
    owned: &'a OwnedTeam,
}

impl Updated<'_> {
    fn record(&self) -> Change {
        let (mut before, mut after) = (json!({}), json!({}));
        if let Some(alias) = self.alias {
            before["team_alias"] = json!(alias.before);
            after["team_alias"] = json!(alias.after);
        }
        if let Some(models) = self.models {
            before["models"] = json!(models.before);
            after["models"] = json!(models.after);
        }
        if let Some(organization) = self.organization {
            before["organization_id"] = Value::Null;
            after["organization_id"] = json!(organization);
        }
        Change {
            action: "update".to_owned(),
            kind: Kind::Team.as_str().to_owned(),
            id: self.group.to_string(),
            reason: "follows its group and its organization".to_owned(),
            before: Some(before),
            after: Some(after),
        }
    }
}

impl Writable for Updated<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        for item in items {
            lock_team(transaction, &item.team).await?;
            tally.locked_at.get_or_insert_with(Instant::now);
            let models = item
                .models
                .and_then(|models| Some((models.before.as_deref()?, models.after.as_deref()?)));
            let update = TeamUpdate {
                team: &item.team,
                alias: item
                    .alias
                    .map(|a| (a.before.as_deref(), a.after.as_deref())),
                organization: item.organization,
                models,
            };
            if teams::update(transaction, desk.writing, &update).await? == Found::Moved {
                // Somebody changed it since the snapshot: the next pass looks.
                continue;
            }
            let owned = [(item.group, item.owned.clone())];
            ownership::record_teams(transaction, desk.lease.source, desk.run, &owned).await?;
            changes::record(transaction, desk.run, &[item.record()]).await?;
            tally.counts.teams.updated += 1;
        }
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        let message = format!("the team could not be changed: {error}");
        tally.error(Kind::Team, self.group, message);
    }
}

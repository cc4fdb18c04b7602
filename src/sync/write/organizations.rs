//! Organizations: made with their budget, renamed with their group.

use serde_json::json;

use super::Tally;
use super::step::{Desk, Writable};
use crate::db::Transaction;
use crate::ledger::changes::{self, Change};
use crate::ledger::ownership;
use crate::litellm::organizations::{self, Found};
use crate::model::ids::{GroupId, OrganizationId};
use crate::model::ledger::{LastWritten, Origin, OwnedOrganization};
use crate::model::report::Kind;
use crate::plan::{FieldChange, OrganizationChange, Plan};
use crate::sync::error::{Error, Result};

const BATCH: usize = 200;

pub(super) async fn write(desk: Desk<'_>, plan: &Plan, tally: &mut Tally) -> Result<()> {
    let (mut new, mut renamed) = (Vec::new(), Vec::new());
    for change in &plan.organizations {
        match change {
            OrganizationChange::Create { group, alias } => new.push(New {
                group: *group,
                alias,
            }),
            OrganizationChange::Rename {
                group,
                alias,
                owned,
            } => renamed.push(Renamed {
                group: *group,
                alias,
                owned,
            }),
        }
    }
    desk.run(&new, BATCH, tally).await?;
    desk.run(&renamed, BATCH, tally).await
}

struct New<'a> {
    group: GroupId,
    alias: &'a str,
}

impl Writable for New<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let rows: Vec<_> = items
            .iter()
            .map(|new| (OrganizationId::of(new.group), new.alias))
            .collect();
        let defaults = &desk.policy.team_defaults;
        let inserted = organizations::insert(transaction, desk.writing, defaults, &rows).await?;
        let mut tally = Tally::default();
        let (mut owned, mut records) = (Vec::new(), Vec::new());
        // One that somebody made meanwhile is adopted by the next pass.
        for new in items
            .iter()
            .filter(|new| inserted.contains(&new.group.to_string()))
        {
            owned.push((
                new.group,
                OwnedOrganization {
                    origin: Origin::Created,
                    alias: LastWritten::Value(new.alias.to_owned()),
                },
            ));
            records.push(Change {
                action: "create".to_owned(),
                kind: Kind::Organization.as_str().to_owned(),
                id: new.group.to_string(),
                reason: "group assigned, create_organizations is on".to_owned(),
                before: None,
                after: Some(json!({
                    "organization_alias": new.alias,
                    "models": defaults.models,
                    "max_budget": defaults.max_budget,
                })),
            });
            tally.counts.organizations.created += 1;
        }
        ownership::record_organizations(transaction, desk.lease.source, desk.run, &owned).await?;
        changes::record(transaction, desk.run, &records).await?;
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        tally.without_organization.insert(self.group);
        tally.error(
            Kind::Organization,
            self.group,
            format!(
                "the organization could not be made ({error}); its team stands alone for now and \
                 joins it once a later pass can make it"
            ),
        );
    }
}

struct Renamed<'a> {
    group: GroupId,
    alias: &'a FieldChange<String>,
    owned: &'a OwnedOrganization,
}

impl Writable for Renamed<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        let (mut owned, mut records) = (Vec::new(), Vec::new());
        for renamed in items {
            let (Some(before), Some(after)) = (&renamed.alias.before, &renamed.alias.after) else {
                continue;
            };
            let id = OrganizationId::of(renamed.group);
            let found =
                organizations::rename(transaction, desk.writing, &id, before, after).await?;
            if found == Found::Moved {
                continue;
            }
            owned.push((renamed.group, renamed.owned.clone()));
            records.push(Change {
                action: "update".to_owned(),
                kind: Kind::Organization.as_str().to_owned(),
                id: renamed.group.to_string(),
                reason: "group renamed in Entra".to_owned(),
                before: Some(json!({ "organization_alias": before })),
                after: Some(json!({ "organization_alias": after })),
            });
            tally.counts.organizations.updated += 1;
        }
        ownership::record_organizations(transaction, desk.lease.source, desk.run, &owned).await?;
        changes::record(transaction, desk.run, &records).await?;
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        let message = format!("the organization could not be renamed: {error}");
        tally.error(Kind::Organization, self.group, message);
    }
}

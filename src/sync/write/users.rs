//! Users: inserted as LiteLLM's login would, changed column by column.

use std::collections::HashMap;
use std::time::Instant;

use serde_json::{Value, json};

use super::Tally;
use super::step::{Desk, Writable};
use crate::db::Transaction;
use crate::ledger::changes::{self, Change};
use crate::ledger::ownership;
use crate::litellm::users::{self, NewUser, UserUpdate};
use crate::model::ids::{PersonId, TeamId, UserId};
use crate::model::ledger::{LastWritten, Origin, Ours, OwnedUser, RoleFrom};
use crate::model::report::{Kind, Skipped};
use crate::model::role::Role;
use crate::plan::{FieldChange, Member, Plan, UserChange, first_met};
use crate::sync::error::{Error, Result};

const BATCH: usize = 1_000;

pub(super) async fn write(desk: Desk<'_>, plan: &Plan, tally: &mut Tally) -> Result<()> {
    let mut due: HashMap<PersonId, Vec<&TeamId>> = HashMap::new();
    for change in &plan.default_teams {
        for member in &change.add {
            due.entry(member.person)
                .or_default()
                .push(&change.team.team);
        }
    }
    let (mut new, mut updated) = (Vec::new(), Vec::new());
    for change in &plan.users {
        match change {
            UserChange::Create {
                person,
                user,
                email,
                alias,
                role,
                role_from,
            } => new.push(New {
                person: *person,
                user,
                email: email.as_deref(),
                alias: alias.as_deref(),
                role: *role,
                role_from: *role_from,
                default_teams: due.remove(person).unwrap_or_default(),
            }),
            UserChange::Update {
                person,
                user,
                bind,
                email,
                alias,
                role,
                owned,
            } => updated.push(Updated {
                person: *person,
                user,
                bind: bind.as_ref(),
                email: email.as_ref(),
                alias: alias.as_ref(),
                role: role.as_ref(),
                owned,
            }),
        }
    }
    // A change may free the address with which somebody is inserted.
    desk.run(&updated, BATCH, tally).await?;
    // The plan puts the higher roles first: they take the seats, and a batch
    // holds one role, which decides about a new user's limits.
    for same_role in new.chunk_by(|a, b| a.role == b.role) {
        desk.run(same_role, BATCH, tally).await?;
    }
    Ok(())
}

struct New<'a> {
    person: PersonId,
    user: &'a UserId,
    email: Option<&'a str>,
    alias: Option<&'a str>,
    role: Role,
    role_from: RoleFrom,
    /// Joined later in this pass, or by the next one.
    default_teams: Vec<&'a TeamId>,
}

impl Writable for New<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        let Some(role) = items.first().map(|first| first.role) else {
            return Ok(tally);
        };
        let seats = users::free_seats(transaction, desk.policy.seats).await?;
        tally.locked_at = Some(Instant::now());
        let seats = usize::try_from(seats)
            .unwrap_or(usize::MAX)
            .min(items.len());
        let (seated, left_out) = items.split_at(seats);
        for new in left_out {
            tally.without_row.insert(new.user.clone());
            tally.skipped.push(Skipped {
                kind: Kind::User,
                id: new.person.to_string(),
                reason: Skipped::NO_SEAT.to_owned(),
            });
        }
        let rows: Vec<_> = seated
            .iter()
            .map(|new| NewUser {
                user: new.user,
                email: new.email,
                alias: new.alias,
                role: new.role,
            })
            .collect();
        let defaults = &desk.policy.user_defaults;
        let inserted = users::insert(transaction, desk.writing, defaults, role, &rows).await?;
        let inserted: HashMap<&str, Option<&str>> = inserted
            .iter()
            .map(|row| (row.user_id.as_str(), row.user_email.as_deref()))
            .collect();
        let (mut owned, mut records, mut due) = (Vec::new(), Vec::new(), Vec::new());
        for new in seated {
            let Some(email) = inserted.get(new.user.as_str()) else {
                // One whom a login inserted meanwhile is adopted by the next
                // pass; what they join in this one is ours already.
                owned.push((new.person, first_met(new.user)));
                continue;
            };
            owned.push((new.person, new.owned(*email)));
            records.push(new.record(*email));
            due.extend(new.default_teams.iter().map(|team| (*team, new.person)));
            tally.counts.users.created += 1;
        }
        let source = desk.lease.source;
        ownership::record_users(transaction, source, desk.run, &owned).await?;
        // A row of that name may have been deactivated before somebody deleted it.
        let begun: Vec<Member> = owned
            .into_iter()
            .map(|(person, owned)| Member {
                user: owned.user,
                person,
            })
            .collect();
        ownership::forget_deactivations(transaction, source, &begun).await?;
        ownership::await_default_teams(transaction, source, &due).await?;
        changes::record(transaction, desk.run, &records).await?;
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        tally.without_row.insert(self.user.clone());
        let message = format!("the user could not be inserted: {error}");
        tally.error(Kind::User, self.person, message);
    }

    /// Nobody can be inserted while seats cannot be counted.
    fn befalls_all(error: &Error) -> bool {
        error.is_forbidden() || error.is_about_seats()
    }
}

impl New<'_> {
    fn owned(&self, email: Option<&str>) -> OwnedUser {
        OwnedUser {
            user: self.user.clone(),
            origin: Origin::Created,
            alias: LastWritten::wrote(self.alias.map(Box::from)),
            email: LastWritten::wrote(email.map(Box::from)),
            subject: OwnedUser::subject_of(self.person, self.user.as_str()),
            role: Some(self.role),
            role_from: self.role_from,
            deactivation: Ours::No,
        }
    }

    fn record(&self, email: Option<&str>) -> Change {
        Change {
            action: "create".to_owned(),
            kind: Kind::User.as_str().to_owned(),
            id: self.user.to_string(),
            reason: "assigned through a group or directly".to_owned(),
            before: None,
            after: Some(json!({
                "user_email": email, "user_alias": self.alias, "user_role": self.role,
            })),
        }
    }
}

struct Updated<'a> {
    person: PersonId,
    user: &'a UserId,
    bind: Option<&'a UserId>,
    email: Option<&'a FieldChange<Box<str>>>,
    alias: Option<&'a FieldChange<Box<str>>>,
    role: Option<&'a FieldChange<Role>>,
    owned: &'a OwnedUser,
}

impl Writable for Updated<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let text = |change: Option<&'_ FieldChange<Box<str>>>| {
            change.map(|change| (change.before.clone(), change.after.clone()))
        };
        let texts: Vec<_> = items
            .iter()
            .map(|i| (text(i.email), text(i.alias)))
            .collect();
        let rows: Vec<_> = items
            .iter()
            .zip(&texts)
            .map(|(item, (email, alias))| UserUpdate {
                user: item.user,
                bind: item.bind,
                email: email.as_ref().map(|(b, a)| (b.as_deref(), a.as_deref())),
                alias: alias.as_ref().map(|(b, a)| (b.as_deref(), a.as_deref())),
                role: item.role.and_then(|role| Some((role.before, role.after?))),
            })
            .collect();
        let changed = users::update(transaction, desk.writing, &rows).await?;
        let mut tally = Tally::default();
        let (mut owned, mut records) = (Vec::new(), Vec::new());
        // One that somebody changed since the snapshot is left to the next pass.
        for item in items {
            if changed.iter().any(|user| user == item.user.as_str()) {
                owned.push((item.person, item.owned.clone()));
                records.push(item.record());
                tally.counts.users.updated += 1;
            } else {
                item.leave(&mut tally);
            }
        }
        ownership::record_users(transaction, desk.lease.source, desk.run, &owned).await?;
        changes::record(transaction, desk.run, &records).await?;
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        self.leave(tally);
        let message = format!("the user could not be changed: {error}");
        tally.error(Kind::User, self.person, message);
    }
}

impl Updated<'_> {
    /// A row found by its address that is not bound is nobody's yet, and may be
    /// somebody else's by now.
    fn leave(&self, tally: &mut Tally) {
        if self.bind.is_some() {
            tally.without_row.insert(self.user.clone());
        }
    }

    fn record(&self) -> Change {
        let (mut before, mut after) = (json!({}), json!({}));
        if let Some(subject) = self.bind {
            before["sso_user_id"] = Value::Null;
            after["sso_user_id"] = json!(subject);
        }
        for (column, change) in [("user_email", self.email), ("user_alias", self.alias)] {
            if let Some(change) = change {
                before[column] = json!(change.before);
                after[column] = json!(change.after);
            }
        }
        if let Some(role) = self.role {
            before["user_role"] = json!(role.before);
            after["user_role"] = json!(role.after);
        }
        Change {
            action: "update".to_owned(),
            kind: Kind::User.as_str().to_owned(),
            id: self.user.to_string(),
            reason: "follows Entra".to_owned(),
            before: Some(before),
            after: Some(after),
        }
    }
}

//! Users: inserted, changed column by column, and what the ledger then knows.

use entra_sync::model::ids::{PersonId, UserId};
use entra_sync::model::ledger::{LastWritten, Origin, Ours, OwnedUser};
use entra_sync::model::target::{Activity, StoredRole, UserRow};
use entra_sync::plan::{FieldChange, UserChange};

use super::{Outcome, expect, refuse, same_address};
use crate::build::Universe;

impl Universe {
    /// The same with a deactivation, as long as it is about the same row.
    pub(super) fn record_user(&mut self, person: PersonId, mut owned: OwnedUser) {
        if let Some(known) = self.owned.people.get(&person) {
            if known.user == owned.user {
                owned.deactivation = known.deactivation;
            } else {
                let earlier = self.owned.earlier.entry(person).or_default();
                earlier.retain(|row| row.user != known.user);
                earlier.push(known.clone());
            }
        }
        if let Some(earlier) = self.owned.earlier.get_mut(&person) {
            earlier.retain(|row| row.user != owned.user);
        }
        self.owned.people.insert(person, owned);
    }

    pub(super) fn user(&mut self, change: UserChange) -> Outcome {
        let person = change.person();
        let owned: OwnedUser = match change {
            UserChange::Create {
                user,
                email,
                alias,
                role,
                role_from,
                ..
            } => {
                self.unbound(&user)?;
                if let Some(email) = &email {
                    let taken = |row: &UserRow| same_address(row.email.as_deref(), email);
                    expect(!self.target.users.values().any(taken), || {
                        format!("{user} would be inserted with {email}, which is taken")
                    })?;
                }
                let row = UserRow {
                    sso_user_id: Some(user.clone()),
                    email: email.clone(),
                    alias: alias.clone(),
                    role: StoredRole::Role(role),
                    activity: Activity::Active,
                    teams: Vec::new(),
                };
                let before = self.target.users.insert(user.clone(), row);
                expect(before.is_none(), || format!("user {user} is there"))?;
                self.target.billable_users += 1;
                if let Some(known) = self.owned.people.get_mut(&person) {
                    known.deactivation = Ours::No;
                }
                OwnedUser {
                    subject: (user.as_str() != person.to_string()).then(|| user.clone()),
                    user,
                    origin: Origin::Created,
                    alias: LastWritten::wrote(alias),
                    email: LastWritten::wrote(email),
                    role: Some(role),
                    role_from,
                    deactivation: Ours::No,
                }
            }
            UserChange::Update {
                user,
                bind,
                email,
                alias,
                role,
                owned,
                ..
            } => {
                if let Some(subject) = &bind {
                    self.unbound(subject)?;
                }
                let Some(row) = self.target.users.get_mut(&user) else {
                    return refuse(format!("user {user} to change is not there"));
                };
                if let Some(subject) = bind {
                    expect(row.sso_user_id.is_none(), || {
                        format!("{user} would be rebound")
                    })?;
                    row.sso_user_id = Some(subject);
                }
                write(&mut row.email, email)?;
                write(&mut row.alias, alias)?;
                if let Some(FieldChange { before, after }) = role {
                    let before = before.map_or(StoredRole::None, StoredRole::Role);
                    expect(row.role == before, || {
                        format!("the role of {user} has moved")
                    })?;
                    row.role = after.map_or(StoredRole::None, StoredRole::Role);
                }
                owned
            }
        };
        self.record_user(person, owned);
        Ok(())
    }

    /// `sso_user_id` is unique.
    fn unbound(&self, subject: &UserId) -> Outcome {
        let bound = |row: &UserRow| row.sso_user_id.as_ref() == Some(subject);
        expect(!self.target.users.values().any(bound), || {
            format!("a second row would be bound to {subject}")
        })
    }
}

/// Writes a column only while it holds what the plan saw.
pub(super) fn write<T: PartialEq + std::fmt::Debug>(
    column: &mut Option<T>,
    change: Option<FieldChange<T>>,
) -> Outcome {
    if let Some(FieldChange { before, after }) = change {
        expect(*column == before, || {
            format!("the plan saw {before:?}, the column holds {column:?}")
        })?;
        *column = after;
    }
    Ok(())
}

//! What the ledger of a seeded world remembers: some of it true, some of it
//! overtaken by what people did since.

use entra_sync::model::ids::{OrganizationId, TeamId, UserId};
use entra_sync::model::ledger::{
    LastWritten, Lifted, Origin, Ours, Owned, OwnedOrganization, OwnedTeam, OwnedUser, Placement,
};
use entra_sync::model::target::Target;

use crate::apply::insert_sorted;
use crate::build::{group_id, models, name, people, person_id, ranked, stored, text};
use crate::policies::default_team;
use crate::world::{EMAILS, Last, NAMES, Seed};

impl Seed {
    pub fn owned(&self, target: &Target) -> Owned {
        let mut owned = Owned::default();
        for known in &self.known_people {
            let Some(row) = self.rows.get(usize::from(known.row)) else {
                continue;
            };
            let user = OwnedUser {
                user: UserId::new(text(row.id)),
                origin: if known.created {
                    Origin::Created
                } else {
                    Origin::Adopted
                },
                alias: last(known.alias, &NAMES),
                email: last(known.email, &EMAILS),
                role: known.role.map(ranked),
                deactivation: Ours::No,
            };
            let person = person_id(known.person);
            owned.people.insert(person, user);
            for team in &known.due {
                let due = owned.due_default_teams.entry(default_team(*team));
                insert_sorted(due.or_default(), person);
            }
        }
        for (index, known) in (0..).zip(&self.known_groups) {
            let group = group_id(index);
            if let Some((alias, written, awaits)) = known.team {
                let placement = if awaits {
                    Placement::AwaitsOrganization
                } else {
                    Placement::Settled
                };
                let written = written.map_or(LastWritten::Never, |m| LastWritten::Value(models(m)));
                let team = OwnedTeam {
                    origin: Origin::Created,
                    alias: owned_text(alias),
                    models: written,
                    placement,
                    block: Ours::No,
                    lifted: Lifted::No,
                };
                owned.teams.insert(group, team);
            }
            if let Some(alias) = known.organization {
                let organization = OwnedOrganization {
                    origin: Origin::Created,
                    alias: owned_text(alias),
                };
                owned.organizations.insert(group, organization);
            }
            if target.teams.contains_key(&TeamId::of(group)) {
                owned
                    .team_members
                    .insert(group, people(&known.team_members));
            }
            if target
                .organizations
                .contains_key(&OrganizationId::of(group))
            {
                owned
                    .organization_members
                    .insert(group, people(&known.organization_members));
            }
        }
        owned
    }
}

fn last(last: Last, texts: &[&str]) -> LastWritten<Box<str>> {
    match last {
        None => LastWritten::Never,
        Some(None) => LastWritten::Null,
        Some(Some(text)) => LastWritten::Value(stored(texts[usize::from(text)]).into()),
    }
}

fn owned_text(last: Last) -> LastWritten<String> {
    match last {
        None => LastWritten::Never,
        Some(None) => LastWritten::Null,
        Some(Some(text)) => LastWritten::Value(stored(name(text))),
    }
}

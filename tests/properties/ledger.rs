//! What the ledger of a seeded world remembers: some of it true, some of it
//! overtaken by what people did since.

use std::collections::BTreeSet;

use entra_sync::model::ids::{OrganizationId, TeamId, UserId};
use entra_sync::model::ledger::{
    LastWritten, Lifted, Member, Origin, Ours, Owned, OwnedOrganization, OwnedTeam, OwnedUser,
    Placement, RoleFrom,
};
use entra_sync::model::target::Target;

use crate::apply::insert_sorted;
use crate::build::{group_id, models, name, person_id, ranked, stored, text};
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
                // Odd rows: the role was assigned.
                role_from: match known.row % 2 {
                    0 => RoleFrom::Default,
                    _ => RoleFrom::Assignment,
                },
                subject: None,
                deactivation: Ours::No,
            };
            let person = person_id(known.person);
            owned.people.insert(person, user);
            for team in &known.due {
                let due = owned.due_default_teams.entry(default_team(*team));
                insert_sorted(due.or_default(), person);
            }
        }
        for (person, row) in self.known_groups.iter().flat_map(|group| &group.earlier) {
            let (person, now) = (person_id(*person), owned.people.get(&person_id(*person)));
            let (Some(row), Some(now)) = (self.rows.get(usize::from(*row)), now) else {
                continue;
            };
            let row = OwnedUser {
                user: UserId::new(text(row.id)),
                ..now.clone()
            };
            let earlier = owned.earlier.entry(person).or_default();
            if row.user != now.user && !earlier.contains(&row) {
                earlier.push(row);
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
                let members = self.members(&owned, &known.team_members, &known.earlier);
                owned.team_members.insert(group, members);
            }
            if target
                .organizations
                .contains_key(&OrganizationId::of(group))
            {
                let people = &known.organization_members;
                let members = self.members(&owned, people, &known.earlier);
                owned.organization_members.insert(group, members);
            }
        }
        owned
    }

    /// Of people whom the ledger knows, as the rows that it knows them as, and
    /// of rows that somebody was before.
    fn members(&self, owned: &Owned, people: &[u8], earlier: &[(u8, u8)]) -> Vec<Member> {
        let known = people.iter().filter_map(|person| {
            let person = person_id(*person);
            let user = owned.people.get(&person)?.user.clone();
            Some(Member { user, person })
        });
        let earlier = earlier.iter().filter_map(|(person, row)| {
            let row = self.rows.get(usize::from(*row))?;
            Some(Member {
                user: UserId::new(text(row.id)),
                person: person_id(*person),
            })
        });
        let members: BTreeSet<Member> = known.chain(earlier).collect();
        members.into_iter().collect()
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

//! The ordinary case: people who have a row, a ledger entry that agrees, and
//! managed memberships in all copies. Without it hardly anybody would depart.

use crate::departures::Departure;
use crate::world::{Id, KnownGroup, KnownPerson, PEOPLE, RowSeed, Seed, TeamSeed};

fn ordinary_row(person: u8) -> RowSeed {
    RowSeed {
        id: Id::Person(person),
        sso: None,
        email: None,
        upper: false,
        alias: None,
        role: 1,
        deactivated: false,
        teams: Vec::new(),
    }
}

fn ordinary_team() -> TeamSeed {
    TeamSeed {
        alias: None,
        organization: 0,
        models: 0,
        roster: Vec::new(),
        memberships: Vec::new(),
    }
}

impl Departure {
    pub fn settled_seed(&self) -> Seed {
        let mut seed = self.seed.clone();
        let mut settled = self.settled.clone();
        if let Some((from, to)) = self.handed_on {
            settled.insert(from);
            settled.remove(&to);
        }
        if settled.is_empty() {
            return seed;
        }
        while seed.rows.len() < usize::from(PEOPLE) {
            let person = seed.rows.len() as u8;
            seed.rows.push(ordinary_row(person));
        }
        for person in settled.iter().copied() {
            let row = &mut seed.rows[usize::from(person)];
            row.id = Id::Person(person);
            seed.known_people.push(KnownPerson {
                person,
                row: person,
                created: true,
                alias: None,
                email: None,
                role: Some(row.role).filter(|role| *role < 4),
                due: Vec::new(),
            });
        }
        if let Some((from, to)) = self.handed_on {
            seed.people[usize::from(to)].subject = None;
            for row in &mut seed.rows {
                if row.id == Id::Person(to) {
                    row.id = Id::Person(from);
                }
                row.sso = row.sso.filter(|sso| *sso != Id::Person(to));
            }
            seed.rows[usize::from(from)].sso = None;
            seed.verified.push((to, from));
        }
        while seed.known_groups.len() < seed.groups.len() {
            seed.known_groups.push(KnownGroup {
                team: Some((None, None, false)),
                organization: Some(None),
                team_members: Vec::new(),
                organization_members: Vec::new(),
                earlier: Vec::new(),
            });
        }
        seed.teams
            .resize(seed.known_groups.len().max(seed.teams.len()), None);
        for (group, known) in (0..).zip(&mut seed.known_groups) {
            let team = seed.teams[usize::from(group)].get_or_insert_with(ordinary_team);
            for person in settled.iter().copied() {
                let bit = u16::from(group) * u16::from(PEOPLE) + u16::from(person);
                if self.members & (1 << bit) == 0 {
                    continue;
                }
                known.team_members.push(person);
                team.roster.push((person, false));
                team.memberships.push(person);
                seed.rows[usize::from(person)].teams.push(group);
                let organization = seed.organizations.get_mut(usize::from(group));
                if let Some(Some(organization)) = organization {
                    known.organization_members.push(person);
                    organization.members.push(person);
                }
            }
        }
        seed
    }
}

//! Which objects a plan is about: those that the next pass looks at once more.
//!
//! Invariant: whatever applying the plan may lead to, a second change of the
//! same row or what a login did meanwhile, concerns one of these objects.
//! Must not: name a group for the sake of its members alone; naming a group
//! means looking at everybody in it.

use super::change::{Member, MemberList, Plan};
use super::removal::Removal;
use super::restore::Restoration;
use crate::model::ids::PersonId;
use crate::model::known::Touched;
use crate::model::report::{Kind, Skipped};

impl Plan {
    /// The people and groups that it changes, adopts or forgets, and those that
    /// could not be read; none when it does nothing at all, not even in our own
    /// books, and has nothing to say. `None` when these are not all there are:
    /// something could not be read that is neither, or somebody waits for room
    /// that anybody may make.
    #[must_use]
    pub fn concerned(&self) -> Option<Touched> {
        if self.skipped.iter().any(Skipped::waits_for_room) {
            return None;
        }
        let mut touched = Touched::default();
        for unread in &self.unreadable {
            match unread.kind {
                Kind::User => touched.people.insert(unread.id.parse().ok()?),
                Kind::Group | Kind::Team | Kind::Organization => {
                    touched.groups.insert(unread.id.parse().ok()?)
                }
                _ => return None,
            };
        }
        self.concerned_by_additions(&mut touched);
        self.concerned_by_books(&mut touched);
        for restoration in &self.restorations {
            match restoration {
                Restoration::Reactivation(member) => {
                    touched.people.insert(member.person);
                }
                Restoration::UnblockTeam(group) => {
                    touched.groups.insert(*group);
                }
            }
        }
        for removal in &self.deprovision.verdict.released {
            match removal {
                Removal::TeamMember { member, .. }
                | Removal::OrganizationMember { member, .. }
                | Removal::Deactivation { member, .. }
                | Removal::LowerRole { member, .. } => {
                    touched.people.insert(member.person);
                }
                Removal::BlockTeam { group, .. } | Removal::DeleteTeam { group, .. } => {
                    touched.groups.insert(*group);
                }
            }
        }
        let leftovers = &self.deprovision.leftovers;
        touched
            .groups
            .extend(leftovers.iter().map(|left| left.group));
        Some(touched)
    }

    fn concerned_by_additions(&self, touched: &mut Touched) {
        let organizations = self.organizations.iter().map(|change| change.group());
        let teams = self.teams.iter().map(|change| change.group());
        touched.groups.extend(organizations.chain(teams));
        touched
            .people
            .extend(self.users.iter().map(|change| change.person()));
        let rosters = self.rosters.iter();
        let in_teams = rosters.flat_map(|change| change.add.iter().chain(&change.repair));
        let organizations = self.organization_members.iter();
        let in_organizations = organizations.flat_map(|change| &change.add);
        let in_default_teams = self.default_teams.iter().flat_map(|change| &change.add);
        let members = in_teams.chain(in_organizations).chain(in_default_teams);
        touched.people.extend(members.map(|member| member.person));
    }

    fn concerned_by_books(&self, touched: &mut Touched) {
        let adopted = &self.adopted;
        let teams = adopted.teams.iter().map(|(group, _)| *group);
        let organizations = adopted.organizations.iter().map(|(group, _)| *group);
        touched.groups.extend(teams.chain(organizations));
        let users = adopted.users.iter().map(|(person, _)| *person);
        let joins = adopted.default_teams.iter().map(|(_, person)| *person);
        touched.people.extend(users.chain(joins));
        for lists in [&adopted.team_members, &adopted.organization_members] {
            touched.people.extend(people_of(lists));
        }

        let forgotten = &self.deprovision.forgotten;
        for ended in [&forgotten.team_members, &forgotten.organization_members] {
            touched
                .people
                .extend(ended.iter().map(|(_, member)| member.person));
        }
        let deactivations = forgotten.deactivations.iter();
        let roles = forgotten.roles.iter().map(|(member, _)| member);
        touched
            .people
            .extend(deactivations.chain(roles).map(|member| member.person));
        let blocks = forgotten.blocks.iter().map(|(group, _)| *group);
        touched
            .groups
            .extend(blocks.chain(forgotten.teams.iter().copied()));
    }
}

fn people_of(lists: &[MemberList]) -> impl Iterator<Item = PersonId> {
    let members = lists.iter().flat_map(|list| &list.members);
    members.map(|member: &Member| member.person)
}

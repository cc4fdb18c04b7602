//! What may be taken away, and from whom: only what is managed, only what two
//! complete readings lack, and never what a person decided.

use std::collections::{BTreeMap, BTreeSet};

use entra_sync::model::directory::{Account, AppRole, AppRoleState, Attributes, Group, Principal};
use entra_sync::model::evidence::Whereabouts;
use entra_sync::model::ids::{AppRoleId, GroupId, PersonId, TeamId, UserId};
use entra_sync::model::ledger::{Lifted, Origin, Ours};
use entra_sync::model::policy::{GonePersonPolicy, MembershipPolicy, UnassignedGroupPolicy};
use entra_sync::model::role::{Role, RoleValue};
use entra_sync::model::target::{Activity, Block, StoredRole, TeamRole};
use entra_sync::plan::{Member, Plan, Removal, Restoration, Why, desired};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::build::Universe;
use crate::config;
use crate::departures::{Circumstances, all, departures, plan_of, unguarded};
use crate::whose::is_bound_elsewhere;

fn membership(removal: &Removal) -> Option<(GroupId, PersonId, &UserId, Why)> {
    match removal {
        Removal::TeamMember { group, member, why }
        | Removal::OrganizationMember { group, member, why } => {
            Some((*group, member.person, &member.user, *why))
        }
        _ => None,
    }
}

/// The members that the second reading showed, if it came to its end.
fn second(with: &Circumstances, group: GroupId) -> Option<&[PersonId]> {
    match with.evidence.groups.get(&group) {
        Some(Ok(members)) => Some(members.get()),
        _ => None,
    }
}

fn first(world: &Universe, group: GroupId) -> Option<&[PersonId]> {
    let group = world.directory.groups.get(&group)?;
    group.members.as_ref().ok().map(|members| &**members.get())
}

fn is_managed(lists: &BTreeMap<GroupId, Vec<Member>>, group: GroupId, member: &Member) -> bool {
    lists.get(&group).is_some_and(|list| list.contains(member))
}

/// How LiteLLM's login finds somebody's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// In `user_id` or `sso_user_id`.
    Named,
    Verified,
}

/// Where LiteLLM's login would lead a person, e-mail apart. Of a stranger no
/// more than the object id is known.
fn login(world: &Universe, person: PersonId) -> Option<(Way, &UserId)> {
    let users = &world.target.users;
    let read = world
        .directory
        .people
        .get(&person)
        .map(|read| &read.attributes);
    let subject = match read {
        Some(Attributes::Known(known)) => UserId::new(&*known.subject),
        Some(Attributes::Unknown) | None => UserId::new(person.to_string()),
    };
    if let Some((user, _)) = users.get_key_value(&subject) {
        return Some((Way::Named, user));
    }
    let bound = users
        .iter()
        .find(|(_, row)| row.sso_user_id.as_ref() == Some(&subject));
    if let Some((user, _)) = bound {
        return Some((Way::Named, user));
    }
    let (user, row) = users.get_key_value(world.target.verified_subjects.get(&person)?)?;
    // A row that is bound to somebody is refused to everybody else.
    let is_free = row
        .sso_user_id
        .as_ref()
        .is_none_or(|bound| *bound == subject || *bound.as_str() == person.to_string());
    is_free.then_some((Way::Verified, user))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn only_what_is_managed_is_taken_away(departure in departures()) {
        let (world, with) = departure.build();
        for removal in all(&plan_of(&world, &with)) {
            let owned = &world.owned;
            let ours = match &removal {
                Removal::TeamMember { group, member, .. } => {
                    is_managed(&owned.team_members, *group, member)
                }
                Removal::OrganizationMember { group, member, .. } => {
                    is_managed(&owned.organization_members, *group, member)
                }
                Removal::Deactivation { member, .. } => {
                    owned.known(member.person, &member.user).is_some()
                }
                Removal::LowerRole { member, before, .. } => {
                    let known = &owned.people[&member.person];
                    known.user == member.user
                        && known.role == Some(*before)
                        && world.target.users[&member.user].role == StoredRole::Role(*before)
                }
                // Adopted teams are detached at most.
                Removal::BlockTeam { group, .. } | Removal::DeleteTeam { group, .. } => {
                    owned.teams[group].origin == Origin::Created
                }
            };
            prop_assert!(ours, "{:?}", removal);
        }
    }

    #[test]
    fn whoever_is_in_either_reading_stays(departure in departures()) {
        let (world, with) = departure.build();
        for removal in all(&plan_of(&world, &with)) {
            let Some((group, person, _, why)) = membership(&removal) else { continue };
            if why == Why::GroupUnassigned {
                continue;
            }
            let (first, second) = (first(&world, group), second(&with, group));
            prop_assert!(first.is_some_and(|list| !list.contains(&person)), "{:?}", removal);
            prop_assert!(second.is_some_and(|list| !list.contains(&person)), "{:?}", removal);
        }
    }

    /// A row may have become another person's since: somebody was hired again,
    /// or a subject was handed on.
    #[test]
    fn what_somebody_else_is_there_for_stays(departure in departures()) {
        let (world, with) = departure.build();
        let plan = plan_of(&world, &with);
        let after = world.after(&world.plan())?;
        let known = |person: PersonId, user: &UserId| {
            let is_known = after.owned.people.get(&person).is_some_and(|known| known.user == *user);
            let member = Member { user: user.clone(), person };
            // The row's own word goes before the ledger's.
            is_known && !is_bound_elsewhere(&after, &member)
        };
        for removal in all(&plan) {
            match &removal {
                Removal::TeamMember { .. } | Removal::OrganizationMember { .. } => {
                    let Some((group, _, user, Why::LeftGroup | Why::Purged)) =
                        membership(&removal) else { continue };
                    let members = first(&world, group).unwrap_or_default().iter();
                    for other in members.chain(second(&with, group).unwrap_or_default()) {
                        let member = Member { user: user.clone(), person: *other };
                        let theirs = matches!(login(&world, *other), Some((_, row)) if row == user)
                            && !is_bound_elsewhere(&world, &member);
                        prop_assert!(!theirs, "{:?}: the login of {}", removal, other);
                        prop_assert!(!known(*other, user), "{:?} of {}", removal, other);
                    }
                }
                Removal::Deactivation { member, .. } | Removal::LowerRole { member, .. } => {
                    let way = |person| {
                        let (way, row) = login(&world, person)?;
                        (*row == member.user).then_some(way)
                    };
                    let verified = &world.target.verified_subjects;
                    let speaks = world.directory.people.contains_key(&member.person)
                        || verified.get(&member.person) == Some(&member.user);
                    let theirs = speaks.then(|| way(member.person)).flatten();
                    let strangers = verified.iter();
                    let strangers = strangers.filter(|(_, row)| **row == member.user);
                    let strangers = strangers.map(|(other, _)| other);
                    for other in world.directory.people.keys().chain(strangers) {
                        if *other == member.person {
                            continue;
                        }
                        // Of two names in one row either may speak for it.
                        let surer = theirs.is_some_and(|theirs| {
                            theirs == Way::Named || way(*other) == Some(Way::Verified)
                        });
                        let anothers = way(*other).is_some() && !surer;
                        prop_assert!(!anothers, "{:?} of {}", removal, other);
                    }
                }
                Removal::BlockTeam { .. } | Removal::DeleteTeam { .. } => {}
            }
        }
    }

    #[test]
    fn who_may_come_back_or_is_not_known_keeps_memberships(departure in departures()) {
        let (world, with) = departure.build();
        for removal in all(&plan_of(&world, &with)) {
            let Some((_, person, _, why)) = membership(&removal) else { continue };
            let seen = with.evidence.people.get(&person);
            prop_assert!(
                why == Why::GroupUnassigned
                    || matches!(seen, Some(Whereabouts::Present(_) | Whereabouts::Purged)),
                "{:?} of somebody who is {:?}", removal, seen
            );
        }
    }

    #[test]
    fn access_ends_only_by_an_explicit_word(departure in departures()) {
        let (world, with) = departure.build();
        for removal in all(&plan_of(&world, &with)) {
            let Removal::Deactivation { member, why, .. } = &removal else { continue };
            let read = world.directory.people.get(&member.person).map(|read| &read.attributes);
            let seen = with.evidence.people.get(&member.person);
            // Disabled is seen by the reading, or by the look-up alone of whom it
            // lacks; what was read is never enough, as it may be old.
            let may_be = match read {
                None => true,
                Some(Attributes::Known(known)) => known.account == Account::Disabled,
                Some(Attributes::Unknown) => false,
            };
            let (word, policy) = match why {
                Why::Disabled => (
                    Whereabouts::Present(Account::Disabled),
                    with.deprovision.disabled_user,
                ),
                Why::SoftDeleted => (Whereabouts::SoftDeleted, with.deprovision.deleted_user),
                Why::Purged => (Whereabouts::Purged, with.deprovision.deleted_user),
                Why::LeftGroup | Why::GroupUnassigned => {
                    return Err(TestCaseError::fail(format!("{removal:?}")));
                }
            };
            let said = may_be && seen == Some(&word);
            prop_assert!(said && policy == GonePersonPolicy::Deactivate, "{:?}", removal);
        }
    }

    /// Access goes before anything else: whether it has to must be known first.
    #[test]
    fn whoever_cannot_be_looked_up_keeps_everything(departure in departures()) {
        let (world, with) = departure.build();
        let unknown = |person: &PersonId| {
            matches!(with.evidence.people.get(person), Some(Whereabouts::Unknown(_)))
        };
        for removal in all(&plan_of(&world, &with)) {
            if let Some(person) = removal.person() {
                prop_assert!(!unknown(&person), "{:?}", removal);
            }
            if let Removal::DeleteTeam { group, .. } = &removal {
                let members = world.owned.team_members.get(group).into_iter().flatten();
                let stays = members.map(|member| member.person).find(unknown);
                prop_assert_eq!(stays, None, "{:?}", removal);
            }
        }
    }

    /// A role that a group gave is as much in doubt as the membership.
    #[test]
    fn a_role_that_either_reading_gives_stays(departure in departures()) {
        let (world, with) = departure.build();
        let defined = |roles: &BTreeMap<AppRoleId, AppRole>, id| {
            let role = roles.get(&id).filter(|role| role.state == AppRoleState::Enabled)?;
            match RoleValue::read(role.value.as_deref()) {
                RoleValue::Role(role) => Some(role),
                _ => None,
            }
        };
        let role_of = |id| {
            let again = defined(&with.evidence.roles, id);
            defined(&world.directory.roles, id).max(again)
        };
        for removal in all(&plan_of(&world, &with)) {
            let Removal::LowerRole { member, after, .. } = &removal else { continue };
            let person = member.person;
            let again = with.evidence.assignments.as_ref().and_then(|list| list.as_ref().ok());
            prop_assert!(again.is_some(), "not read again: {:?}", removal);
            let lists = [Some(&world.directory.assignments), again];
            for assignment in lists.into_iter().flatten().flat_map(|list| list.get()) {
                let Some(role) = role_of(assignment.role).filter(|role| role > after) else {
                    continue;
                };
                match assignment.principal {
                    Principal::Person(other) => prop_assert!(other != person, "{:?}", removal),
                    Principal::Group(group) => {
                        // A transitive member is none of those who get the
                        // role, but only if both direct lists say so.
                        let read = world.directory.groups.get(&group);
                        let bears = read.and_then(Group::role_bearers);
                        let bears = bears.is_some_and(|bears| bears.contains(&person));
                        let again = with.evidence.role_bearers(group);
                        let again = again.and_then(|again| again.as_ref().ok());
                        let shown = again.map(|again| again.get().contains(&person));
                        prop_assert!(
                            !bears && shown == Some(false),
                            "{:?} although {} may give {}", removal, group, role
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_filtered_pass_takes_memberships_at_most(departure in departures()) {
        let (world, with) = departure.build();
        if world.scope.is_everything() {
            return Ok(());
        }
        for removal in all(&plan_of(&world, &with)) {
            let Some((group, person, _, why)) = membership(&removal) else {
                return Err(TestCaseError::fail(format!("{removal:?}")));
            };
            prop_assert!(why != Why::GroupUnassigned, "{:?}", removal);
            prop_assert!(world.scope.covers_group(group) && world.scope.covers_person(person));
        }
    }

    #[test]
    fn administrators_of_somebodys_making_stay(departure in departures()) {
        let (world, with) = departure.build();
        let roles = desired(world.world(), &mut Plan::default()).roles;
        for removal in all(&plan_of(&world, &with)) {
            match &removal {
                Removal::TeamMember { group, member, .. } => {
                    let roster = &world.target.teams[&TeamId::of(*group)].roster;
                    let admin = roster.iter().any(|entry| {
                        entry.user == member.user && entry.role == TeamRole::Admin
                    });
                    prop_assert!(!admin, "{:?}", removal);
                }
                Removal::Deactivation { member, .. } | Removal::LowerRole { member, .. } => {
                    prop_assert!(world.policy.proxy_admin.as_ref() != Some(&member.user));
                    let row = &world.target.users[&member.user];
                    let known = world.owned.known(member.person, &member.user);
                    // Or a login wrote first what Entra wants.
                    let wanted = roles.get(&member.person) == Some(&Role::ProxyAdmin);
                    let ours = known.and_then(|known| known.role);
                    let ours = ours.is_some_and(|role| role == Role::ProxyAdmin || wanted);
                    prop_assert!(ours || row.role != StoredRole::Role(Role::ProxyAdmin));
                }
                _ => {}
            }
        }
    }

    #[test]
    fn frozen_and_unread_groups_lose_nothing(departure in departures()) {
        let (world, with) = departure.build();
        for removal in all(&plan_of(&world, &with)) {
            let Some(group) = removal.group() else { continue };
            prop_assert!(world.policy.groups.admits(group), "{:?}", removal);
            prop_assert!(world.scope.covers_group(group), "{:?}", removal);
            match world.directory.groups.get(&group) {
                Some(group) => prop_assert!(group.members.is_ok(), "{:?}", removal),
                None => {
                    let list = with.evidence.assignments.as_ref();
                    let list = list.and_then(|list| list.as_ref().ok()).map(|list| list.get());
                    let named = |list: &Vec<entra_sync::model::directory::Assignment>| {
                        list.iter().any(|row| row.principal == Principal::Group(group))
                    };
                    prop_assert!(list.is_some_and(|list| !named(list)), "{:?}", removal);
                }
            }
        }
    }

    #[test]
    fn access_comes_back_to_whom_it_was_taken_from(departure in departures()) {
        let (world, with) = departure.build();
        let account = |person| {
            let read = world.directory.people.get(&person)?;
            match &read.attributes {
                Attributes::Known(known) => Some(known.account),
                Attributes::Unknown => None,
            }
        };
        for restoration in plan_of(&world, &with).restorations {
            let Restoration::Reactivation(member) = &restoration else { continue };
            let known = world.owned.known(member.person, &member.user);
            prop_assert_eq!(known.map(|known| known.deactivation), Some(Ours::Yes));
            let looked_up = || match world.directory.people.get(&member.person) {
                None => with.evidence.people.get(&member.person),
                Some(_) => None,
            };
            prop_assert!(
                account(member.person) == Some(Account::Enabled)
                    || looked_up() == Some(&Whereabouts::Present(Account::Enabled)),
                "{:?}", restoration
            );
            let owner = world.owned.people.keys().find(|person| {
                person.to_string() == *member.user.as_str() && **person != member.person
            });
            let disabled = owner.is_some_and(|owner| account(*owner) == Some(Account::Disabled));
            prop_assert!(!disabled, "{:?} is the row of {:?}", restoration, owner);
        }
    }

    #[test]
    fn the_settings_have_their_way(departure in departures()) {
        let (world, with) = departure.build();
        let settings = &with.deprovision;
        for removal in all(&plan_of(&world, &with)) {
            let unassigned = settings.unassigned_group;
            match &removal {
                Removal::TeamMember { why, .. } | Removal::OrganizationMember { why, .. } => {
                    prop_assert!(settings.membership == MembershipPolicy::Remove);
                    prop_assert!(
                        *why != Why::GroupUnassigned || unassigned != UnassignedGroupPolicy::Keep
                    );
                }
                Removal::BlockTeam { .. } => {
                    prop_assert_eq!(unassigned, UnassignedGroupPolicy::Block);
                }
                Removal::DeleteTeam { .. } => {
                    prop_assert_eq!(unassigned, UnassignedGroupPolicy::Delete);
                }
                Removal::Deactivation { .. } | Removal::LowerRole { .. } => {}
            }
        }
    }

    /// What a roster that cannot be read says is not that nobody is on it.
    #[test]
    fn what_could_not_be_read_stays_ours(departure in departures()) {
        let (world, with) = departure.build();
        for (group, member) in plan_of(&world, &with).deprovision.forgotten.team_members {
            let there = world.target.users.contains_key(&member.user);
            let broken = world.target.broken_teams.contains_key(&TeamId::of(group));
            prop_assert!(!there || !broken, "{} {:?}", group, member);
        }
    }

    #[test]
    fn nothing_is_taken_twice_and_each_thing_is_there(departure in departures()) {
        let (world, with) = departure.build();
        let removals = all(&plan_of(&world, &with));
        let keys: BTreeSet<String> = removals.iter().map(Removal::key).collect();
        prop_assert_eq!(keys.len(), removals.len(), "{:?}", removals);
        for removal in &removals {
            match removal {
                Removal::Deactivation { member, .. } => prop_assert_eq!(
                    world.target.users[&member.user].activity, Activity::Active
                ),
                Removal::BlockTeam { group, .. } => {
                    prop_assert_eq!(world.target.teams[&TeamId::of(*group)].block, Block::Open);
                    // Somebody who ended a block of ours did not mean once.
                    let owned = &world.owned.teams[group];
                    prop_assert_eq!((owned.block, owned.lifted), (Ours::No, Lifted::No));
                }
                _ => {}
            }
        }
    }
}

/// The laws above would hold in a world from which nobody ever departs.
#[test]
fn the_worlds_show_removals_of_every_kind() {
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..6_000 {
        let tree = departures().new_tree(&mut runner).expect("a world");
        let (world, with) = tree.current().build();
        for removal in all(&plan_of(&world, &unguarded(&with))) {
            let kind = format!("{removal:?}");
            let kind = kind.split([' ', '{']).next().unwrap_or_default().to_owned();
            let why = membership(&removal).map(|(_, _, _, why)| why);
            *seen.entry(format!("{kind} {why:?}")).or_default() += 1;
        }
    }
    for kind in [
        "TeamMember Some(LeftGroup)",
        "TeamMember Some(Purged)",
        "TeamMember Some(GroupUnassigned)",
        "OrganizationMember Some(LeftGroup)",
        "Deactivation None",
        "LowerRole None",
        "BlockTeam None",
        "DeleteTeam None",
    ] {
        assert!(seen.get(kind) > Some(&20), "{kind}: {seen:#?}");
    }
}

/// The law about what somebody else is there for would hold as well if no row
/// were anybody's by a verified login alone.
#[test]
fn the_worlds_show_rows_that_a_verified_login_keeps() {
    let mut runner = TestRunner::deterministic();
    let mut kept: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..2_000 {
        let tree = departures().new_tree(&mut runner).expect("a world");
        let (world, with) = tree.current().build();
        let planned = all(&plan_of(&world, &unguarded(&with)));
        let mut unverified = world.clone();
        unverified.target.verified_subjects.clear();
        for removal in all(&plan_of(&unverified, &unguarded(&with))) {
            let verified = world.target.verified_subjects.keys().any(|other| {
                Some(*other) != removal.person()
                    && matches!(
                        login(&world, *other),
                        Some((Way::Verified, row)) if Some(row) == removal.user()
                    )
            });
            if verified && planned.iter().all(|other| other.key() != removal.key()) {
                let kind = format!("{removal:?}");
                let kind = kind.split([' ', '{']).next().unwrap_or_default().to_owned();
                *kept.entry(kind).or_default() += 1;
            }
        }
    }
    for kind in ["TeamMember", "Deactivation", "LowerRole"] {
        assert!(kept.get(kind) > Some(&2), "{kind}: {kept:#?}");
    }
}

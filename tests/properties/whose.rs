//! Whose a row is, and whose doing what it holds: the row's own word goes before
//! the ledger's, and what somebody else did since is theirs.

use entra_sync::model::directory::Attributes;
use entra_sync::model::evidence::Whereabouts;
use entra_sync::model::ids::{PersonId, UserId};
use entra_sync::model::ledger::{Member, Ours, RoleFrom};
use entra_sync::model::policy::GonePersonPolicy;
use entra_sync::model::role::Role;
use entra_sync::model::target::{Activity, StoredRole};
use entra_sync::plan::{Plan, Removal, Restoration, desired};
use proptest::prelude::*;

use crate::build::Universe;
use crate::config;
use crate::departures::{all, departures, plan_of, unguarded};

/// Whether the row says that it is somebody else's.
pub fn is_bound_elsewhere(world: &Universe, member: &Member) -> bool {
    let Some(bound) = &world.target.users[&member.user].sso_user_id else {
        return false;
    };
    let known = world.owned.known(member.person, &member.user);
    let remembered = known.and_then(|known| known.subject.as_ref());
    let read = world.directory.people.get(&member.person);
    let subject = read.and_then(|read| match &read.attributes {
        Attributes::Known(known) => Some(UserId::new(&*known.subject)),
        Attributes::Unknown => None,
    });
    bound.as_str() != member.person.to_string()
        && Some(bound) != remembered
        && Some(bound) != subject.as_ref()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nobodys_access_or_role_moves_because_of_somebody_else(departure in departures()) {
        let (world, with) = departure.build();
        let plan = plan_of(&world, &with);
        for removal in all(&plan) {
            if let Removal::Deactivation { member, .. } | Removal::LowerRole { member, .. } = &removal {
                prop_assert!(!is_bound_elsewhere(&world, member), "{:?}", removal);
            }
        }
        for restoration in &plan.restorations {
            if let Restoration::Reactivation(member) = restoration {
                prop_assert!(!is_bound_elsewhere(&world, member), "{:?}", restoration);
            }
        }
    }

    /// Whoever else the ledger takes for the same row.
    #[test]
    fn a_row_that_names_somebody_who_is_gone_is_ended(departure in departures()) {
        let (world, with) = departure.build();
        let all_known = world.directory.people.values();
        let mut all_known = all_known.map(|read| matches!(read.attributes, Attributes::Known(_)));
        if !world.scope.is_everything()
            || with.deprovision.deleted_user == GonePersonPolicy::Keep
            || !all_known.all(|known| known)
        {
            return Ok(());
        }
        let planned = all(&plan_of(&world, &unguarded(&with)));
        let ended = |user: &UserId| planned.iter().any(|removal| {
            matches!(removal, Removal::Deactivation { .. }) && removal.user() == Some(user)
        });
        let is_gone = |person: &PersonId| {
            with.evidence.people.get(person) == Some(&Whereabouts::Purged)
                && !world.directory.people.contains_key(person)
                && !world.directory.unread_people.contains_key(person)
        };
        for (person, known) in world.owned.people.iter().filter(|(person, _)| is_gone(person)) {
            let names_them = known.user.as_str() == person.to_string();
            let Some(row) = world.target.users.get(&known.user).filter(|_| names_them) else {
                continue;
            };
            let is_ordinary = row.sso_user_id.as_ref() == Some(&known.user)
                && row.activity == Activity::Active
                && row.role != StoredRole::Role(Role::ProxyAdmin)
                && world.policy.proxy_admin.as_ref() != Some(&known.user);
            prop_assert!(!is_ordinary || ended(&known.user), "{}", known.user);
        }
    }

    #[test]
    fn what_somebody_ended_or_changed_is_ours_no_more(departure in departures()) {
        let (world, with) = departure.build();
        if !world.scope.is_everything() {
            return Ok(());
        }
        let wanted = desired(world.world(), &mut Plan::default()).roles;
        let all_read = world.directory.groups.values().all(|group| group.members.is_ok());
        let after = world.after(&plan_of(&world, &with))?;
        for (person, known) in after.owned.rows() {
            let row = after.target.users.get(&known.user);
            let deactivated = row.is_some_and(|row| row.activity == Activity::Deactivated);
            prop_assert!(known.deactivation == Ours::No || deactivated, "{} {:?}", person, known);
        }
        for (person, known) in &after.owned.people {
            let Some(role) = known.role else { continue };
            // What this pass does to somebody else's row, the next finds out.
            let people = after.owned.people.values();
            if people.filter(|other| other.user == known.user).count() > 1 {
                continue;
            }
            let row = after.target.users.get(&known.user);
            let held = row.is_some_and(|row| match row.role {
                // A login may have written what Entra wants.
                StoredRole::Role(now) => {
                    now == role || wanted.get(person) == Some(&now) || !all_read
                }
                _ => false,
            });
            prop_assert!(held, "{} {:?} {:?}", person, known, row);
        }
    }

    /// The default is for new users: nobody loses it to another one.
    #[test]
    fn only_who_had_an_app_role_or_has_one_is_lowered(departure in departures()) {
        let (world, with) = departure.build();
        let wanted = desired(world.world(), &mut Plan::default()).roles;
        for removal in all(&plan_of(&world, &with)) {
            let Removal::LowerRole { member, .. } = &removal else { continue };
            let known = &world.owned.people[&member.person];
            prop_assert!(
                known.role_from == RoleFrom::Assignment || wanted.contains_key(&member.person),
                "{:?}", removal
            );
        }
    }
}

//! How long deciding takes: the pure part of a pass, without Graph and without
//! a database. Figures for people; nothing asserts them.
//!
//!     cargo bench --bench plan
//!
//! Each tenant has a group for every fifty people, and everybody is in ten.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use divan::Bencher;
use entra_sync::model::complete::{Complete, LastPage};
use entra_sync::model::defaults::{TeamDefaults, UserDefaults};
use entra_sync::model::directory::{
    Account, Assignment, Attributes, Directory, Group, Person, PersonAttributes, Principal,
    ReadingCost,
};
use entra_sync::model::evidence::Evidence;
use entra_sync::model::ids::{AppRoleId, GroupId, PersonId, TeamId, UserId};
use entra_sync::model::ledger::{
    Decisions, LastWritten, Member, Origin, Ours, Owned, OwnedUser, Placement, Recent, RoleFrom,
};
use entra_sync::model::policy::{
    DeprovisionSettings, EmailAdoption, GonePersonPolicy, GroupFilter, GuardSettings, Limit,
    MembershipPolicy, Organizations, Policy, Scope, UnassignedGroupPolicy,
};
use entra_sync::model::role::Role;
use entra_sync::model::target::{
    Activity, RosterEntry, StoredRole, Target, TeamRole, TeamRow, UserRow,
};
use entra_sync::plan::{self, Plan, Removals, World, created_team};
use uuid::Uuid;

const TENANTS: [u64; 3] = [1_000, 10_000, 100_000];
const GROUPS_OF_A_PERSON: u64 = 10;
const PEOPLE_FOR_A_GROUP: u64 = 50;

fn main() {
    divan::main();
}

/// Nothing is in LiteLLM yet: everything is added.
#[divan::bench(args = TENANTS, sample_count = 10)]
fn first_plan(bencher: Bencher<'_, '_>, people: u64) {
    let tenant = Tenant::empty(people);
    bencher.bench_local(|| tenant.plan());
}

/// Everything is as it should be.
#[divan::bench(args = TENANTS, sample_count = 10)]
fn unchanged_plan(bencher: Bencher<'_, '_>, people: u64) {
    let tenant = Tenant::settled(people);
    let plan = tenant.plan();
    assert_eq!(plan.counts().total(), 0, "{}", plan.digest());
    bencher.bench_local(|| tenant.plan());
}

/// What has to be looked at again when one in a hundred has left a group.
#[divan::bench(args = TENANTS, sample_count = 10)]
fn questions_about_leavers(bencher: Bencher<'_, '_>, people: u64) {
    let mut tenant = Tenant::settled(people);
    tenant.lose_members();
    bencher.bench_local(|| plan::questions(tenant.world(), &tenant.deprovision));
}

/// The same, decided: some leave, and the guard weighs them.
#[divan::bench(args = TENANTS, sample_count = 10)]
fn plan_with_leavers(bencher: Bencher<'_, '_>, people: u64) {
    let mut tenant = Tenant::settled(people);
    tenant.lose_members();
    bencher.bench_local(|| tenant.plan());
}

struct Tenant {
    directory: Directory,
    target: Target,
    owned: Owned,
    policy: Policy,
    scope: Scope,
    deprovision: DeprovisionSettings,
    guard: GuardSettings,
}

fn person(number: u64) -> PersonId {
    // Spread over the whole range, as real ids are.
    let spread = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    PersonId::new(Uuid::from_u128(spread))
}

fn group(number: u64) -> GroupId {
    GroupId::new(Uuid::from_u128(0x9999_0000 + u128::from(number)))
}

fn email(number: u64) -> Box<str> {
    format!("person-{number}@contoso.example.com").into()
}

fn alias(number: u64) -> Box<str> {
    format!("Person {number}").into()
}

fn whole<T>(list: T) -> Complete<T> {
    let end = LastPage::seen(None).expect("a page without successor is the last");
    Complete::proven(list, end)
}

/// Whom a group holds: everybody is in ten groups.
fn members(number: u64, groups: u64, people: u64) -> Vec<u64> {
    let stride = (groups / GROUPS_OF_A_PERSON).max(1);
    (0..people)
        .filter(|person| person % stride == number % stride)
        .collect()
}

impl Tenant {
    fn empty(people: u64) -> Self {
        let groups = people / PEOPLE_FOR_A_GROUP;
        let default_access = AppRoleId::new(Uuid::nil());
        let assignments = (0..groups).map(|number| Assignment {
            principal: Principal::Group(group(number)),
            role: default_access,
        });
        let directory = Directory {
            roles: BTreeMap::new(),
            assignments: whole(assignments.collect()),
            groups: (0..groups)
                .map(|number| {
                    let members = members(number, groups, people).into_iter().map(person);
                    let members: BTreeSet<PersonId> = members.collect();
                    let group_read = Group {
                        display_name: Some(format!("Group {number}")),
                        members: Ok(whole(members.into_iter().collect())),
                        direct_members: None,
                        other_members: 0,
                    };
                    (group(number), group_read)
                })
                .collect(),
            people: (0..people)
                .map(|number| {
                    let attributes = PersonAttributes {
                        subject: person(number).to_string().into(),
                        email: Some(email(number)),
                        also_known_as: Box::default(),
                        alias: Some(alias(number)),
                        account: Account::Enabled,
                    };
                    let attributes = Attributes::Known(Box::new(attributes));
                    (person(number), Person { attributes })
                })
                .collect(),
            unread_people: BTreeMap::new(),
            cost: ReadingCost::default(),
        };
        Self {
            directory,
            target: Target::default(),
            owned: Owned::default(),
            policy: policy(),
            scope: Scope::default(),
            deprovision: DeprovisionSettings {
                membership: MembershipPolicy::Remove,
                unassigned_group: UnassignedGroupPolicy::Detach,
                disabled_user: GonePersonPolicy::Deactivate,
                deleted_user: GonePersonPolicy::Deactivate,
                grace: Duration::ZERO,
            },
            guard: GuardSettings {
                max_removals: 100,
                max_removal_percent: 10,
                min_managed: 20,
                window: Duration::from_secs(3_600),
            },
        }
    }

    /// LiteLLM and the ledger as a pass leaves them.
    fn settled(people: u64) -> Self {
        let mut tenant = Self::empty(people);
        let groups = people / PEOPLE_FOR_A_GROUP;
        let users: Vec<UserId> = (0..people)
            .map(|number| UserId::new(person(number).to_string()))
            .collect();
        let mut teams_of: Vec<Vec<TeamId>> = vec![Vec::new(); users.len()];
        for number in 0..groups {
            let team = TeamId::of(group(number));
            let mut list: Vec<Member> = Vec::new();
            for member in members(number, groups, people) {
                let place = usize::try_from(member).expect("64 bits");
                teams_of[place].push(team.clone());
                list.push(Member {
                    user: users[place].clone(),
                    person: person(member),
                });
            }
            list.sort_unstable();
            let row = TeamRow {
                alias: Some(format!("Group {number}")),
                roster: list
                    .iter()
                    .map(|member| RosterEntry {
                        user: member.user.clone(),
                        role: TeamRole::User,
                    })
                    .collect(),
                memberships: list.iter().map(|member| member.user.clone()).collect(),
                ..TeamRow::default()
            };
            tenant.target.teams.insert(team, row);
            let owned = created_team(Some(format!("Group {number}")), None, Placement::Settled);
            tenant.owned.teams.insert(group(number), owned);
            tenant.owned.team_members.insert(group(number), list);
        }
        for ((number, user), mut teams) in (0..).zip(users).zip(teams_of) {
            teams.sort_unstable();
            let row = UserRow {
                sso_user_id: Some(user.clone()),
                email: Some(email(number)),
                alias: Some(alias(number)),
                role: StoredRole::Role(Role::InternalUserViewer),
                activity: Activity::Active,
                teams,
            };
            tenant.target.users.insert(user.clone(), row);
            let owned = OwnedUser {
                user,
                origin: Origin::Created,
                alias: LastWritten::Value(alias(number)),
                email: LastWritten::Value(email(number)),
                subject: None,
                role: Some(Role::InternalUserViewer),
                role_from: RoleFrom::Default,
                deactivation: Ours::No,
            };
            tenant.owned.people.insert(person(number), owned);
        }
        tenant.target.billable_users = people;
        tenant.target.team_count = groups;
        tenant
    }

    /// Every group loses every hundredth of its members.
    fn lose_members(&mut self) {
        for group in self.directory.groups.values_mut() {
            let members = group.members.as_ref().expect("it was read").get();
            let stay = (1..).zip(members).filter(|(place, _)| place % 100 != 0);
            group.members = Ok(whole(stay.map(|(_, person)| *person).collect()));
        }
    }

    fn world(&self) -> World<'_> {
        World {
            directory: &self.directory,
            target: &self.target,
            owned: &self.owned,
            policy: &self.policy,
            scope: &self.scope,
        }
    }

    fn plan(&self) -> Plan {
        let removals = Removals {
            deprovision: &self.deprovision,
            guard: &self.guard,
            evidence: &Evidence::default(),
            waiting: &BTreeMap::new(),
            decisions: &Decisions::default(),
            recent: &Recent::default(),
            now: DateTime::<Utc>::UNIX_EPOCH,
        };
        plan::plan(self.world(), removals)
    }
}

fn policy() -> Policy {
    Policy {
        organizations: Organizations::Off,
        email_adoption: EmailAdoption::Forbidden,
        seats: Limit::Unlimited,
        teams: Limit::Unlimited,
        proxy_admin: None,
        groups: GroupFilter::default(),
        email_domains: None,
        team_defaults: TeamDefaults::default(),
        user_defaults: UserDefaults::default(),
    }
}

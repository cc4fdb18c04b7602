//! A plan's steps: the smallest things that one transaction may do, in the order
//! in which `sync::write` does them.

use entra_sync::model::ids::{GroupId, PersonId, TeamId, UserId};
use entra_sync::model::ledger::OwnedUser;
use entra_sync::plan::{
    Adopted, DefaultTeamChange, Forgotten, Member, OrganizationChange, Plan, Removal, Restoration,
    TeamChange, UserChange,
};

/// The smallest thing that one transaction may do.
#[derive(Debug, Clone)]
pub enum Step {
    Organization(OrganizationChange),
    Team(TeamChange),
    /// With the default teams that a new user has still to join.
    User(UserChange, Vec<TeamId>),
    TeamMember(GroupId, Member),
    DefaultTeam(DefaultTeamChange, Member),
    OrganizationMember(GroupId, Member),
    GiveBack(Restoration),
    Take(Removal),
    /// A user's `teams` name a team that nothing else has them in.
    Clear(GroupId, UserId),
    /// One kind of adoption: they touch the ledger only.
    Adopt(Box<Adopted>),
    /// What is no longer ours: likewise.
    Note(Box<Forgotten>),
}

/// A plan's steps, in the order in which they are written.
pub fn steps(plan: &Plan) -> Vec<Step> {
    woven(plan, 0)
}

/// The same. Teams and organizations do not wait for each other when their
/// members are written: each bit that is set lets the organizations go first
/// once.
pub fn woven(plan: &Plan, weave: u64) -> Vec<Step> {
    let is_end = |removal: &&Removal| matches!(removal, Removal::Deactivation { .. });
    let released = &plan.deprovision.verdict.released;
    let (ended, taken): (Vec<&Removal>, Vec<&Removal>) = released.iter().partition(is_end);
    let take = |removal: &Removal| Step::Take(removal.clone());
    let mut steps: Vec<Step> = Vec::new();
    steps.extend(plan.restorations.iter().cloned().map(Step::GiveBack));
    steps.extend(ended.into_iter().map(take));
    steps.extend(plan.organizations.iter().cloned().map(Step::Organization));
    steps.extend(plan.teams.iter().cloned().map(Step::Team));
    steps.push(met(plan.newly_met().collect()));
    steps.push(met(plan.adopted.users.clone()));
    steps.extend(users(plan));
    steps.extend(members(plan, weave));
    steps.extend(cleared(plan));
    steps.extend(adoptions(&plan.adopted));
    steps.extend(taken.into_iter().map(take));
    let forgotten = plan.deprovision.forgotten.clone();
    steps.push(Step::Note(Box::new(forgotten)));
    steps
}

/// Before anything that may be refused, so that what is theirs then is managed.
fn met(users: Vec<(PersonId, OwnedUser)>) -> Step {
    let nothing = Adopted::default();
    Step::Adopt(Box::new(Adopted { users, ..nothing }))
}

fn users(plan: &Plan) -> impl Iterator<Item = Step> {
    plan.users.iter().map(|change| {
        let due = match change {
            UserChange::Create { person, .. } => plan
                .default_teams
                .iter()
                .filter(|team| team.add.iter().any(|member| member.person == *person))
                .map(|change| change.team.team.clone())
                .collect(),
            UserChange::Update { .. } => Vec::new(),
        };
        Step::User(change.clone(), due)
    })
}

fn members(plan: &Plan, weave: u64) -> Vec<Step> {
    let rosters = plan.rosters.iter().flat_map(|change| {
        let members = change.add.iter().chain(&change.repair).cloned();
        members.map(|member| Step::TeamMember(change.group, member))
    });
    let defaults = plan.default_teams.iter().flat_map(|change| {
        let members = change.add.iter().cloned();
        members.map(|member| Step::DefaultTeam(change.clone(), member))
    });
    let in_organizations = plan.organization_members.iter().flat_map(|change| {
        let members = change.add.iter().cloned();
        members.map(|member| Step::OrganizationMember(change.group, member))
    });
    let mut in_teams = rosters.chain(defaults).peekable();
    let mut in_organizations = in_organizations.peekable();
    let mut bits = (0..64).map(|bit| weave & (1 << bit) != 0);
    let mut steps = Vec::new();
    while in_teams.peek().is_some() || in_organizations.peek().is_some() {
        let next = match bits.next() {
            Some(true) => in_organizations.next().or_else(|| in_teams.next()),
            _ => in_teams.next().or_else(|| in_organizations.next()),
        };
        steps.extend(next);
    }
    steps
}

fn cleared(plan: &Plan) -> impl Iterator<Item = Step> {
    plan.deprovision.leftovers.iter().flat_map(|leftover| {
        let users = leftover.users.iter().cloned();
        users.map(|user| Step::Clear(leftover.group, user))
    })
}

/// Each kind is written by itself.
fn adoptions(adopted: &Adopted) -> impl Iterator<Item = Step> {
    let Adopted {
        teams,
        organizations,
        users: _,
        team_members,
        organization_members,
        default_teams,
        first_seen: _,
    } = adopted.clone();
    let nothing = Adopted::default;
    [
        Adopted { teams, ..nothing() },
        Adopted {
            organizations,
            ..nothing()
        },
        Adopted {
            team_members,
            ..nothing()
        },
        Adopted {
            organization_members,
            ..nothing()
        },
        Adopted {
            default_teams,
            ..nothing()
        },
    ]
    .into_iter()
    .map(|adopted| Step::Adopt(Box::new(adopted)))
}

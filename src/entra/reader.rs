//! One whole reading of the directory, in the order of design 2.4.
//!
//! Invariant: without the service principal and the whole assignment list
//! there is no reading; a group that cannot be read says why and leaves the
//! others alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Mutex, Once, PoisonError};

use futures::{StreamExt, TryStreamExt, stream};

use super::assigned::{self, Application};
use super::error::Error;
use super::line::{Line, Questions};
use super::members::{Expansion, RoleThroughGroup, read_group};
use super::meter::Meter;
use super::objects::{GroupObject, group_objects};
use super::pace::Pace;
use super::people::{Register, read_people};
use super::progress::Progress;
use super::queue::Priority;
use crate::config::EntraSettings;
use crate::model::complete::Complete;
use crate::model::directory::{
    AppRole, AppRoleState, Assignment, Directory, Group, Principal, Unread,
};
use crate::model::ids::{AppRoleId, GroupId, PersonId};
use crate::model::policy::Scope;

/// Reads one Enterprise Application's directory. Keeps its connections, its
/// token and its throttling between readings; make one and keep it.
pub struct Reader {
    pub(super) settings: EntraSettings,
    pub(super) line: Line,
    /// How long each group's list was last time: the longest are read first.
    sizes: Mutex<HashMap<GroupId, usize>>,
    /// Whether it was said that changes cannot be followed.
    pub(super) said_no_delta: Once,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("tenant", &self.settings.tenant)
            .field("service_principal", &self.settings.service_principal_id)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// Prepares the connections; nothing is sent.
    ///
    /// # Errors
    /// [`Error::Setup`] if this machine's TLS or proxy settings are unusable.
    pub fn new(settings: &EntraSettings) -> Result<Self, Error> {
        Self::with_pace(settings, Pace::steady(settings.attempts.max(1)))
    }

    pub(super) fn with_pace(settings: &EntraSettings, pace: Pace) -> Result<Self, Error> {
        Ok(Self {
            settings: settings.clone(),
            line: Line::new(settings, pace)?,
            sizes: Mutex::default(),
            said_no_delta: Once::new(),
        })
    }

    /// Whether the client secret changed in its file since it was last used or
    /// last asked about.
    pub async fn has_a_new_secret(&self) -> bool {
        self.line.tokens().has_a_new_secret().await
    }

    /// Asks for a token again although one was refused a short while ago: for
    /// whoever paces whole readings.
    pub async fn forget_refusal(&self) {
        self.line.tokens().forget_refusal().await;
    }

    /// Uses the present token no more: it carries the permissions of the moment
    /// when it was issued.
    pub async fn forget_token(&self) {
        self.line.tokens().forget_token().await;
    }

    /// Reads everything that `scope` covers. All assigned groups are in the
    /// result; those that were not read say why.
    ///
    /// Dropping the future ends the reading.
    ///
    /// # Errors
    /// When the token, the service principal or the assignment list cannot be
    /// had, when Graph fails for good half-way (throttling, an outage, a
    /// foreign link), and when `scope` names a group that is not assigned.
    pub async fn read(&self, scope: &Scope, progress: &Progress) -> Result<Directory, Error> {
        progress.restart();
        let meter = Meter::new(progress);
        let questions = Questions::new(&self.line, &meter, Priority::of(scope));
        let outset = self.outset(questions).await?;
        self.read_on(questions, outset, scope).await
    }

    /// What every reading begins with.
    ///
    /// # Errors
    /// Without either there is no reading.
    pub(super) async fn outset(&self, questions: Questions<'_>) -> Result<Outset, Error> {
        let id = self.settings.service_principal_id;
        let (application, assignments) = futures::try_join!(
            assigned::application(questions, id),
            assigned::assignments(questions, id),
        )?;
        Ok(Outset {
            application,
            assignments,
        })
    }

    /// The groups and people of a reading whose assignments are known.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub(super) async fn read_on(
        &self,
        questions: Questions<'_>,
        outset: Outset,
        scope: &Scope,
    ) -> Result<Directory, Error> {
        let Outset {
            application,
            assignments,
        } = outset;
        let assigned = Assigned::sort(assignments.get(), &application.roles);
        assigned.check_asked_for(scope)?;

        let register = Register::default();
        let groups = self.groups(questions, scope, &assigned, &register).await?;
        let (asked, left_out): (Vec<PersonId>, Vec<PersonId>) = assigned
            .people
            .iter()
            .filter(|person| !register.contains(**person))
            .partition(|person| scope.is_everything() || scope.asked_people().contains(person));
        let mut unread_people =
            read_people(questions, &self.settings.attributes, &register, asked).await?;
        unread_people.extend(left_out.into_iter().map(|id| (id, Unread::OutOfScope)));

        Ok(Directory {
            roles: application.roles,
            assignments,
            groups,
            people: register.into_people(),
            unread_people,
            cost: questions.meter().total(),
        })
    }

    /// The assigned groups that the settings admit.
    pub(super) fn admitted(&self, assignments: &[Assignment]) -> BTreeSet<GroupId> {
        assignments
            .iter()
            .filter_map(|assignment| match assignment.principal {
                Principal::Group(id) => Some(id),
                Principal::Person(_) => None,
            })
            .filter(|id| self.settings.groups.admits(*id))
            .collect()
    }

    async fn groups(
        &self,
        questions: Questions<'_>,
        scope: &Scope,
        assigned: &Assigned,
        register: &Register,
    ) -> Result<BTreeMap<GroupId, Group>, Error> {
        let mut groups = BTreeMap::new();
        let mut wanted = Vec::new();
        for id in assigned.groups.keys().copied() {
            if !self.settings.groups.admits(id) {
                groups.insert(id, unread_group(None, Unread::Excluded));
            } else if !scope.covers_group(id) {
                groups.insert(id, unread_group(None, Unread::OutOfScope));
            } else {
                wanted.push(id);
            }
        }
        let read = self
            .read_groups(questions, &wanted, assigned, register)
            .await?;
        groups.extend(read);
        Ok(groups)
    }

    /// Objects and members of these groups. All of them are in the result;
    /// those that were not read say why.
    ///
    /// # Errors
    /// Only what ends the whole reading.
    pub(super) async fn read_groups(
        &self,
        questions: Questions<'_>,
        wanted: &[GroupId],
        assigned: &Assigned,
        register: &Register,
    ) -> Result<BTreeMap<GroupId, Group>, Error> {
        let progress = questions.meter().progress;
        progress.update(|progress| progress.groups_total += wanted.len() as u64);

        let mut groups = BTreeMap::new();
        let mut found: Vec<(GroupId, GroupObject)> = Vec::with_capacity(wanted.len());
        for (id, object) in group_objects(questions, wanted).await? {
            match object {
                Ok(object) => found.push((id, object)),
                Err(unread) => {
                    progress.update(|progress| progress.groups_done += 1);
                    groups.insert(id, unread_group(None, unread));
                }
            }
        }
        self.longest_first(&mut found);
        let read: Vec<(GroupId, Group)> = stream::iter(found)
            .map(|(id, object)| async move {
                let expansion = Expansion {
                    membership: self.settings.membership,
                    role: assigned.role_through(id),
                };
                let names = &self.settings.attributes;
                let group = read_group(questions, names, register, id, object, expansion).await?;
                progress.update(|progress| {
                    progress.groups_done += 1;
                    progress.memberships += size(&group) as u64;
                });
                Ok((id, group))
            })
            .buffer_unordered(questions.concurrency())
            .try_collect()
            .await?;
        self.remember_sizes(&read);
        groups.extend(read);
        Ok(groups)
    }

    /// Pages of one list come one after another, so the longest list decides
    /// when the reading ends. Lists of unknown length may be long.
    pub(super) fn longest_first(&self, groups: &mut [(GroupId, GroupObject)]) {
        let sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        groups
            .sort_by_key(|(id, _)| std::cmp::Reverse(sizes.get(id).copied().unwrap_or(usize::MAX)));
    }

    fn remember_sizes(&self, groups: &[(GroupId, Group)]) {
        let mut sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.extend(groups.iter().map(|(id, group)| (*id, size(group))));
    }
}

impl Questions<'_> {
    /// What a failure means for the one object it concerns.
    ///
    /// # Errors
    /// The failure itself, if it is not that object's alone.
    pub(super) fn unread(&self, error: Error) -> Result<Unread, Error> {
        Ok(match self.of_one_object(error)? {
            Error::NotFound { .. } => Unread::NotFound,
            other => Unread::Failed(other.to_string()),
        })
    }

    /// Gives a failure back that leaves everything else readable.
    ///
    /// # Errors
    /// The failure, if it does not.
    pub(super) fn of_one_object(&self, error: Error) -> Result<Error, Error> {
        // So many in a row that nothing in flight got through.
        let limit = self.concurrency().saturating_mul(2).max(5);
        let is_down = error.is_outage() && self.meter().outages() as usize >= limit;
        if is_down || error.dooms_the_reading() {
            Err(error)
        } else {
            Ok(error)
        }
    }
}

fn size(group: &Group) -> usize {
    group
        .members
        .as_ref()
        .map_or(0, |members| members.get().len())
}

pub(super) fn unread_group(display_name: Option<String>, reason: Unread) -> Group {
    Group {
        display_name,
        members: Err(reason),
        direct_members: None,
        other_members: 0,
    }
}

/// The application and who is assigned to it.
pub(super) struct Outset {
    pub(super) application: Application,
    pub(super) assignments: Complete<Vec<Assignment>>,
}

/// The assignments by principal.
pub(super) struct Assigned {
    groups: BTreeMap<GroupId, RoleThroughGroup>,
    people: BTreeSet<PersonId>,
}

impl Assigned {
    pub(super) fn sort(assignments: &[Assignment], roles: &BTreeMap<AppRoleId, AppRole>) -> Self {
        let mut groups = BTreeMap::new();
        let mut people = BTreeSet::new();
        for Assignment { principal, role } in assignments {
            let is_real = !role.is_default_access()
                && roles
                    .get(role)
                    .is_some_and(|role| role.state == AppRoleState::Enabled);
            match principal {
                Principal::Group(id) => {
                    let carried = groups.entry(*id).or_insert(RoleThroughGroup::None);
                    if is_real {
                        *carried = RoleThroughGroup::Carried;
                    }
                }
                Principal::Person(id) => {
                    people.insert(*id);
                }
            }
        }
        Self { groups, people }
    }

    fn role_through(&self, id: GroupId) -> RoleThroughGroup {
        self.groups
            .get(&id)
            .copied()
            .unwrap_or(RoleThroughGroup::None)
    }

    fn check_asked_for(&self, scope: &Scope) -> Result<(), Error> {
        let groups: Vec<GroupId> = scope
            .asked_groups()
            .iter()
            .filter(|id| !self.groups.contains_key(id))
            .copied()
            .collect();
        if groups.is_empty() {
            Ok(())
        } else {
            Err(Error::NotAssigned { groups })
        }
    }
}

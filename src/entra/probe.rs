//! What `entra-sync check` asks of Entra.
//!
//! Each probe stands for one permission and is answered with PASS, WARN or
//! FAIL and a remedy. A token proves nothing by itself (graph-contract 2), so
//! every call is really made, once and with as few rows as will do.
//! Must not: judge the directory's contents, or name anybody in it.

use std::collections::BTreeSet;

use super::assigned;
use super::call::{Call, Permission};
use super::error::Error;
use super::line::Questions;
use super::members::{MemberList, Members};
use super::meter::Meter;
use super::objects::{GroupObject, Visibility, group_objects};
use super::paging::Harvest;
use super::people::{Register, read_people};
use super::progress::Progress;
use super::queue::Priority;
use super::reader::Reader;
use super::wire::page;
use crate::config::Membership;
use crate::model::directory::{Assignment, Attributes, Principal, Unread};
use crate::model::ids::{GroupId, PersonId};

/// Groups that are looked into until one has people in it.
const GROUPS_TRIED: usize = 15;

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What was tried, for example `members`.
    pub name: &'static str,
    /// How it went.
    pub outcome: Outcome,
}

/// How a probe went, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Pass(String),
    /// The daemon works, but not all of it; with the remedy.
    Warn(String),
    /// The daemon cannot work; with the remedy.
    Fail(String),
}

impl Probe {
    fn pass(name: &'static str, text: impl Into<String>) -> Self {
        let outcome = Outcome::Pass(text.into());
        Self { name, outcome }
    }

    fn warn(name: &'static str, text: impl Into<String>) -> Self {
        let outcome = Outcome::Warn(text.into());
        Self { name, outcome }
    }

    fn fail(name: &'static str, text: impl Into<String>) -> Self {
        let outcome = Outcome::Fail(text.into());
        Self { name, outcome }
    }
}

impl Reader {
    /// Tries the token, every call that a reading makes, and the optional
    /// look into deleted items. Stops where nothing further can be tried.
    pub async fn probe(&self) -> Vec<Probe> {
        let progress = Progress::unobserved();
        let meter = Meter::new(&progress);
        let questions = Questions::new(&self.line, &meter, Priority::Prompt);
        let mut probes = Vec::new();
        // Each step puts its own result down; what it needs and did not get
        // ends the row.
        self.probe_all(questions, &mut probes).await;
        probes
    }

    async fn probe_all(&self, questions: Questions<'_>, probes: &mut Vec<Probe>) -> Option<()> {
        match self.line.tokens().get().await {
            Ok(_) => {
                let credential = self.line.tokens().credential().await;
                let text = format!("Entra issued a token for {credential}");
                probes.push(Probe::pass("token", text));
            }
            Err(error) => {
                probes.push(Probe::fail("token", error.to_string()));
                return None;
            }
        }
        let id = self.settings.service_principal_id;
        let application = note(
            probes,
            "service principal",
            assigned::application(questions, id).await,
        )?;
        probes.push(if application.is_disabled {
            Probe::warn(
                "service principal",
                "sign-in is disabled for the Enterprise Application: enable it under Properties if people are to log in",
            )
        } else {
            Probe::pass(
                "service principal",
                format!("found, with {} app roles", application.roles.len()),
            )
        });
        let assignments = note(
            probes,
            "assignments",
            assigned::assignments(questions, id).await,
        )?;
        let (groups, people) = principals(assignments.get());
        probes.push(if groups.is_empty() && people.is_empty() {
            Probe::warn(
                "assignments",
                "neither a group nor a person is assigned: assign groups under Users and groups of the Enterprise Application",
            )
        } else {
            Probe::pass(
                "assignments",
                format!("{} groups and {} people", groups.len(), people.len()),
            )
        });

        let register = Register::default();
        self.probe_groups(questions, groups, &register, probes)
            .await;
        self.probe_attributes(questions, people, register, probes)
            .await;
        probes.push(probe_deleted(questions).await);
        Some(())
    }

    async fn probe_groups(
        &self,
        questions: Questions<'_>,
        groups: BTreeSet<GroupId>,
        register: &Register,
        probes: &mut Vec<Probe>,
    ) -> Option<()> {
        let tried: Vec<GroupId> = groups
            .into_iter()
            .filter(|id| self.settings.groups.admits(*id))
            .take(GROUPS_TRIED)
            .collect();
        if tried.is_empty() {
            let reason = "not tried, because no assigned group is admitted: see entra.include_groups and entra.exclude_groups";
            probes.push(Probe::warn("groups", reason));
            probes.push(Probe::warn("members", reason));
            return None;
        }
        let objects = note(probes, "groups", group_objects(questions, &tried).await)?;
        let mut found: Vec<(GroupId, GroupObject)> = Vec::new();
        for (id, object) in objects {
            match object {
                Ok(object) => found.push((id, object)),
                Err(Unread::Failed(reason)) => {
                    probes.push(Probe::fail("groups", reason));
                    return None;
                }
                Err(_) => {}
            }
        }
        let count = format!("{} of {} tried", found.len(), tried.len());
        probes.push(if found.len() == tried.len() {
            Probe::pass("groups", count)
        } else {
            Probe::warn(
                "groups",
                format!(
                    "{count}, the others are assigned but deleted or not yet replicated: if they stay so, remove their assignments"
                ),
            )
        });
        self.probe_members(questions, &found, register, probes)
            .await
    }

    /// Looks into one group after the other until one shows a person.
    async fn probe_members(
        &self,
        questions: Questions<'_>,
        groups: &[(GroupId, GroupObject)],
        register: &Register,
        probes: &mut Vec<Probe>,
    ) -> Option<()> {
        let names = &self.settings.attributes;
        let harvest = Members { names, register };
        let mut hidden = 0;
        for (id, object) in groups {
            let (call, url) = match self.settings.membership {
                Membership::Direct => (Call::Members, questions.client().members(*id)),
                Membership::Transitive => (
                    Call::TransitiveMembers,
                    questions.client().transitive_members(*id),
                ),
            };
            let mut list = MemberList::default();
            let answer = questions
                .ask(call, &url, |body| harvest.page(&mut list, body))
                .await;
            match answer {
                Ok(_) if !list.people.is_empty() => {
                    probes.push(Probe::pass("members", "read"));
                    return Some(());
                }
                Ok(_) if list.rows == 0 && object.visibility == Visibility::Hidden => hidden += 1,
                Err(Error::PermissionMissing { .. }) if object.visibility == Visibility::Hidden => {
                    hidden += 1;
                }
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => {
                    probes.push(Probe::fail("members", error.to_string()));
                    return None;
                }
            }
        }
        probes.push(if hidden > 0 {
            let permission = Permission::MemberReadHidden;
            Probe::warn(
                "members",
                format!(
                    "{hidden} groups hide their members and show none: grant {permission} with admin consent if they are to be read"
                ),
            )
        } else {
            Probe::warn("members", "read, but no group that was tried has a person in it")
        });
        None
    }

    async fn probe_attributes(
        &self,
        questions: Questions<'_>,
        people: BTreeSet<PersonId>,
        register: Register,
        probes: &mut Vec<Probe>,
    ) -> Option<()> {
        const NAME: &str = "user attributes";
        if register.is_empty() {
            let first: Vec<PersonId> = people.into_iter().take(1).collect();
            let names = &self.settings.attributes;
            let unread = note(
                probes,
                NAME,
                read_people(questions, names, &register, first).await,
            )?;
            if let Some(Unread::Failed(reason)) = unread.into_values().next() {
                probes.push(Probe::fail(NAME, reason));
                return None;
            }
        }
        let people = register.into_people();
        let unknown = people
            .values()
            .filter(|person| matches!(person.attributes, Attributes::Unknown))
            .count();
        probes.push(match (people.len(), unknown) {
            (0, _) => Probe::warn(NAME, "not tried: nobody was seen"),
            (_, 0) => Probe::pass(NAME, "names, addresses and account states are shown"),
            (all, unknown) => {
                let permission = Permission::UserReadAll;
                Probe::fail(
                    NAME,
                    format!(
                        "{unknown} of {all} people are shown without names and addresses: grant {permission} with admin consent"
                    ),
                )
            }
        });
        Some(())
    }
}

/// Deleted items tell a soft-deleted person from a purged one.
async fn probe_deleted(questions: Questions<'_>) -> Probe {
    let url = questions.client().deleted_people();
    let answer = questions
        .ask(Call::DeletedPeople, &url, |body| {
            page::<serde::de::IgnoredAny>(body).map(|_| ())
        })
        .await;
    match answer {
        Ok(()) => Probe::pass("deleted items", "read"),
        Err(error) => Probe::warn(
            "deleted items",
            format!("not read, so a deleted person counts as unknown, and stays: {error}"),
        ),
    }
}

/// Puts a failure down and lets a success through.
fn note<T>(probes: &mut Vec<Probe>, name: &'static str, answer: Result<T, Error>) -> Option<T> {
    answer
        .map_err(|error| probes.push(Probe::fail(name, error.to_string())))
        .ok()
}

fn principals(assignments: &[Assignment]) -> (BTreeSet<GroupId>, BTreeSet<PersonId>) {
    let mut groups = BTreeSet::new();
    let mut people = BTreeSet::new();
    for assignment in assignments {
        match assignment.principal {
            Principal::Group(id) => drop(groups.insert(id)),
            Principal::Person(id) => drop(people.insert(id)),
        }
    }
    (groups, people)
}

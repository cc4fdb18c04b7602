//! Looking again before anything is taken away.
//!
//! Invariant: what is found here can only keep things: a failure is an
//! [`Unread`] or a [`Whereabouts::Unknown`], never an absence. It never fails a
//! pass either: what the first reading adds needs no second one. Nothing of the
//! first reading is used again, or one mistake of it would confirm itself.
//!
//! [`Whereabouts::Unknown`]: crate::model::evidence::Whereabouts::Unknown

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};

use super::assigned;
use super::error::Error;
use super::line::Questions;
use super::members::{Expansion, RoleThroughGroup, read_group};
use super::meter::Meter;
use super::objects::{GroupObject, group_objects};
use super::people::Register;
use super::progress::Progress;
use super::queue::Priority;
use super::reader::Reader;
use super::whereabouts::{stays, whereabouts};
use crate::config::Membership;
use crate::model::directory::{AppRole, Assignment, ReadingCost, Unread};
use crate::model::evidence::{self, Again, Evidence, Needed};
use crate::model::ids::{AppRoleId, GroupId, PersonId};

type Roles = BTreeMap<AppRoleId, AppRole>;

impl Reader {
    /// Answers the questions that a plan has about seeming absences, and says
    /// what that cost. `progress` goes on counting from the first reading.
    ///
    /// Everything asked for is in the answer. What would end a whole reading
    /// (no token, throttling without end, an outage, a foreign link) ends the
    /// look: all that has no answer by then carries the failure's sentence.
    pub async fn second_look(
        &self,
        asked: &evidence::Questions,
        progress: &Progress,
    ) -> (Evidence, ReadingCost) {
        let asked = &match self.settings.membership {
            Membership::Direct => asked.clone().with_one_list(),
            Membership::Transitive => asked.clone(),
        };
        let meter = Meter::new(progress);
        let questions = Questions::new(&self.line, &meter, Priority::Prompt);
        // People before groups: whoever is restored in between has been looked
        // up as deleted, or is in the group again. The other way round they
        // would be there, but in no reading of the group: as if they had left.
        let looked = futures::try_join!(
            self.assignments_again(questions, asked.assignments),
            whereabouts(questions, &self.settings.attributes, &asked.people),
        );
        let evidence = match looked {
            Err(error) => without_answers(asked, &error),
            Ok(((assignments, roles), people)) => {
                let lists = match self.lists_again(questions, asked).await {
                    Ok(lists) => lists,
                    Err(error) => without_answers(asked, &error),
                };
                Evidence {
                    assignments,
                    roles,
                    people,
                    ..lists
                }
            }
        };
        (evidence, meter.total())
    }

    /// With the roles that they name: a replica that lags may not have one yet.
    async fn assignments_again(
        &self,
        questions: Questions<'_>,
        needed: Needed,
    ) -> Result<(Option<Again<Vec<Assignment>>>, Roles), Error> {
        if needed == Needed::No {
            return Ok((None, Roles::new()));
        }
        let id = self.settings.service_principal_id;
        let read = futures::try_join!(
            assigned::application(questions, id),
            assigned::assignments(questions, id),
        );
        match read {
            Ok((application, assignments)) => Ok((Some(Ok(assignments)), application.roles)),
            Err(error) => {
                let error = questions.of_one_object(error)?;
                tracing::warn!(
                    error.kind = error.kind(),
                    %error,
                    "the assignments could not be read a second time; no group counts as \
                     unassigned, and no role is lowered"
                );
                let unread = Unread::Failed(error.to_string());
                Ok((Some(Err(unread)), Roles::new()))
            }
        }
    }

    /// The lists of members only.
    async fn lists_again(
        &self,
        questions: Questions<'_>,
        asked: &evidence::Questions,
    ) -> Result<Evidence, Error> {
        let membership = self.settings.membership;
        let direct = Membership::Direct;
        Ok(Evidence {
            groups: self
                .groups_again(questions, &asked.groups, membership)
                .await?,
            direct: self.groups_again(questions, &asked.bearers, direct).await?,
            ..Evidence::default()
        })
    }

    async fn groups_again(
        &self,
        questions: Questions<'_>,
        asked: &[GroupId],
        membership: Membership,
    ) -> Result<BTreeMap<GroupId, Again<Vec<PersonId>>>, Error> {
        let mut groups = BTreeMap::new();
        let mut found: Vec<(GroupId, GroupObject)> = Vec::with_capacity(asked.len());
        // The objects again as well: a group may have begun to hide its members.
        for (id, object) in group_objects(questions, asked).await? {
            match object {
                Ok(object) => found.push((id, object)),
                Err(unread) => drop(groups.insert(id, Err(unread))),
            }
        }
        self.longest_first(&mut found);
        let read: Vec<(GroupId, Again<_>)> = stream::iter(found)
            .map(|(id, object)| async move {
                let again = self.group_again(questions, id, object, membership).await?;
                Ok::<_, Error>((id, again))
            })
            .buffer_unordered(questions.concurrency())
            .try_collect()
            .await?;
        groups.extend(read);
        for (id, again) in &groups {
            if let Err(Unread::Failed(reason)) = again {
                tracing::warn!(group.id = %id, reason, "a group could not be read a second time");
            }
        }
        Ok(groups)
    }

    /// The first reading's own way through a group, for one list: who receives
    /// a role is a question of its own, and what people are called is known.
    async fn group_again(
        &self,
        questions: Questions<'_>,
        id: GroupId,
        object: GroupObject,
        membership: Membership,
    ) -> Result<Again<Vec<PersonId>>, Error> {
        let expansion = Expansion {
            membership,
            role: RoleThroughGroup::None,
        };
        let names = &self.settings.attributes;
        let register = Register::default();
        let group = read_group(questions, names, &register, id, object, expansion).await?;
        Ok(group.members)
    }
}

/// Every question unanswered, for one reason.
fn without_answers(asked: &evidence::Questions, error: &Error) -> Evidence {
    tracing::warn!(
        error.kind = error.kind(),
        %error,
        groups = asked.groups.len() + asked.bearers.len(),
        people = asked.people.len(),
        "the second look broke off; what it did not see again is kept"
    );
    let unread = || Unread::Failed(error.to_string());
    let none_of = |groups: &[GroupId]| groups.iter().map(|id| (*id, Err(unread()))).collect();
    Evidence {
        assignments: (asked.assignments == Needed::Yes).then(|| Err(unread())),
        roles: Roles::new(),
        groups: none_of(&asked.groups),
        direct: none_of(&asked.bearers),
        people: asked.people.iter().map(|id| (*id, stays(error))).collect(),
    }
}

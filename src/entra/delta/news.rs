//! All that changed since links were given: one round of each, the assignments
//! beside them, and new links.
//!
//! Invariant: between a link that was followed and the one that is given for
//! it, nothing goes unseen. A bucket that is made anew takes its new link
//! first; then the old one is followed up to a moment after that.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};

use super::buckets::{LinkState, lay_out};
use super::groups::{Groups, GroupsNews, merge};
use super::people::{People, last_words};
use crate::config::Membership;
use crate::entra::call::Call;
use crate::entra::error::{Error, NoDelta};
use crate::entra::line::Questions;
use crate::entra::meter::Meter;
use crate::entra::progress::Progress;
use crate::entra::queue::Priority;
use crate::entra::reader::Reader;
use crate::model::directory::ReadingCost;
use crate::model::ids::GroupId;
use crate::model::known::News;
use crate::model::links::{Bucket, Links};

/// News, and where the next ones come from.
#[derive(Debug)]
pub struct Heard {
    /// What was told.
    pub news: News,
    /// To be kept together with what the news led to, or not at all.
    pub links: Links,
    /// What it cost.
    pub cost: ReadingCost,
}

/// A bucket after its link was followed, or not.
struct Followed {
    /// With the link of before, unless it was followed.
    bucket: Bucket,
    state: LinkState,
    told: GroupsNews,
}

/// What became of a bucket that was to be made anew.
#[derive(Default)]
struct Made {
    told: GroupsNews,
    /// `None` if there was none, and there is none now.
    bucket: Option<Bucket>,
    /// Of whom not all was told.
    unfollowed: BTreeSet<GroupId>,
}

impl Reader {
    /// Asks what has changed since these links were given. Groups that are
    /// newly assigned join a bucket and are `unfollowed` until they are read.
    ///
    /// A bucket whose link is lost gets another, and its groups are
    /// `unfollowed`; one that fails otherwise keeps its link, to be told the
    /// same and more next time.
    ///
    /// # Errors
    /// When the service principal, the assignments or the link for people fail;
    /// what ends a whole reading; and what
    /// [wants one](Error::wants_full_reading): the link for people is lost,
    /// delta queries are not offered any more, or a link was tampered with.
    pub async fn news(&self, links: &Links, progress: &Progress) -> Result<Heard, Error> {
        progress.restart();
        if self.settings.membership == Membership::Transitive {
            return Err(Error::NoDeltaQueries(NoDelta::Transitive));
        }
        let meter = Meter::new(progress);
        let questions = Questions::new(&self.line, &meter, Priority::Prompt);
        // All of them before anything is sent.
        questions.admit_all(links)?;
        let everybody = People {
            names: &self.settings.attributes,
        };
        let (outset, followed, (told_people, people)) = futures::try_join!(
            self.outset(questions),
            follow_all(questions, &links.groups),
            questions.follow(Call::PeopleChanges, &links.people, &everybody),
        )?;

        let wanted = self.admitted(outset.assignments.get());
        let settled = settle(questions, followed, &wanted).await?;
        Ok(Heard {
            news: News {
                roles: outset.application.roles,
                assignments: outset.assignments,
                groups: settled.told,
                people: last_words(told_people),
                unfollowed: settled.unfollowed,
            },
            links: Links {
                groups: settled.buckets,
                people,
            },
            cost: meter.total(),
        })
    }
}

/// All buckets, as they are kept.
#[derive(Default)]
struct Settled {
    told: GroupsNews,
    buckets: BTreeMap<u32, Bucket>,
    /// Of whom not all was told.
    unfollowed: BTreeSet<GroupId>,
}

impl Settled {
    fn take(&mut self, number: u32, one: Made) {
        add(&mut self.told, one.told);
        self.unfollowed.extend(one.unfollowed);
        let bucket = one.bucket.map(|bucket| (number, bucket));
        self.buckets.extend(bucket);
    }
}

/// Finds a bucket for every group that is to be followed, and leaves out what
/// was told of others.
async fn settle(
    questions: Questions<'_>,
    mut followed: BTreeMap<u32, Followed>,
    wanted: &BTreeSet<GroupId>,
) -> Result<Settled, Error> {
    let layout = lay_out(&states(&followed), wanted);
    let mut settled = Settled {
        unfollowed: layout.joining,
        ..Settled::default()
    };
    let mut to_make = Vec::with_capacity(layout.anew.len());
    for (number, groups) in layout.anew {
        to_make.push((number, followed.remove(&number), groups));
    }
    followed.retain(|number, _| !layout.dropped.contains(number));
    for (number, one) in followed {
        settled.take(number, one.unchanged());
    }
    let made: Vec<(u32, Made)> = stream::iter(to_make)
        .map(|(number, before, groups)| async move {
            let made = make_anew(questions, number, before, groups).await?;
            Ok::<_, Error>((number, made))
        })
        .buffer_unordered(questions.concurrency())
        .try_collect()
        .await?;
    for (number, one) in made {
        settled.take(number, one);
    }
    // Filters may go on naming groups that are no longer assigned. What is told
    // of those is not kept, so they count as followed no more: one that is
    // assigned again has to be read.
    settled.told.retain(|group, _| wanted.contains(group));
    settled.unfollowed.retain(|group| wanted.contains(group));
    for bucket in settled.buckets.values_mut() {
        bucket.groups.retain(|group| wanted.contains(group));
    }
    Ok(settled)
}

fn states(followed: &BTreeMap<u32, Followed>) -> BTreeMap<u32, (BTreeSet<GroupId>, LinkState)> {
    followed
        .iter()
        .map(|(number, one)| (*number, (one.bucket.groups.clone(), one.state)))
        .collect()
}

fn add(told: &mut GroupsNews, more: GroupsNews) {
    for (group, news) in more {
        merge(told.entry(group).or_default(), news);
    }
}

async fn follow_all(
    questions: Questions<'_>,
    buckets: &BTreeMap<u32, Bucket>,
) -> Result<BTreeMap<u32, Followed>, Error> {
    stream::iter(buckets.clone())
        .map(|(number, bucket)| async move {
            Ok((number, follow_one(questions, number, bucket).await?))
        })
        .buffer_unordered(questions.concurrency())
        .try_collect()
        .await
}

async fn follow_one(
    questions: Questions<'_>,
    number: u32,
    mut bucket: Bucket,
) -> Result<Followed, Error> {
    let call = Call::GroupChanges;
    let followed = questions.follow(call, &bucket.link, &Groups).await;
    let (state, told) = match followed {
        Ok((told, link)) => {
            bucket.link = link;
            (LinkState::Followed, told)
        }
        Err(error) => {
            let error = questions.of_one_object(error)?;
            let groups = bucket.groups.len();
            tracing::warn!(
                error.kind = error.kind(),
                %error,
                bucket = number,
                groups,
                "what changed in a bucket of groups is not told; they are read in full"
            );
            let state = match error {
                Error::PlaceLost { .. } => LinkState::Lost,
                _ => LinkState::Failed,
            };
            (state, GroupsNews::new())
        }
    };
    Ok(Followed {
        bucket,
        state,
        told,
    })
}

/// Takes a link for these groups, then follows the one of before once more,
/// because its round ended before the new link was given.
async fn make_anew(
    questions: Questions<'_>,
    number: u32,
    before: Option<Followed>,
    groups: BTreeSet<GroupId>,
) -> Result<Made, Error> {
    let link = match questions.groups_from_now(&groups).await {
        Ok(link) => link,
        Err(error) => {
            let error = questions.of_one_object(error)?;
            tracing::warn!(
                error.kind = error.kind(),
                %error,
                bucket = number,
                groups = groups.len(),
                "no link for a bucket of groups; it stays as it was, and those whom it does not \
                 follow are read in full"
            );
            return Ok(before.map_or_else(Made::default, Followed::unchanged));
        }
    };
    let mut made = Made {
        bucket: Some(Bucket {
            groups: groups.clone(),
            link,
        }),
        ..Made::default()
    };
    match before {
        None => {}
        Some(before) if before.state == LinkState::Followed => {
            let kept = &before.bucket.link;
            let again = questions.follow(Call::GroupChanges, kept, &Groups).await;
            made.told = before.told;
            match again {
                Ok((more, _)) => add(&mut made.told, more),
                // The new link is there already, so reading is enough.
                Err(error) => {
                    let error = questions.of_one_object(error)?;
                    tracing::warn!(
                        error.kind = error.kind(),
                        %error,
                        bucket = number,
                        groups = groups.len(),
                        "a bucket of groups was made anew without the last of its old news; they \
                         are read in full"
                    );
                    made.unfollowed = groups;
                }
            }
        }
        Some(_) => made.unfollowed = groups,
    }
    Ok(made)
}

impl Followed {
    /// As it was, with what it told.
    fn unchanged(self) -> Made {
        let unfollowed = match self.state {
            LinkState::Followed => BTreeSet::new(),
            LinkState::Lost | LinkState::Failed => self.bucket.groups.clone(),
        };
        Made {
            told: self.told,
            bucket: Some(self.bucket),
            unfollowed,
        }
    }
}

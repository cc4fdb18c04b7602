//! Learning what Entra says: by a whole reading, by what has changed since, or
//! from what is known.
//!
//! Invariant: what is known, what it leaves open and the links to go on by are
//! saved in one transaction under the lease, before anything is written to
//! LiteLLM: a pass that dies afterwards leaves it open, and the next one looks
//! again. Whatever cannot be followed is read in full.
//! Must not: decide anything about LiteLLM's rows.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::error::{Error, Result};
use super::progress::{Phase, Progress};
use super::reach::{Far, pending};
use super::report::Size;
use super::{Request, Source};
use crate::db::{Limits, Transaction};
use crate::ledger::directory::{self, Head, Open, Stamp};
use crate::ledger::lease::{self, Lease};
use crate::ledger::ownership;
use crate::model::directory::{Directory, ReadingCost};
use crate::model::ids::{PersonId, SourceId};
use crate::model::known::{KnownPeople, Outline, Touched, Trust, Turn};
use crate::model::links::Links;
use crate::model::report::Mode;
use crate::plan::fingerprint;
use crate::plan::following::{self, Fresh, Told, alike, mentioned, needs};

/// Links live for seven days (graph-contract 5.3); older ones are not relied on.
const LINKS_LIVE: TimeDelta = TimeDelta::days(6);

/// How often the lease's row is asked for, and after which pause.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);

/// What a pass has learned, and how far it has to look.
pub(super) struct Learned {
    /// How it was learned, which may be otherwise than was asked for.
    pub(super) mode: Mode,
    /// What that cost.
    pub(super) cost: ReadingCost,
    /// What is to be compared with LiteLLM.
    pub(super) compare: Compare,
    /// Of whom news said that they are deleted, or may not sign in.
    pub(super) gone: BTreeSet<PersonId>,
}

/// What is to be compared with LiteLLM.
pub(super) enum Compare {
    /// Nothing: nothing has changed since all was settled.
    Nothing(Size),
    /// Everything that this directory covers.
    Whole(Box<Directory>),
    /// What concerns these objects, by what is known.
    Changed(Touched),
}

impl Source {
    /// Learns what the request asks for, as the ledger allows.
    pub(super) async fn learn(
        &self,
        lease: Lease,
        request: &Request,
        progress: &Progress,
    ) -> Result<Learned> {
        progress.enter(Phase::Reading);
        if !request.scope.is_everything() {
            // It may write what is not known here yet, or is known otherwise.
            self.leave_open(lease, Open::Everything).await?;
            let reading = self.reader.read(&request.scope, progress.reading());
            return Ok(Learned::whole(Mode::Full, reading.await?));
        }
        let head = self
            .head(lease.source)
            .await?
            .filter(|head| self.fits(head));
        match (request.mode, &head) {
            (Mode::Drift, Some(head)) if self.is_enough(lease.source, &head.open).await? => {
                self.known(lease.source).await
            }
            (Mode::Incremental | Mode::Drift, Some(head)) => match &head.links {
                Some(links) if self.clock.now() - head.heard_at < LINKS_LIVE => {
                    match Box::pin(self.follow(lease, request.mode, (head, links), progress)).await
                    {
                        Err(Error::Entra(error)) if error.wants_full_reading() => {
                            tracing::info!(
                                error.kind = error.kind(),
                                %error,
                                "changes cannot be followed from where they were; reading in full"
                            );
                            Box::pin(self.read_whole(lease, None, progress)).await
                        }
                        followed => followed,
                    }
                }
                _ => Box::pin(self.read_whole(lease, None, progress)).await,
            },
            (_, head) => {
                let kept = head
                    .as_ref()
                    .filter(|head| self.clock.now() - head.heard_at < LINKS_LIVE)
                    .and_then(|head| Some((head.links.as_ref()?, head.heard_at)));
                Box::pin(self.read_whole(lease, kept, progress)).await
            }
        }
    }

    async fn head(&self, source: SourceId) -> Result<Option<Head>> {
        let mut transaction = self.database.begin(Limits::READ).await?;
        let head = directory::head(&mut transaction, source).await?;
        transaction.commit().await?;
        Ok(head)
    }

    /// Whether what is known was learned on the terms of these settings.
    fn fits(&self, head: &Head) -> bool {
        head.fingerprint == self.fingerprint()
    }

    /// Of everything that decides what a reading shows.
    fn fingerprint(&self) -> String {
        let terms = self.reader.terms();
        fingerprint(&format!("{terms} {:?}", self.settings.entra.groups))
    }

    /// Of everything else that a plan is made from: other settings mean that
    /// everything is compared once.
    pub(super) fn compared(&self) -> String {
        let settings = &self.settings;
        let policy = &settings.litellm.policy;
        fingerprint(&format!(
            "{policy:?} {:?} {:?}",
            settings.deprovision, settings.guard
        ))
    }

    async fn read_whole(
        &self,
        lease: Lease,
        kept: Option<(&Links, DateTime<Utc>)>,
        progress: &Progress,
    ) -> Result<Learned> {
        let read_at = self.clock.now();
        let links = kept.map(|(links, _)| links);
        let reading = self.reader.read_whole(links, progress.reading()).await?;
        // Links that are kept grow no younger by it.
        let heard_at = kept
            .filter(|(links, _)| reading.links.as_ref() == Some(*links))
            .map_or(read_at, |(_, heard_at)| heard_at);
        let stamp = Stamp {
            fingerprint: self.fingerprint(),
            compared: self.compared(),
            read_at,
            heard_at,
        };
        let mut transaction = self.begin_fenced(lease, Limits::WRITE_OF_MANY).await?;
        let links = reading.links.as_ref();
        let source = lease.source;
        let saved =
            directory::save_whole(&mut transaction, source, &reading.directory, stamp, links)
                .await?;
        transaction.commit().await?;
        tracing::debug!(
            saved.written,
            saved.dropped,
            "the directory was written down"
        );
        Ok(Learned::whole(Mode::Full, reading.directory))
    }

    /// What is known already, without asking Entra.
    pub(super) async fn known(&self, source: SourceId) -> Result<Learned> {
        let mut transaction = self.database.begin(Limits::READ).await?;
        let whole = directory::whole(&mut transaction, source).await?;
        transaction.commit().await?;
        let directory = whole.ok_or(crate::ledger::Error::DirectoryUnknown)?;
        Ok(Learned::whole(Mode::Drift, directory))
    }

    async fn follow(
        &self,
        lease: Lease,
        wanted: Mode,
        (head, links): (&Head, &Links),
        progress: &Progress,
    ) -> Result<Learned> {
        let heard_at = self.clock.now();
        let mut heard = self.reader.news(links, progress.reading()).await?;
        let (source, filter) = (lease.source, &self.settings.entra.groups);

        let mut transaction = self.database.begin(Limits::READ).await?;
        let (outline, _) = directory::outline(&mut transaction, source).await?;
        let concerned: Vec<PersonId> = mentioned(&outline, &heard.news).into_iter().collect();
        let mut known = directory::people(&mut transaction, source, &concerned).await?;
        let asked = needs(&outline, &known, &heard.news, filter);
        let whole: Vec<_> = asked.groups.union(&asked.members_of).copied().collect();
        known.extend(directory::members(&mut transaction, source, &whole).await?);
        let pending = pending(&mut transaction, source, self.settings.guard.window).await?;
        transaction.commit().await?;

        let mut cost = heard.cost;
        let fresh = if asked.groups.is_empty() && asked.people.is_empty() {
            Fresh::default()
        } else {
            let reading = self.reader.read_some(
                &asked.groups,
                &asked.people,
                &heard.news,
                progress.reading(),
            );
            let read = reading.await?;
            cost += read.cost;
            Fresh {
                groups: read.groups,
                people: read.people,
                unread_people: read.unread_people,
            }
        };

        let mut transaction = self.begin_fenced(lease, Limits::WRITE_OF_MANY).await?;
        let met = fresh
            .people
            .keys()
            .filter(|person| !known.contains_key(person));
        let met: Vec<PersonId> = met.copied().collect();
        known.extend(directory::people(&mut transaction, source, &met).await?);
        let mut turn = following::turn(Told {
            outline: &outline,
            known: &known,
            news: &heard.news,
            fresh: &fresh,
            filter,
        });
        if following::after(&heard.news, &known, &fresh) == Trust::ReadAgain {
            heard.links.people.clone_from(&links.people);
        }
        let ours = heard.news.people.keys().copied().collect::<Vec<_>>();
        let ours = ownership::ours_among(&mut transaction, source, &ours).await?;
        turn.touched.people.extend(ours);
        let sharers = sharers(&mut transaction, source, &turn, &known).await?;
        turn.touched.people.extend(sharers);
        directory::save_turn(&mut transaction, source, &turn, &heard.links, heard_at).await?;
        transaction.commit().await?;

        let compare = match wanted {
            Mode::Drift => Far::Everything,
            Mode::Full | Mode::Incremental => self.how_far(head, &outline, &turn, pending),
        };
        let compare = match compare {
            Far::Nothing => Compare::Nothing(self.size(source, &turn.outline).await?),
            Far::These(touched) => Compare::Changed(touched),
            Far::Everything => self.known(source).await?.compare,
        };
        Ok(Learned {
            mode: Mode::Incremental,
            cost,
            compare,
            gone: following::gone(&heard.news),
        })
    }

    pub(super) async fn size(&self, source: SourceId, outline: &Outline) -> Result<Size> {
        let mut transaction = self.database.begin(Limits::READ).await?;
        let users = directory::count_people(&mut transaction, source).await?;
        transaction.commit().await?;
        let read = || {
            outline
                .groups
                .values()
                .filter(|group| group.unread.is_none())
        };
        Ok(Size {
            groups: read().count() as u64,
            users,
            memberships: read().map(|group| group.headcount).sum(),
        })
    }

    /// Writes down that passes to come have to look at more than what changes.
    pub(super) async fn leave_open(&self, lease: Lease, open: Open) -> Result<()> {
        let mut transaction = self.begin_fenced(lease, Limits::WRITE).await?;
        directory::settle(&mut transaction, lease.source, open).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// A transaction that only the holder of the lease can commit. Who holds the
    /// lease's row for a moment costs another attempt, not the pass.
    async fn begin_fenced(&self, lease: Lease, limits: Limits) -> Result<Transaction> {
        let mut attempts = 1;
        loop {
            let mut transaction = self.database.begin(limits).await?;
            match lease::fence(&mut transaction, lease)
                .await
                .map_err(Error::from)
            {
                Ok(()) => return Ok(transaction),
                Err(error) if attempts < ATTEMPTS && error.is_retryable() => {
                    attempts += 1;
                    drop(transaction);
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Learned {
    fn whole(mode: Mode, directory: Directory) -> Self {
        Self {
            mode,
            cost: directory.cost,
            compare: Compare::Whole(Box::new(directory)),
            gone: BTreeSet::new(),
        }
    }
}

/// Whoever shares an address or subject with somebody as they were before this
/// turn: it may be theirs now.
async fn sharers(
    transaction: &mut Transaction,
    source: SourceId,
    turn: &Turn,
    known: &KnownPeople,
) -> Result<BTreeSet<PersonId>> {
    let touched = &turn.touched.people;
    let was = known.iter().filter(|(person, was)| {
        let now = turn.people.get(person);
        let is_same = now.is_some_and(|now| now.attributes == was.attributes);
        touched.contains(person) && !is_same
    });
    let was: KnownPeople = was.map(|(person, was)| (*person, was.clone())).collect();
    let (emails, subjects) = alike(&was);
    let emails: Vec<&str> = emails.iter().map(AsRef::as_ref).collect();
    let subjects: Vec<&str> = subjects.iter().map(AsRef::as_ref).collect();
    let alike = directory::alike(transaction, source, &emails, &subjects).await?;
    Ok(alike.into_keys().collect())
}

//! Reading and deciding: the part of a pass that writes nothing, which is also
//! all of `entra-sync plan`.
//!
//! Invariant: no lease, no DDL, no write; what would be taken away has been
//! looked at twice.

use tracing::{Instrument, trace_span};

use super::error::Result;
use super::following::{Compare, Learned};
use super::progress::{Phase, Progress};
use super::report::{Report, Size};
use super::telling::tell_of_unnamed_sources;
use super::{Planned, Request, Source};
use crate::db::{Limits, Transaction};
use crate::ledger::lease::Lease;
use crate::ledger::{self, held, ownership};
use crate::litellm::{Capabilities, snapshot};
use crate::model::directory::{Directory, Person, ReadingCost};
use crate::model::evidence::Evidence;
use crate::model::ids::SourceId;
use crate::model::ledger::Owned;
use crate::model::policy::Scope;
use crate::model::target::Target;
use crate::plan::following::{Contradicted, contradicted};
use crate::plan::{self, Plan, Removals, World};

impl Source {
    /// Reads and decides, for `plan`: writes nothing, runs no DDL, needs no
    /// lease.
    ///
    /// # Errors
    /// Whatever would make a pass fail before it writes.
    pub async fn plan(&self, request: &Request, progress: &Progress) -> Result<Planned> {
        progress.enter(Phase::Opening);
        let capabilities = self.probe().await?;
        let source = if ledger::readable(&self.database).await? {
            let mut transaction = self.database.begin(Limits::READ).await?;
            let found = ledger::find_source(&mut transaction, self.settings.described()).await?;
            transaction.commit().await?;
            found
        } else {
            None
        };
        let planned = self.decide(source, request, &capabilities, progress).await;
        progress.enter(Phase::Idle);
        planned
    }

    /// Reads and decides; `None` when there is nothing to decide. Each part is on
    /// the heap: together they are too large for the stack of a thread.
    pub(super) async fn prepare(
        &self,
        lease: Lease,
        request: &Request,
        capabilities: &Capabilities,
        progress: &Progress,
        report: &mut Report,
    ) -> Result<Option<Planned>> {
        let Learned {
            mode,
            mut cost,
            compare,
            gone,
        } = Box::pin(self.learn(lease, request, progress))
            .instrument(trace_span!("reading"))
            .await?;
        let source = lease.source;
        let mut planned = match compare {
            Compare::Nothing(size) => {
                report.read(mode, size, cost);
                return Ok(None);
            }
            Compare::Whole(directory) => {
                let scope = request.scope.clone();
                let all = self.decide_over(Some(source), *directory, scope, capabilities, progress);
                Box::pin(all).instrument(trace_span!("comparing")).await?
            }
            Compare::Changed(touched) => {
                let few = self.decide_about(source, &touched, capabilities, progress);
                let few = Box::pin(few).instrument(trace_span!("comparing"));
                match few.await? {
                    Some(planned) => planned,
                    None => {
                        let all = self.decide_after_all(source, capabilities, progress);
                        Box::pin(all).instrument(trace_span!("comparing")).await?
                    }
                }
            }
        };
        // A look-up that shows somebody of whom the news, or what is known, said
        // otherwise lags, or they do.
        let known = &planned.directory.people;
        let present = &mut planned.contradicted.present;
        present.retain(|person| {
            gone.contains(person) || known.get(person).is_some_and(Person::is_disabled)
        });
        cost += planned.second_look;
        tell_of_unnamed_sources(&planned.plan);
        report.read(mode, planned.size, cost);
        Ok(Some(planned))
    }

    async fn decide(
        &self,
        source: Option<SourceId>,
        request: &Request,
        capabilities: &Capabilities,
        progress: &Progress,
    ) -> Result<Planned> {
        progress.enter(Phase::Reading);
        let directory = self.reader.read(&request.scope, progress.reading()).await?;
        let scope = request.scope.clone();
        Box::pin(self.decide_over(source, directory, scope, capabilities, progress)).await
    }

    /// Decides about everything that a directory covers.
    pub(super) async fn decide_over(
        &self,
        source: Option<SourceId>,
        directory: Directory,
        scope: Scope,
        capabilities: &Capabilities,
        progress: &Progress,
    ) -> Result<Planned> {
        progress.enter(Phase::Comparing);
        let (owned, held) = match source {
            Some(source) => {
                let mut transaction = self.database.begin(Limits::READ).await?;
                let mut owned = ownership::load(&mut transaction, source).await?;
                self.tell_named(&mut transaction, source, &mut owned)
                    .await?;
                let window = self.settings.guard.window;
                let held = held::load(&mut transaction, source, window).await?;
                transaction.commit().await?;
                (owned, held)
            }
            None => (Owned::default(), held::State::default()),
        };
        let policy = &self.settings.litellm.policy;
        let interest = snapshot::Interest::of(&directory, &owned, policy);
        let mut transaction = self.database.begin(Limits::READ).await?;
        let target = snapshot::read(&mut transaction, capabilities, &interest).await?;
        transaction.commit().await?;
        // It names everybody once more, and deciding needs room.
        drop(interest);
        let judged = Judged {
            directory: &directory,
            target: &target,
            owned: &owned,
            held: &held,
        };
        let (plan, second) = self.judge(judged, &scope, None, progress).await;
        let contradicted = second.contradicted(&directory, &scope);
        Ok(Planned {
            plan,
            size: Size::of(&directory),
            directory,
            target,
            owned,
            scope,
            second_look: second.cost,
            contradicted,
        })
    }

    /// Which of the others that hold what is ours anybody's settings name.
    pub(super) async fn tell_named(
        &self,
        transaction: &mut Transaction,
        source: SourceId,
        owned: &mut Owned,
    ) -> Result<()> {
        if let Some(elsewhere) = &mut owned.held_elsewhere {
            let settings = &self.settings.together;
            ownership::tell_named(transaction, source, settings, elsewhere).await?;
        }
        Ok(())
    }

    /// The decision, with a second look at what it doubts; `looked` is one that
    /// was made already.
    pub(super) async fn judge(
        &self,
        judged: Judged<'_>,
        scope: &Scope,
        looked: Option<SecondLook>,
        progress: &Progress,
    ) -> (Plan, SecondLook) {
        let settings = &self.settings;
        let world = World {
            directory: judged.directory,
            target: judged.target,
            owned: judged.owned,
            policy: &settings.litellm.policy,
            scope,
        };
        let second = match looked {
            Some(looked) => looked,
            None => {
                let questions = plan::questions(world, &settings.deprovision);
                if questions.is_empty() {
                    SecondLook::default()
                } else {
                    progress.enter(Phase::Reading);
                    let again = self.reader.second_look(&questions, progress.reading());
                    let (evidence, cost) = again.await;
                    SecondLook { evidence, cost }
                }
            }
        };
        let plan = plan::plan(
            world,
            Removals {
                deprovision: &settings.deprovision,
                guard: &settings.guard,
                evidence: &second.evidence,
                waiting: &judged.held.waiting,
                decisions: &judged.held.decisions,
                recent: &judged.held.recent,
                now: self.clock.now(),
            },
        );
        (plan, second)
    }
}

/// Everything that a decision is made from.
#[derive(Clone, Copy)]
pub(super) struct Judged<'a> {
    pub(super) directory: &'a Directory,
    pub(super) target: &'a Target,
    pub(super) owned: &'a Owned,
    pub(super) held: &'a held::State,
}

/// What a second look showed, and cost.
#[derive(Default)]
pub(super) struct SecondLook {
    evidence: Evidence,
    pub(super) cost: ReadingCost,
}

impl SecondLook {
    /// Where it showed something else than the first.
    pub(super) fn contradicted(&self, directory: &Directory, scope: &Scope) -> Contradicted {
        contradicted(&self.evidence, directory, scope)
    }
}

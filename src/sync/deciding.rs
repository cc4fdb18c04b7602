//! Reading and deciding: the part of a pass that writes nothing, which is also
//! all of `entra-sync plan`.
//!
//! Invariant: no lease, no DDL, no write; what would be taken away has been
//! looked at twice.

use chrono::Utc;

use super::error::Result;
use super::progress::{Phase, Progress};
use super::{Planned, Request, Source};
use crate::db::Limits;
use crate::ledger::{self, held, ownership};
use crate::litellm::{Capabilities, snapshot};
use crate::model::directory::ReadingCost;
use crate::model::evidence::Evidence;
use crate::model::ids::SourceId;
use crate::model::ledger::Owned;
use crate::plan::{self, Removals, World};

impl Source {
    /// Reads and decides, for `plan`: writes nothing, runs no DDL, needs no
    /// lease.
    ///
    /// # Errors
    /// Whatever would make a pass fail before it writes.
    pub async fn plan(&self, request: &Request, progress: &Progress) -> Result<Planned> {
        progress.enter(Phase::Opening);
        let capabilities = self.probe().await?;
        let source = if ledger::exists(&self.database).await? {
            let entra = &self.settings.entra;
            let mut transaction = self.database.begin(Limits::READ).await?;
            let found =
                ledger::find_source(&mut transaction, &entra.tenant, entra.service_principal_id)
                    .await?;
            transaction.commit().await?;
            found
        } else {
            None
        };
        let planned = self.decide(source, request, &capabilities, progress).await;
        progress.enter(Phase::Idle);
        planned
    }

    pub(super) async fn decide(
        &self,
        source: Option<SourceId>,
        request: &Request,
        capabilities: &Capabilities,
        progress: &Progress,
    ) -> Result<Planned> {
        progress.enter(Phase::Reading);
        let mut directory = self.reader.read(&request.scope, progress.reading()).await?;
        progress.enter(Phase::Comparing);
        let (owned, held) = match source {
            Some(source) => {
                let mut transaction = self.database.begin(Limits::READ).await?;
                let owned = ownership::load(&mut transaction, source).await?;
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
        let world = World {
            directory: &directory,
            target: &target,
            owned: &owned,
            policy,
            scope: &request.scope,
        };
        let settings = &self.settings;
        let questions = plan::questions(world, &settings.deprovision);
        let (evidence, cost) = if questions.is_empty() {
            (Evidence::default(), ReadingCost::default())
        } else {
            progress.enter(Phase::Reading);
            let again = self.reader.second_look(&questions, progress.reading());
            again.await
        };
        let plan = plan::plan(
            world,
            Removals {
                deprovision: &settings.deprovision,
                guard: &settings.guard,
                evidence: &evidence,
                waiting: &held.waiting,
                decisions: &held.decisions,
                recent: &held.recent,
                now: Utc::now(),
            },
        );
        directory.cost += cost;
        Ok(Planned {
            plan,
            directory,
            target,
            owned,
        })
    }
}

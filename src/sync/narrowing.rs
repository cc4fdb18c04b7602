//! Deciding about what has changed alone: the ledger and LiteLLM are loaded for
//! those people and for whoever has anything to do with their rows.
//!
//! Invariant: nothing that could change the decision is left out. Whoever
//! shares an address, a subject or a row with somebody concerned is concerned
//! as well, and so on until nobody joins; where that does not end soon,
//! everything is compared. How much is managed in all is counted before
//! anything may be taken away.
//! Must not: ask Entra, beyond the second look.

use std::collections::{BTreeMap, BTreeSet};

use super::deciding::Judged;
use super::error::Result;
use super::following::Compare;
use super::progress::{Phase, Progress};
use super::{Planned, Source};
use crate::db::Limits;
use crate::ledger::held;
use crate::ledger::{directory, ownership};
use crate::litellm::{Capabilities, snapshot};
use crate::model::directory::Attributes;
use crate::model::ids::{GroupId, PersonId, SourceId, UserId};
use crate::model::known::{KnownPeople, Outline, Touched};
use crate::model::ledger::{ManagedCounts, Owned};
use crate::model::policy::{Changed, Scope};
use crate::model::report::Skipped;
use crate::model::target::Target;
use crate::plan::following::{Narrowed, alike, narrow};

/// Rounds in which somebody joined; two are usual.
const ROUNDS: usize = 8;

/// When only what has changed is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Narrowing {
    /// Directories of up to so many memberships are compared whole with every
    /// pass: that takes no longer, and finds what changed in LiteLLM as well.
    pub from: u64,
    /// So many people at most; more are cheaper to compare with everybody.
    pub most: usize,
}

impl Default for Narrowing {
    fn default() -> Self {
        Self {
            from: 5_000,
            most: 10_000,
        }
    }
}

/// Everybody concerned, with all there is about them.
struct Circle {
    people: BTreeSet<PersonId>,
    known: KnownPeople,
    owned: Owned,
    target: Target,
}

impl Source {
    /// Decides about these objects; `None` when everything has to be compared
    /// after all.
    pub(super) async fn decide_about(
        &self,
        source: SourceId,
        touched: &Touched,
        capabilities: &Capabilities,
        progress: &Progress,
    ) -> Result<Option<Planned>> {
        progress.enter(Phase::Comparing);
        let mut transaction = self.database.begin(Limits::READ).await?;
        let (outline, seal) = directory::outline(&mut transaction, source).await?;
        let window = self.settings.guard.window;
        let held = held::load(&mut transaction, source, window).await?;
        transaction.commit().await?;
        let Some(circle) = self.circle(source, &outline, touched, capabilities).await? else {
            return Ok(None);
        };
        let Circle {
            people,
            known,
            mut owned,
            target,
        } = circle;
        if owned.held_elsewhere.is_some() {
            let mut transaction = self.database.begin(Limits::READ).await?;
            self.tell_named(&mut transaction, source, &mut owned)
                .await?;
            transaction.commit().await?;
        }
        let concerned = Touched {
            people,
            groups: touched.groups.clone(),
        };
        let Narrowed { directory, changed } = narrow(&outline, &known, &concerned, &owned, &seal);
        let size = self.size(source, &outline).await?;
        let judged = Judged {
            directory: &directory,
            target: &target,
            owned: &owned,
            held: &held,
        };
        let scope = Scope::Changed(changed);
        let (mut plan, mut decided) = self.judge(judged, &scope, None, progress).await;
        let mut scope = scope;
        if plan.takes_or_holds() {
            let managed = self.managed(source, &held.recent.people).await?;
            if let Scope::Changed(Changed { managed: all, .. }) = &mut scope {
                *all = managed;
            }
            let evidence = Some(decided);
            (plan, decided) = self.judge(judged, &scope, evidence, progress).await;
        }
        if plan.skipped.iter().any(Skipped::waits_for_room) {
            // Who gets the last seat is decided among all who want one.
            return Ok(None);
        }
        let contradicted = decided.contradicted(&directory, &scope);
        Ok(Some(Planned {
            plan,
            directory,
            target,
            owned,
            scope,
            size,
            second_look: decided.cost,
            contradicted,
        }))
    }

    async fn managed(
        &self,
        source: SourceId,
        recent: &BTreeSet<PersonId>,
    ) -> Result<ManagedCounts> {
        let mut transaction = self.database.begin(Limits::READ).await?;
        let managed = ownership::counts(&mut transaction, source, recent).await?;
        transaction.commit().await?;
        Ok(managed)
    }

    /// Draws the circle wider until nobody joins.
    async fn circle(
        &self,
        source: SourceId,
        outline: &Outline,
        touched: &Touched,
        capabilities: &Capabilities,
    ) -> Result<Option<Circle>> {
        let mut people = touched.people.clone();
        let groups: Vec<GroupId> = touched.groups.iter().copied().collect();
        // Everybody in a group that changed itself: it may have been in doubt, or
        // without a team, when they came. Of one in doubt nothing is decided.
        let is_believed = |group: &&GroupId| {
            let group = outline.groups.get(group);
            group.is_some_and(|group| group.doubt().is_none())
        };
        let believed: Vec<GroupId> = groups.iter().filter(is_believed).copied().collect();
        let heads = believed.iter().map(|group| outline.groups[group].headcount);
        if heads.sum::<u64>() > self.narrowing.most as u64 {
            return Ok(None);
        }
        let mut transaction = self.database.begin(Limits::READ).await?;
        people.extend(
            directory::members(&mut transaction, source, &believed)
                .await?
                .keys(),
        );
        transaction.commit().await?;
        for _ in 0..ROUNDS {
            let before = people.len();
            let mut transaction = self.database.begin(Limits::READ).await?;
            let ids: Vec<PersonId> = people.iter().copied().collect();
            let mut known = directory::people(&mut transaction, source, &ids).await?;
            let (emails, subjects) = alike(&known);
            let emails: Vec<&str> = emails.iter().map(AsRef::as_ref).collect();
            let subjects: Vec<&str> = subjects.iter().map(AsRef::as_ref).collect();
            known.extend(directory::alike(&mut transaction, source, &emails, &subjects).await?);
            people.extend(known.keys());
            let ids: Vec<PersonId> = people.iter().copied().collect();
            let owned = ownership::load_for(&mut transaction, source, &ids, &groups).await?;
            transaction.commit().await?;
            // Of a group that changed itself, everybody who is managed there.
            for lists in [&owned.team_members, &owned.organization_members] {
                let lists = lists
                    .iter()
                    .filter(|(group, _)| touched.groups.contains(group));
                people.extend(lists.flat_map(|(_, list)| list.iter().map(|m| m.person)));
            }
            if people.len() > self.narrowing.most {
                return Ok(None);
            }
            let target = self
                .rows(outline, &known, &people, &owned, touched, capabilities)
                .await?;
            let users: Vec<UserId> = target.users.keys().cloned().collect();
            // Whose address one of these rows has is waiting for it.
            let rows = target.users.values();
            let emails = rows.filter_map(|row| Some(row.email.as_deref()?.to_lowercase()));
            let emails: BTreeSet<String> = emails.collect();
            let emails: Vec<&str> = emails.iter().map(AsRef::as_ref).collect();
            let mut transaction = self.database.begin(Limits::READ).await?;
            people.extend(ownership::holders(&mut transaction, source, &users).await?);
            people.extend(
                directory::alike(&mut transaction, source, &emails, &[])
                    .await?
                    .keys(),
            );
            transaction.commit().await?;
            // Whoever has logged in as one of these rows may have one of their own.
            people.extend(target.verified_subjects.keys());
            if people.len() == before {
                return Ok(Some(Circle {
                    people,
                    known,
                    owned,
                    target,
                }));
            }
        }
        Ok(None)
    }

    /// LiteLLM's rows as far as they concern these people.
    async fn rows(
        &self,
        outline: &Outline,
        known: &KnownPeople,
        people: &BTreeSet<PersonId>,
        owned: &Owned,
        touched: &Touched,
        capabilities: &Capabilities,
    ) -> Result<Target> {
        let attributes: BTreeMap<PersonId, &Attributes> = people
            .iter()
            .map(|person| {
                let known = known.get(person).map(|known| &known.attributes);
                (*person, known.unwrap_or(&Attributes::Unknown))
            })
            .collect();
        let lists = [&owned.team_members, &owned.organization_members];
        let managed = lists.into_iter().flat_map(|lists| lists.keys());
        let managed = managed.filter(|group| outline.groups.contains_key(group));
        let groups: BTreeSet<GroupId> = known
            .values()
            .flat_map(|known| &known.groups)
            .chain(&touched.groups)
            .chain(managed)
            .copied()
            .collect();
        let policy = &self.settings.litellm.policy;
        let interest = snapshot::Interest::among(attributes, groups, owned, policy);
        let mut transaction = self.database.begin(Limits::READ).await?;
        let target = snapshot::look_up(&mut transaction, capabilities, &interest).await?;
        transaction.commit().await?;
        Ok(target)
    }

    /// Decides about everything that is known.
    pub(super) async fn decide_after_all(
        &self,
        source: SourceId,
        capabilities: &Capabilities,
        progress: &Progress,
    ) -> Result<Planned> {
        match self.known(source).await?.compare {
            Compare::Whole(directory) => {
                let scope = Scope::Everything;
                let all = self.decide_over(Some(source), *directory, scope, capabilities, progress);
                Box::pin(all).await
            }
            Compare::Nothing(_) | Compare::Changed(_) => {
                Err(crate::ledger::Error::DirectoryUnknown.into())
            }
        }
    }
}

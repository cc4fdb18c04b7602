//! What all readings of one application in one tenant share: the gate that a
//! 429 shuts, the bucket of resource units, the window of requests in flight,
//! and whose turn it is.
//!
//! Invariant: no request goes to Graph without a [`Permit`], and a permit that
//! is dropped gives its place back. Graph counts by application and tenant, not
//! by source: however many readers there are in the process, they go through
//! one throttle. Must not: know what is asked, or read an answer.
//!
//! Source: graph-contract 8.2.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::budget::Budget;
use super::gate::Gate;
use super::link::authority;
use super::queue::{Allowance, Priority, Queue, Ticket};
use super::window::Window;
use crate::config::{EntraSettings, ResourceUnits};

/// Application, tenant and Graph host.
type Key = (String, String, String);

/// The throttles in use; each lives as long as a reader that uses it.
static IN_USE: Mutex<BTreeMap<Key, Weak<Throttle>>> = Mutex::new(BTreeMap::new());

/// The throttle of one application in one tenant.
#[derive(Debug)]
struct Throttle {
    state: Mutex<State>,
    /// Somebody passed or left, so that it may be another's turn.
    moved: Notify,
}

#[derive(Debug)]
struct State {
    gate: Gate,
    /// Of subscriptions, which another service keeps and counts.
    subscriptions: Gate,
    budget: Budget,
    window: Window,
    queue: Queue,
}

/// Why a request does not go yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// The gate is shut.
    Gate(Instant),
    /// The bucket is short of units.
    Units(Instant),
    /// It is another's turn, or enough are in flight.
    Turn,
}

/// What an answer says about how Graph bears our requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strain {
    /// It came as it should.
    None,
    /// The service is overloaded: 429, 503, no answer in time.
    Some,
    /// 429 because the resource units are used up.
    OutOfUnits,
}

/// What an answer says that is worth knowing for the next request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    /// What it cost; `None` if it did not say.
    pub(super) units: Option<u64>,
    /// Which part of the quota is used, if it said so; 1 is all of it.
    pub(super) used: Option<f64>,
    pub(super) strain: Strain,
}

/// One reader's way through the throttle.
#[derive(Debug)]
pub(super) struct Entrance {
    throttle: Arc<Throttle>,
    allowance: Allowance,
}

impl Entrance {
    /// The way through the throttle of this application in this tenant. The
    /// latest settings' units count for all who share it.
    pub(super) fn of(settings: &EntraSettings) -> Self {
        let key = (
            settings.client_id.to_ascii_lowercase(),
            settings.tenant.to_ascii_lowercase(),
            authority(&settings.graph_endpoint),
        );
        let ceiling = settings.concurrency.max(1);
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.retain(|_, throttle| throttle.strong_count() > 0);
        let throttle = match in_use.get(&key).and_then(Weak::upgrade) {
            Some(shared) => {
                let mut state = shared.lock();
                state.budget.set(settings.resource_units, Instant::now());
                state.window.admit(ceiling);
                drop(state);
                shared
            }
            None => {
                let fresh = Arc::new(Throttle::new(ceiling, settings.resource_units));
                in_use.insert(key, Arc::downgrade(&fresh));
                fresh
            }
        };
        Self {
            throttle,
            allowance: Allowance::new(ceiling),
        }
    }

    /// Waits until a request that is thought to cost so much may go. The second
    /// part is how long the want of units alone held it.
    pub(super) async fn enter(&self, priority: Priority, units: u64) -> (Permit, Duration) {
        let place = Place {
            throttle: &self.throttle,
            ticket: self
                .throttle
                .lock()
                .queue
                .join(priority, self.allowance.clone()),
        };
        let mut waited = Duration::ZERO;
        loop {
            // Before the look at the state, so that no move is missed.
            let moved = self.throttle.moved.notified();
            let now = Instant::now();
            let held = self
                .throttle
                .lock()
                .pass(place.ticket, &self.allowance, units, now);
            match held {
                Ok(()) => {
                    let permit = Permit {
                        throttle: Arc::clone(&self.throttle),
                        allowance: self.allowance.clone(),
                        taken: units,
                        sent: now,
                    };
                    return (permit, waited);
                }
                Err(Held::Turn) => moved.await,
                Err(Held::Gate(until)) => {
                    tokio::select! {
                        () = moved => {}
                        () = tokio::time::sleep_until(until) => {}
                    }
                }
                Err(Held::Units(until)) => {
                    tokio::select! {
                        () = moved => {}
                        () = tokio::time::sleep_until(until) => {}
                    }
                    waited += now.elapsed();
                }
            }
        }
    }

    /// Nobody passes for so long.
    pub(super) fn shut_for(&self, pause: Duration) {
        self.throttle.lock().gate.shut_until(Instant::now() + pause);
    }

    /// How much longer nothing is to be said about subscriptions.
    pub(super) fn subscriptions_rest(&self) -> Option<Duration> {
        let now = Instant::now();
        let opens = self.throttle.lock().subscriptions.opens(now)?;
        Some(opens - now)
    }

    /// Nothing is said about subscriptions for so long; all else goes on.
    pub(super) fn rest_subscriptions(&self, pause: Duration) {
        let mut state = self.throttle.lock();
        state.subscriptions.shut_until(Instant::now() + pause);
    }
}

impl Throttle {
    fn new(ceiling: usize, units: ResourceUnits) -> Self {
        Self {
            state: Mutex::new(State::new(ceiling, units, Instant::now())),
            moved: Notify::new(),
        }
    }

    /// Held for a few instructions, never while waiting.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(ceiling: usize, units: ResourceUnits, now: Instant) -> Self {
        Self {
            gate: Gate::default(),
            subscriptions: Gate::default(),
            budget: Budget::new(units, now),
            window: Window::new(ceiling),
            queue: Queue::default(),
        }
    }

    /// Lets this one in, if it is its turn and there is room.
    fn pass(
        &mut self,
        ticket: Ticket,
        allowance: &Allowance,
        units: u64,
        now: Instant,
    ) -> Result<(), Held> {
        if self.queue.first() != Some(ticket) || !self.window.has_room() {
            return Err(Held::Turn);
        }
        if let Some(opens) = self.gate.opens(now) {
            return Err(Held::Gate(opens));
        }
        self.budget
            .take(units, now)
            .map_err(|wait| Held::Units(now + wait))?;
        self.queue.pass(ticket);
        self.window.enter();
        allowance.enter();
        Ok(())
    }

    fn learn(&mut self, told: Told, taken: u64, sent: Instant, now: Instant) {
        if let Some(units) = told.units {
            self.budget.correct(taken, units);
        }
        if let Some(used) = told.used {
            self.budget.told(used, now);
        }
        match told.strain {
            Strain::None => self.window.well(),
            Strain::Some => self.window.strained(sent, now),
            Strain::OutOfUnits => {
                self.window.strained(sent, now);
                self.budget.exhausted(sent, now);
            }
        }
        if told.strain != Strain::None {
            tracing::debug!(
                in_flight_at_most = self.window.limit(),
                resource_units_in_10_s = self.budget.quota(),
                "Graph is under strain"
            );
        }
    }
}

/// A place in the queue; dropping it leaves the queue.
struct Place<'t> {
    throttle: &'t Throttle,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.throttle.lock().queue.leave(self.ticket);
        self.throttle.moved.notify_waiters();
    }
}

/// The right to have one request in flight.
#[derive(Debug)]
pub(super) struct Permit {
    throttle: Arc<Throttle>,
    allowance: Allowance,
    taken: u64,
    sent: Instant,
}

impl Permit {
    /// The request was answered, or is known to have no answer.
    pub(super) fn settle(self, told: Told) {
        let now = Instant::now();
        let mut state = self.throttle.lock();
        state.learn(told, self.taken, self.sent, now);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.throttle.lock();
        state.window.leave();
        self.allowance.leave();
        drop(state);
        self.throttle.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests of one reader, told by a clock of the test's own.
    struct Scene {
        state: State,
        allowance: Allowance,
        start: Instant,
    }

    impl Scene {
        fn new(ceiling: usize, units: u32) -> Self {
            let start = Instant::now();
            Self {
                state: State::new(ceiling, ResourceUnits::Fixed(units), start),
                allowance: Allowance::new(ceiling),
                start,
            }
        }

        fn at(&self, milliseconds: u64) -> Instant {
            self.start + Duration::from_millis(milliseconds)
        }

        fn joins(&mut self, priority: Priority) -> Ticket {
            self.state.queue.join(priority, self.allowance.clone())
        }

        fn passes(&mut self, ticket: Ticket, milliseconds: u64) -> Result<(), Held> {
            let (allowance, now) = (self.allowance.clone(), self.at(milliseconds));
            self.state.pass(ticket, &allowance, 10, now)
        }
    }

    #[test]
    fn a_prompt_request_that_comes_later_goes_first_when_units_are_short() {
        let mut scene = Scene::new(20, 100);
        for _ in 0..8 {
            let ticket = scene.joins(Priority::Background);
            assert_eq!(scene.passes(ticket, 0), Ok(()));
        }
        let page = scene.joins(Priority::Background);
        assert!(matches!(scene.passes(page, 0), Err(Held::Units(_))));
        let round = scene.joins(Priority::Prompt);
        let wait = match scene.passes(round, 0) {
            Err(Held::Units(until)) => until - scene.at(0),
            other => panic!("{other:?}"),
        };
        assert_eq!(wait.as_millis(), 1_250 + 1);
        assert_eq!(scene.passes(page, 1_251), Err(Held::Turn));
        assert_eq!(scene.passes(round, 1_251), Ok(()));
        assert!(matches!(scene.passes(page, 1_251), Err(Held::Units(_))));
        assert_eq!(scene.passes(page, 2_600), Ok(()));
    }

    #[test]
    fn a_shut_gate_holds_both_classes_and_takes_no_units() {
        let mut scene = Scene::new(4, 1_000);
        scene.state.gate.shut_until(scene.at(500));
        let first = scene.joins(Priority::Prompt);
        assert_eq!(scene.passes(first, 0), Err(Held::Gate(scene.at(500))));
        assert_eq!(scene.passes(first, 500), Ok(()));
        let second = scene.joins(Priority::Background);
        assert_eq!(scene.passes(second, 500), Ok(()));
        let now = scene.at(500);
        for _ in 0..78 {
            assert_eq!(scene.state.budget.take(10, now), Ok(()), "800 in all");
        }
        assert!(scene.state.budget.take(1, now).is_err());
    }

    #[test]
    fn answers_teach_all_parts() {
        let mut scene = Scene::new(4, 1_000);
        let told = |units, used, strain| Told {
            units,
            used,
            strain,
        };
        let now = scene.start;
        scene
            .state
            .learn(told(Some(0), None, Strain::None), 10, now, now);
        scene
            .state
            .learn(told(None, None, Strain::Some), 10, now, now);
        assert_eq!(scene.state.window.limit(), 2);
        assert!(scene.state.budget.take(1, now).is_ok());
        let later = scene.at(1);
        let out = told(None, None, Strain::OutOfUnits);
        scene.state.learn(out, 10, later, later);
        assert_eq!(scene.state.window.limit(), 1);
        assert!(scene.state.budget.take(1, later).is_err());
    }

    #[tokio::test]
    async fn whoever_stops_waiting_or_is_dropped_gives_the_place_to_the_next() {
        let throttle = Arc::new(Throttle::new(1, ResourceUnits::Auto));
        let entrance = Entrance {
            throttle,
            allowance: Allowance::new(1),
        };
        let (permit, _) = entrance.enter(Priority::Background, 1).await;
        let mut waits = Box::pin(entrance.enter(Priority::Prompt, 1));
        let mut next = Box::pin(entrance.enter(Priority::Background, 1));
        assert!(futures::poll!(&mut waits).is_pending());
        assert!(futures::poll!(&mut next).is_pending());
        drop(permit);
        drop(waits);
        let (permit, _) = next.await;
        drop(permit);
        entrance.enter(Priority::Background, 1).await;
    }
}

//! Whose turn it is: what somebody waits for goes before what may take its time.
//!
//! Invariant: within a class who came first goes first, except that who has
//! all their own requests in flight holds nobody up; and however much of the
//! other class there is, a waiting request gets its turn.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::model::policy::Scope;

/// How soon an answer is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    /// Few requests that somebody waits for: a filtered pass, a round of
    /// changes, a second look, a check.
    Prompt,
    /// A full reading.
    Background,
}

impl Priority {
    /// That of a reading: who asked for a part of it waits for it.
    pub(super) fn of(scope: &Scope) -> Self {
        if scope.is_everything() {
            Self::Background
        } else {
            Self::Prompt
        }
    }

    /// What `x-ms-throttle-priority` says; Graph sheds `Low` first.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Prompt => "Normal",
            Self::Background => "Low",
        }
    }
}

/// Prompt requests that go before a waiting one of the background, in a row.
const PROMPT_IN_A_ROW: u32 = 16;

/// The requests that one reader has in flight, and may have.
#[derive(Debug, Clone)]
pub(super) struct Allowance {
    in_flight: Arc<AtomicUsize>,
    ceiling: usize,
}

impl Allowance {
    pub(super) fn new(ceiling: usize) -> Self {
        Self {
            in_flight: Arc::default(),
            ceiling,
        }
    }

    pub(super) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    fn has_room(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) < self.ceiling
    }
}

/// Names one waiting request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

/// Those that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    prompt: VecDeque<(Ticket, Allowance)>,
    background: VecDeque<(Ticket, Allowance)>,
    issued: u64,
    /// Prompt requests in a row that went before one of the background.
    in_a_row: u32,
}

impl Queue {
    pub(super) fn join(&mut self, priority: Priority, allowance: Allowance) -> Ticket {
        self.issued += 1;
        let ticket = Ticket(self.issued);
        match priority {
            Priority::Prompt => self.prompt.push_back((ticket, allowance)),
            Priority::Background => self.background.push_back((ticket, allowance)),
        }
        ticket
    }

    /// Whose turn it is, if anybody may go.
    pub(super) fn first(&self) -> Option<Ticket> {
        match (first_of(&self.prompt), first_of(&self.background)) {
            (Some(_), Some(background)) if self.in_a_row >= PROMPT_IN_A_ROW => Some(background),
            (Some(prompt), _) => Some(prompt),
            (None, background) => background,
        }
    }

    /// This one goes.
    pub(super) fn pass(&mut self, ticket: Ticket) {
        let is_prompt = self.prompt.iter().any(|(waiting, _)| *waiting == ticket);
        self.leave(ticket);
        if is_prompt && first_of(&self.background).is_some() {
            self.in_a_row += 1;
        } else {
            self.in_a_row = 0;
        }
    }

    /// This one waits no more.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.prompt.retain(|(waiting, _)| *waiting != ticket);
        self.background.retain(|(waiting, _)| *waiting != ticket);
    }
}

fn first_of(queue: &VecDeque<(Ticket, Allowance)>) -> Option<Ticket> {
    queue
        .iter()
        .find(|(_, allowance)| allowance.has_room())
        .map(|(ticket, _)| *ticket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Priority::{Background, Prompt};

    #[test]
    fn prompt_requests_go_first_each_class_in_its_own_order() {
        let all = Allowance::new(9);
        let mut queue = Queue::default();
        let tickets = [Background, Prompt, Background, Prompt]
            .map(|priority| queue.join(priority, all.clone()));
        let mut order = Vec::new();
        while let Some(ticket) = queue.first() {
            queue.pass(ticket);
            order.push(ticket);
        }
        assert_eq!(order, [1, 3, 0, 2].map(|place: usize| tickets[place]));
    }

    #[test]
    fn the_background_gets_its_turn_however_much_is_prompt() {
        let all = Allowance::new(9);
        let mut queue = Queue::default();
        let waiting = [(); 3].map(|()| queue.join(Background, all.clone()));
        let mut turns = Vec::new();
        for turn in 0..60 {
            queue.join(Prompt, all.clone());
            let first = queue.first().unwrap();
            queue.pass(first);
            if waiting.contains(&first) {
                turns.push(turn);
            }
        }
        assert_eq!(turns, [16, 33, 50]);
    }

    #[test]
    fn who_has_all_their_own_in_flight_holds_nobody_up() {
        let mut queue = Queue::default();
        let (narrow, wide) = (Allowance::new(1), Allowance::new(2));
        let held = queue.join(Prompt, narrow.clone());
        let other = queue.join(Background, wide);
        narrow.enter();
        assert_eq!(queue.first(), Some(other));
        narrow.leave();
        assert_eq!(queue.first(), Some(held));
        queue.leave(held);
        assert_eq!(queue.first(), Some(other));
        queue.leave(other);
        assert_eq!(queue.first(), None);
    }
}

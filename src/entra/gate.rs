//! One door for all workers: whoever is told to slow down shuts it for
//! everyone, because Graph counts per application and tenant
//! (graph-contract 8.2).
//!
//! Invariant: a shorter pause never opens what a longer one shut.

use tokio::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Gate {
    opens: Option<Instant>,
}

impl Gate {
    /// Shuts the door until this time at least.
    pub(super) fn shut_until(&mut self, until: Instant) {
        self.opens = Some(self.opens.map_or(until, |open| open.max(until)));
    }

    /// When it opens, if it is shut.
    pub(super) fn opens(&self, now: Instant) -> Option<Instant> {
        self.opens.filter(|opens| *opens > now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_shut_gate_holds_everyone_until_the_longest_pause_is_over() {
        let mut gate = Gate::default();
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert_eq!(gate.opens(start), None);
        gate.shut_until(at(60));
        gate.shut_until(at(1));
        assert_eq!(gate.opens(at(59)), Some(at(60)));
        assert_eq!(gate.opens(at(60)), None);
    }
}

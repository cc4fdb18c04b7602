//! How long to wait, how often to try, and what `Retry-After` means.
//!
//! Sources: graph-contract 8.2 and 10. Every number is here, so that tests can
//! put small ones in their place. Must not: sleep.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Limits of patience.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// Tries of one request in all, throttling not counted.
    pub(super) attempts: u32,
    /// Upper bound of the first back-off; doubles each time.
    pub(super) first_delay: Duration,
    /// Upper bound of any back-off.
    pub(super) longest_delay: Duration,
    /// No further try once a request has taken this long.
    pub(super) request_deadline: Duration,
    /// No further try once a request has been throttled this long.
    pub(super) throttle_patience: Duration,
    /// A longer `Retry-After` is cut to this.
    pub(super) longest_pause: Duration,
    /// How long a refused credential is not tried again; doubles each time.
    pub(super) refusal_pause: Duration,
    /// Upper bound of that, and how long a failed token endpoint rests at most.
    pub(super) longest_refusal_pause: Duration,
    /// A token that claims a shorter life is used this long all the same, or
    /// every call would ask for a token of its own.
    pub(super) shortest_token_life: Duration,
    /// A token that claims a longer life is renewed all the same; no real one
    /// lives longer than 28 hours.
    pub(super) longest_token_life: Duration,
    /// How often a collection is begun again after a lost page token.
    pub(super) restarts: u32,
    /// More pages than any collection has.
    pub(super) page_cap: usize,
}

impl Pace {
    /// The pace of the daemon.
    pub(super) const fn steady(attempts: u32) -> Self {
        Self {
            attempts,
            first_delay: Duration::from_secs(1),
            longest_delay: Duration::from_secs(30),
            request_deadline: Duration::from_secs(600),
            throttle_patience: Duration::from_secs(300),
            longest_pause: Duration::from_secs(300),
            refusal_pause: Duration::from_secs(60),
            longest_refusal_pause: Duration::from_secs(300),
            shortest_token_life: Duration::from_secs(30),
            longest_token_life: Duration::from_secs(172_800),
            restarts: 3,
            page_cap: 20_000,
        }
    }

    /// Full jitter over an exponential bound: anything up to
    /// `first_delay * 2^round`.
    pub(super) fn delay(&self, round: u32) -> Duration {
        self.bound(round).mul_f64(random_share())
    }

    /// The same with a floor of half the bound, for a throttle that named no
    /// pause: asking again at once prolongs it.
    pub(super) fn throttle_delay(&self, round: u32) -> Duration {
        let bound = self.bound(round);
        bound / 2 + (bound / 2).mul_f64(random_share())
    }

    fn bound(&self, round: u32) -> Duration {
        let factor = 1_u32.checked_shl(round.min(16)).unwrap_or(u32::MAX);
        self.first_delay
            .saturating_mul(factor)
            .min(self.longest_delay)
    }
}

/// Evenly spread over 0 to 1; jitter needs no better source.
fn random_share() -> f64 {
    let [a, b, c, d, ..] = *Uuid::new_v4().as_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX)
}

/// Reads `Retry-After`: seconds, also fractional, or an HTTP date, which is
/// measured against the server's own `Date` where there is one.
pub(super) fn retry_after(value: &str, date: Option<&str>, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        if !seconds.is_finite() || seconds < 0.0 {
            return None;
        }
        return Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    }
    let until = DateTime::parse_from_rfc2822(value).ok()?;
    let base = date
        .and_then(|date| DateTime::parse_from_rfc2822(date.trim()).ok())
        .map_or(now, |date| date.with_timezone(&Utc));
    // A date in the past means now.
    Some(
        (until.with_timezone(&Utc) - base)
            .to_std()
            .unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn retry_after_is_read_in_every_form() {
        let read = |value| retry_after(value, None, now());
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read(" 2.128 "), Some(Duration::from_millis(2128)));
        assert_eq!(read("0"), Some(Duration::ZERO));
        assert_eq!(read("1e300"), Some(Duration::MAX));
        assert_eq!(read("-1"), None);
        assert_eq!(read("NaN"), None);
        assert_eq!(read("soon"), None);
        assert_eq!(
            read("Sun, 01 Mar 2026 12:00:30 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(read("Sun, 01 Mar 2026 11:00:00 GMT"), Some(Duration::ZERO));
    }

    #[test]
    fn a_retry_date_is_measured_by_the_servers_own_clock() {
        assert_eq!(
            retry_after(
                "Sun, 01 Mar 2026 15:00:09 GMT",
                Some("Sun, 01 Mar 2026 15:00:00 GMT"),
                now()
            ),
            Some(Duration::from_secs(9))
        );
    }

    #[test]
    fn delays_grow_to_their_bound_and_never_beyond() {
        let pace = Pace::steady(4);
        for round in 0..40 {
            assert!(pace.delay(round) <= pace.longest_delay);
            assert!(pace.throttle_delay(round) >= pace.first_delay / 2);
            assert!(pace.throttle_delay(round) <= pace.longest_delay);
        }
    }
}

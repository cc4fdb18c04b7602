//! What can keep passes from their end, and how often each is asked again.
//!
//! Every figure is here: first pause, longest pause, failures before an alert
//! (docs/OPERATING.md, "Quarantine").

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

/// What keeps passes from their end: one word for each thing to be mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Entra does not take the application's credentials.
    Authentication,
    /// Graph refuses what the application asks: a permission, the service
    /// principal, the request itself.
    Permission,
    /// Entra or Graph gives no answer that can be used.
    Outage,
    /// LiteLLM's database refuses the login.
    DatabaseLogin,
    /// LiteLLM's database, or what is in it, cannot be used.
    Database,
}

/// How the pauses grow: from the first, doubled each time, to the longest.
struct Stretch {
    first: Duration,
    longest: Duration,
}

/// Failures in a row before an alert opens, unless a person must act at once.
const SEVERAL: u32 = 3;

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Authentication,
        Self::Permission,
        Self::Outage,
        Self::DatabaseLogin,
        Self::Database,
    ];

    /// The word in reports, logs and the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Permission => "permission",
            Self::Outage => "outage",
            Self::DatabaseLogin => "database_login",
            Self::Database => "database",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }

    /// What has failed, to go before "has failed 3 times".
    #[must_use]
    pub const fn deed(self) -> &'static str {
        match self {
            Self::Authentication => "signing in to Entra",
            Self::Permission => "being let in by Graph",
            Self::Outage => "reading from Graph",
            Self::DatabaseLogin => "signing in to LiteLLM's database",
            Self::Database => "using LiteLLM's database",
        }
    }

    /// What ends it. The cause, with its own remedy, is in the message.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Authentication => {
                "mend the credential as the error says; a changed secret file is tried at once, \
                 else send SIGHUP (files) or restart (environment)"
            }
            Self::Permission => {
                "grant or correct what the error names, then send SIGUSR1; `entra-sync check` \
                 tries every permission"
            }
            Self::Outage => {
                "nothing if Microsoft is down; else look at the network and the proxy; SIGUSR1 \
                 tries at once"
            }
            Self::DatabaseLogin => {
                "mend the login as the error says; a changed URL file, client certificate or \
                 credential file is tried at once, else restart"
            }
            Self::Database => "look at the database as the error says; SIGUSR1 tries at once",
        }
    }

    /// Whether a secret that changes may end it.
    #[must_use]
    pub const fn is_about_a_secret(self) -> bool {
        matches!(self, Self::Authentication | Self::DatabaseLogin)
    }

    /// Whether it is the database that could not be asked.
    #[must_use]
    pub const fn is_about_the_database(self) -> bool {
        matches!(self, Self::Database | Self::DatabaseLogin)
    }

    /// Whether a person has to act, so that trying soon is of no use.
    const fn wants_a_person(self) -> bool {
        matches!(
            self,
            Self::Authentication | Self::Permission | Self::DatabaseLogin
        )
    }

    /// How many failures in a row open the alert.
    #[must_use]
    pub const fn alerts_after(self) -> u32 {
        match self {
            // Nothing but a person ends it, so there is nothing to wait for.
            Self::Authentication | Self::DatabaseLogin => 1,
            Self::Permission | Self::Outage | Self::Database => SEVERAL,
        }
    }

    const fn stretch(self) -> Stretch {
        let (first, longest) = match self {
            Self::Authentication | Self::Permission | Self::DatabaseLogin => (60, 3_600),
            Self::Outage => (10, 3_600),
            // Our own database: asking costs a connection and nobody's quota.
            Self::Database => (10, 600),
        };
        Stretch {
            first: Duration::from_secs(first),
            longest: Duration::from_secs(longest),
        }
    }

    /// The pause after this many failures in a row; doubles up to a cap.
    #[must_use]
    pub fn pause(self, failures: u32) -> Duration {
        let Stretch { first, longest } = self.stretch();
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        first.saturating_mul(doubled).min(longest)
    }

    /// When a pass is tried again after this many failures in a row, the last
    /// of them at `now`.
    ///
    /// `asked` is the pause that the other side asked for; it counts up to the
    /// cap. `scheduled` is the schedule's next time, if it has one: what wants a
    /// person is never tried more often than that.
    #[must_use]
    pub fn next_attempt(
        self,
        failures: u32,
        asked: Duration,
        scheduled: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> DateTime<Utc> {
        let pause = self.pause(failures).max(asked.min(self.stretch().longest));
        let soonest = TimeDelta::from_std(pause)
            .ok()
            .and_then(|pause| now.checked_add_signed(pause))
            .unwrap_or(now);
        match scheduled {
            Some(scheduled) if self.wants_a_person() => soonest.max(scheduled),
            _ => soonest,
        }
    }
}

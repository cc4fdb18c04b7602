//! What `LITELLM_LICENSE` admits.
//!
//! Source: LiteLLM 1.109.1, `proxy/auth/litellm_license.py`. A signed licence
//! is base64 of `<json>.<signature>`; the JSON may hold `expiration_date`,
//! `user_id`, `allowed_features`, `max_users` and `max_teams`.
//!
//! The signature is not verified here, on purpose: the key that proves it is
//! LiteLLM's, and nothing is protected by our checking it. The same text is
//! given to the proxy, which does verify it and refuses what a forged licence
//! would have admitted; who can set our environment can also set
//! `litellm.seats`. A licence in another form is one that LiteLLM asks its
//! vendor about; it carries no terms that could be read.
//!
//! Must not: ask the vendor, read a clock, or print the licence.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chrono::NaiveDate;
use serde_json::Value;

use super::{ParamError, lax};
use crate::model::policy::Limit;

/// How many billable users LiteLLM admits without a licence
/// (`repositories/user_repository.py`).
const FREE_SEATS: u64 = 5;

/// What is known about the licence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Licence {
    /// None is set.
    Absent,
    /// One is set, but it admits nothing that we could tell.
    Unreadable {
        /// Why; reads after "`LITELLM_LICENSE`".
        reason: String,
    },
    /// A signed licence that has not expired.
    Valid(Terms),
}

/// What a signed licence says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// `max_users`: billable users at most.
    pub max_users: Option<u64>,
    /// `max_teams`: teams at most.
    pub max_teams: Option<u64>,
    /// `expiration_date`: the first day on which it no longer holds.
    pub expires: NaiveDate,
    /// `allowed_features`.
    pub features: Vec<String>,
}

/// `litellm.seats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seats {
    /// What the licence says; five without one.
    Auto,
    /// This many, whatever the licence says.
    AtMost(u64),
    /// No ceiling on users, whatever the licence says.
    Unlimited,
}

/// How far creation may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceilings {
    /// Billable users.
    pub users: Limit,
    /// Teams.
    pub teams: Limit,
    /// What the operator should be told once, if anything.
    pub notice: Option<String>,
}

impl Licence {
    /// Reads the value of `LITELLM_LICENSE`; blank is the same as not set.
    /// `today` is the day in the proxy's zone (UTC in its images).
    #[must_use]
    pub fn read(text: Option<&str>, today: NaiveDate) -> Self {
        let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
            return Self::Absent;
        };
        match terms(text) {
            // LiteLLM compares the day's midnight with the present moment, so
            // the licence does not hold on the day itself.
            Ok(terms) if terms.expires <= today => Self::Unreadable {
                reason: format!("expired on {}", terms.expires),
            },
            Ok(terms) => Self::Valid(terms),
            Err(reason) => Self::Unreadable {
                reason: reason.to_owned(),
            },
        }
    }

    /// Whether LiteLLM's paid features may be written.
    #[must_use]
    pub fn grants_premium(&self) -> bool {
        matches!(self, Self::Valid(_))
    }

    /// Why it grants no paid feature, as far as we can tell; reads after
    /// "`LITELLM_LICENSE`".
    #[must_use]
    pub fn no_premium(&self) -> Option<&str> {
        match self {
            Self::Absent => Some("is not set"),
            Self::Unreadable { reason } => Some(reason),
            Self::Valid(_) => None,
        }
    }

    /// Why a paid feature may not be written, and what can be done.
    pub(super) fn premium_fault(&self) -> (String, String) {
        let reason = "is a LiteLLM Enterprise feature";
        match self {
            Self::Unreadable { reason: why } => (
                format!("{reason}, and LITELLM_LICENSE {why}"),
                "take it out, or give a signed licence that has not expired".to_owned(),
            ),
            Self::Absent | Self::Valid(_) => (
                format!("{reason}, and LITELLM_LICENSE is not set"),
                "take it out, or set LITELLM_LICENSE as the proxy has it".to_owned(),
            ),
        }
    }
}

impl Seats {
    /// Reads `litellm.seats`: `auto`, `unlimited`, or a number.
    ///
    /// # Errors
    /// [`ParamError`] for anything else.
    pub fn parse(value: &Value) -> Result<Self, ParamError> {
        match value {
            Value::Null => return Ok(Self::Auto),
            Value::String(text) if text.trim().eq_ignore_ascii_case("auto") => {
                return Ok(Self::Auto);
            }
            Value::String(text) if text.trim().eq_ignore_ascii_case("unlimited") => {
                return Ok(Self::Unlimited);
            }
            Value::String(_) | Value::Number(_) => {}
            _ => return Err(Self::fault()),
        }
        lax::limit(value)
            .ok()
            .and_then(|seats| u64::try_from(seats).ok())
            .map(Self::AtMost)
            .ok_or_else(Self::fault)
    }

    fn fault() -> ParamError {
        ParamError::new(
            "litellm.seats",
            "must be `auto`, `unlimited` or a number that is not negative",
            "write `auto` to go by the licence",
        )
    }
}

/// How many users and teams may exist.
///
/// LiteLLM itself refuses only when the count is already above `max_users` or
/// `max_teams`, so it ends with one more than licensed; we stop at the number.
/// `seats` speaks for users only: a licence's `max_teams` always holds.
#[must_use]
pub fn ceilings(seats: Seats, licence: &Licence) -> Ceilings {
    let (licensed, teams) = match licence {
        Licence::Valid(terms) => (at_most(terms.max_users), at_most(terms.max_teams)),
        Licence::Absent | Licence::Unreadable { .. } => {
            (Limit::AtMost(FREE_SEATS), Limit::Unlimited)
        }
    };
    let users = match seats {
        Seats::Auto => licensed,
        Seats::AtMost(seats) => Limit::AtMost(seats),
        Seats::Unlimited => Limit::Unlimited,
    };
    Ceilings {
        users,
        teams,
        notice: notice(seats, licence),
    }
}

fn notice(seats: Seats, licence: &Licence) -> Option<String> {
    let remedy = "set litellm.seats to `unlimited`, or to the number that your licence admits";
    match (licence, seats) {
        (Licence::Valid(_), _) | (Licence::Absent, Seats::AtMost(_) | Seats::Unlimited) => None,
        (Licence::Absent, Seats::Auto) => Some(format!(
            "LITELLM_LICENSE is not set: LiteLLM admits {FREE_SEATS} users without a licence, \
             and none are created beyond that; if the proxy has a licence, give it here as well, \
             or {remedy}"
        )),
        (Licence::Unreadable { reason }, Seats::Auto) => Some(format!(
            "LITELLM_LICENSE {reason}: it counts as no licence, so no users are created beyond \
             {FREE_SEATS}; if the proxy accepts it, {remedy}"
        )),
        (Licence::Unreadable { reason }, Seats::AtMost(_) | Seats::Unlimited) => Some(format!(
            "LITELLM_LICENSE {reason}: it counts as no licence; litellm.seats says how many users \
             are created"
        )),
    }
}

fn at_most(number: Option<u64>) -> Limit {
    number.map_or(Limit::Unlimited, Limit::AtMost)
}

/// Takes the signed form apart as LiteLLM does.
fn terms(text: &str) -> Result<Terms, &'static str> {
    const NOT_SIGNED: &str =
        "is not of the signed kind, so LiteLLM checks it online and it carries no limits";
    // Python's decoder skips what is not of the alphabet, line breaks too.
    let letters: String = text
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '/'))
        .collect();
    let decoded = LENIENT.decode(letters).map_err(|_| NOT_SIGNED)?;
    let mut parts = decoded.splitn(2, |byte| *byte == b'.');
    let (Some(message), Some(signature)) = (parts.next(), parts.next()) else {
        return Err(NOT_SIGNED);
    };
    let Ok(Value::Object(data)) = serde_json::from_slice(message) else {
        return Err(NOT_SIGNED);
    };
    if signature.is_empty() {
        return Err("carries no signature");
    }
    let expires = data
        .get("expiration_date")
        .and_then(Value::as_str)
        .and_then(|date| NaiveDate::parse_from_str(date, "%Y-%m-%d").ok())
        .ok_or("has no expiration_date of the form YYYY-MM-DD")?;
    let number = |key| match data.get(key) {
        // Below zero LiteLLM admits nobody either.
        Some(Value::Number(number)) => number.as_u64().or_else(|| number.as_i64().map(|_| 0)),
        Some(Value::Bool(flag)) => Some(u64::from(*flag)),
        // Anything else LiteLLM does not take for a limit.
        _ => None,
    };
    let features = match data.get("allowed_features") {
        Some(Value::Array(features)) => features
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        Some(Value::String(feature)) => vec![feature.clone()],
        _ => Vec::new(),
    };
    Ok(Terms {
        max_users: number("max_users"),
        max_teams: number("max_teams"),
        expires,
        features,
    })
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests;

//! What an answer comes to: one for a request, or one of a batch's.
//!
//! Invariant: an answer counts only if its status is 2xx and its body was
//! accepted whole. Must not: wait, send, or know what an answer is about.
//!
//! Source: graph-contract 8.2 and 10.

use std::convert::Infallible;
use std::time::Duration;

use chrono::Utc;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use super::call::Call;
use super::client::{Answer, NoAnswer};
use super::error::{Error, NetworkCause};
use super::fault::Defect;
use super::pace;
use super::throttle::{Strain, Told};
use super::wire::ErrorBody;

/// No request costs more; a larger figure is none, and would stop the rest.
const MOST_UNITS: u64 = 1_000;

/// What one try came to.
pub(super) enum Try<T> {
    Answered(T),
    GivenUp(Error),
    /// Worth another try, not before this much time if the server said so.
    Failed(Error, Option<Duration>),
    Throttled {
        asked: Option<Duration>,
        trace: String,
    },
    TokenRefused(Error),
}

impl Try<Infallible> {
    /// The same for one of those that it befell.
    pub(super) fn alike<T>(&self) -> Try<T> {
        match self {
            Self::Answered(never) => match *never {},
            Self::GivenUp(error) => Try::GivenUp(error.clone()),
            Self::Failed(error, asked) => Try::Failed(error.clone(), *asked),
            Self::Throttled { asked, trace } => Try::Throttled {
                asked: *asked,
                trace: trace.clone(),
            },
            Self::TokenRefused(error) => Try::TokenRefused(error.clone()),
        }
    }
}

pub(super) fn judge<T>(
    call: Call,
    answer: Answer,
    accept: &mut impl FnMut(&[u8]) -> Result<T, Defect>,
) -> Try<T> {
    let Answer {
        status,
        headers,
        trace,
        body,
    } = answer;
    if status.is_success() {
        return match accept(&body) {
            Ok(value) => Try::Answered(value),
            Err(defect) => unusable(call, defect, trace, &body),
        };
    }
    let asked = asked_pause(&headers);
    let told = ErrorBody::read(&body);
    match status.as_u16() {
        429 => Try::Throttled { asked, trace },
        401 => Try::TokenRefused(Error::Unauthorized { call, trace }),
        _ if told.as_ref().is_some_and(ErrorBody::lost_page_token) => {
            Try::GivenUp(Error::PageTokenLost { call, trace })
        }
        403 if told.as_ref().is_some_and(|told| is_over_quota(call, told)) => {
            Try::GivenUp(Error::SubscriptionForbidden {
                call,
                permission: call.permission(),
                trace,
            })
        }
        403 if told.is_some() => Try::GivenUp(Error::PermissionMissing {
            call,
            permission: call.permission(),
            trace,
        }),
        404 if told.is_some() || body.is_empty() => {
            let code = told.map_or_else(|| "none".to_owned(), |told| told.absence());
            Try::GivenUp(Error::NotFound { call, code, trace })
        }
        // 424: of a batch, because of another of its items.
        status @ (408 | 424 | 500 | 502..=599) => Try::Failed(
            Error::Unavailable {
                call,
                status,
                trace,
            },
            asked,
        ),
        status => Try::GivenUp(Error::Refused {
            call,
            status,
            code: told.map_or_else(|| "none".to_owned(), |told| told.code()),
            trace,
        }),
    }
}

/// Whether this may be for want of room for a subscription: Graph has one code
/// for that and for much else, and another for a permission that is missing.
fn is_over_quota(call: Call, told: &ErrorBody) -> bool {
    let is_subscription = matches!(
        call,
        Call::SubscribeToGroups | Call::SubscribeToPeople | Call::Subscription
    );
    is_subscription && !told.denied()
}

/// A success whose body is none.
pub(super) fn unusable<T>(call: Call, defect: Defect, trace: String, body: &[u8]) -> Try<T> {
    let defect = match ErrorBody::read(body) {
        Some(told) if told.lost_page_token() => {
            return Try::GivenUp(Error::PageTokenLost { call, trace });
        }
        Some(told) => Defect::ErrorInside { code: told.code() },
        None if body.trim_ascii_start().starts_with(b"<") => Defect::Html,
        None => defect,
    };
    Try::Failed(
        Error::Malformed {
            call,
            defect,
            trace,
        },
        None,
    )
}

/// What it means that there is no answer from this host.
pub(super) fn unanswered<T>(call: Call, host: String, none: NoAnswer) -> Try<T> {
    match none {
        NoAnswer::Final(error) => Try::GivenUp(error),
        NoAnswer::Foreign(fault) => Try::GivenUp(Error::ForeignLink { call, fault }),
        NoAnswer::Oversized { trace } => Try::GivenUp(Error::Malformed {
            call,
            defect: Defect::Oversized,
            trace,
        }),
        NoAnswer::Network(failure) => {
            let error = Error::Unreachable {
                call,
                host,
                cause: failure.cause,
                detail: failure.detail,
            };
            match failure.cause {
                // A certificate does not become valid by asking again.
                NetworkCause::Tls => Try::GivenUp(error),
                _ => Try::Failed(error, None),
            }
        }
    }
}

/// What the absence of an answer says to the next request.
pub(super) fn silence(none: &NoAnswer) -> Told {
    let strain = match none {
        NoAnswer::Network(failure) if failure.cause == NetworkCause::Timeout => Strain::Some,
        _ => Strain::None,
    };
    Told {
        units: None,
        used: None,
        strain,
    }
}

/// What an answer says to the next request. It cost what it says itself, else
/// what the table says; failures cost nothing, but a refusal for want of units
/// is counted by Graph all the same.
pub(super) fn told(call: Call, status: StatusCode, headers: &HeaderMap) -> Told {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let named = text("x-ms-resource-unit")
        .and_then(|value| value.trim().parse().ok())
        .filter(|units| *units <= MOST_UNITS);
    let strain = match status.as_u16() {
        429 if text("x-ms-throttle-information").is_some_and(is_about_units) => Strain::OutOfUnits,
        408 | 429 | 503 | 504 | 509 => Strain::Some,
        _ => Strain::None,
    };
    let units = match named {
        Some(0) | None if status == StatusCode::TOO_MANY_REQUESTS => None,
        Some(units) => Some(units),
        None if status.is_success() => Some(call.resource_units()),
        None => Some(0),
    };
    let used = text("x-ms-throttle-limit-percentage")
        .and_then(|value| value.trim().parse::<f64>().ok())
        .filter(|used| used.is_finite() && *used > 0.8);
    Told {
        units,
        used,
        strain,
    }
}

fn is_about_units(why: &str) -> bool {
    why.to_ascii_lowercase().contains("resourceunitlimit")
}

fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    pace::retry_after(text(RETRY_AFTER)?, text(DATE), Utc::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(status: u16, headers: &[(&'static str, &'static str)]) -> Told {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        told(
            Call::Members,
            StatusCode::from_u16(status).unwrap(),
            &headers,
        )
    }

    #[test]
    fn an_answer_costs_what_it_says_and_else_what_the_table_says() {
        let unit = |text| [("x-ms-resource-unit", text)];
        assert_eq!(says(200, &unit(" 7 ")).units, Some(7));
        assert_eq!(says(200, &unit("many")).units, Some(2));
        assert_eq!(says(200, &unit("18446744073709551615")).units, Some(2));
        assert_eq!(says(200, &[]).units, Some(2));
        assert_eq!(says(404, &[]).units, Some(0));
        assert_eq!(says(403, &unit("3")).units, Some(3));
        assert_eq!(says(429, &unit("0")).units, None, "stays as estimated");
    }

    #[test]
    fn strain_is_told_from_refusal_and_want_of_units_from_both() {
        let why = |text| [("x-ms-throttle-information", text)];
        let spent = says(429, &why("resourceUnitLimitExceeded"));
        assert_eq!(spent.strain, Strain::OutOfUnits);
        assert_eq!(says(429, &why("CPULimitExceeded")).strain, Strain::Some);
        assert_eq!(says(503, &why("ResourceUnitLimit")).strain, Strain::Some);
        for status in [200, 400, 401, 403, 404, 500] {
            assert_eq!(says(status, &[]).strain, Strain::None, "{status}");
        }
    }

    #[test]
    fn the_used_share_counts_above_four_fifths_and_only_if_it_is_a_number() {
        let used = |text| says(200, &[("x-ms-throttle-limit-percentage", text)]).used;
        assert_eq!(used("0.81"), Some(0.81));
        assert_eq!(used("1.8"), Some(1.8));
        for none in ["0.8", "0.2", "-1", "NaN", "inf", "much", ""] {
            assert_eq!(used(none), None, "{none}");
        }
    }
}

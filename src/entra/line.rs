//! The line to Graph: one question is asked until it is answered or given up.
//!
//! Invariant: an answer counts only if its status is 2xx and its body was
//! accepted whole; a 429 stops everybody; a refused token is replaced once per
//! question. Must not: know what an answer means beyond that.
//!
//! Source: graph-contract 8.2 and 10.

use chrono::Utc;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::Url;

use super::call::Call;
use super::client::{Answer, Client, NoAnswer};
use super::error::{Error, NetworkCause};
use super::fault::Defect;
use super::gate::Gate;
use super::meter::Meter;
use super::pace::{self, Pace};
use super::token::{Token, Tokens};
use super::wire::ErrorBody;
use crate::config::EntraSettings;

/// What all readings of one application share.
pub(super) struct Line {
    client: Client,
    tokens: Tokens,
    gate: Gate,
    slots: Semaphore,
    concurrency: usize,
    pace: Pace,
}

impl Line {
    pub(super) fn new(settings: &EntraSettings, pace: Pace) -> Result<Self, Error> {
        // First, because it reports what the SDK's constructor would panic on.
        let tokens = Tokens::new(settings, pace.clone())?;
        let concurrency = settings.concurrency.max(1);
        Ok(Self {
            client: Client::new(settings, tokens.clone()),
            tokens,
            gate: Gate::default(),
            slots: Semaphore::new(concurrency),
            concurrency,
            pace,
        })
    }

    pub(super) fn tokens(&self) -> &Tokens {
        &self.tokens
    }
}

/// The line as one reading uses it.
#[derive(Clone, Copy)]
pub(super) struct Questions<'r> {
    line: &'r Line,
    meter: &'r Meter<'r>,
}

/// What one try came to.
enum Try<T> {
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

/// What the tries so far amount to.
#[derive(Default)]
struct Tries {
    failed: u32,
    throttled: u32,
    first_sent: Option<Instant>,
    first_throttled: Option<Instant>,
    token_replaced: bool,
}

impl<'r> Questions<'r> {
    pub(super) fn new(line: &'r Line, meter: &'r Meter<'r>) -> Self {
        Self { line, meter }
    }

    pub(super) fn client(&self) -> &'r Client {
        &self.line.client
    }

    pub(super) fn meter(&self) -> &'r Meter<'r> {
        self.meter
    }

    pub(super) fn pace(&self) -> &'r Pace {
        &self.line.pace
    }

    pub(super) fn concurrency(&self) -> usize {
        self.line.concurrency
    }

    /// Asks until there is an answer that `accept` takes. `accept` may be
    /// called again after it refused a body, which must have left no trace.
    ///
    /// # Errors
    /// The last try's.
    pub(super) async fn ask<T: Send>(
        &self,
        call: Call,
        url: &Url,
        mut accept: impl FnMut(&[u8]) -> Result<T, Defect> + Send,
    ) -> Result<T, Error> {
        let mut tries = Tries::default();
        let error = loop {
            let token = self.line.tokens.get().await?;
            let wait = match self
                .try_once(call, url, &token, &mut tries, &mut accept)
                .await
            {
                Try::Answered(value) => {
                    self.meter.well();
                    return Ok(value);
                }
                Try::GivenUp(error) => break error,
                Try::TokenRefused(error) if tries.token_replaced => break error,
                Try::TokenRefused(_) => {
                    tries.token_replaced = true;
                    self.line.tokens.reject(&token).await;
                    Duration::ZERO
                }
                Try::Throttled { asked, trace } => {
                    match self.throttled(call, &mut tries, asked, trace) {
                        // The gate does the waiting, for everybody.
                        None => Duration::ZERO,
                        Some(error) => break error,
                    }
                }
                Try::Failed(error, asked) => match self.wait_after(&mut tries, asked) {
                    Some(wait) => {
                        tracing::debug!(error.kind = error.kind(), %error, "asking again");
                        wait
                    }
                    None => break error,
                },
            };
            self.meter.retried();
            tokio::time::sleep(wait).await;
        };
        if error.is_outage() {
            self.meter.outage();
        } else {
            self.meter.well();
        }
        Err(error)
    }

    async fn try_once<T>(
        &self,
        call: Call,
        url: &Url,
        token: &Arc<Token>,
        tries: &mut Tries,
        accept: &mut impl FnMut(&[u8]) -> Result<T, Defect>,
    ) -> Try<T> {
        // The semaphore is never closed; were it, sending without a slot is
        // still right.
        let _slot = self.line.slots.acquire().await.ok();
        self.line.gate.passed().await;
        tries.first_sent.get_or_insert_with(Instant::now);
        self.meter.sent();
        match self.line.client.get(url, token).await {
            Ok(answer) => self.judge(call, token, answer, accept),
            Err(NoAnswer::Final(error)) => Try::GivenUp(error),
            Err(NoAnswer::Foreign(fault)) => Try::GivenUp(Error::ForeignLink { call, fault }),
            Err(NoAnswer::Oversized { trace }) => Try::GivenUp(Error::Malformed {
                call,
                defect: Defect::Oversized,
                trace,
            }),
            Err(NoAnswer::Network(failure)) => {
                let cause = failure.cause;
                let error = Error::Unreachable {
                    call,
                    host: self.line.client.endpoint().authority(),
                    cause,
                    detail: failure.detail,
                };
                match cause {
                    // A certificate does not become valid by asking again.
                    NetworkCause::Tls => Try::GivenUp(error),
                    _ => Try::Failed(error, None),
                }
            }
        }
    }

    fn judge<T>(
        &self,
        call: Call,
        token: &Token,
        answer: Answer,
        accept: &mut impl FnMut(&[u8]) -> Result<T, Defect>,
    ) -> Try<T> {
        let Answer {
            status,
            headers,
            trace,
            body,
        } = answer;
        self.meter.cost(units(call, status, &headers));
        if status != StatusCode::UNAUTHORIZED {
            token.was_accepted();
        }
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
            403 if told.is_some() => Try::GivenUp(Error::PermissionMissing {
                call,
                permission: call.permission(),
                trace,
            }),
            404 if told.is_some() || body.is_empty() => {
                let code = told.map_or_else(|| "none".to_owned(), |told| told.absence());
                Try::GivenUp(Error::NotFound { call, code, trace })
            }
            status @ (408 | 500 | 502..=599) => Try::Failed(
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

    /// Shuts the gate, or says that patience is over.
    fn throttled(
        &self,
        call: Call,
        tries: &mut Tries,
        asked: Option<Duration>,
        trace: String,
    ) -> Option<Error> {
        let pace = &self.line.pace;
        self.meter.throttled();
        let first = *tries.first_throttled.get_or_insert_with(Instant::now);
        if first.elapsed() >= pace.throttle_patience {
            return Some(Error::ThrottledOut {
                call,
                waited: first.elapsed(),
                asked: asked.unwrap_or_default(),
                trace,
            });
        }
        let backoff = pace.throttle_delay(tries.throttled);
        tries.throttled += 1;
        let wanted = asked.filter(|asked| !asked.is_zero()).unwrap_or(backoff);
        let pause = wanted.min(pace.longest_pause);
        if pause < wanted {
            tracing::warn!(
                asked_s = wanted.as_secs(),
                pause_s = pause.as_secs(),
                "Graph asks for a longer pause than is waited; the reading will be late"
            );
        } else {
            tracing::debug!(pause_ms = pause.as_millis(), %call, "Graph asks for a pause");
        }
        self.line.gate.shut_for(pause);
        None
    }

    /// How long to wait before the next try, if there is one.
    fn wait_after(&self, tries: &mut Tries, asked: Option<Duration>) -> Option<Duration> {
        let pace = &self.line.pace;
        let wait = pace
            .delay(tries.failed)
            .max(asked.unwrap_or_default().min(pace.longest_pause));
        tries.failed += 1;
        let spent = tries.first_sent.map(|first| first.elapsed())?;
        (tries.failed < pace.attempts && spent + wait <= pace.request_deadline).then_some(wait)
    }
}

/// A success whose body is none.
fn unusable<T>(call: Call, defect: Defect, trace: String, body: &[u8]) -> Try<T> {
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

/// What the answer cost: its own word, else the table; failures say 0.
fn units(call: Call, status: StatusCode, headers: &HeaderMap) -> u64 {
    let told = headers
        .get("x-ms-resource-unit")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.trim().parse().ok());
    match told {
        Some(units) => units,
        None if status.is_success() => call.resource_units(),
        None => 0,
    }
}

fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    pace::retry_after(text(RETRY_AFTER)?, text(DATE), Utc::now())
}

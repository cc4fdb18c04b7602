//! The line to Graph: one question is asked until it is answered or given up.
//!
//! Invariant: nothing is sent without the throttle's permit; a 429 stops
//! everybody; a refused token is replaced once per question. What is said of
//! subscriptions goes beside the throttle and stops nobody (`once`). Must not:
//! know what an answer means beyond that.
//!
//! Source: graph-contract 8.2 and 10.

mod once;

use reqwest::StatusCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tracing::Instrument;
use url::Url;

use super::call::Call;
use super::client::{Client, Payload};
use super::error::Error;
use super::fault::Defect;
use super::judge::{self, Try, judge, unanswered};
use super::meter::Meter;
use super::pace::Pace;
use super::queue::Priority;
use super::throttle::{Entrance, Permit, Told};
use super::token::{Token, Tokens};
use super::tries::Tries;
use crate::config::EntraSettings;

/// One reader's line; the entrance leads to what all readings of the
/// application share.
pub(super) struct Line {
    client: Client,
    tokens: Tokens,
    entrance: Entrance,
    concurrency: usize,
    pace: Pace,
    /// Something between here and Graph lets no batch through.
    no_batches: AtomicBool,
}

impl Line {
    pub(super) fn new(settings: &EntraSettings, pace: Pace) -> Result<Self, Error> {
        // First, because it reports what the SDK's constructor would panic on.
        let tokens = Tokens::new(settings, pace.clone())?;
        Ok(Self {
            client: Client::new(settings, tokens.clone())?,
            tokens,
            entrance: Entrance::of(settings),
            concurrency: settings.concurrency.max(1),
            pace,
            no_batches: AtomicBool::new(false),
        })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    pub(super) fn takes_batches(&self) -> bool {
        !self.no_batches.load(Ordering::Relaxed)
    }

    /// Sends no batch any more; whether that is news.
    pub(super) fn send_no_batches(&self) -> bool {
        !self.no_batches.swap(true, Ordering::Relaxed)
    }
}

/// The line as one reading uses it.
#[derive(Clone, Copy)]
pub(super) struct Questions<'r> {
    line: &'r Line,
    meter: &'r Meter<'r>,
    priority: Priority,
}

/// What comes after a try.
pub(super) enum Next<T> {
    Done(Result<T, Error>),
    /// Not before this much time.
    Again(Duration),
}

impl<'r> Questions<'r> {
    pub(super) fn new(line: &'r Line, meter: &'r Meter<'r>, priority: Priority) -> Self {
        Self {
            line,
            meter,
            priority,
        }
    }

    pub(super) fn client(&self) -> &'r Client {
        &self.line.client
    }

    pub(super) fn line(&self) -> &'r Line {
        self.line
    }

    pub(super) fn meter(&self) -> &'r Meter<'r> {
        self.meter
    }

    pub(super) fn pace(&self) -> &'r Pace {
        &self.line.pace
    }

    pub(super) fn priority(&self) -> Priority {
        self.priority
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
        accept: impl FnMut(&[u8]) -> Result<T, Defect> + Send,
    ) -> Result<T, Error> {
        self.ask_on(call, url, Tries::default(), accept).await
    }

    /// Goes on asking after these tries.
    ///
    /// # Errors
    /// The last try's.
    pub(super) async fn ask_on<T: Send>(
        &self,
        call: Call,
        url: &Url,
        mut tries: Tries,
        mut accept: impl FnMut(&[u8]) -> Result<T, Defect> + Send,
    ) -> Result<T, Error> {
        loop {
            let token = self.line.tokens.get().await?;
            let fate = self
                .try_once(call, url, &token, &mut tries, &mut accept)
                .await;
            match self.weigh(call, fate, &mut tries, &token).await {
                Next::Done(answer) => {
                    match &answer {
                        Err(error) if error.is_outage() => self.meter.outage(),
                        _ => self.meter.well(),
                    }
                    return answer;
                }
                Next::Again(wait) => {
                    self.meter.retried();
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// What is to be done after a try.
    pub(super) async fn weigh<T: Send>(
        &self,
        call: Call,
        fate: Try<T>,
        tries: &mut Tries,
        token: &Arc<Token>,
    ) -> Next<T> {
        match fate {
            Try::Answered(value) => Next::Done(Ok(value)),
            Try::GivenUp(error) => Next::Done(Err(error)),
            Try::TokenRefused(error) if tries.token_replaced => Next::Done(Err(error)),
            Try::TokenRefused(_) => {
                tries.token_replaced = true;
                self.line.tokens.reject(token).await;
                Next::Again(Duration::ZERO)
            }
            Try::Throttled { asked, trace } => {
                match tries.throttled(self.pace(), call, asked, trace) {
                    Ok(pause) => {
                        // The gate does the waiting, for everybody.
                        self.line.entrance.shut_for(pause);
                        Next::Again(Duration::ZERO)
                    }
                    Err(error) => Next::Done(Err(error)),
                }
            }
            Try::Failed(error, asked) => match tries.failed(self.pace(), asked) {
                Some(wait) => {
                    tracing::debug!(error.kind = error.kind(), %error, "asking again");
                    Next::Again(wait)
                }
                None => Next::Done(Err(error)),
            },
        }
    }

    /// Counts what asked us to slow down.
    pub(super) fn count<T>(&self, fate: &Try<T>) {
        if matches!(fate, Try::Throttled { .. }) {
            self.meter.throttled();
        }
    }

    /// Waits for the right to send one request that costs so much.
    pub(super) async fn permit(&self, units: u64) -> Permit {
        let (permit, waited) = self.line.entrance.enter(self.priority, units).await;
        self.meter.held_back(waited);
        permit
    }

    async fn try_once<T>(
        &self,
        call: Call,
        url: &Url,
        token: &Arc<Token>,
        tries: &mut Tries,
        accept: &mut impl FnMut(&[u8]) -> Result<T, Defect>,
    ) -> Try<T> {
        let permit = self.permit(call.resource_units()).await;
        tries.sent();
        let (fate, told) = self
            .exchange(call, url, &Payload::None, token, accept)
            .await;
        permit.settle(told);
        fate
    }

    /// Sends it now; what came of it, and what that says of Graph.
    async fn exchange<T>(
        &self,
        call: Call,
        url: &Url,
        payload: &Payload,
        token: &Arc<Token>,
        accept: &mut impl FnMut(&[u8]) -> Result<T, Defect>,
    ) -> (Try<T>, Told) {
        self.meter.sent();
        let span = call.span(payload.verb());
        let sent = self
            .client()
            .send(url, payload.clone(), self.priority, token);
        match sent.instrument(span.clone()).await {
            Ok(answer) => {
                span.record("http.response.status_code", answer.status.as_u16());
                let told = judge::told(call, answer.status, &answer.headers);
                self.meter.cost(told.units.unwrap_or(0));
                if answer.status != StatusCode::UNAUTHORIZED {
                    token.was_accepted();
                }
                let fate = judge(call, answer, accept);
                self.count(&fate);
                (fate, told)
            }
            Err(none) => {
                let told = judge::silence(&none);
                let at = self.client().endpoint().authority();
                (unanswered(call, at, none), told)
            }
        }
    }
}

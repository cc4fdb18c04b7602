//! Several questions in one request, where that saves the way.
//!
//! Invariant: each item is judged, tried again and given up like a request of
//! its own; an item without an answer has failed, and nothing is concluded from
//! it. Where no batch gets through, the questions are asked one by one.
//! Must not: know what is asked.
//!
//! Source: graph-contract 7. It saves no resource units.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use reqwest::StatusCode;
use tracing::Instrument;
use url::Url;

use super::call::Call;
use super::client::{Answer, Payload};
use super::envelope::{self, ITEMS};
use super::error::Error;
use super::fault::Defect;
use super::judge::{self, Try, judge, unanswered, unusable};
use super::line::{Next, Questions};
use super::throttle::{Permit, Strain, Told};
use super::token::Token;
use super::tries::Tries;

/// A question that is still open.
struct Open<K> {
    key: K,
    url: Url,
    tries: Tries,
}

/// Why the items of a batch have no answers of their own.
enum Whole {
    /// The envelope is refused, by Graph or on the way there.
    Refused(StatusCode),
    /// All of them fared like this.
    Alike(Try<Infallible>),
}

impl Questions<'_> {
    /// Asks each of these questions of one kind. `conclude` makes of an answer
    /// what the caller wants, or ends the asking.
    ///
    /// # Errors
    /// The first that `conclude` gives.
    pub(super) async fn ask_each<K, T, R>(
        &self,
        call: Call,
        asked: Vec<(K, Url)>,
        accept: impl Fn(K, &[u8]) -> Result<T, Defect> + Sync,
        conclude: impl Fn(K, Result<T, Error>) -> Result<R, Error> + Sync,
    ) -> Result<Vec<R>, Error>
    where
        K: Copy + Send + Sync,
        T: Send,
        R: Send,
    {
        let (accept, conclude) = (&accept, &conclude);
        let mut portions: Vec<Vec<(K, Url)>> = Vec::new();
        for one in asked {
            match portions.last_mut() {
                Some(portion) if portion.len() < ITEMS => portion.push(one),
                _ => portions.push(vec![one]),
            }
        }
        let portions: Vec<Vec<R>> = stream::iter(portions)
            .map(|portion| async move {
                let answers = self.ask_together(call, portion, accept).await;
                answers
                    .into_iter()
                    .map(|(key, answer)| conclude(key, answer))
                    .collect::<Result<Vec<R>, Error>>()
            })
            .buffer_unordered(self.concurrency())
            .try_collect()
            .await?;
        Ok(portions.into_iter().flatten().collect())
    }

    /// One portion; every question comes back with its answer.
    async fn ask_together<K, T>(
        &self,
        call: Call,
        portion: Vec<(K, Url)>,
        accept: &(impl Fn(K, &[u8]) -> Result<T, Defect> + Sync),
    ) -> Vec<(K, Result<T, Error>)>
    where
        K: Copy + Send + Sync,
        T: Send,
    {
        let mut open: Vec<Open<K>> = portion
            .into_iter()
            .map(|(key, url)| Open {
                key,
                url,
                tries: Tries::default(),
            })
            .collect();
        let mut answers = Vec::with_capacity(open.len());
        while open.len() > 1 && self.line().takes_batches() {
            let token = match self.line().tokens().get().await {
                Ok(token) => token,
                Err(error) => {
                    answers.extend(open.into_iter().map(|one| (one.key, Err(error.clone()))));
                    return answers;
                }
            };
            let fates = match self.post(call, &mut open, &token, accept).await {
                Ok(fates) => fates,
                Err(Whole::Alike(fate)) => open.iter().map(|_| fate.alike()).collect(),
                Err(Whole::Refused(status)) => {
                    self.say_that_batches_are_refused(status);
                    break;
                }
            };
            let mut wait = Duration::ZERO;
            let mut again = Vec::new();
            for (mut one, fate) in open.into_iter().zip(fates) {
                match self.weigh(call, fate, &mut one.tries, &token).await {
                    Next::Done(answer) => answers.push((one.key, answer)),
                    Next::Again(after) => {
                        wait = wait.max(after);
                        again.push(one);
                    }
                }
            }
            open = again;
            if open.is_empty() {
                // One request: were each of its items an outage, a single
                // failure would end the reading.
                match answers.iter().find(|(_, answer)| !is_outage(answer)) {
                    Some(_) => self.meter().well(),
                    None => self.meter().outage(),
                }
                return answers;
            }
            self.meter().retried();
            tokio::time::sleep(wait).await;
        }
        let rest: Vec<(K, Result<T, Error>)> = stream::iter(open)
            .map(|Open { key, url, tries }| async move {
                let answer = self.ask_on(call, &url, tries, |body| accept(key, body));
                (key, answer.await)
            })
            .buffer_unordered(self.concurrency())
            .collect()
            .await;
        answers.extend(rest);
        answers
    }

    /// Sends the open questions once; their fates are in their order.
    async fn post<K: Copy + Send + Sync, T>(
        &self,
        call: Call,
        open: &mut [Open<K>],
        token: &Arc<Token>,
        accept: &(impl Fn(K, &[u8]) -> Result<T, Defect> + Sync),
    ) -> Result<Vec<Try<T>>, Whole> {
        let endpoint = self.client().endpoint();
        let addresses: Result<Vec<String>, _> =
            open.iter().map(|one| endpoint.relative(&one.url)).collect();
        let addresses = addresses
            .map_err(|fault| Whole::Alike(Try::GivenUp(Error::ForeignLink { call, fault })))?;
        let json = envelope::envelope(&addresses, self.priority());
        let units = call.resource_units() * open.len() as u64;
        let permit = self.permit(units).await;
        for one in open.iter_mut() {
            one.tries.sent();
        }
        self.meter().sent();
        let url = self.client().batch();
        let sent = self
            .client()
            .send(&url, Payload::Json(json), self.priority(), token);
        let span = Call::Batch.span("POST");
        let whole = match sent.instrument(span.clone()).await {
            Ok(whole) => {
                span.record("http.response.status_code", whole.status.as_u16());
                whole
            }
            Err(none) => {
                permit.settle(judge::silence(&none));
                let fate = unanswered(Call::Batch, endpoint.authority(), none);
                return Err(Whole::Alike(fate));
            }
        };
        if whole.status != StatusCode::UNAUTHORIZED {
            token.was_accepted();
        }
        let trace = whole.trace.clone();
        let mut items = self.open_envelope(whole, permit, call, open.len())?;
        Ok(open
            .iter()
            .enumerate()
            .map(|(place, one)| match items.remove(&place) {
                Some(answer) => judge(call, answer, &mut |body: &[u8]| accept(one.key, body)),
                None => missing(call, trace.clone()),
            })
            .inspect(|fate| self.count(fate))
            .collect())
    }

    /// The items of an answer; they say what it cost.
    fn open_envelope(
        &self,
        whole: Answer,
        permit: Permit,
        call: Call,
        asked: usize,
    ) -> Result<BTreeMap<usize, Answer>, Whole> {
        let outer = judge::told(Call::Batch, whole.status, &whole.headers);
        if !whole.status.is_success() {
            permit.settle(outer);
            if is_refusal(whole.status) {
                return Err(Whole::Refused(whole.status));
            }
            let fate = judge(Call::Batch, whole, &mut |_: &[u8]| {
                Err(Defect::Missing("responses"))
            });
            self.count(&fate);
            return Err(Whole::Alike(fate));
        }
        let items = match envelope::answers(&whole) {
            Ok(items) => items,
            Err(defect) => {
                let units = None;
                permit.settle(Told { units, ..outer });
                let Answer { trace, body, .. } = whole;
                return Err(Whole::Alike(unusable(Call::Batch, defect, trace, &body)));
            }
        };
        let told: Vec<Told> = items
            .values()
            .map(|item| judge::told(call, item.status, &item.headers))
            .collect();
        let known: u64 = told.iter().filter_map(|told| told.units).sum();
        let unknown = asked.saturating_sub(told.iter().filter(|told| told.units.is_some()).count());
        self.meter().cost(known);
        permit.settle(Told {
            units: Some(known + call.resource_units() * unknown as u64),
            used: told
                .iter()
                .chain([&outer])
                .filter_map(|told| told.used)
                .reduce(f64::max),
            strain: told
                .iter()
                .map(|told| told.strain)
                .max()
                .unwrap_or(Strain::None),
        });
        Ok(items)
    }

    fn say_that_batches_are_refused(&self, status: StatusCode) {
        if self.line().send_no_batches() {
            tracing::warn!(
                status = status.as_u16(),
                "Graph, or something on the way there, refuses $batch; people are asked for one \
                 by one from now on"
            );
        }
    }
}

/// Whether an envelope will fare no better again. 424 is an old way of saying
/// that items were throttled.
fn is_refusal(status: StatusCode) -> bool {
    let passes = matches!(status.as_u16(), 401 | 408 | 424 | 429);
    (status.is_client_error() && !passes) || status == StatusCode::NOT_IMPLEMENTED
}

fn is_outage<T>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(error) if error.is_outage())
}

fn missing<T>(call: Call, trace: String) -> Try<T> {
    let error = Error::Malformed {
        call,
        defect: Defect::Missing("responses.id"),
        trace,
    };
    Try::Failed(error, None)
}

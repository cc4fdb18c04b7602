//! What was asked: a counter per endpoint, and the last requests.
//!
//! Must not: keep a token or a secret.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fault::Effect;

/// Requests kept one by one; older ones are only counted.
const KEPT: usize = 20_000;

/// The ids that an answer carries.
#[derive(Debug, Clone)]
pub(super) struct RequestIds {
    pub(super) request: Uuid,
    pub(super) client: String,
}

/// One request, as it was answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoggedRequest {
    /// `GET` and so on.
    pub method: String,
    /// The path as it came.
    pub path: String,
    /// The query as it came, percent-encoded.
    pub query: String,
    /// The endpoint, for example `groups/{id}/members`; `token` for the token
    /// endpoint, `unknown` for what is refused for its path.
    pub endpoint: String,
    /// The page of a collection; 1 is the first.
    pub page: u32,
    /// The status; 0 when the connection was cut before an answer.
    pub status: u16,
    /// `x-ms-resource-unit`.
    pub resource_units: u32,
    /// Whether an `Authorization` header came along.
    pub authorized: bool,
    /// `ConsistencyLevel`, if it came along.
    pub consistency_level: Option<String>,
    /// `client-request-id`, if it came along.
    pub client_request_id: Option<String>,
    /// `User-Agent`, if it came along.
    pub user_agent: Option<String>,
    /// What went wrong with it, on demand.
    pub effects: Vec<Effect>,
}

/// What one endpoint was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointCount {
    /// Requests, items of a `$batch` among them.
    pub requests: u64,
    /// Those that were not answered with 2xx.
    pub refused: u64,
    /// Their resource units.
    pub resource_units: u64,
}

/// What was asked since the start or the last reset.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Requests {
    /// By endpoint.
    pub by_endpoint: BTreeMap<String, EndpointCount>,
    /// The last requests, oldest first.
    pub log: VecDeque<LoggedRequest>,
    /// Most HTTP requests that were in work at one time.
    pub most_in_flight: u64,
    /// HTTP requests in work now.
    pub in_flight: u64,
}

impl Requests {
    /// The counter of one endpoint, for example `groups/{id}/members`.
    #[must_use]
    pub fn of(&self, endpoint: &str) -> EndpointCount {
        self.by_endpoint.get(endpoint).copied().unwrap_or_default()
    }

    /// All Graph requests, without those for tokens and `$batch` envelopes.
    #[must_use]
    pub fn graph(&self) -> EndpointCount {
        let mut sum = EndpointCount::default();
        for (endpoint, count) in &self.by_endpoint {
            if endpoint != "token" && endpoint != "$batch" {
                sum.requests += count.requests;
                sum.refused += count.refused;
                sum.resource_units += count.resource_units;
            }
        }
        sum
    }

    pub(super) fn enter(&mut self) {
        self.in_flight += 1;
        self.most_in_flight = self.most_in_flight.max(self.in_flight);
    }

    pub(super) fn leave(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    pub(super) fn add(&mut self, request: LoggedRequest) {
        let count = self
            .by_endpoint
            .entry(request.endpoint.clone())
            .or_default();
        count.requests += 1;
        count.refused += u64::from(!(200..300).contains(&request.status));
        count.resource_units += u64::from(request.resource_units);
        if self.log.len() == KEPT {
            self.log.pop_front();
        }
        self.log.push_back(request);
    }

    pub(super) fn reset(&mut self) {
        *self = Self {
            in_flight: self.in_flight,
            ..Self::default()
        };
    }
}

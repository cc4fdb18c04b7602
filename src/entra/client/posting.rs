//! Requests that have a body or do something, through a client that follows no
//! redirect: with a 307 the SDK's would post the body to whatever host is named.
//!
//! Invariant: what is posted reaches the endpoint or nobody. Must not: retry.

use std::sync::Arc;

use graph_rs_sdk::header::{CONTENT_TYPE, LOCATION};
use reqwest::Response;
use secrecy::ExposeSecret;
use url::Url;

use super::{Client, NoAnswer, Payload, REQUEST_ID, THROTTLE_PRIORITY};
use crate::entra::error::LinkFault;
use crate::entra::queue::Priority;
use crate::entra::token::Token;
use crate::entra::transport;

impl Client {
    /// Whatever is no GET. It holds ids, or the secret by which a notification
    /// is known to be Graph's.
    pub(super) async fn post(
        &self,
        url: &Url,
        payload: Payload,
        request_id: &str,
        priority: Priority,
        token: &Arc<Token>,
    ) -> Result<Response, NoAnswer> {
        let mut request = self
            .still
            .request(payload.method(), url.clone())
            .bearer_auth(token.value().expose_secret())
            .header(REQUEST_ID, request_id)
            .header(THROTTLE_PRIORITY, priority.word());
        if let Some(json) = payload.into_json() {
            request = request.header(CONTENT_TYPE, "application/json").body(json);
        }
        let sent = request.send().await;
        let response =
            sent.map_err(|error| NoAnswer::Network(transport::network_failure(&error)))?;
        if response.status().is_redirection()
            && let Some(location) = response.headers().get(LOCATION)
        {
            let there = location
                .to_str()
                .ok()
                .and_then(|there| url.join(there).ok());
            let there = there.ok_or(NoAnswer::Foreign(LinkFault::Unreadable))?;
            self.endpoint.check(&there).map_err(NoAnswer::Foreign)?;
        }
        Ok(response)
    }
}

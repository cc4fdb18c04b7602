//! One request to Graph. The only file that names graph-rs-sdk.
//!
//! The SDK builds the URLs and sends; its paging, retries, token cache and
//! concurrency limit are not used, because they end a collection early on an
//! error, follow links to any host and lose headers (dependency-notes 3). Its
//! client also follows redirects, with the body, and cannot be told not to: what
//! has a body, or does something, goes through a client of ours.
//!
//! Invariant: before the token goes out the address is checked, and the
//! address that answered is checked as well. A body goes to the endpoint and
//! nowhere else. What is posted are questions
//! and wishes to be told, never a change of the directory. Must not: retry, parse or decide.

mod changes;
mod payload;
mod posting;

use std::fmt::Display;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use graph_core::identity::ForceTokenRefresh;
use graph_rs_sdk::error::AuthExecutionResult;
use graph_rs_sdk::header::{HeaderMap, HeaderName, HeaderValue};
use graph_rs_sdk::http::Method;
use graph_rs_sdk::identity::ClientApplication;
use graph_rs_sdk::{GraphClient, GraphClientConfiguration, GraphFailure, ODataQuery};
use reqwest::StatusCode;
use secrecy::ExposeSecret;
use url::Url;
use uuid::Uuid;

pub(super) use changes::{Since, tracked};
pub(super) use payload::Payload;

use super::error::{Error, LinkFault, NetworkCause};
use super::link::Endpoint;
use super::notifications::SubscriptionId;
use super::queue::Priority;
use super::token::{Token, Tokens};
use super::transport::{self, BodyFailure, NetworkFailure};
use crate::config::{AttributeNames, EntraSettings};
use crate::model::ids::{GroupId, PersonId, ServicePrincipalId};

/// The largest page Graph gives (graph-contract 3 and 4).
const PAGE: &str = "999";

/// Values that `id in (…)` takes (graph-contract 4).
pub(super) const IDS_PER_FILTER: usize = 15;

/// Tells Graph what to shed first.
pub(super) const THROTTLE_PRIORITY: &str = "x-ms-throttle-priority";

/// Names a request of ours to Microsoft's support.
const REQUEST_ID: &str = "client-request-id";

/// What tells a person's account from a disabled one. The name is asked for
/// because where it is withheld, the state is as well.
const ACCOUNT: &str = "id,userPrincipalName,accountEnabled";

/// The Graph API of one application.
#[derive(Clone)]
pub(super) struct Client {
    graph: GraphClient,
    /// Follows no redirect.
    still: reqwest::Client,
    endpoint: Endpoint,
    person_properties: String,
}

/// An answer with its whole body, whatever its status.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) trace: String,
    pub(super) body: Bytes,
}

/// Why there is no answer.
pub(super) enum NoAnswer {
    /// It will not come by asking again.
    Final(Error),
    /// The address is not ours.
    Foreign(LinkFault),
    /// The body has no end.
    Oversized { trace: String },
    /// The network failed.
    Network(NetworkFailure),
}

impl Client {
    pub(super) fn new(settings: &EntraSettings, tokens: Tokens) -> Result<Self, Error> {
        let still = transport::redirected_nowhere(settings, &settings.graph_endpoint)?;
        let configuration = GraphClientConfiguration::new()
            .client_application(Bearer(tokens))
            .user_agent(HeaderValue::from_static(transport::USER_AGENT))
            .referer(false)
            .timeout(settings.request_timeout)
            .connect_timeout(transport::CONNECT_TIMEOUT)
            .https_only(settings.graph_endpoint.scheme() == "https");
        let mut graph = GraphClient::from(configuration);
        // `use_endpoint` panics on hosts it does not know; which hosts are
        // allowed was decided with the settings.
        graph.use_test_endpoint(&settings.graph_endpoint);
        Ok(Self {
            graph,
            still,
            endpoint: Endpoint::new(&settings.graph_endpoint),
            person_properties: person_properties(&settings.attributes),
        })
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) fn service_principal(&self, id: ServicePrincipalId) -> Url {
        self.graph
            .service_principal(id.to_string())
            .get_service_principal()
            .select(&["id,appId,displayName,accountEnabled,appRoles,appRoleAssignmentRequired"])
            .url()
    }

    pub(super) fn assignments(&self, id: ServicePrincipalId, page: PageSize) -> Url {
        self.graph
            .service_principal(id.to_string())
            .list_app_role_assigned_to()
            .top(page.as_str())
            .url()
    }

    /// Group objects, [`IDS_PER_FILTER`] at most.
    pub(super) fn groups(&self, ids: &[GroupId]) -> Url {
        self.graph
            .groups()
            .list_group()
            .filter(&[&id_in(ids)])
            .select(&["id,displayName,visibility"])
            .url()
    }

    /// Uncast on purpose: the cast reads an index that lags (graph-contract 4).
    pub(super) fn members(&self, id: GroupId) -> Url {
        self.graph
            .group(id.to_string())
            .list_members()
            .select(&[&self.person_properties])
            .top(PAGE)
            .url()
    }

    pub(super) fn transitive_members(&self, id: GroupId) -> Url {
        self.graph
            .group(id.to_string())
            .transitive_members()
            .list_transitive_members()
            .select(&[&self.person_properties])
            .top(PAGE)
            .url()
    }

    pub(super) fn person(&self, id: PersonId) -> Url {
        self.graph
            .user(id.to_string())
            .get_user()
            .select(&[&self.person_properties])
            .url()
    }

    /// Accounts of people, [`IDS_PER_FILTER`] at most.
    pub(super) fn accounts(&self, ids: &[PersonId]) -> Url {
        self.graph
            .users()
            .list_user()
            .filter(&[&id_in(ids)])
            .select(&[ACCOUNT])
            .url()
    }

    pub(super) fn account(&self, id: PersonId) -> Url {
        self.graph
            .user(id.to_string())
            .get_user()
            .select(&[ACCOUNT])
            .url()
    }

    pub(super) fn deleted_item(&self, id: PersonId) -> Url {
        self.graph
            .custom(Method::GET, None)
            .extend_path(&["directory", "deletedItems", &id.to_string()])
            .select(&["id"])
            .url()
    }

    pub(super) fn deleted_people(&self) -> Url {
        self.graph
            .custom(Method::GET, None)
            .extend_path(&["directory", "deletedItems", "microsoft.graph.user"])
            .select(&["id"])
            .top("1")
            .url()
    }

    /// People with their attributes, [`IDS_PER_FILTER`] at most.
    pub(super) fn people(&self, ids: &[PersonId]) -> Url {
        self.graph
            .users()
            .list_user()
            .filter(&[&id_in(ids)])
            .select(&[&self.person_properties])
            .url()
    }

    /// Where several questions go at once.
    pub(super) fn batch(&self) -> Url {
        self.graph
            .custom(Method::POST, None)
            .extend_path(&["$batch"])
            .url()
    }

    /// Where subscriptions are made.
    pub(super) fn subscriptions(&self) -> Url {
        self.graph
            .custom(Method::POST, None)
            .extend_path(&["subscriptions"])
            .url()
    }

    /// Where one is prolonged and ended.
    pub(super) fn subscription(&self, id: SubscriptionId) -> Url {
        self.graph
            .custom(Method::PATCH, None)
            .extend_path(&["subscriptions", &id.as_uuid().to_string()])
            .url()
    }

    /// Sends one request with this token and reads the answer to its end.
    pub(super) async fn send(
        &self,
        url: &Url,
        payload: Payload,
        priority: Priority,
        token: &Arc<Token>,
    ) -> Result<Answer, NoAnswer> {
        self.endpoint.check(url).map_err(NoAnswer::Foreign)?;
        let request_id = Uuid::new_v4().to_string();
        let response = match payload {
            Payload::None => self.get(url, &request_id, priority, token).await?,
            other => self.post(url, other, &request_id, priority, token).await?,
        };
        let status = response.status();
        let headers = response.headers().clone();
        let trace = transport::trace(&headers, &request_id);
        match transport::whole_body(response).await {
            Ok(body) => Ok(Answer {
                status,
                headers,
                trace,
                body,
            }),
            Err(BodyFailure::Oversized) => Err(NoAnswer::Oversized { trace }),
            Err(BodyFailure::Network(failure)) => Err(NoAnswer::Network(failure)),
        }
    }
}

impl Client {
    async fn get(
        &self,
        url: &Url,
        request_id: &str,
        priority: Priority,
        token: &Arc<Token>,
    ) -> Result<reqwest::Response, NoAnswer> {
        let request_id_header =
            HeaderValue::from_str(request_id).unwrap_or(HeaderValue::from_static("unknown"));
        let mut request = self
            .graph
            .custom(Method::GET, None)
            .header(HeaderName::from_static(REQUEST_ID), request_id_header)
            .header(
                HeaderName::from_static(THROTTLE_PRIORITY),
                HeaderValue::from_static(priority.word()),
            );
        *request.as_mut() = url.clone();
        let sending = SENT_WITH.scope(Arc::clone(token), request.send());
        let response = sending.await.map_err(no_answer)?;
        // The SDK's client follows redirects. Away from the host it drops the
        // token; what answers there is no part of the directory.
        self.endpoint
            .check(response.url())
            .map_err(NoAnswer::Foreign)?;
        Ok(response)
    }
}

/// How many rows a page of assignments is asked to have.
#[derive(Debug, Clone, Copy)]
pub(super) enum PageSize {
    /// As many as Graph gives.
    Largest,
    /// Another number, so that a page cut at a limit shows.
    Control,
}

impl PageSize {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Largest => PAGE,
            Self::Control => "500",
        }
    }
}

fn id_in(ids: &[impl Display]) -> String {
    let quoted: Vec<String> = ids.iter().map(|id| format!("'{id}'")).collect();
    format!("id in ({})", quoted.join(","))
}

/// What `$select` names for people: what is always needed, then what the
/// settings ask for beyond it.
fn person_properties(names: &AttributeNames) -> String {
    let mut properties = vec![
        "id",
        "userPrincipalName",
        "mail",
        "displayName",
        "givenName",
        "surname",
        "accountEnabled",
        "userType",
    ];
    for name in [
        &names.id,
        &names.email,
        &names.display_name,
        &names.first_name,
        &names.last_name,
    ] {
        if !properties.contains(&name.as_str()) {
            properties.push(name);
        }
    }
    properties.join(",")
}

tokio::task_local! {
    /// The token of the request under way, so that the one that was sent is
    /// the one that is rejected if Graph refuses it.
    static SENT_WITH: Arc<Token>;
}

/// Our token room behind the SDK's seam.
#[derive(Clone)]
struct Bearer(Tokens);

#[async_trait]
impl ClientApplication for Bearer {
    fn get_token_silent(&mut self) -> AuthExecutionResult<String> {
        Err(other("the blocking client is not used"))
    }

    async fn get_token_silent_async(&mut self) -> AuthExecutionResult<String> {
        let token = match SENT_WITH.try_with(Arc::clone) {
            Ok(token) => token,
            Err(_) => self.0.get().await.map_err(other)?,
        };
        Ok(token.value().expose_secret().to_owned())
    }

    fn with_force_token_refresh(&mut self, _: ForceTokenRefresh) {}
}

fn other(
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> graph_rs_sdk::error::AuthExecutionError {
    graph_rs_sdk::error::AuthExecutionError::Other(error.into())
}

/// The SDK prints its failures over many lines, with URLs; ours say why.
fn no_answer(failure: GraphFailure) -> NoAnswer {
    match failure {
        GraphFailure::ReqwestError(error) => NoAnswer::Network(transport::network_failure(&error)),
        GraphFailure::Other(error) => match error.downcast::<reqwest::Error>() {
            Ok(error) => NoAnswer::Network(transport::network_failure(&error)),
            Err(error) => match error.downcast::<Error>() {
                Ok(error) => NoAnswer::Final(*error),
                Err(_) => NoAnswer::Network(unnamed()),
            },
        },
        _ => NoAnswer::Network(unnamed()),
    }
}

fn unnamed() -> NetworkFailure {
    NetworkFailure {
        cause: NetworkCause::Other,
        detail: "the SDK gave no further cause".to_owned(),
    }
}

//! The token endpoint: client credentials with a secret, and what the
//! Microsoft identity platform answers when something is wrong with them.
//!
//! Invariant: a token carries the permissions of the moment it was issued and
//! is never logged.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use http::StatusCode;
use serde_json::{Value, json};
use url::form_urlencoded;
use uuid::Uuid;

use super::assertion::{self, Unproven};
use super::permission::Rights;
use super::refusal::Refusal;
use super::tenant::{Credentials, ExpiresIn};

/// Microsoft Graph's own scope, which is asked for whatever host serves it.
const GRAPH_SCOPE: &str = "https://graph.microsoft.com/.default";

#[derive(Debug)]
struct Issued {
    until: Instant,
    rights: Rights,
}

/// That of Azure's databases for PostgreSQL.
const DATABASE_SCOPE: &str = "https://ossrdbms-aad.database.windows.net/.default";

/// The tokens that were issued, and the assertions that they were issued for.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<HashMap<String, Issued>>, assertion::Used);

impl Tokens {
    fn issue(&self, rights: Rights, lifetime: Duration) -> String {
        let token = format!(
            "simulated.{}{}",
            Uuid::new_v4().simple(),
            Uuid::new_v4().simple()
        );
        let mut issued = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + lifetime;
        issued.insert(token.clone(), Issued { until, rights });
        token
    }

    /// Expires every token that was issued so far.
    pub(super) fn expire(&self) {
        let now = Instant::now();
        let mut issued = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for token in issued.values_mut() {
            token.until = now;
        }
    }

    /// The permissions that a request's `Authorization` header proves.
    pub(super) fn rights(&self, authorization: Option<&str>) -> Result<Rights, Refusal> {
        let Some(header) = authorization else {
            return Err(Refusal::unauthenticated("Access token is empty."));
        };
        let token = header
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"))
            .map(|(_, token)| token.trim());
        let issued = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match token.and_then(|token| issued.get(token)) {
            None => Err(Refusal::unauthenticated(
                "IDX14100: JWT is not well formed, there are no dots (.) or it is not known here.",
            )),
            Some(token) if token.until <= Instant::now() => Err(Refusal::unauthenticated(
                "Lifetime validation failed, the token is expired.",
            )),
            Some(token) => Ok(token.rights.clone()),
        }
    }
}

/// A token request, as far as it is looked at.
pub(super) struct TokenAsk<'r> {
    /// The tenant in the path.
    pub(super) tenant: &'r str,
    pub(super) content_type: Option<&'r str>,
    pub(super) authorization: Option<&'r str>,
    pub(super) body: &'r [u8],
    /// Scheme, host and port of this simulator, also good as a scope.
    pub(super) root: &'r str,
}

/// An AADSTS error.
struct Denial {
    status: StatusCode,
    error: &'static str,
    number: u32,
    text: String,
}

impl Denial {
    fn new(status: u16, error: &'static str, number: u32, text: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        Self {
            status,
            error,
            number,
            text: text.into(),
        }
    }

    fn body(&self) -> Value {
        let (trace, correlation) = (Uuid::new_v4(), Uuid::new_v4());
        let now = Utc::now().format("%Y-%m-%d %H:%M:%SZ").to_string();
        json!({
            "error": self.error,
            "error_description": format!(
                "AADSTS{}: {} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}",
                self.number, self.text
            ),
            "error_codes": [self.number],
            "timestamp": now,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("https://login.microsoftonline.com/error?code={}", self.number),
        })
    }
}

/// Answers a token request.
pub(super) fn answer(
    ask: &TokenAsk<'_>,
    credentials: &Credentials,
    tokens: &Tokens,
) -> (StatusCode, Value) {
    match check(ask, credentials, tokens) {
        Err(denial) => (denial.status, denial.body()),
        Ok(resource) => {
            let token = match (resource, &credentials.database_token) {
                (Resource::Database, Some(token)) => token.clone(),
                _ => tokens.issue(Rights::of(&credentials.granted), credentials.lifetime),
            };
            let seconds = credentials.lifetime.as_secs();
            let expires_in = match credentials.expires_in {
                ExpiresIn::Integer => json!(seconds),
                ExpiresIn::Text => json!(seconds.to_string()),
            };
            let body = json!({
                "token_type": "Bearer",
                "expires_in": expires_in,
                "ext_expires_in": expires_in,
                "access_token": token,
            });
            (StatusCode::OK, body)
        }
    }
}

/// What a token is for.
enum Resource {
    Graph,
    Database,
}

fn check(
    ask: &TokenAsk<'_>,
    credentials: &Credentials,
    tokens: &Tokens,
) -> Result<Resource, Denial> {
    let tenant = ask.tenant;
    let is_tenant = tenant.eq_ignore_ascii_case(&credentials.tenant_id.to_string())
        || tenant.eq_ignore_ascii_case(&credentials.domain);
    if !is_tenant {
        return Err(Denial::new(
            400,
            "invalid_request",
            90002,
            format!(
                "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and \
             are signing into the correct cloud."
            ),
        ));
    }
    let is_form = ask
        .content_type
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let form: HashMap<String, String> = match is_form {
        true => form_urlencoded::parse(ask.body).into_owned().collect(),
        false => HashMap::new(),
    };
    let field = |name: &'static str| {
        form.get(name).map(String::as_str).ok_or_else(|| {
            Denial::new(
                400,
                "invalid_request",
                900_144,
                format!("The request body must contain the following parameter: '{name}'."),
            )
        })
    };
    let grant_type = field("grant_type")?;
    if grant_type != "client_credentials" {
        return Err(Denial::new(
            400,
            "unsupported_grant_type",
            70003,
            format!("The app requested an unsupported grant type '{grant_type}'."),
        ));
    }
    let basic = ask.authorization.and_then(basic_credentials);
    let client_id = match &basic {
        Some((id, _)) => id.as_str(),
        None => field("client_id")?,
    };
    if !client_id.eq_ignore_ascii_case(&credentials.client_id.to_string()) {
        return Err(Denial::new(
            400,
            "unauthorized_client",
            700_016,
            format!(
                "Application with identifier '{client_id}' was not found in the directory 'Contoso'."
            ),
        ));
    }
    let scope = field("scope")?;
    let resource = if scope == DATABASE_SCOPE && credentials.database_token.is_some() {
        Resource::Database
    } else {
        check_scope(scope, ask.root)?;
        Resource::Graph
    };
    if let Some(assertion) = form.get("client_assertion") {
        let kind = form.get("client_assertion_type").map(String::as_str);
        return assertion::check(kind, assertion, credentials, &tokens.1)
            .map(|()| resource)
            .map_err(|Unproven(number, text)| Denial::new(401, "invalid_client", number, text));
    }
    let secret = basic
        .as_ref()
        .map(|(_, secret)| secret)
        .or_else(|| form.get("client_secret"));
    match secret {
        None => Err(Denial::new(
            401,
            "invalid_client",
            7_000_218,
            "The request body must contain the following parameter: 'client_assertion' or \
             'client_secret'.",
        )),
        Some(secret) if *secret != credentials.client_secret => Err(Denial::new(
            401,
            "invalid_client",
            7_000_215,
            format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is \
                 the client secret value, not the client secret ID, for a secret added to app \
                 '{client_id}'."
            ),
        )),
        Some(_) => Ok(resource),
    }
}

fn check_scope(scope: &str, root: &str) -> Result<(), Denial> {
    if scope.split_ascii_whitespace().count() > 1 {
        return Err(Denial::new(
            400,
            "invalid_scope",
            700_022,
            format!(
                "The provided value for the input parameter scope '{scope}' is not valid because it \
             contains more than one resource."
            ),
        ));
    }
    let Some(resource) = scope.strip_suffix("/.default") else {
        return Err(Denial::new(
            400,
            "invalid_scope",
            1_002_012,
            format!(
                "The provided value for scope {scope} is not valid. Client credential flows must have \
             a scope value with /.default suffixed to the resource identifier."
            ),
        ));
    };
    if scope != GRAPH_SCOPE && resource != root {
        return Err(Denial::new(
            400,
            "invalid_resource",
            500_011,
            format!(
                "The resource principal named {resource} was not found in the tenant named Contoso."
            ),
        ));
    }
    Ok(())
}

/// Client id and secret of HTTP Basic, form-encoded before base64 or not.
fn basic_credentials(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

//! Answers on their way out: headers, error bodies, and those that a fault
//! puts in place of the real one.
//!
//! Invariant: whatever is answered, it carries the request's ids and its cost.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode};
use uuid::Uuid;

use super::fault::Effect;
use super::journal::RequestIds;
use super::refusal::Refusal;

/// `Content-Type` of Graph's answers.
pub(super) const GRAPH_JSON: &str = "application/json;odata.metadata=minimal;odata.streaming=true;\
                          IEEE754Compatible=false;charset=utf-8";

/// An answer on its way out.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: BTreeMap<&'static str, String>,
    pub(super) body: Vec<u8>,
    pub(super) resource_units: u32,
    /// Milliseconds until it is sent.
    pub(super) late: u64,
}

impl Reply {
    pub(super) fn new(status: StatusCode, content_type: &str, body: Vec<u8>) -> Self {
        let headers = BTreeMap::from([("content-type", content_type.to_owned())]);
        Self {
            status,
            headers,
            body,
            resource_units: 0,
            late: 0,
        }
    }

    pub(super) fn refusal(refusal: &Refusal, ids: &RequestIds) -> Self {
        let body = refusal.body(ids).to_string().into_bytes();
        let mut reply = Self::new(refusal.status, GRAPH_JSON, body);
        if refusal.status == StatusCode::UNAUTHORIZED {
            let challenge = "Bearer realm=\"\", authorization_uri=\
                             \"https://login.microsoftonline.com/common/oauth2/authorize\"";
            reply
                .headers
                .insert("www-authenticate", challenge.to_owned());
        }
        if let Some(location) = &refusal.location {
            reply.headers.insert("location", location.clone());
        }
        reply
    }

    /// 429 for this application and tenant.
    pub(super) fn throttled(ids: &RequestIds, who: (Uuid, Uuid), retry_after: &str) -> Self {
        let message = "This request is throttled. Please try again after the value specified in \
                       the Retry-After header.";
        let status = StatusCode::TOO_MANY_REQUESTS;
        let refusal = Refusal::new(status, usual_code(status), message);
        let mut reply = Self::refusal(&refusal, ids);
        reply.headers.insert("retry-after", retry_after.to_owned());
        reply.name_throttle(who);
        reply
    }

    fn name_throttle(&mut self, (application, tenant): (Uuid, Uuid)) {
        let scope = format!("Tenant_Application/Read/{application}/{tenant}");
        self.headers.insert("x-ms-throttle-scope", scope);
        let why = "ResourceUnitLimitExceeded";
        self.headers
            .insert("x-ms-throttle-information", why.to_owned());
    }

    /// Says how much of the quota is used, in hundredths.
    pub(super) fn say_share(&mut self, share: Option<u64>) {
        if let Some(share) = share {
            let text = format!("{}.{:02}", share / 100, share % 100);
            self.headers.insert("x-ms-throttle-limit-percentage", text);
        }
    }
}

/// The answer with all its headers.
pub(super) fn respond(reply: Reply, ids: &RequestIds) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    let mut insert = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    insert("request-id", &ids.request.to_string());
    insert("client-request-id", &ids.client);
    insert("cache-control", "no-cache");
    insert("odata-version", "4.0");
    insert("x-ms-resource-unit", &reply.resource_units.to_string());
    insert(
        "x-ms-ags-diagnostic",
        r#"{"ServerInfo":{"DataCenter":"Simulator","Slice":"E","Ring":"0","RoleInstance":"0"}}"#,
    );
    for (name, value) in &reply.headers {
        insert(name, value);
    }
    response
}

/// The answer of the first effect that replaces it.
pub(super) fn replaced(effects: &[Effect], ids: &RequestIds) -> Option<Reply> {
    effects.iter().find_map(|effect| match effect {
        Effect::Status {
            status,
            code,
            retry_after,
        } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let code = code.as_deref().unwrap_or(usual_code(status));
            let refusal = Refusal::new(status, code, "Simulated failure.");
            let mut reply = Reply::refusal(&refusal, ids);
            if let Some(retry_after) = retry_after {
                reply.headers.insert("retry-after", retry_after.header());
            }
            if status == StatusCode::TOO_MANY_REQUESTS {
                reply.name_throttle((Uuid::nil(), Uuid::nil()));
            }
            Some(reply)
        }
        Effect::ErrorWithStatus200 { code } => {
            let refusal = Refusal::new(StatusCode::OK, code, "Simulated failure.");
            Some(Reply::refusal(&refusal, ids))
        }
        Effect::NotFound => Some(Reply::refusal(&Refusal::not_found("simulated"), ids)),
        Effect::HtmlBadGateway => {
            let page = "<html><head><title>502 Bad Gateway</title></head>\
                        <body><h1>502 Bad Gateway</h1></body></html>";
            Some(Reply::new(
                StatusCode::BAD_GATEWAY,
                "text/html",
                page.into(),
            ))
        }
        Effect::Raw {
            status,
            content_type,
            body,
        } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::OK);
            Some(Reply::new(status, content_type, body.clone().into_bytes()))
        }
        _ => None,
    })
}

/// What Graph usually says with a status (graph-contract 10).
fn usual_code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "Request_BadRequest",
        401 => "InvalidAuthenticationToken",
        403 => "Authorization_RequestDenied",
        404 => "Request_ResourceNotFound",
        429 => "TooManyRequests",
        500 => "generalException",
        501 => "NotImplemented",
        503 => "serviceNotAvailable",
        _ => "UnknownError",
    }
}

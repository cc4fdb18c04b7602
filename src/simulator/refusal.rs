//! What Graph refuses, in Graph's words.
//!
//! Invariant: every refusal leaves as `{"error":{"code","message","innerError"}}`
//! with the request's ids, and costs no resource units.

use chrono::Utc;
use http::StatusCode;
use serde_json::{Value, json};

use super::delta::DeltaExpiry;
use super::journal::RequestIds;

/// A refusal.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: String,
    pub(super) message: String,
    /// A code inside `innerError`, when the outer one says nothing.
    inner_code: Option<&'static str>,
    /// `Location`.
    pub(super) location: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            inner_code: None,
            location: None,
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Request_BadRequest", message)
    }

    pub(super) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Request_UnsupportedQuery", message)
    }

    pub(super) fn no_segment(segment: &str) -> Self {
        let message = format!("Resource not found for the segment '{segment}'.");
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    pub(super) fn not_a_guid(text: &str) -> Self {
        Self::bad_request(format!("Invalid object identifier '{text}'."))
    }

    pub(super) fn unauthenticated(message: &str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "InvalidAuthenticationToken",
            message,
        )
    }

    pub(super) fn denied() -> Self {
        let message = "Insufficient privileges to complete the operation.";
        Self::new(
            StatusCode::FORBIDDEN,
            "Authorization_RequestDenied",
            message,
        )
    }

    pub(super) fn not_found(id: &str) -> Self {
        let message = format!(
            "Resource '{id}' does not exist or one of its queried reference-property objects \
             are not present."
        );
        Self::new(StatusCode::NOT_FOUND, "Request_ResourceNotFound", message)
    }

    pub(super) fn wrong_method(method: &http::Method) -> Self {
        let message =
            format!("Specified HTTP method is not allowed for the request target: {method}.");
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "Request_BadRequest",
            message,
        )
    }

    pub(super) fn expired_page_token() -> Self {
        let message = "The specified page token value has expired and can no longer be included \
                       in your request.";
        Self::new(
            StatusCode::BAD_REQUEST,
            "Directory_ExpiredPageToken",
            message,
        )
    }

    pub(super) fn unknown_page_token() -> Self {
        let message = "Skip token is invalid or was made for another request.";
        let code = "DirectoryPageTokenNotFoundException";
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// Azure AD B2C and external tenants have no delta queries.
    pub(super) fn no_change_enumeration() -> Self {
        Self::unsupported("Change enumeration is not supported for requested tenant.")
    }

    pub(super) fn bad_delta_token() -> Self {
        Self::bad_request("Badly formed token.")
    }

    /// A delta link that is no longer good; `first` starts from the beginning.
    pub(super) fn delta_link(expiry: DeltaExpiry, first: String) -> Self {
        let message = "The sync state generation is not found; continuing with a full sync is \
                       needed.";
        let bad = |code| Self::new(StatusCode::BAD_REQUEST, code, message);
        match expiry {
            DeltaExpiry::Gone => Self {
                location: Some(first),
                ..Self::new(StatusCode::GONE, "resyncRequired", message)
            },
            DeltaExpiry::NotFound => bad("syncStateNotFound"),
            DeltaExpiry::NotFoundInOtherCase => bad("SyncStateNotFound"),
            DeltaExpiry::NotFoundInside => Self {
                inner_code: Some("syncStateNotFound"),
                ..bad("BadRequest")
            },
        }
    }

    /// The body, as Graph writes it.
    pub(super) fn body(&self, ids: &RequestIds) -> Value {
        let mut inner = json!({
            "date": Utc::now().format("%Y-%m-%dT%H:%M:%S").to_string(),
            "request-id": ids.request.to_string(),
            "client-request-id": ids.client,
        });
        if let Some(code) = self.inner_code {
            inner["code"] = json!("invalidRequest");
            inner["innererror"] = json!({ "code": code });
        }
        json!({"error": {
            "code": self.code,
            "message": self.message,
            "innerError": inner,
        }})
    }
}

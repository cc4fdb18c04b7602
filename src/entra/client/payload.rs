//! What goes out with a request, and by which method.

use graph_rs_sdk::http::Method;
use secrecy::{ExposeSecret, SecretString};

/// What goes out with a request.
#[derive(Clone)]
pub(in crate::entra) enum Payload {
    /// Nothing: a GET.
    None,
    /// Questions in JSON: a POST.
    Json(String),
    /// What is to be made, in JSON, with a secret in it: a POST that makes
    /// another each time.
    Make(SecretString),
    /// What is to be changed, in JSON: a PATCH.
    Change(String),
    /// Nothing: a DELETE.
    Remove,
}

impl Payload {
    pub(super) const fn method(&self) -> Method {
        match self {
            Self::None => Method::GET,
            Self::Json(_) | Self::Make(_) => Method::POST,
            Self::Change(_) => Method::PATCH,
            Self::Remove => Method::DELETE,
        }
    }

    /// The method for traces.
    pub(in crate::entra) const fn verb(&self) -> &'static str {
        match self {
            Self::None => "GET",
            Self::Json(_) | Self::Make(_) => "POST",
            Self::Change(_) => "PATCH",
            Self::Remove => "DELETE",
        }
    }

    pub(super) fn into_json(self) -> Option<String> {
        match self {
            Self::None | Self::Remove => None,
            Self::Json(json) | Self::Change(json) => Some(json),
            Self::Make(json) => Some(json.expose_secret().to_owned()),
        }
    }
}

//! The JSON of Graph, as far as it is needed.
//!
//! Invariant: a page without a `value` array is no page, and neither is one
//! that carries an `error`; unknown properties and types are accepted
//! (graph-contract 11). Strings are borrowed from the body wherever JSON
//! escapes allow it. Must not: fall back to a default where a missing property
//! would read as "nothing there".

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::error::ABSENT;
use super::fault::Defect;
use super::transport::is_plain;

/// One page of a collection.
#[derive(Deserialize)]
struct Page<T> {
    value: Option<Vec<T>>,
    #[serde(rename = "@odata.nextLink")]
    next_link: Option<String>,
    error: Option<IgnoredAny>,
}

/// Reads a page of plain items and the link to the next one.
pub(super) fn page<T: DeserializeOwned>(body: &[u8]) -> Result<(Vec<T>, Option<String>), Defect> {
    is_object(body)?;
    let page: Page<T> = serde_json::from_slice(body)?;
    match (page.error, page.value) {
        (Some(IgnoredAny), _) => Err(Defect::ErrorInside {
            code: "none".to_owned(),
        }),
        (None, None) => Err(Defect::Missing("value")),
        (None, Some(items)) => Ok((items, page.next_link)),
    }
}

/// serde takes a list for a struct, by the places of its fields; a list would
/// pass for a page without a link.
pub(super) fn is_object(body: &[u8]) -> Result<(), Defect> {
    match body.trim_ascii_start().first() {
        Some(b'[') => Err(Defect::Shape { line: 1, column: 1 }),
        _ => Ok(()),
    }
}

/// `/servicePrincipals/{id}`.
#[derive(Deserialize)]
pub(super) struct WireServicePrincipal {
    pub(super) id: String,
    /// Never optional: no roles at all would take everyone's role away.
    #[serde(rename = "appRoles")]
    pub(super) roles: Vec<WireAppRole>,
    #[serde(rename = "accountEnabled")]
    pub(super) account_enabled: Option<bool>,
}

/// An item of `appRoles`.
#[derive(Deserialize)]
pub(super) struct WireAppRole {
    pub(super) id: String,
    pub(super) value: Option<String>,
    #[serde(rename = "isEnabled")]
    pub(super) is_enabled: Option<bool>,
}

/// An item of `appRoleAssignedTo`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireAssignment {
    pub(super) principal_id: String,
    /// Never optional: a group taken for something else would read as
    /// unassigned.
    pub(super) principal_type: String,
    pub(super) app_role_id: String,
}

/// An item of `/groups`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireGroup {
    pub(super) id: String,
    pub(super) display_name: Option<String>,
    pub(super) visibility: Option<String>,
}

/// The body of a failure: `{"error":{"code":…,"innerError":{…}}}`.
#[derive(Deserialize)]
pub(super) struct ErrorBody {
    error: WireError,
}

#[derive(Deserialize)]
struct WireError {
    code: Option<String>,
    #[serde(rename = "innerError")]
    inner: Option<Box<WireError>>,
    // Microsoft writes it both ways, sometimes in one answer.
    #[serde(rename = "innererror")]
    inner_lower: Option<Box<WireError>>,
}

impl ErrorBody {
    /// `None` if the body is no error of Graph's.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// The deepest code, which is the most exact one.
    pub(super) fn code(&self) -> String {
        let mut codes = Vec::new();
        self.error.codes(&mut codes);
        codes
            .into_iter()
            .rfind(|code| is_plain(code))
            .unwrap_or("none")
            .to_owned()
    }

    /// [`ABSENT`] if that is among the codes, however deep; else [`Self::code`].
    pub(super) fn absence(&self) -> String {
        if self.names(ABSENT) {
            ABSENT.to_owned()
        } else {
            self.code()
        }
    }

    /// Whether the server lost the place in a collection.
    pub(super) fn lost_page_token(&self) -> bool {
        self.names("Directory_ExpiredPageToken")
            || self.names("DirectoryPageTokenNotFoundException")
    }

    /// Whether a permission is missing.
    pub(super) fn denied(&self) -> bool {
        self.names("Authorization_RequestDenied")
    }

    /// Graph is not uniform in the case of its codes.
    fn names(&self, wanted: &str) -> bool {
        let mut codes = Vec::new();
        self.error.codes(&mut codes);
        codes.iter().any(|code| code.eq_ignore_ascii_case(wanted))
    }
}

impl WireError {
    fn codes<'e>(&'e self, codes: &mut Vec<&'e str>) {
        codes.extend(self.code.as_deref());
        for inner in [&self.inner, &self.inner_lower].into_iter().flatten() {
            inner.codes(codes);
        }
    }
}

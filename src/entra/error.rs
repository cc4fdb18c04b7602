//! Why the directory could not be read, each with its remedy.
//!
//! Invariant: `Display` is one line with cause and remedy, without secrets,
//! tokens, links, names or e-mail addresses; request ids are in it, because
//! Microsoft's support asks for them.

mod kind;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::call::{Call, Permission};
pub use super::causes::{LinkFault, NetworkCause, NoDelta};
use super::credential_error::CredentialError;
use super::fault::Defect;
use crate::model::ids::{GroupId, ServicePrincipalId};

/// Graph's code for an object that is not there (graph-contract 10).
pub(super) const ABSENT: &str = "Request_ResourceNotFound";

/// Where a secret belongs: following the wrong one makes two.
fn put_into(file: Option<&Path>, what: &str) -> String {
    match file {
        Some(file) => format!("put {what} into {}", file.display()),
        None => format!("set entra.client_secret to {what}"),
    }
}

/// What went wrong while reading.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `invalid_client`: the secret is not one of the application's.
    #[error(
        "Entra refused the client secret of application {client_id} ({hint}): {}, not its id", put_into(file.as_deref(), "the secret's value")
    )]
    SecretRejected {
        /// The application.
        client_id: String,
        /// Codes for a search.
        hint: String,
        /// The file that it comes from.
        file: Option<PathBuf>,
    },
    /// AADSTS7000222.
    #[error(
        "the client secret of application {client_id} has expired ({hint}): make a new one under Certificates & secrets and {}", put_into(file.as_deref(), "its value")
    )]
    SecretExpired {
        /// The application.
        client_id: String,
        /// Codes for a search.
        hint: String,
        /// The file that it comes from.
        file: Option<PathBuf>,
    },
    /// `entra.client_secret_file` cannot be used.
    #[error("the client secret cannot be read from {}: {cause}", path.display())]
    SecretFile {
        /// Where it should be.
        path: PathBuf,
        /// The operating system's reason.
        cause: String,
    },
    /// What is wrong with any other credential.
    #[error(transparent)]
    Credential(CredentialError),
    /// `unauthorized_client`: not in this tenant, or disabled.
    #[error(
        "application {client_id} is unknown or disabled in the tenant ({hint}): check entra.client_id and entra.tenant, and that the Enterprise Application is enabled"
    )]
    ApplicationUnknown {
        /// The application.
        client_id: String,
        /// Codes for a search.
        hint: String,
    },
    /// AADSTS90002.
    #[error("tenant {tenant} does not exist ({hint}): check entra.tenant and entra.cloud")]
    TenantUnknown {
        /// The tenant as configured.
        tenant: String,
        /// Codes for a search.
        hint: String,
    },
    /// The tenant lives in another national cloud.
    #[error("tenant {tenant} belongs to another cloud ({hint}): set entra.cloud")]
    WrongCloud {
        /// The tenant as configured.
        tenant: String,
        /// Codes for a search.
        hint: String,
    },
    /// `invalid_scope`, `invalid_resource` and their kin.
    #[error(
        "Entra refused the scope `{scope}` ({hint}): entra.graph_endpoint and entra.cloud must name the same cloud"
    )]
    ScopeRefused {
        /// The scope as asked for.
        scope: String,
        /// Codes for a search.
        hint: String,
    },
    /// Conditional access and the like.
    #[error(
        "a policy of the tenant blocks application {client_id} ({hint}): an administrator must exempt the workload identity from that Conditional Access policy"
    )]
    BlockedByPolicy {
        /// The application.
        client_id: String,
        /// Codes for a search.
        hint: String,
    },
    /// Any other final answer of the token endpoint.
    #[error(
        "Entra issued no token ({hint}): look the code up under login.microsoftonline.com/error"
    )]
    TokenRefused {
        /// Codes for a search.
        hint: String,
    },
    /// The token endpoint keeps failing.
    #[error("the token endpoint is not available ({hint}): nothing to do but wait")]
    TokenUnavailable {
        /// Codes for a search.
        hint: String,
    },
    /// 403: the token carries no role for this call.
    #[error(
        "Graph refused {call}: grant the application permission {permission} and give admin consent, which takes minutes to arrive ({trace})"
    )]
    PermissionMissing {
        /// What was asked.
        call: Call,
        /// What would allow it.
        permission: Permission,
        /// The request's ids.
        trace: String,
    },
    /// 403 to a subscription, for one of two reasons that Graph does not tell
    /// apart.
    #[error(
        "Graph refused {call}: either the application permission {permission} is not granted, or there are as many subscriptions as Graph allows (100 of one application in a tenant, 1,000 of all in a tenant): give the permission with admin consent, and delete subscriptions that nobody uses ({trace})"
    )]
    SubscriptionForbidden {
        /// What was asked.
        call: Call,
        /// What would allow it.
        permission: Permission,
        /// The request's ids.
        trace: String,
    },
    /// 400 to a new subscription.
    #[error(
        "Graph refused the notification URL {url} (code `{code}`): it could not reach it, or had not the right answer within 10 s; the URL must be https with a certificate of a public authority, open to Microsoft Graph from the Internet, and lead to this daemon, which answers the validation itself ({trace})"
    )]
    NotificationUrl {
        /// The URL without user, query and fragment.
        url: String,
        /// Graph's own error code.
        code: String,
        /// The request's ids.
        trace: String,
    },
    /// 401 with a fresh token.
    #[error(
        "Graph refused the token at {call} ({trace}): check that entra.graph_endpoint and entra.token_endpoint belong to the same cloud and tenant, and this machine's clock"
    )]
    Unauthorized {
        /// What was asked.
        call: Call,
        /// The request's ids.
        trace: String,
    },
    /// 404 on the service principal.
    #[error(
        "there is no service principal with object id {id}: entra.service_principal_id takes the Object ID shown under Enterprise applications, which is neither the Application (client) ID nor the object id under App registrations ({trace})"
    )]
    ServicePrincipalNotFound {
        /// The id as configured.
        id: ServicePrincipalId,
        /// The request's ids.
        trace: String,
    },
    /// 404 elsewhere.
    #[error(
        "Graph knows no such object at {call}: deleted, or not yet replicated; nothing to do but look again later ({trace})"
    )]
    NotFound {
        /// What was asked.
        call: Call,
        /// Graph's own error code; `none` for an empty body.
        code: String,
        /// The request's ids.
        trace: String,
    },
    /// No answer over the network.
    #[error("{call} at {host} cannot be reached: {cause} ({detail})")]
    Unreachable {
        /// What was asked.
        call: Call,
        /// Host and port.
        host: String,
        /// Which stage failed, with the remedy.
        cause: NetworkCause,
        /// The innermost cause in the operating system's words.
        detail: String,
    },
    /// 429 until patience ran out.
    #[error(
        "Graph kept throttling {call} for {waited:?} and last asked for a pause of {asked:?}: lower entra.resource_units, or see what else uses this application in the tenant ({trace})"
    )]
    ThrottledOut {
        /// What was asked.
        call: Call,
        /// Since the first 429.
        waited: Duration,
        /// The last `Retry-After`; zero when there was none.
        asked: Duration,
        /// The request's ids.
        trace: String,
    },
    /// 429 on a subscription, just now or in a pause that one has asked for.
    #[error("Graph throttles {call} and is to be asked again after {asked:?} ({trace})")]
    SubscriptionThrottled {
        /// What was asked.
        call: Call,
        /// How much longer nothing is to be asked.
        asked: Duration,
        /// The request's ids.
        trace: String,
    },
    /// 5xx, 408 and 509 after all attempts.
    #[error("Graph failed at {call} with status {status} on every attempt: try later ({trace})")]
    Unavailable {
        /// What was asked.
        call: Call,
        /// The HTTP status.
        status: u16,
        /// The request's ids.
        trace: String,
    },
    /// Any other status.
    #[error(
        "Graph refused {call} with status {status}, code `{code}`: not a matter of waiting; check entra.graph_endpoint and any gateway in between, else report it with these ids ({trace})"
    )]
    Refused {
        /// What was asked.
        call: Call,
        /// The HTTP status.
        status: u16,
        /// Graph's own error code.
        code: String,
        /// The request's ids.
        trace: String,
    },
    /// A body that is not what Graph documents.
    #[error(
        "the answer of {call} cannot be used: {defect}; try later, and if it stays look at the proxy in between ({trace})"
    )]
    Malformed {
        /// What was asked.
        call: Call,
        /// What is wrong with it.
        defect: Defect,
        /// The request's ids.
        trace: String,
    },
    /// A link or redirect that leaves the configured endpoint.
    #[error(
        "{call} pointed outside the configured endpoint ({fault}) and was not followed, so that the token stays here: check entra.graph_endpoint and whatever stands between"
    )]
    ForeignLink {
        /// What was asked.
        call: Call,
        /// Which part differs.
        fault: LinkFault,
    },
    /// A page that leads back to one already read.
    #[error(
        "the pages of {call} run in a circle or without end (page {page}), so it was not read: try later, and report it to Microsoft if it stays"
    )]
    Loop {
        /// What was asked.
        call: Call,
        /// 1-based number of the page.
        page: usize,
    },
    /// The page token was lost more often than collections are restarted.
    #[error("Graph lost its place in the pages of {call} again and again: try later ({trace})")]
    PageTokenLost {
        /// What was asked.
        call: Call,
        /// The request's ids.
        trace: String,
    },
    /// `--group` names a group that has no assignment.
    #[error(
        "group {} is not assigned to the Enterprise Application: assign it under Users and groups, or ask for one that is",
        list(.groups)
    )]
    NotAssigned {
        /// The groups in question.
        groups: Vec<GroupId>,
    },
    /// Graph forgot where a round of changes ended: expired, reset, or not its
    /// own any more.
    #[error(
        "Graph no longer knows the place in {call} from which changes were to be told ({code}): the next reading is a whole one ({trace})"
    )]
    PlaceLost {
        /// What was asked.
        call: Call,
        /// Graph's own error code.
        code: String,
        /// The request's ids.
        trace: String,
    },
    /// Changes cannot be asked for at all.
    #[error("changes cannot be followed by delta queries: {0}; every reading is a whole one")]
    NoDeltaQueries(NoDelta),
    /// A link that was kept leads away from the endpoint: `entra.graph_endpoint`
    /// was changed, or the row was.
    #[error(
        "a link kept for {call} leads outside the configured endpoint ({fault}) and was not followed, so that the token stays here: the next reading is a whole one and replaces it; if entra.graph_endpoint was not changed, see who else writes to schema entra_sync"
    )]
    ForeignKeptLink {
        /// What would have been asked.
        call: Call,
        /// Which part differs.
        fault: LinkFault,
    },
    /// The HTTP client cannot be set up on this machine.
    #[error("the HTTP client cannot be set up: {cause}")]
    Setup {
        /// Why.
        cause: String,
    },
}

impl Error {
    /// Whether what was kept to follow changes with is of no use any more: a
    /// whole reading without it is due, and brings the new. People are read
    /// with the lists where changes of them are refused.
    #[must_use]
    pub const fn wants_full_reading(&self) -> bool {
        matches!(
            self,
            Self::PlaceLost { .. }
                | Self::NoDeltaQueries(_)
                | Self::ForeignKeptLink { .. }
                | Self::PermissionMissing {
                    call: Call::PeopleChanges,
                    ..
                }
        )
    }

    /// Whether the same reading may succeed later without anyone acting.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::TokenUnavailable { .. }
                | Self::Unreachable { .. }
                | Self::ThrottledOut { .. }
                | Self::Unavailable { .. }
                | Self::Malformed { .. }
                | Self::PageTokenLost { .. }
        )
    }

    /// Whether every other request must fail the same way, so that reading on
    /// would only prolong it.
    pub(super) const fn dooms_the_reading(&self) -> bool {
        matches!(
            self,
            Self::SecretRejected { .. }
                | Self::SecretExpired { .. }
                | Self::SecretFile { .. }
                | Self::Credential(_)
                | Self::ApplicationUnknown { .. }
                | Self::TenantUnknown { .. }
                | Self::WrongCloud { .. }
                | Self::ScopeRefused { .. }
                | Self::BlockedByPolicy { .. }
                | Self::TokenRefused { .. }
                | Self::TokenUnavailable { .. }
                | Self::Unauthorized { .. }
                | Self::ThrottledOut { .. }
                | Self::ForeignLink { .. }
                | Self::Setup { .. }
                | Self::NoDeltaQueries(_)
                | Self::ForeignKeptLink { .. }
                // Asked of many groups at once, so it is about no one of them.
                | Self::PermissionMissing { call: Call::Groups, .. }
        )
    }

    /// Whether Graph itself says that there is no such object: a 404 whose
    /// body is its own word, not the empty one or the page of a gateway.
    pub(super) fn states_absence(&self) -> bool {
        matches!(self, Self::NotFound { code, .. } if code == ABSENT)
    }

    /// Whether the failure says something about the service, not the object.
    pub(super) const fn is_outage(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Unavailable { .. })
    }
}

fn list(groups: &[GroupId]) -> String {
    let names: Vec<String> = groups.iter().map(ToString::to_string).collect();
    names.join(", ")
}

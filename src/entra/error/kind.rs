//! The names of failures in metrics, alerts and notifications.

use super::Error;

impl Error {
    /// A closed set of names, for labels.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::SecretRejected { .. } => "secret_rejected",
            Self::SecretExpired { .. } => "secret_expired",
            Self::SecretFile { .. } => "secret_file",
            Self::Credential(error) => error.kind(),
            Self::ApplicationUnknown { .. } => "application_unknown",
            Self::TenantUnknown { .. } => "tenant_unknown",
            Self::WrongCloud { .. } => "wrong_cloud",
            Self::ScopeRefused { .. } => "scope_refused",
            Self::BlockedByPolicy { .. } => "blocked_by_policy",
            Self::TokenRefused { .. } => "token_refused",
            Self::TokenUnavailable { .. } => "token_unavailable",
            Self::PermissionMissing { .. } => "permission_missing",
            Self::SubscriptionForbidden { .. } => "subscription_forbidden",
            Self::NotificationUrl { .. } => "notification_url",
            Self::Unauthorized { .. } => "unauthorized",
            Self::ServicePrincipalNotFound { .. } => "service_principal_not_found",
            Self::NotFound { .. } => "not_found",
            Self::Unreachable { .. } => "unreachable",
            Self::ThrottledOut { .. } => "throttled_out",
            Self::SubscriptionThrottled { .. } => "subscription_throttled",
            Self::Unavailable { .. } => "unavailable",
            Self::Refused { .. } => "refused",
            Self::Malformed { .. } => "malformed",
            Self::ForeignLink { .. } => "foreign_link",
            Self::Loop { .. } => "loop",
            Self::PageTokenLost { .. } => "page_token_lost",
            Self::NotAssigned { .. } => "not_assigned",
            Self::PlaceLost { .. } => "place_lost",
            Self::NoDeltaQueries(_) => "no_delta_queries",
            Self::ForeignKeptLink { .. } => "foreign_kept_link",
            Self::Setup { .. } => "setup",
        }
    }
}

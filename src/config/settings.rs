//! The parsed settings that the rooms are given.
//!
//! Must not: be read from anywhere but through [`super`]'s loader, or hold a
//! secret in a type that prints it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use url::Url;

use super::aws_environment::AwsRegion;
use super::credential::Credential;
pub use super::database::{DatabaseTarget, DatabaseTls, Pooler};
use super::endpoint::Cloud;
use super::secret::Secret;

use crate::model::ids::{ServicePrincipalId, SourceName};
pub use crate::model::policy::{
    DeprovisionSettings, GonePersonPolicy, GuardSettings, MembershipPolicy, UnassignedGroupPolicy,
};
use crate::model::policy::{GroupFilter, Policy};
use crate::model::source::Described;

/// Everything about one source, validated.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which source this is: an entry of `sources`, or the only one.
    pub source: SourceName,
    /// The Enterprise Applications of all sources of this configuration.
    pub together: Vec<ServicePrincipalId>,
    /// Where and how the directory is read.
    pub entra: EntraSettings,
    /// LiteLLM's database and what is written there.
    pub litellm: LitellmSettings,
    /// When passes run.
    pub schedule: ScheduleSettings,
    /// What happens to what Entra no longer wants.
    pub deprovision: DeprovisionSettings,
    /// When removals are held back.
    pub guard: GuardSettings,
    /// How long the change log is kept.
    pub history: HistorySettings,
    /// The HTTP interface.
    pub server: ServerSettings,
    /// Outgoing notifications.
    pub notify: NotifySettings,
    /// Logs and traces.
    pub telemetry: TelemetrySettings,
    /// What is allowed but worth a line at start, without secrets.
    pub warnings: Vec<String>,
}

impl Settings {
    /// The source as the ledger asks for it.
    #[must_use]
    pub fn described(&self) -> Described<'_> {
        Described {
            name: &self.source,
            tenant: &self.entra.tenant,
            service_principal: self.entra.service_principal_id,
        }
    }
}

/// `entra.*`.
#[derive(Debug, Clone)]
pub struct EntraSettings {
    /// Tenant id (GUID) or verified domain.
    pub tenant: String,
    /// Application (client) id; of a managed identity its client id, or
    /// `system-assigned`.
    pub client_id: String,
    /// What proves that.
    pub credential: Credential,
    /// Object id of the Enterprise Application.
    pub service_principal_id: ServicePrincipalId,
    /// The Microsoft cloud that scope and default endpoints belong to.
    pub cloud: Cloud,
    /// Root of the Graph API with its version, without a final slash, for
    /// example `https://graph.microsoft.com/v1.0`.
    pub graph_endpoint: Url,
    /// The token endpoint, tenant filled in.
    pub token_endpoint: Url,
    /// OAuth scope, for example `https://graph.microsoft.com/.default`.
    pub scope: String,
    /// How a group's members are expanded.
    pub membership: Membership,
    /// Which assigned groups count.
    pub groups: GroupFilter,
    /// Requests in flight at most.
    pub concurrency: usize,
    /// What Graph allows the application in the tenant.
    pub resource_units: ResourceUnits,
    /// For one whole request with its body.
    pub request_timeout: Duration,
    /// How often one request is tried in all.
    pub attempts: u32,
    /// Which Graph properties LiteLLM's login reads.
    pub attributes: AttributeNames,
}

/// `entra.resource_units`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ResourceUnits {
    /// A large tenant's quota, and less where Graph says so.
    #[default]
    Auto,
    /// So many in ten seconds.
    Fixed(u32),
}

impl EntraSettings {
    /// The token endpoint as Microsoft names it: whom a signed assertion is
    /// for, also where a gateway takes the request.
    #[must_use]
    pub fn assertion_audience(&self) -> String {
        let ours = self
            .token_endpoint
            .host_str()
            .is_some_and(Cloud::is_login_host);
        if ours {
            return self.token_endpoint.to_string();
        }
        let host = self.cloud.login_host();
        format!("https://{host}/{}/oauth2/v2.0/token", self.tenant)
    }
}

/// `entra.membership`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// `/members`: who Entra itself lets in.
    Direct,
    /// `/transitiveMembers`: nested groups expanded.
    Transitive,
}

/// `MICROSOFT_USER_*_ATTRIBUTE` (litellm-contract 2c).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeNames {
    /// Default `id`.
    pub id: String,
    /// Default `userPrincipalName`; falls back to `mail`.
    pub email: String,
    /// Default `displayName`.
    pub display_name: String,
    /// Default `givenName`.
    pub first_name: String,
    /// Default `surname`.
    pub last_name: String,
}

impl Default for AttributeNames {
    fn default() -> Self {
        Self {
            id: "id".into(),
            email: "userPrincipalName".into(),
            display_name: "displayName".into(),
            first_name: "givenName".into(),
            last_name: "surname".into(),
        }
    }
}

/// `litellm.*`. Its `Debug` leaves out `policy`: the metadata of
/// `default_team_params` may carry keys of logging services.
#[derive(Clone)]
pub struct LitellmSettings {
    /// LiteLLM's database.
    pub database: DatabaseTarget,
    /// By what connections to it log in.
    pub database_auth: DatabaseAuth,
    /// What decisions depend on.
    pub policy: Policy,
    /// Redis that LiteLLM caches in, with its password.
    pub redis_url: Option<Secret>,
    /// Calendar that `budget_reset_at` is aligned to.
    pub calendar: BudgetCalendar,
    /// Whether LiteLLM's audit log is kept.
    pub store_audit_logs: StoreAuditLogs,
}

/// `litellm.database_auth`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseAuth {
    /// The password in the URL, a client certificate, or nothing.
    Password,
    /// An access token of the same application that reads Entra.
    Azure,
    /// A token signed with AWS's credentials, for a database in this region.
    Aws(AwsRegion),
}

/// `litellm.store_audit_logs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreAuditLogs {
    /// Changes are also recorded where LiteLLM records its own.
    On,
    /// They are recorded in our own change log only.
    Off,
}

impl fmt::Debug for LitellmSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LitellmSettings")
            .field("database", &self.database)
            .field("database_auth", &self.database_auth)
            .field("redis_url", &self.redis_url)
            .field("calendar", &self.calendar)
            .field("store_audit_logs", &self.store_audit_logs)
            .finish_non_exhaustive()
    }
}

/// `litellm.timezone` and `litellm.budget_reset_time`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetCalendar {
    /// IANA zone; LiteLLM takes UTC for one it does not know, and so do we.
    pub zone: chrono_tz::Tz,
    /// When a day begins for budgets.
    pub reset_time: chrono::NaiveTime,
}

/// `schedule.*`.
#[derive(Debug, Clone)]
pub struct ScheduleSettings {
    /// Cron line with 5 or 6 fields.
    pub cron: String,
    /// Cron line of the full reading.
    pub full_cron: String,
    /// How often all rows are compared without Graph.
    pub drift_every: Duration,
    /// Zone of both cron lines.
    pub timezone: chrono_tz::Tz,
    /// A tick is delayed by up to this.
    pub jitter: Duration,
    /// Whether a pass runs at start.
    pub on_start: OnStart,
    /// Life of the lease; renewed well before.
    pub lease: Duration,
}

/// `schedule.on_start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStart {
    /// A pass runs as soon as the daemon is up.
    Pass,
    /// The first pass waits for the schedule.
    Wait,
}

/// `history.*`.
#[derive(Debug, Clone)]
pub struct HistorySettings {
    /// Older runs and changes are pruned.
    pub keep: Duration,
}

/// `server.*`.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Bearer token for anything that changes something.
    pub token: Option<Secret>,
    /// Where Graph reaches `/graph/notifications`.
    pub notifications_url: Option<Url>,
}

/// `notify.*`.
#[derive(Debug, Clone)]
pub struct NotifySettings {
    /// Where alerts go.
    pub webhook_url: Option<Secret>,
    /// In which form.
    pub form: WebhookForm,
    /// What they are signed with: `whsec_` and a key in base64.
    pub secret: Option<Secret>,
    /// Which alerts go there.
    pub when: BTreeSet<NotifyWhen>,
}

/// `notify.form`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookForm {
    /// Told from the host of the URL.
    Auto,
    /// Our own object.
    Json,
    /// A message for Slack's incoming webhooks.
    Slack,
    /// An Adaptive Card for a workflow of Microsoft Teams.
    Teams,
}

/// `notify.when`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotifyWhen {
    /// A pass failed.
    Failure,
    /// Removals are held.
    Held,
    /// A source is in quarantine.
    Quarantine,
    /// A trouble is over.
    Recovery,
}

/// `telemetry.*`.
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// `text` or `json`, on standard error.
    pub log_format: LogFormat,
    /// A filter as tracing-subscriber reads it, for example `info`.
    pub log_level: String,
    /// Where traces go.
    pub otlp_endpoint: Option<Url>,
}

/// `telemetry.log_format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

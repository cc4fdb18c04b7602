//! Why there is no connection to LiteLLM's database, and what helps.
//!
//! Invariant: tells the whole cause ("connection refused", "certificate not
//! valid for name"), which tokio-postgres cuts off, and never a password.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use rustls::AlertDescription;
use tokio_postgres::config::Host;
use tokio_postgres::error::SqlState;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answers there, or the name does not resolve.
    #[error("cannot reach LiteLLM's database at {place}: {reason}")]
    Unreachable {
        /// User, hosts and database.
        place: String,
        /// The cause.
        reason: String,
    },
    /// The server took the connection and did not finish in time.
    #[error("LiteLLM's database at {place} did not answer within {}", humantime::format_duration(*after))]
    TimedOut {
        /// User, hosts and database.
        place: String,
        /// How long we waited.
        after: Duration,
    },
    /// The certificates to check the server by cannot be used.
    #[error("cannot read root certificates from {store}: {reason}")]
    Roots {
        /// The file, or the system's store.
        store: String,
        /// The cause.
        reason: String,
    },
    /// `sslcert` and `sslkey` cannot be used.
    #[error("cannot show LiteLLM's database a client certificate: {reason}")]
    ClientCertificate {
        /// Which file, and why.
        reason: String,
    },
    /// There is no token to log in with.
    #[error("no token for the login to LiteLLM's database at {place}: {reason}")]
    Token {
        /// User, hosts and database.
        place: String,
        /// Why.
        reason: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The server's certificate was checked and is not good.
    #[error("LiteLLM's database at {place} has a certificate that is not accepted: {reason}")]
    Certificate {
        /// User, hosts and database.
        place: String,
        /// The cause.
        reason: String,
    },
    /// No encryption with this server.
    #[error("no TLS with LiteLLM's database at {place}: {reason}")]
    Tls {
        /// User, hosts and database.
        place: String,
        /// The cause.
        reason: String,
    },
    /// The server does not let this user in.
    #[error("LiteLLM's database at {place} refuses the login: {reason}")]
    Login {
        /// User, hosts and database.
        place: String,
        /// The server's words.
        reason: String,
    },
    /// There is no such database.
    #[error("LiteLLM's database at {place} is not there: {reason}")]
    NoDatabase {
        /// User, hosts and database.
        place: String,
        /// The server's words.
        reason: String,
    },
    /// The server is starting, stopping or full.
    #[error("LiteLLM's database at {place} takes no connection now: {reason}")]
    Busy {
        /// User, hosts and database.
        place: String,
        /// The server's words.
        reason: String,
    },
    /// Anything else.
    #[error("cannot connect to LiteLLM's database at {place}: {reason}")]
    Other {
        /// User, hosts and database.
        place: String,
        /// The cause.
        reason: String,
    },
}

impl ConnectError {
    /// The label of this error in metrics and JSON.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "database_unreachable",
            Self::TimedOut { .. } => "database_timed_out",
            Self::Roots { .. } => "database_root_certificates",
            Self::ClientCertificate { .. } => "database_client_certificate",
            Self::Token { .. } => "database_token",
            Self::Certificate { .. } => "database_certificate",
            Self::Tls { .. } => "database_tls",
            Self::Login { .. } => "database_login",
            Self::NoDatabase { .. } => "database_missing",
            Self::Busy { .. } => "database_busy",
            Self::Other { .. } => "database_other",
        }
    }

    /// Whether the same attempt may succeed later without anybody's help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::TimedOut { .. }
                | Self::Busy { .. }
                | Self::Other { .. }
        )
    }

    /// Whether password or certificate may have been rotated: read them again.
    #[must_use]
    pub fn is_authentication(&self) -> bool {
        matches!(self, Self::Login { .. })
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => {
                "check host and port in the database URL, the name service and the firewall"
            }
            Self::TimedOut { .. } => {
                "check that the port is PostgreSQL's; raise connect_timeout if the server is slow"
            }
            Self::Roots { .. } => {
                "name a PEM file that can be read in sslrootcert, or install the system's certificates"
            }
            Self::ClientCertificate { .. } => "correct sslcert and sslkey in the database URL",
            Self::Token { remedy, .. } => remedy,
            Self::Certificate { .. } => {
                "use the host name of the certificate, name its CA in sslrootcert, or renew it"
            }
            Self::Tls { .. } => {
                "turn on TLS in the server, or lower sslmode if the network is trusted"
            }
            // RDS says so of every token, whatever is wrong with it.
            Self::Login { reason, .. } if reason.contains("PAM authentication failed") => {
                "GRANT rds_iam to the role, and let AWS's policy allow rds-db:connect for it; see that region, host and clock are right"
            }
            Self::Login { .. } => {
                "check user and password (or token, or client certificate), and pg_hba.conf on the server"
            }
            Self::NoDatabase { .. } => "check the name at the end of the database URL",
            Self::Busy { .. } => "wait, or raise max_connections or lower connection_limit",
            Self::Other { .. } => "see the reason",
        }
    }

    /// The login is refused, and there is no newer URL to try.
    pub(super) fn with(self, no_newer: &str) -> Self {
        match self {
            Self::Login { place, reason } => Self::Login {
                place,
                reason: format!("{reason}, and the URL cannot be read again: {no_newer}"),
            },
            other => other,
        }
    }

    pub(super) fn tls_setup(error: &dyn Error) -> Self {
        Self::Tls {
            place: "any host".into(),
            reason: error.to_string(),
        }
    }

    /// Sorts an error of tokio-postgres by its whole chain of causes.
    pub(super) fn from_postgres(place: &Place, error: &tokio_postgres::Error) -> Self {
        let place = place.to_string();
        if let Some(answer) = error.as_db_error() {
            let reason = answer.message().to_owned();
            return match answer.code() {
                code if *code == SqlState::INVALID_PASSWORD
                    || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION
                    || *code == SqlState::INSUFFICIENT_PRIVILEGE =>
                {
                    Self::Login { place, reason }
                }
                code if *code == SqlState::INVALID_CATALOG_NAME => {
                    Self::NoDatabase { place, reason }
                }
                code if *code == SqlState::CANNOT_CONNECT_NOW
                    || *code == SqlState::TOO_MANY_CONNECTIONS
                    || *code == SqlState::ADMIN_SHUTDOWN
                    || *code == SqlState::CRASH_SHUTDOWN =>
                {
                    Self::Busy { place, reason }
                }
                _ => Self::Other { place, reason },
            };
        }
        let reason = causes(error);
        match Cause::of(error) {
            Cause::Certificate => Self::Certificate { place, reason },
            Cause::Tls => Self::Tls { place, reason },
            Cause::Network => Self::Unreachable { place, reason },
            Cause::Login => Self::Login { place, reason },
            Cause::Unknown => Self::Other { place, reason },
        }
    }
}

enum Cause {
    Certificate,
    Tls,
    Network,
    Login,
    Unknown,
}

impl Cause {
    fn of(error: &tokio_postgres::Error) -> Self {
        for cause in chain(error) {
            // rustls's errors travel inside an io::Error.
            let inner = cause
                .downcast_ref::<io::Error>()
                .and_then(|io| io.get_ref())
                .and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match inner.or_else(|| cause.downcast_ref()) {
                Some(rustls::Error::InvalidCertificate(_)) => return Self::Certificate,
                Some(rustls::Error::AlertReceived(alert)) if is_about_ours(*alert) => {
                    return Self::Login;
                }
                Some(_) => return Self::Tls,
                None => {}
            }
        }
        // tokio-postgres keeps its kinds private; these are their fixed texts.
        match error.to_string().as_str() {
            text if text.starts_with("error performing TLS handshake") => Self::Tls,
            text if text.starts_with("error connecting to server") => Self::Network,
            text if text.starts_with("error communicating with the server")
                || text.starts_with("connection closed") =>
            {
                Self::Network
            }
            text if text.starts_with("invalid configuration")
                && causes(error).contains("password missing") =>
            {
                Self::Login
            }
            _ => Self::Unknown,
        }
    }
}

/// Whether the server says this of our certificate, or of its absence.
const fn is_about_ours(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            // It has the name of a known authority and not its signature.
            | AlertDescription::DecryptError
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate
    )
}

type Caught<'a> = &'a (dyn Error + 'static);

fn chain(error: Caught<'_>) -> impl Iterator<Item = Caught<'_>> {
    fn next<'a>(error: &Caught<'a>) -> Option<Caught<'a>> {
        (*error).source()
    }
    std::iter::successors(Some(error), next)
}

/// The innermost cause with what leads to it, without repetitions.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut told: Vec<String> = Vec::new();
    for cause in chain(error) {
        let text = cause.to_string();
        // Some `Display`s already end with their source.
        if !told.last().is_some_and(|last| last.ends_with(&text)) {
            told.push(text);
        }
    }
    told.join(": ")
}

/// User, hosts and database, for people.
#[derive(Debug, Clone)]
pub(super) struct Place(String);

impl Place {
    pub(super) fn of(config: &tokio_postgres::Config) -> Self {
        let ports = config.get_ports();
        let port = |at: usize| ports.get(at).or(ports.first()).copied().unwrap_or(5432);
        let mut hosts: Vec<String> = config
            .get_hosts()
            .iter()
            .enumerate()
            .map(|(at, host)| match host {
                Host::Tcp(name) if name.contains(':') => format!("[{name}]:{}", port(at)),
                Host::Tcp(name) => format!("{name}:{}", port(at)),
                #[cfg(unix)]
                Host::Unix(directory) => directory.display().to_string(),
            })
            .collect();
        if hosts.is_empty() {
            let addresses = config.get_hostaddrs().iter().enumerate();
            hosts.extend(addresses.map(|(at, address)| format!("{address} port {}", port(at))));
        }
        let user = config
            .get_user()
            .map_or_else(String::new, |user| format!("{user}@"));
        let database = config.get_dbname().unwrap_or_default();
        Self(format!("{user}{}/{database}", hosts.join(",")))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

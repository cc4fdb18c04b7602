//! Why there is no token for RDS.
//!
//! Invariant: no text holds a credential, a token or what authorizes somebody to
//! get one.

use std::fmt;
use std::time::Duration;

/// Where AWS's credentials may come from, in the order in which it is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `AWS_ACCESS_KEY_ID` with `AWS_SECRET_ACCESS_KEY`.
    Environment,
    /// `~/.aws/credentials` and `~/.aws/config`.
    Profile,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE` with `AWS_ROLE_ARN`, through STS.
    WebIdentity,
    /// `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `…_FULL_URI`.
    Container,
    /// The metadata service of EC2, version 2.
    Instance,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "the environment",
            Self::Profile => "the AWS profile",
            Self::WebIdentity => {
                "STS for the web identity (AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN)"
            }
            Self::Container => "the container's endpoint (AWS_CONTAINER_CREDENTIALS_…)",
            Self::Instance => "the instance's metadata service",
        })
    }
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nobody has any.
    #[error(
        "no AWS credentials: none in the environment or a profile, no web identity, no container's endpoint, no instance's metadata service"
    )]
    None,
    /// There should be some, and there are none.
    #[error("no AWS credentials from {place}: {reason}")]
    Refused {
        /// Who was asked.
        place: Place,
        /// What came of it.
        reason: String,
    },
    /// Their time is over.
    #[error("the AWS credentials from {place} have expired, or this machine's clock is wrong")]
    Expired {
        /// Who gave them.
        place: Place,
    },
    /// Somebody did not answer.
    #[error("no AWS credentials within {}", humantime::format_duration(*after))]
    Slow {
        /// How long we waited.
        after: Duration,
    },
    /// The token cannot be made from what there is.
    #[error("a token for RDS cannot be signed: {reason}")]
    Unsigned {
        /// Why.
        reason: String,
    },
    /// This machine's TLS or proxy settings are unusable.
    #[error("no HTTP client for AWS can be made: {reason}")]
    Setup {
        /// The cause.
        reason: String,
    },
}

impl Error {
    /// What to do about all of them.
    pub const REMEDY: &'static str = "give entra-sync working AWS credentials: a role for its pod, task or instance, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (docs/OPERATING.md, Database logins)";
}

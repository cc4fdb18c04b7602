//! The token itself: a request to connect, signed and never sent.
//!
//! Source: Amazon RDS User Guide, "IAM database authentication": a presigned
//! `GET` (Signature Version 4) of service `rds-db` with the action `connect` and
//! the role, good for 15 minutes, without its scheme. Must not: ask anybody.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use secrecy::SecretString;
use tokio_postgres::config::Host;

use super::error::Error;
use crate::config::{AwsRegion, DatabaseTarget};

/// How long RDS takes a token.
pub(super) const LIFE: Duration = Duration::from_secs(900);

/// What a token is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    host: String,
    port: u16,
    user: String,
}

impl Endpoint {
    pub(super) fn of(target: &DatabaseTarget) -> Result<Self, Error> {
        let connection = &target.connection;
        let ([Host::Tcp(host)], Some(user)) = (connection.get_hosts(), connection.get_user())
        else {
            return Err(Error::Unsigned {
                reason: "the database URL does not name one host and a user".to_owned(),
            });
        };
        Ok(Self {
            host: host.clone(),
            port: connection.get_ports().first().copied().unwrap_or(5432),
            user: user.to_owned(),
        })
    }
}

/// `HOST:PORT/?Action=connect&DBUser=…` with its signature.
pub(super) fn token(
    endpoint: &Endpoint,
    region: &AwsRegion,
    credentials: Credentials,
    now: SystemTime,
) -> Result<SecretString, Error> {
    let Endpoint { host, port, user } = endpoint;
    let mut token = format!("{host}:{port}/?Action=connect&DBUser={}", Encoded(user));
    let url = format!("https://{token}");
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(LIFE);
    let identity = credentials.into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region.as_str())
        .name("rds-db")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| unsigned(&error))?
        .into();
    let body = SignableBody::Bytes(&[]);
    let request = SignableRequest::new("GET", &url, std::iter::empty(), body)
        .map_err(|error| unsigned(&error))?;
    let (instructions, _) = sign(request, &params)
        .map_err(|error| unsigned(&error))?
        .into_parts();
    for (name, value) in instructions.params() {
        token.push_str(&format!("&{name}={}", Encoded(value)));
    }
    Ok(token.into())
}

fn unsigned(error: &dyn std::error::Error) -> Error {
    Error::Unsigned {
        reason: error.to_string(),
    }
}

/// Percent-encoded but for the unreserved characters of RFC 3986.
struct Encoded<'a>(&'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use secrecy::ExposeSecret;

    use super::*;

    /// What botocore 1.44.5 makes of the same: `generate_db_auth_token` of its
    /// `rds` client, with `botocore.auth.get_current_datetime` replaced so that it
    /// is 2026-01-02 03:04:05 UTC. The key is the one of AWS's own examples.
    fn agrees(session: Option<&str>, endpoint: (&str, u16, &str), region: &str, expected: &str) {
        let (host, port, user) = endpoint;
        let endpoint = Endpoint {
            host: host.to_owned(),
            port,
            user: user.to_owned(),
        };
        let credentials = Credentials::new(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            session.map(str::to_owned),
            None,
            "test",
        );
        let region = AwsRegion::parse(region).unwrap();
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045);
        let made = token(&endpoint, &region, credentials, then).unwrap();
        let (made_for, query) = made.expose_secret().split_once('?').unwrap();
        let (expected_for, expected) = expected.split_once('?').unwrap();
        assert_eq!(made_for, expected_for);
        // Their order says nothing.
        let parts =
            |query: &str| -> BTreeSet<String> { query.split('&').map(str::to_owned).collect() };
        assert_eq!(parts(query), parts(expected));
    }

    #[test]
    fn a_token_is_that_of_the_reference() {
        agrees(
            None,
            (
                "litellm.abcdefghijkl.eu-central-1.rds.amazonaws.com",
                5432,
                "entra_sync",
            ),
            "eu-central-1",
            "litellm.abcdefghijkl.eu-central-1.rds.amazonaws.com:5432/?Action=connect&DBUser=entra_sync&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20260102%2Feu-central-1%2Frds-db%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=a83511ff00f048f03f23c2c7a6af39a7c2b043643796574048666f171ec71e25",
        );
    }

    #[test]
    fn a_token_of_a_session_is_that_of_the_reference_too() {
        agrees(
            Some("FQoGZXIvYXdzE+/= token"),
            (
                "litellm.cluster-abcdefghijkl.cn-north-1.rds.amazonaws.com.cn",
                6432,
                "entra sync+a@b",
            ),
            "cn-north-1",
            "litellm.cluster-abcdefghijkl.cn-north-1.rds.amazonaws.com.cn:6432/?Action=connect&DBUser=entra%20sync%2Ba%40b&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20260102%2Fcn-north-1%2Frds-db%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Security-Token=FQoGZXIvYXdzE%2B%2F%3D%20token&X-Amz-Signature=36ba2070f1feb27f4013ef6c667029312dc5c4c2af717d6fd17ee3d53c81585c",
        );
    }
}

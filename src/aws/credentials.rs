//! Credentials of AWS, from wherever a program on AWS has them.
//!
//! The order is that of AWS's own library for Rust; its chain is taken apart
//! here only to know who failed. Must not: keep anything between two questions.

use std::error::Error as StdError;

use aws_config::Region;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::credentials::EnvironmentVariableCredentialsProvider;
use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;

use super::error::{Error, Place};
use super::http::Http;
use crate::config::AwsRegion;

/// As much of a reason as is worth a line.
const LONGEST_REASON: usize = 400;

/// The first credentials that somebody has.
pub(super) async fn find(http: &Http, region: &AwsRegion) -> Result<(Credentials, Place), Error> {
    // STS is asked where this runs: elsewhere there may be no way to it.
    let here = EnvironmentVariableRegionProvider::new().region().await;
    let region = here.unwrap_or_else(|| Region::new(region.as_str().to_owned()));
    let config = ProviderConfig::without_region()
        .with_region(Some(region))
        .with_http_client(http.clone());
    // Made anew each time, because some of them read their files only once.
    let places: [(Place, Box<dyn ProvideCredentials>); 5] = [
        (
            Place::Environment,
            Box::new(EnvironmentVariableCredentialsProvider::new()),
        ),
        (
            Place::Profile,
            Box::new(
                ProfileFileCredentialsProvider::builder()
                    .configure(&config)
                    .build(),
            ),
        ),
        (
            Place::WebIdentity,
            Box::new(
                WebIdentityTokenCredentialsProvider::builder()
                    .configure(&config)
                    .build(),
            ),
        ),
        (
            Place::Container,
            Box::new(EcsCredentialsProvider::builder().configure(&config).build()),
        ),
        (
            Place::Instance,
            Box::new(
                ImdsCredentialsProvider::builder()
                    .configure(&config)
                    .build(),
            ),
        ),
    ];
    for (place, provider) in places {
        match provider.provide_credentials().await {
            Ok(credentials) => return Ok((credentials, place)),
            Err(CredentialsError::CredentialsNotLoaded(_)) => {}
            Err(error) => {
                let reason = reason(place, &error);
                return Err(Error::Refused { place, reason });
            }
        }
    }
    Err(Error::None)
}

/// All causes in one line.
fn reason(place: Place, error: &CredentialsError) -> String {
    // Its cause quotes the authorization token.
    if let (Place::Container, CredentialsError::InvalidConfiguration(_)) = (place, error) {
        return "its address or its authorization token cannot be used (the address is https, \
                loopback or AWS's own; the token is one line without its end)"
            .to_owned();
    }
    let mut causes: Vec<String> = Vec::new();
    let mut next: Option<&dyn StdError> = Some(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        // Some say their cause themselves.
        if !causes.iter().any(|said| said.contains(&text)) {
            causes.push(text);
        }
        next = cause.source();
    }
    let line: String = causes
        .join(": ")
        .chars()
        .filter(|character| !character.is_control())
        .take(LONGEST_REASON)
        .collect();
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_authorizes_somebody_is_not_said() {
        let quoting = "`hush` could not be used as a header value";
        let error = CredentialsError::invalid_configuration(quoting);
        assert!(!reason(Place::Container, &error).contains("hush"));
    }

    #[test]
    fn a_reason_is_one_short_line() {
        let long = format!("first\nsecond\u{1b}[31m{}", "x".repeat(2000));
        let error = CredentialsError::provider_error(long);
        let reason = reason(Place::WebIdentity, &error);
        assert!(reason.contains("firstsecond[31m"), "{reason}");
        assert_eq!(reason.chars().count(), LONGEST_REASON);
    }
}

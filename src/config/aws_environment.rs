//! The region of AWS that the database is in, and the names by which AWS puts
//! it into the environment of its workloads.
//!
//! Source: LiteLLM 1.109.1 `rds_iam_token.py`: the region in the host's name
//! comes before the region of the environment, which is that of the workload.
//! Must not: read credentials of AWS; its own library does, for each token.

use std::fmt;

use super::layers::Environment;

/// From the strongest to the weakest: LiteLLM's own, then AWS's.
const NAMES: [&str; 3] = ["AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"];

/// What AWS says that is no setting of ours.
#[derive(Debug, Clone, Default)]
pub(super) struct AwsEnvironment {
    /// The region of the workload, and the variable that tells it.
    pub region: Option<(&'static str, String)>,
}

impl AwsEnvironment {
    /// What is there and not blank.
    pub(super) fn of(environment: &Environment) -> Self {
        let region = NAMES.into_iter().find_map(|name| {
            let text = environment.get(name)?.trim();
            (!text.is_empty()).then(|| (name, text.to_owned()))
        });
        Self { region }
    }
}

/// A region of AWS, for example `eu-central-1`.
///
/// It becomes part of host names, so it is nothing but small letters, digits and
/// hyphens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsRegion(String);

impl AwsRegion {
    /// Reads `eu-central-1`; `None` when it has not the form of a region.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let area = parts.next()?;
        let number = parts.next_back()?;
        let names: Vec<&str> = parts.collect();
        let is_name =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
        let is_region = (2..=8).contains(&area.len())
            && is_name(area)
            && !names.is_empty()
            && names.iter().all(|part| is_name(part))
            && (1..=2).contains(&number.len())
            && number.bytes().all(|byte| byte.is_ascii_digit());
        is_region.then(|| Self(text.to_owned()))
    }

    /// The region that RDS writes into the names of its hosts, in the forms
    /// `NAME.ID.REGION.rds.amazonaws.com` and `NAME.ID.rds.REGION.amazonaws.com.cn`.
    #[must_use]
    pub fn of_host(host: &str) -> Option<Self> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let rest = [".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu"]
            .iter()
            .find_map(|suffix| host.strip_suffix(suffix))?;
        let mut labels = rest.rsplit('.');
        match (labels.next()?, labels.next()?) {
            ("rds", region) | (region, "rds") => Self::parse(region),
            _ => None,
        }
    }

    /// As AWS writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AwsRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_of_rds_tells_its_region() {
        for (host, region) in [
            ("db.abc123.eu-central-1.rds.amazonaws.com", "eu-central-1"),
            (
                "db.cluster-ro-abc.us-gov-west-1.rds.amazonaws.com.",
                "us-gov-west-1",
            ),
            (
                "DB.proxy-abc.AP-Southeast-2.RDS.amazonaws.com",
                "ap-southeast-2",
            ),
            ("db.abc.cn-north-1.rds.amazonaws.com.cn", "cn-north-1"),
            (
                "db.abc.rds.cn-northwest-1.amazonaws.com.cn",
                "cn-northwest-1",
            ),
            ("db.abc.eusc-de-east-1.rds.amazonaws.eu", "eusc-de-east-1"),
        ] {
            let found = AwsRegion::of_host(host);
            assert_eq!(
                found.as_ref().map(AwsRegion::as_str),
                Some(region),
                "{host}"
            );
        }
        for host in [
            "db.example.org",
            "127.0.0.1",
            "eu-central-1.rds.amazonaws.com.example.org",
            "rds.amazonaws.com",
            "x.rds.amazonaws.com",
            "db.eu-central-1.elb.amazonaws.com",
        ] {
            assert_eq!(AwsRegion::of_host(host), None, "{host}");
        }
    }

    #[test]
    fn what_could_lead_to_another_host_is_no_region() {
        for text in [
            "",
            "eu",
            "eu-1",
            "EU-central-1",
            "eu-central-1.evil",
            "eu-central-x",
            "a/b-c-1",
        ] {
            assert_eq!(AwsRegion::parse(text), None, "{text}");
        }
        assert!(AwsRegion::parse("us-iso-east-1").is_some());
    }
}

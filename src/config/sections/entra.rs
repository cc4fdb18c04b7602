//! `entra.*`: whose directory is read, where, and as whom.

use std::time::Duration;

use chrono::NaiveDate;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::credential::{self, GUID};
use crate::config::credential::Credential;
use crate::config::endpoint::{self, Cloud, Locality};
use crate::config::error::Wrong;
use crate::config::origin::Origin;
use crate::config::reader::{Read, Reader};
use crate::config::settings::{AttributeNames, EntraSettings, Membership, ResourceUnits};
use crate::config::values;
use crate::model::policy::GroupFilter;

pub(super) fn read(reader: &mut Reader<'_>, today: NaiveDate) -> Read<EntraSettings> {
    let tenant = reader.required("entra.tenant", tenant);
    let application = credential::read(reader, today);
    let service_principal_id = reader.required("entra.service_principal_id", |value| {
        values::parsed(value, GUID)
    });
    let membership = reader.required("entra.membership", |value| {
        values::one_of(
            value,
            &[
                ("direct", Membership::Direct),
                ("transitive", Membership::Transitive),
            ],
        )
    });
    let groups = groups(reader);
    let concurrency = reader.required("entra.concurrency", |value| values::whole(value, 1, 64));
    let resource_units = reader.required("entra.resource_units", resource_units);
    let request_timeout = reader.required("entra.request_timeout", |value| {
        values::duration(value, Duration::from_secs(1), Duration::from_secs(3_600))
    });
    let attempts = reader.required("entra.attempts", |value| values::whole(value, 1, 20));
    let attributes = attributes(reader);
    let endpoints = endpoints(
        reader,
        tenant.as_deref().ok(),
        application.credential.as_ref().ok(),
    );

    let endpoints = endpoints?;
    Ok(EntraSettings {
        tenant: tenant?,
        client_id: application.client_id?,
        credential: application.credential?,
        service_principal_id: service_principal_id?,
        cloud: endpoints.cloud,
        graph_endpoint: endpoints.graph,
        token_endpoint: endpoints.token,
        scope: endpoints.cloud.scope(),
        membership: membership?,
        groups: groups?,
        concurrency: usize::try_from(concurrency?).unwrap_or(64),
        resource_units: resource_units?,
        request_timeout: request_timeout?,
        attempts: u32::try_from(attempts?).unwrap_or(20),
        attributes: attributes?,
    })
}

fn tenant(value: &Value) -> Result<String, Wrong> {
    let tenant = values::text(value)?.trim().to_owned();
    let remedy = "give the tenant's GUID or a verified domain such as contoso.onmicrosoft.com";
    if is_shared_authority(&tenant) {
        return Err(Wrong::new(
            format!("is `{tenant}`, which stands for no single tenant"),
            remedy,
        ));
    }
    let is_guid = tenant.len() == 36 && Uuid::try_parse(&tenant).is_ok();
    // It becomes a segment of the token endpoint's path.
    let is_domain = tenant.contains('.')
        && tenant.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        });
    if is_guid || is_domain {
        Ok(tenant)
    } else {
        Err(Wrong::new(
            format!("is `{tenant}`, neither a GUID nor a domain"),
            remedy,
        ))
    }
}

fn is_shared_authority(tenant: &str) -> bool {
    ["common", "organizations", "consumers"]
        .iter()
        .any(|shared| shared.eq_ignore_ascii_case(tenant))
}

fn resource_units(value: &Value) -> Result<ResourceUnits, Wrong> {
    if matches!(value, Value::String(text) if text.trim() == "auto") {
        return Ok(ResourceUnits::Auto);
    }
    let remedy = "give auto, or a whole number from 100 to 1000000";
    let units =
        values::whole(value, 100, 1_000_000).map_err(|wrong| Wrong::new(wrong.what, remedy))?;
    Ok(ResourceUnits::Fixed(
        u32::try_from(units).unwrap_or(u32::MAX),
    ))
}

fn groups(reader: &mut Reader<'_>) -> Read<GroupFilter> {
    let include = reader.required("entra.include_groups", |value| values::set(value, GUID));
    let exclude = reader.required("entra.exclude_groups", |value| values::set(value, GUID));
    let filter = GroupFilter {
        include: include?,
        exclude: exclude?,
    };
    let both: Vec<String> = filter
        .include
        .intersection(&filter.exclude)
        .map(ToString::to_string)
        .collect();
    if both.is_empty() {
        return Ok(filter);
    }
    Err(reader.wrong(
        "entra.exclude_groups",
        Wrong::new(
            format!(
                "contradicts `entra.include_groups` over {}",
                both.join(", ")
            ),
            "name each group in one of them",
        ),
    ))
}

fn attributes(reader: &mut Reader<'_>) -> Read<AttributeNames> {
    let id = reader.required("litellm.user_attributes.id", attribute);
    let email = reader.required("litellm.user_attributes.email", attribute);
    let display_name = reader.required("litellm.user_attributes.display_name", attribute);
    let first_name = reader.required("litellm.user_attributes.first_name", attribute);
    let last_name = reader.required("litellm.user_attributes.last_name", attribute);
    Ok(AttributeNames {
        id: id?,
        email: email?,
        display_name: display_name?,
        first_name: first_name?,
        last_name: last_name?,
    })
}

/// A property's name goes into `$select`, so it may hold nothing else.
fn attribute(value: &Value) -> Result<String, Wrong> {
    let name = values::text(value)?;
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain {
        Ok(name)
    } else {
        Err(Wrong::new(
            format!("is `{name}`, which is no property of a Graph user"),
            "give a property's name such as mail",
        ))
    }
}

struct Endpoints {
    cloud: Cloud,
    graph: Url,
    token: Url,
}

fn endpoints(
    reader: &mut Reader<'_>,
    tenant: Option<&str>,
    credential: Option<&Credential>,
) -> Read<Endpoints> {
    let cloud = reader.required("entra.cloud", |value| values::one_of(value, &Cloud::NAMES));
    let graph = reader.optional("entra.graph_endpoint", graph_endpoint);
    let token = reader.optional("entra.token_endpoint", token_endpoint);
    let (mut cloud, graph, token) = (cloud?, graph?, token?);

    if let Some((graph, _)) = &graph
        && let Some(theirs) = endpoint::host_on_default_port(graph).and_then(Cloud::of_graph_host)
        && theirs != cloud
    {
        if reader.origin("entra.cloud") != Some(&Origin::Default) {
            let wrong = Wrong::new(
                format!(
                    "is in the cloud {}, but `entra.cloud` is {}",
                    theirs.name(),
                    cloud.name()
                ),
                "make them agree or remove one",
            );
            return Err(reader.wrong("entra.graph_endpoint", wrong));
        }
        cloud = theirs;
    }
    if let Some((token, _)) = &token
        && let Some(host) = endpoint::host_on_default_port(token)
        && Cloud::is_login_host(host)
        && !cloud.login_hosts().contains(&host)
    {
        let wrong = Wrong::new(
            format!(
                "is at {host}, which issues no tokens for the cloud {}",
                cloud.name()
            ),
            "set `entra.cloud`, or `entra.graph_endpoint` of the same cloud",
        );
        return Err(reader.wrong("entra.token_endpoint", wrong));
    }

    let graph = match graph {
        Some((url, locality)) => {
            let ours = endpoint::host_on_default_port(&url).and_then(Cloud::of_graph_host);
            if ours.is_none() {
                reader.warn(foreign(
                    &reader.named("entra.graph_endpoint"),
                    "the token and every request go",
                    &url,
                    locality,
                ));
            }
            url
        }
        None => built(
            reader,
            "entra.graph_endpoint",
            &format!("https://{}/v1.0", cloud.graph_host()),
        )?,
    };
    let token = match token {
        Some((url, locality)) => {
            let ours = endpoint::host_on_default_port(&url).is_some_and(Cloud::is_login_host);
            let proof = match credential {
                None | Some(Credential::ClientSecret(_)) => Some("the client secret goes"),
                Some(Credential::ClientCertificate(_)) => Some("signed assertions go"),
                Some(Credential::WorkloadIdentity { .. }) => Some("federated tokens go"),
                // It has an issuer of its own.
                Some(Credential::ManagedIdentity(_)) => None,
            };
            if let (false, Some(proof)) = (ours, proof) {
                reader.warn(foreign(
                    &reader.named("entra.token_endpoint"),
                    proof,
                    &url,
                    locality,
                ));
            }
            url
        }
        None => {
            let root = match credential {
                Some(Credential::WorkloadIdentity { .. }) => authority(reader, cloud)?,
                _ => None,
            };
            let root = root.unwrap_or_else(|| format!("https://{}", cloud.login_host()));
            // A bad tenant has been reported already; the rest is still read.
            let tenant = tenant.unwrap_or("unknown");
            let text = format!("{root}/{tenant}/oauth2/v2.0/token");
            built(reader, "entra.token_endpoint", &text)?
        }
    };
    Ok(Endpoints {
        cloud,
        graph,
        token,
    })
}

/// `AZURE_AUTHORITY_HOST`, which comes with a workload identity, without a
/// final slash.
fn authority(reader: &mut Reader<'_>, cloud: Cloud) -> Read<Option<String>> {
    const NAME: &str = "AZURE_AUTHORITY_HOST";
    let Some(text) = reader.azure().authority_host.clone() else {
        return Ok(None);
    };
    let gated = endpoint::gate(&text).map_err(|Wrong { what, remedy }| {
        Wrong::new(format!("is built from {NAME}, which {what}"), remedy)
    });
    let (url, locality) = gated.map_err(|wrong| reader.wrong("entra.token_endpoint", wrong))?;
    match endpoint::host_on_default_port(&url) {
        Some(host) if cloud.login_hosts().contains(&host) => {}
        Some(host) if Cloud::is_login_host(host) => {
            let wrong = Wrong::new(
                format!(
                    "is {}, but {NAME} is {host}, which issues no tokens for it",
                    cloud.name()
                ),
                "set it to the cloud of this workload, or set `entra.token_endpoint`",
            );
            return Err(reader.wrong("entra.cloud", wrong));
        }
        _ => reader.warn(foreign(NAME, "federated tokens go", &url, locality)),
    }
    let url = endpoint::without_final_slash(url);
    Ok(Some(url.as_str().trim_end_matches('/').to_owned()))
}

fn built(reader: &mut Reader<'_>, key: &'static str, text: &str) -> Read<Url> {
    endpoint::plain_url(text).map_err(|wrong| reader.wrong(key, wrong))
}

fn foreign(key: &str, what: &str, url: &Url, locality: Locality) -> String {
    let host = url.host_str().unwrap_or_default();
    match locality {
        Locality::Loopback => {
            format!("`{key}` is on this machine ({host}): Microsoft is not asked")
        }
        Locality::Elsewhere => {
            format!("`{key}` is no Microsoft host: {what} to {host}")
        }
    }
}

fn graph_endpoint(value: &Value) -> Result<(Url, Locality), Wrong> {
    let (url, locality) = endpoint::gate(&values::text(value)?)?;
    let url = endpoint::without_final_slash(url);
    let version = url.path().rsplit('/').next().unwrap_or_default();
    match version {
        "v1.0" => Ok((url, locality)),
        "beta" => Err(Wrong::new(
            "is the beta of Microsoft Graph, which may change any day",
            "end it with /v1.0",
        )),
        _ => Err(Wrong::new(
            "lacks the version of Microsoft Graph",
            "end it with /v1.0, for example https://graph.microsoft.com/v1.0",
        )),
    }
}

fn token_endpoint(value: &Value) -> Result<(Url, Locality), Wrong> {
    let (url, locality) = endpoint::gate(&values::text(value)?)?;
    let first = url.path_segments().and_then(|mut path| path.next());
    if first.is_some_and(is_shared_authority) {
        return Err(Wrong::new(
            "names no single tenant (common, organizations or consumers)",
            "put the tenant's GUID or domain in its place",
        ));
    }
    Ok((url, locality))
}

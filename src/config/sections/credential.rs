//! `entra.credential` and what belongs to it: as whom tokens are asked for,
//! and by which proof.
//!
//! Invariant: `auto` chooses by what is configured and never because something
//! else was of no use; what is chosen and not there is a problem. Must not:
//! read a secret that is not used.

use std::path::Path;

use chrono::{Days, NaiveDate};
use serde_json::Value;
use url::{Host, Url};
use uuid::Uuid;

use crate::config::client_certificate::{Certified, ClientCertificate};
use crate::config::credential::{Credential, IdentityIssuer, ManagedIdentity};
use crate::config::endpoint;
use crate::config::error::Wrong;
use crate::config::files;
use crate::config::origin::Origin;
use crate::config::reader::{Read, Reader};
use crate::config::values;

const KEY: &str = "entra.credential";
const SECRET: &str = "entra.client_secret";
const SECRET_FILE: &str = "entra.client_secret_file";
const CERTIFICATE: &str = "entra.client_certificate_file";
const CERTIFICATE_KEY: &str = "entra.client_certificate_key_file";
const TOKEN_FILE: &str = "entra.federated_token_file";
const IDENTITY: &str = "entra.managed_identity_client_id";

pub(super) const GUID: &str = "give a GUID such as 6f9619ff-8b86-d011-b42d-00cf4fc964ff";

/// A certificate that ends within this is warned of.
const SOON: Days = Days::new(30);

/// Where the metadata service is, on every machine of Azure.
const METADATA: &str = "http://169.254.169.254";
const METADATA_PATH: &str = "/metadata/identity/oauth2/token";

/// Who asks for tokens, and by which proof.
pub(super) struct Application {
    pub client_id: Read<String>,
    pub credential: Read<Credential>,
}

/// Which proof is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Secret,
    Certificate,
    Workload,
    Managed,
}

impl Kind {
    /// The keys that are of use with this proof.
    const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Secret => &[SECRET, SECRET_FILE],
            Self::Certificate => &[CERTIFICATE, CERTIFICATE_KEY],
            Self::Workload => &[TOKEN_FILE],
            Self::Managed => &[IDENTITY],
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Secret => "client_secret",
            Self::Certificate => "client_certificate",
            Self::Workload => "workload_identity",
            Self::Managed => "managed_identity",
        }
    }

    const ALL: [Self; 4] = [
        Self::Secret,
        Self::Certificate,
        Self::Workload,
        Self::Managed,
    ];
}

pub(super) fn read(reader: &mut Reader<'_>, today: NaiveDate) -> Application {
    let kind = reader.required(KEY, |value| {
        values::one_of(
            value,
            &[
                ("auto", None),
                ("client_secret", Some(Kind::Secret)),
                ("client_certificate", Some(Kind::Certificate)),
                ("workload_identity", Some(Kind::Workload)),
                ("managed_identity", Some(Kind::Managed)),
            ],
        )
    });
    let kind = kind.map(|wish| wish.unwrap_or_else(|| chosen(reader)));
    if let Ok(kind) = kind {
        warn_of_the_others(reader, kind);
    }
    // All are read, so that one run names every problem.
    let certificate = certificate_files(reader);
    let token_file = reader.optional(TOKEN_FILE, values::text);
    let identity = reader.optional(IDENTITY, client_id);
    let client_id = match kind {
        Ok(Kind::Managed) => identity.clone().map(named),
        _ => reader.required("entra.client_id", client_id),
    };
    let credential = kind.and_then(|kind| match kind {
        Kind::Managed => managed(reader, identity?),
        Kind::Secret => match reader.secret(SECRET, SECRET_FILE)? {
            Some(secret) => Ok(Credential::ClientSecret(secret)),
            None => Err(reader.missing(SECRET)),
        },
        Kind::Certificate => match certificate? {
            Some(files) => {
                check_certificate(reader, &files, today)?;
                Ok(Credential::ClientCertificate(files))
            }
            None => Err(reader.missing(CERTIFICATE)),
        },
        Kind::Workload => match token_file? {
            Some(path) => workload(reader, path, client_id.as_deref().ok()),
            None => Err(reader.missing(TOKEN_FILE)),
        },
    });
    Application {
        client_id,
        credential,
    }
}

/// What `auto` means here.
fn chosen(reader: &Reader<'_>) -> Kind {
    let is_given = |kind: &Kind| !reader.given(kind.keys()).is_empty();
    let by_key = Kind::ALL
        .into_iter()
        .filter(|kind| *kind != Kind::Managed)
        .find(is_given);
    match by_key {
        Some(kind) => kind,
        None if reader.azure().identity_endpoint.is_some() => Kind::Managed,
        None => Kind::Secret,
    }
}

/// Somebody who gave a certificate should not wonder why the secret is used.
/// What the environment of LiteLLM or Azure holds is nobody's wish.
fn warn_of_the_others(reader: &mut Reader<'_>, used: Kind) {
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != used) {
        for (key, origin) in reader.given(kind.keys()) {
            let theirs = matches!(origin, Origin::Environment(name)
                if name.starts_with("AZURE_") || name.starts_with("MICROSOFT_"));
            if !theirs {
                reader.warn(format!(
                    "`{key}` ({origin}) is not used, the credential is {}: remove it, or say in \
                     `{KEY}` which it shall be",
                    used.name()
                ));
            }
        }
    }
}

pub(super) fn client_id(value: &Value) -> Result<String, Wrong> {
    let text = values::text(value)?;
    let text = text.trim();
    if text.len() == 36 && Uuid::try_parse(text).is_ok() {
        return Ok(text.to_owned());
    }
    // Not quoted: a secret pasted into the wrong line is a common slip.
    Err(Wrong::new("is not a GUID", GUID))
}

fn certificate_files(reader: &mut Reader<'_>) -> Read<Option<ClientCertificate>> {
    let certificate = reader.optional(CERTIFICATE, values::text)?;
    let key = reader.optional(CERTIFICATE_KEY, values::text)?;
    match (certificate, key) {
        (Some(certificate), key) => Ok(Some(ClientCertificate {
            key: key.unwrap_or_else(|| certificate.clone()).into(),
            certificate: certificate.into(),
        })),
        (None, Some(_)) => Err(reader.wrong(
            CERTIFICATE_KEY,
            Wrong::new(
                format!("names a key without its certificate: `{CERTIFICATE}` is not set"),
                "set it too",
            ),
        )),
        (None, None) => Ok(None),
    }
}

/// Sees that the certificate can be used now; it is read again with each use.
fn check_certificate(
    reader: &mut Reader<'_>,
    files: &ClientCertificate,
    today: NaiveDate,
) -> Read<()> {
    let of_no_use = |error: String| {
        Wrong::new(
            format!("is of no use: {error}"),
            "give a PEM file with the certificate and its RSA key, or the key in a file of its own",
        )
    };
    let certified = match files.read() {
        Ok(certified) => certified,
        Err(error) => return Err(reader.wrong(CERTIFICATE, of_no_use(error.to_string()))),
    };
    let Certified { key, not_after, .. } = certified;
    if key.key.algorithm() != rustls::SignatureAlgorithm::RSA {
        let error = "its key is no RSA key, and Entra takes no other".to_owned();
        return Err(reader.wrong(CERTIFICATE, of_no_use(error)));
    }
    let end = not_after.date_naive();
    if today + SOON >= end {
        let verb = if end < today { "expired" } else { "expires" };
        reader.warn(format!(
            "the certificate of `{CERTIFICATE}` {verb} on {end}: upload a new one under \
             Certificates & secrets, then put it into the file"
        ));
    }
    Ok(())
}

fn workload(reader: &mut Reader<'_>, path: String, client_id: Option<&str>) -> Read<Credential> {
    if let Err(error) = files::secret(Path::new(&path)) {
        let wrong = Wrong::new(
            format!("names a file that cannot be read: {path}: {error}"),
            "check the path, and that the token is mounted there",
        );
        return Err(reader.wrong(TOKEN_FILE, wrong));
    }
    if let (Some(ours), Some(theirs)) = (client_id, reader.azure().client_id.clone())
        && !ours.eq_ignore_ascii_case(&theirs)
        && let Some(origin) = reader.origin("entra.client_id")
    {
        reader.warn(format!(
            "`entra.client_id` ({origin}) is not AZURE_CLIENT_ID, the application of this \
             workload identity: the one of `entra.client_id` must trust its tokens"
        ));
    }
    Ok(Credential::WorkloadIdentity {
        token_file: path.into(),
    })
}

/// A managed identity in the place of a client id.
fn named(client_id: Option<String>) -> String {
    client_id.unwrap_or_else(|| "system-assigned".to_owned())
}

fn managed(reader: &mut Reader<'_>, client_id: Option<String>) -> Read<Credential> {
    let azure = reader.azure();
    let issuer = match (&azure.identity_endpoint, &azure.identity_header) {
        (Some(endpoint), Some(header)) => {
            local("IDENTITY_ENDPOINT", endpoint).map(|endpoint| IdentityIssuer::AppService {
                endpoint,
                header: header.clone(),
            })
        }
        (Some(_), None) => Err(Wrong::new(
            "asks for a managed identity, and IDENTITY_ENDPOINT is set without IDENTITY_HEADER, as \
             Azure Arc does it, which is not supported",
            "use a client certificate there",
        )),
        (None, _) => {
            let host = azure.metadata_host.as_deref().unwrap_or(METADATA);
            local("AZURE_POD_IDENTITY_AUTHORITY_HOST", host).map(|mut url| {
                url.set_path(METADATA_PATH);
                IdentityIssuer::Metadata(url)
            })
        }
    };
    match issuer {
        Ok(issuer) => Ok(Credential::ManagedIdentity(ManagedIdentity {
            issuer,
            client_id,
        })),
        Err(wrong) => Err(reader.wrong(KEY, wrong)),
    }
}

/// Who gives tokens away for the asking is on this machine or its link.
fn local(name: &str, text: &str) -> Result<Url, Wrong> {
    let is_local = |url: &Url| match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_link_local(),
        Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unicast_link_local(),
        None => false,
    };
    endpoint::plain_url(text)
        .ok()
        .filter(is_local)
        .ok_or_else(|| {
            Wrong::new(
                format!("asks for a managed identity, and {name} is no URL of this machine"),
                format!("unset {name}, or give a loopback or link-local address in it"),
            )
        })
}

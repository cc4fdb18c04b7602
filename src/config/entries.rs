//! `sources`: several sources in one configuration, each laid over the sections
//! of the top level.
//!
//! Invariant: what an entry leaves out is what the top level says; what is
//! LiteLLM's or the daemon's own is the same for all sources and is refused in
//! an entry by name.
//! Must not: parse values; that is the same wherever they stand.

use serde_json::Value;

use super::error::{Problem, Wrong};
use super::layers::{Entry, Merged};
use super::origin::Origin;
use super::schema;
use super::settings::{DatabaseAuth, Settings};
use crate::model::ids::SourceName;

/// The section that holds the entries.
pub(super) const SECTION: &str = "sources";

/// What a source may have of its own: whole sections, and keys of `litellm`.
const OWN: [&str; 13] = [
    "deprovision",
    "entra",
    "guard",
    "litellm.adopt_by_email",
    "litellm.allowed_email_domains",
    "litellm.create_organizations",
    "litellm.default_internal_user_params",
    "litellm.default_team_params",
    "litellm.internal_user_budget_duration",
    "litellm.max_internal_user_budget",
    "litellm.organization_team_models",
    "litellm.user_attributes",
    "schedule",
];

/// The name and the rest of a path into an entry; the rest of the entry itself
/// is empty.
pub(super) fn split(path: &str) -> Option<(&str, &str)> {
    let inner = path.strip_prefix(SECTION)?.strip_prefix('.')?;
    Some(inner.split_once('.').unwrap_or((inner, "")))
}

/// The key that a path stands for, in an entry or not.
pub(super) fn bare(path: &str) -> &str {
    match split(path) {
        Some((_, key)) if !key.is_empty() => key,
        _ => path,
    }
}

/// The path of a key in an entry.
pub(super) fn path(name: &SourceName, key: &str) -> String {
    format!("{SECTION}.{name}.{key}")
}

/// Whether each source may have its own value of this key, or of keys below it.
pub(super) fn is_own(key: &str) -> bool {
    let below = |key: &str, place: &str| {
        key.strip_prefix(place)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    key == "litellm" || OWN.iter().any(|own| below(key, own))
}

/// Reads an entry's name.
pub(super) fn name(text: &str) -> Result<SourceName, Wrong> {
    let refused = |what: &str| {
        Wrong::new(
            what,
            "give a name of lower case letters, digits and dashes, 63 at most, that begins with a \
             letter or digit, such as contoso-eu",
        )
    };
    match SourceName::of(text) {
        Some(name) if name.is_sole() => Err(refused(
            "is the name of the one source of a configuration without `sources`",
        )),
        Some(name) => Ok(name),
        None => Err(refused("is no name of a source")),
    }
}

/// The path that a variable names, after its prefix and in lower case. Shells
/// allow no dash in a name: there, one underscore stands for it.
pub(super) fn path_of_variable(key: String) -> String {
    match split(&key) {
        Some((name, rest)) => format!("{SECTION}.{}.{rest}", name.replace('_', "-")),
        None => key,
    }
}

/// How the name of a source is written in a variable. Two underscores would
/// part levels, so a dash that would make two stays as it is.
pub(super) fn in_variables(path: &str) -> String {
    match split(path) {
        Some((name, rest)) if !name.contains("--") && !name.ends_with('-') => {
            format!("{SECTION}.{}.{rest}", name.replace('-', "_"))
        }
        _ => path.to_owned(),
    }
}

/// The values of one source: its own over those of the top level.
pub(super) fn overlay(merged: &Merged, name: &SourceName) -> Merged {
    let in_entry = |path: &str| split(path).is_some();
    let common = merged.iter().filter(|(path, _)| !in_entry(path));
    let mut values: Merged = common
        .map(|(path, entry)| (path.clone(), entry.clone()))
        .collect();
    let own = |key: &str| merged.get(&path(name, key));
    for (path, entry) in merged {
        let Some((_, key)) = split(path).filter(|(of, _)| *of == name.as_str()) else {
            continue;
        };
        values.insert(key.to_owned(), entry.clone());
        // A secret of one's own, given either way, replaces both ways of the
        // top level; given both ways, it is a contradiction here as there.
        if let Some(twin) = twin(key)
            && !entry.value.is_null()
            && own(&twin).is_none()
        {
            let nothing = Entry {
                value: Value::Null,
                origin: Origin::Default,
            };
            values.insert(twin, nothing);
        }
    }
    values
}

/// The other key of a secret.
fn twin(key: &str) -> Option<String> {
    match key.strip_suffix("_file") {
        Some(secret) => schema::is_secret(secret).then(|| secret.to_owned()),
        None => schema::is_secret(key).then(|| format!("{key}_file")),
    }
}

/// Something that is allowed and is hardly meant: a token endpoint has the
/// tenant in its path.
pub(super) fn doubt(merged: &Merged, name: &SourceName) -> Option<String> {
    const ENDPOINT: &str = "entra.token_endpoint";
    let own = |key: &str| merged.contains_key(&path(name, key));
    let inherited = merged.get(ENDPOINT).filter(|entry| !entry.value.is_null());
    let origin = &inherited?.origin;
    (own("entra.tenant") && !own(ENDPOINT)).then(|| {
        format!(
            "`{}` is not set, so tokens come from `{ENDPOINT}` ({origin}), which is for all \
             sources: is it this tenant's?",
            path(name, ENDPOINT)
        )
    })
}

/// All sources share the connections to the database, so tokens for it can only
/// be one application's.
pub(super) fn logins(sources: &[Settings], merged: &Merged) -> Option<Problem> {
    const KEY: &str = "litellm.database_auth";
    let first = sources.first()?;
    let who = |one: &Settings| {
        let entra = &one.entra;
        let tenant = entra.tenant.to_lowercase();
        (tenant, entra.client_id.clone(), entra.credential.name())
    };
    let differ = sources.iter().any(|one| who(one) != who(first));
    (differ && first.litellm.database_auth == DatabaseAuth::Azure).then(|| Problem {
        origin: merged.get(KEY).map(|given| given.origin.clone()),
        key: Some(KEY.to_owned()),
        what: "is `azure`, but the sources sign in as different applications".into(),
        remedy: "give all of them one tenant, client id and credential, or use a password".into(),
    })
}

/// Two entries for the same application would undo each other's work. Its
/// object id is no other's, however the tenant is written.
pub(super) fn twice(sources: &[Settings], merged: &Merged) -> Vec<Problem> {
    const KEY: &str = "entra.service_principal_id";
    let mut problems = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        let mut earlier = sources.iter().take(at);
        let application = source.entra.service_principal_id;
        let is_same = |other: &&Settings| other.entra.service_principal_id == application;
        let Some(first) = earlier.find(is_same) else {
            continue;
        };
        let own = path(&source.source, KEY);
        let (key, given) = match merged.get(&own) {
            Some(given) => (own, Some(given)),
            None => (format!("{SECTION}.{}", source.source), merged.get(KEY)),
        };
        problems.push(Problem {
            origin: given.map(|given| given.origin.clone()),
            key: Some(key),
            what: format!("has the service principal of `{SECTION}.{}`", first.source),
            remedy: "give each source an Enterprise Application of its own, or remove one".into(),
        });
    }
    problems
}

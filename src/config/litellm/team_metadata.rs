//! `LiteLLM_TeamTable.metadata` of a new team: the mapping that was given, and
//! the parameters that LiteLLM folds into it.
//!
//! Source: LiteLLM 1.109.1, `new_team` with the two lists
//! `LiteLLM_ManagementEndpoint_MetadataFields(_Premium)` (`proxy/_types.py`),
//! the `*_caller_permission` checks (`proxy/management_endpoints/
//! common_utils.py`, `proxy/auth/auth_utils.py`) and `encrypt_callback_vars`
//! (`proxy/common_utils/callback_utils.py`). Its login creates teams as a
//! caller without a role, so whatever only a proxy admin may set fails there.
//!
//! Invariant: nothing in the result needs encryption. Must not: hold
//! `team_member_budget_id`, which is per team.

use serde_json::{Map, Value, json};

use super::ParamError;
use super::fields::Fields;
use super::lax::{self, Fault};
use super::licence::Licence;

/// Keys of `metadata` that LiteLLM lets nobody but a proxy admin set.
const ADMIN_ONLY_LIMITS: [&str; 6] = [
    "default_estimated_output_tokens",
    "default_estimated_output_tokens_per_model",
    "batch_enqueued_token_limit",
    "max_batch_file_records",
    "max_batch_file_uploads_per_day",
    "max_file_downloads_per_minute",
];

const AS_ADMIN: &str = "take it out, or set it on the teams in LiteLLM as a proxy admin";

/// Reads `metadata` and every parameter that ends in it.
pub(super) fn fold(fields: &mut Fields<'_>, licence: &Licence) -> Map<String, Value> {
    let mut metadata = fields
        .optional("metadata", lax::mapping)
        .unwrap_or_default();
    fields.extend(faults_of(&fields.path("metadata"), &metadata));

    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            metadata.insert(key.to_owned(), value);
        }
    };
    for key in ["model_rpm_limit", "model_tpm_limit", "mcp_rpm_limit"] {
        put(key, fields.optional(key, lax::limits_by_name));
    }
    for key in ["rpm_limit_type", "tpm_limit_type"] {
        put(key, fields.optional(key, limit_type));
    }
    for key in [
        "enforced_batch_output_expires_after",
        "enforced_file_expires_after",
    ] {
        put(key, fields.optional(key, lax::mapping).map(Value::Object));
    }
    put(
        "allowed_vector_store_indexes",
        fields.optional("allowed_vector_store_indexes", vector_store_indexes),
    );
    for key in ["guardrails", "policies", "prompts"] {
        put(key, premium(fields, key, licence, texts));
    }
    put("tags", premium(fields, "tags", licence, anything_listed));
    put(
        "team_member_key_duration",
        premium(fields, "team_member_key_duration", licence, |value| {
            lax::text(value).map(Value::String)
        }),
    );
    put(
        "secret_manager_settings",
        premium(fields, "secret_manager_settings", licence, |value| {
            lax::mapping(value).map(Value::Object)
        }),
    );
    // Set to their "off" these are stored; set to anything else they fail.
    put(
        "allowed_passthrough_routes",
        admin_only(fields, "allowed_passthrough_routes", anything_listed),
    );
    put(
        "denied_passthrough_routes",
        admin_only(fields, "denied_passthrough_routes", texts),
    );
    for key in ["disable_global_guardrails", "require_trace_id"] {
        let flag = admin_only(fields, key, |value| lax::flag(value).map(Value::Bool));
        put(key, flag);
    }
    for key in [
        "default_estimated_output_tokens",
        "default_estimated_output_tokens_per_model",
    ] {
        if fields.given(key).is_some() {
            fields.refuse(key, "may only be set by a proxy admin", AS_ADMIN);
        }
    }
    metadata
}

/// A parameter that needs a licence as soon as it says something.
fn premium<'a>(
    fields: &mut Fields<'a>,
    key: &str,
    licence: &Licence,
    read: impl FnOnce(&'a Value) -> Result<Value, Fault>,
) -> Option<Value> {
    let value = fields.optional(key, read)?;
    if lax::is_truthy(&value) && !licence.grants_premium() {
        let (reason, remedy) = licence.premium_fault();
        fields.refuse(key, reason, remedy);
        return None;
    }
    Some(value)
}

/// A parameter that only a proxy admin may switch on.
fn admin_only<'a>(
    fields: &mut Fields<'a>,
    key: &str,
    read: impl FnOnce(&'a Value) -> Result<Value, Fault>,
) -> Option<Value> {
    let value = fields.optional(key, read)?;
    if lax::is_truthy(&value) {
        fields.refuse(key, "may only be set by a proxy admin", AS_ADMIN);
        return None;
    }
    Some(value)
}

/// What LiteLLM would refuse, drop or encrypt in the mapping itself.
fn faults_of(section: &str, metadata: &Map<String, Value>) -> Vec<ParamError> {
    let mut errors = Vec::new();
    let given = |key: &str| metadata.get(key).filter(|value| !value.is_null());
    let mut refuse = |key: &str, reason: &str, remedy: &str| {
        errors.push(ParamError::new(format!("{section}.{key}"), reason, remedy));
    };
    if metadata.contains_key("team_member_budget_id") {
        refuse(
            "team_member_budget_id",
            "is set by LiteLLM for every team and dropped here",
            "take it out; team_member_budget makes a budget per team",
        );
    }
    for key in ADMIN_ONLY_LIMITS {
        if given(key).is_some() {
            refuse(key, "may only be set by a proxy admin", AS_ADMIN);
        }
    }
    for key in [
        "allowed_passthrough_routes",
        "denied_passthrough_routes",
        "disable_global_guardrails",
    ] {
        if given(key).is_some_and(lax::is_truthy) {
            refuse(key, "may only be set by a proxy admin", AS_ADMIN);
        }
    }
    if given("denied_passthrough_routes").is_some_and(|routes| lax::texts(routes).is_err()) {
        refuse(
            "denied_passthrough_routes",
            "must be a list of routes",
            "correct it or take it out",
        );
    }
    if given("require_trace_id") == Some(&Value::Bool(true)) {
        refuse(
            "require_trace_id",
            "may only be set by a proxy admin",
            AS_ADMIN,
        );
    }
    for place in secrets_of_callbacks(metadata) {
        refuse(
            &place,
            "holds a credential that LiteLLM stores encrypted, with a key that is not ours",
            "take it out, and set the callback on the teams in LiteLLM, or for the whole proxy",
        );
    }
    errors
}

/// Where `callback_vars` hold what LiteLLM encrypts.
fn secrets_of_callbacks(metadata: &Map<String, Value>) -> Vec<String> {
    let logging = metadata
        .get("logging")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(index, entry)| (format!("logging[{index}]"), entry));
    let settings = metadata
        .get("callback_settings")
        .into_iter()
        .map(|entry| ("callback_settings".to_owned(), entry));
    logging
        .chain(settings)
        .filter_map(|(place, entry)| Some((place, entry.get("callback_vars")?.as_object()?)))
        .flat_map(|(place, vars)| {
            vars.iter()
                .filter(|(key, value)| is_credential(key, value))
                .map(move |(key, _)| format!("{place}.callback_vars.{key}"))
        })
        .collect()
}

/// `is_sensitive_callback_key` with LiteLLM's default patterns; a value that
/// carries its marker is encrypted already.
fn is_credential(key: &str, value: &Value) -> bool {
    const WORDS: [&str; 14] = [
        "password",
        "secret",
        "key",
        "token",
        "auth",
        "authorization",
        "cookie",
        "credential",
        "credentials",
        "access",
        "private",
        "certificate",
        "fingerprint",
        "tenancy",
    ];
    let Some(text) = value.as_str() else {
        return false;
    };
    if text.is_empty() || text.starts_with("litellm_enc::") {
        return false;
    }
    let key = key.to_lowercase();
    if key == "gcs_path_service_account" {
        return true;
    }
    let mut words = key.split(['_', '-']);
    if words.clone().any(|word| word == "cost") {
        return false;
    }
    words.any(|word| WORDS.contains(&word))
}

fn texts(value: &Value) -> Result<Value, Fault> {
    lax::texts(value).map(Value::from)
}

fn anything_listed(value: &Value) -> Result<Value, Fault> {
    let wrapped = json!({ "": value });
    // One check for NUL in all that goes into jsonb.
    lax::mapping(&wrapped)?;
    lax::list(value).map(|list| Value::Array(list.clone()))
}

fn limit_type(value: &Value) -> Result<Value, Fault> {
    match value.as_str() {
        Some("guaranteed_throughput" | "best_effort_throughput") => Ok(value.clone()),
        _ => Err("must be `guaranteed_throughput` or `best_effort_throughput`".to_owned()),
    }
}

fn vector_store_indexes(value: &Value) -> Result<Value, Fault> {
    lax::list(value)?
        .iter()
        .enumerate()
        .map(|(index, entry)| {
            vector_store_index(entry).map_err(|fault| format!("entry {index} {fault}"))
        })
        .collect()
}

fn vector_store_index(entry: &Value) -> Result<Value, Fault> {
    let entry = lax::mapping(entry)?;
    let named = |key| entry.get(key).ok_or_else(|| format!("has no {key}"));
    let name = lax::text(named("index_name")?)?;
    let permissions = lax::texts(named("index_permissions")?)?;
    if let Some(other) = permissions
        .iter()
        .find(|permission| !matches!(permission.as_str(), "read" | "write"))
    {
        return Err(format!(
            "has the permission `{other}`: read and write exist"
        ));
    }
    if entry.len() > 2 {
        return Err("has keys that LiteLLM ignores: index_name and index_permissions exist".into());
    }
    Ok(json!({ "index_name": name, "index_permissions": permissions }))
}

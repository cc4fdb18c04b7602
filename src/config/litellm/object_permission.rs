//! `default_team_params.object_permission`: what a team may reach besides
//! models.
//!
//! Source: LiteLLM 1.109.1, `LiteLLM_ObjectPermissionBase`
//! (`types/proxy/management_endpoints/request_base.py`) and
//! `set_object_permission` (`proxy/management_helpers/object_permission_utils.py`).
//! Invariant: what is returned are columns of `LiteLLM_ObjectPermissionTable`
//! and only those that were given. Must not: resolve names of MCP servers,
//! which only a running proxy can.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::ParamError;
use super::fields::Fields;
use super::lax::{self, Fault};

const LISTS: [&str; 10] = [
    "mcp_servers",
    "mcp_access_groups",
    "mcp_toolsets",
    "blocked_tools",
    "vector_stores",
    "agents",
    "agent_access_groups",
    "models",
    "search_tools",
    "skills",
];

/// LiteLLM's word for every MCP server, which only a proxy admin may grant;
/// LiteLLM's login creates teams as nobody in particular.
const ALL_SERVERS: &str = "all-proxy-mcpservers";

/// The columns to write. An empty mapping makes LiteLLM write a row that holds
/// nothing, so it does here.
pub(super) fn columns(
    section: &str,
    value: &Value,
) -> Result<BTreeMap<String, Value>, Vec<ParamError>> {
    let mut fields = Fields::open(section, value)?;
    let mut columns = BTreeMap::new();
    for key in LISTS {
        if let Some(names) = fields.optional(key, lax::texts) {
            if key == "mcp_servers" && names.iter().any(|name| name == ALL_SERVERS) {
                fields.refuse(
                    key,
                    format!("holds `{ALL_SERVERS}`, which only a proxy admin may grant"),
                    "name the servers, or grant it in LiteLLM afterwards",
                );
            }
            columns.insert(key.to_owned(), names.into());
        }
    }
    if let Some(search) = fields.optional("mcp_tool_search_enabled", lax::flag) {
        columns.insert("mcp_tool_search_enabled".to_owned(), search.into());
    }
    if let Some(tools) = fields.optional("mcp_tool_permissions", tools_by_server) {
        columns.insert("mcp_tool_permissions".to_owned(), tools.into());
    }
    for (key, _) in fields.left_over() {
        fields.refuse(
            key,
            "is a key that LiteLLM ignores",
            "take it out, or correct its spelling",
        );
    }
    fields.finish(columns)
}

/// LiteLLM refuses a name that several servers share; whether one does, only
/// the running proxy knows. An id is never shared.
fn tools_by_server(value: &Value) -> Result<Map<String, Value>, Fault> {
    lax::mapping(value)?
        .into_iter()
        .map(|(server, tools)| {
            if !is_server_id(&server) {
                return Err(format!(
                    "is keyed by `{server}`, which is no server_id: LiteLLM checks names against \
                     its running MCP servers"
                ));
            }
            let tools = lax::texts(&tools).map_err(|fault| format!("entry `{server}` {fault}"))?;
            Ok((server, tools.into()))
        })
        .collect()
}

/// A UUID, or the 32 hexadecimal digits that servers of a configuration file
/// get.
fn is_server_id(server: &str) -> bool {
    uuid::Uuid::try_parse(server).is_ok() && matches!(server.len(), 32 | 36)
}

//! Which rights on LiteLLM's tables a pass with these settings needs, and which
//! of them the database's role does not have.
//!
//! Invariant: asks the catalogue only, so it can be told before anything is
//! read or written; a table or column that this LiteLLM does not have needs no
//! right. `deploy/sql/role.sql` grants what is listed here for some settings,
//! and nothing else: each [`Purpose`] but the first is one of its variables. A
//! test compares the two.
//!
//! What was taken away comes back with the rights that took it: after
//! `deprovision` is set to `keep`, giving access back and `undo` still need
//! those of removals.
//! Must not: try a statement out.

use std::fmt;

use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::error::Result;
use crate::config::{
    DeprovisionSettings, GonePersonPolicy, LitellmSettings, MembershipPolicy, StoreAuditLogs,
    UnassignedGroupPolicy,
};
use crate::db::QueryContext;
use crate::model::policy::{Organizations, Policy};

/// What a right is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Every pass: without it nothing works.
    Passes,
    /// What `deprovision` asks for, and taking it back; `removals` of role.sql.
    Removals,
    /// `deprovision.unassigned_group: delete`; `delete_teams` of role.sql.
    TeamDeletions,
    /// `litellm.store_audit_logs`; `audit` of role.sql.
    AuditRows,
}

/// A right on one table, on some columns or on all but password hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    /// What it is needed for.
    pub purpose: Purpose,
    /// For example `SELECT`.
    pub privilege: &'static str,
    /// The table, or a sequence.
    pub table: &'static str,
    /// Separated by commas; `None` is all of them.
    pub columns: Option<&'static str>,
}

const fn right(privilege: &'static str, table: &'static str) -> Right {
    Right {
        purpose: Purpose::Passes,
        privilege,
        table,
        columns: None,
    }
}

impl Right {
    const fn on(mut self, columns: &'static str) -> Self {
        self.columns = Some(columns);
        self
    }

    const fn serving(mut self, purpose: Purpose) -> Self {
        self.purpose = purpose;
        self
    }
}

/// What every pass does, whatever the settings say.
const ALWAYS: [Right; 14] = [
    right("SELECT", "_prisma_migrations"),
    right("SELECT", "LiteLLM_BudgetTable"),
    right("SELECT", "LiteLLM_OrganizationMembership"),
    right("SELECT", "LiteLLM_OrganizationTable"),
    right("SELECT", "LiteLLM_TeamMembership"),
    right("SELECT", "LiteLLM_TeamTable"),
    right("SELECT", "LiteLLM_UserTable"),
    right("SELECT", "LiteLLM_VerifiedSubject"),
    // For members of teams that restrict or limit each of them.
    right("INSERT", "LiteLLM_BudgetTable"),
    right("INSERT", "LiteLLM_TeamMembership"),
    right("INSERT", "LiteLLM_TeamTable"),
    right("INSERT", "LiteLLM_UserTable"),
    right("UPDATE", "LiteLLM_TeamTable")
        .on("team_alias,organization_id,models,members_with_roles,updated_at"),
    right("UPDATE", "LiteLLM_UserTable")
        .on("user_email,user_alias,user_role,sso_user_id,teams,updated_at"),
];

const KEYS: &str = "LiteLLM_VerificationToken";
const MAPPINGS: &str = "LiteLLM_JWTKeyMapping";
const ACCESS_GROUPS: &str = "LiteLLM_AccessGroupTable";

/// Finding a team's access groups, and entering or leaving them.
const IN_ACCESS_GROUPS: [Right; 2] = [
    right("SELECT", ACCESS_GROUPS).on("access_group_id,assigned_team_ids"),
    right("UPDATE", ACCESS_GROUPS).on("assigned_team_ids,updated_at"),
];

/// What a pass with these settings needs, and the undoing of what it takes.
#[must_use]
pub fn needed(litellm: &LitellmSettings, deprovision: &DeprovisionSettings) -> Vec<Right> {
    let mut rights = ALWAYS.to_vec();
    rights.extend(for_additions(&litellm.policy));
    rights.extend(for_removals(deprovision));
    if litellm.store_audit_logs == StoreAuditLogs::On {
        rights.push(right("INSERT", "LiteLLM_AuditLog").serving(Purpose::AuditRows));
    }
    rights
}

fn for_additions(policy: &Policy) -> Vec<Right> {
    let mut rights = Vec::new();
    if matches!(policy.organizations, Organizations::On(_)) {
        rights.extend([
            right("INSERT", "LiteLLM_OrganizationTable"),
            right("INSERT", "LiteLLM_OrganizationMembership"),
            // They follow their group's name.
            right("UPDATE", "LiteLLM_OrganizationTable")
                .on("organization_alias,updated_at,updated_by"),
        ]);
    }
    let team = &policy.team_defaults;
    if team.model_aliases.is_some() {
        rights.extend([
            right("SELECT", "LiteLLM_ModelTable").on("id"),
            right("INSERT", "LiteLLM_ModelTable"),
            right("USAGE", "LiteLLM_ModelTable_id_seq"),
        ]);
    }
    if team.object_permission.is_some() {
        rights.push(right("INSERT", "LiteLLM_ObjectPermissionTable"));
    }
    if !team.access_group_ids.is_empty() {
        rights.extend(IN_ACCESS_GROUPS);
    }
    rights
}

fn for_removals(deprovision: &DeprovisionSettings) -> Vec<Right> {
    let mut rights = Vec::new();
    let leaving = deprovision.membership == MembershipPolicy::Remove;
    let deleting = deprovision.unassigned_group == UnassignedGroupPolicy::Delete;
    let people = [deprovision.disabled_user, deprovision.deleted_user];
    let deactivating = people.contains(&GonePersonPolicy::Deactivate);
    if leaving {
        rights.extend([
            right("DELETE", "LiteLLM_OrganizationMembership"),
            // For `undo`, also once organizations are switched off.
            right("INSERT", "LiteLLM_OrganizationMembership"),
        ]);
    }
    if leaving || deleting {
        rights.extend([
            right("DELETE", "LiteLLM_TeamMembership"),
            right("DELETE", KEYS),
            right("INSERT", "LiteLLM_DeletedVerificationToken"),
            right("SELECT", MAPPINGS),
            right("DELETE", MAPPINGS),
            // For `undo`. What a key belonged to may have gone since.
            right("INSERT", KEYS),
            right("INSERT", MAPPINGS),
            right("SELECT", "LiteLLM_ProjectTable").on("project_id"),
            right("SELECT", "LiteLLM_ObjectPermissionTable").on("object_permission_id"),
        ]);
    }
    if leaving || deleting || deactivating {
        rights.extend([
            right("SELECT", KEYS),
            // Also what locking a key asks for; `undo` blocks or unblocks a
            // key as its owner is by then.
            right("UPDATE", KEYS).on("blocked,metadata,updated_at"),
        ]);
    }
    if deactivating {
        rights.push(right("UPDATE", "LiteLLM_UserTable").on("metadata"));
    }
    if deprovision.unassigned_group == UnassignedGroupPolicy::Block {
        rights.push(right("UPDATE", "LiteLLM_TeamTable").on("blocked"));
    }
    let mut rights: Vec<Right> = rights
        .into_iter()
        .map(|right| right.serving(Purpose::Removals))
        .collect();
    if deleting {
        let deletions = [
            right("DELETE", "LiteLLM_TeamTable"),
            right("INSERT", "LiteLLM_DeletedTeamTable"),
            // For `undo`: what a team referred to may have gone since.
            right("SELECT", "LiteLLM_ModelTable").on("id"),
        ];
        let deletions = deletions.into_iter().chain(IN_ACCESS_GROUPS);
        rights.extend(deletions.map(|right| right.serving(Purpose::TeamDeletions)));
    }
    rights
}

/// A right that the role lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What it is needed for.
    pub purpose: Purpose,
    privilege: &'static str,
    table: String,
    columns: Vec<String>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.privilege)?;
        if !self.columns.is_empty() {
            write!(f, " ({})", self.columns.join(", "))?;
        }
        write!(f, " on {}", self.table)
    }
}

#[derive(QueryableByName)]
struct Denied {
    #[diesel(sql_type = BigInt)]
    position: i64,
    #[diesel(sql_type = Bool)]
    wholly: bool,
    #[diesel(sql_type = Array<Text>)]
    columns: Vec<String>,
}

#[derive(QueryableByName)]
struct Usage {
    #[diesel(sql_type = Bool)]
    denied: bool,
}

/// Those of the rights that this connection's role lacks on the tables of this
/// schema.
///
/// # Errors
/// When the database fails.
pub async fn missing(
    connection: &mut AsyncPgConnection,
    schema: &str,
    rights: &[Right],
) -> Result<Vec<Missing>> {
    let mut missing = Vec::new();
    let usage: Usage = sql_query(
        "SELECT coalesce(bool_or(NOT has_schema_privilege(oid, 'USAGE')), false) AS denied \
         FROM pg_namespace WHERE nspname = $1",
    )
    .bind::<Text, _>(schema)
    .get_result(connection)
    .await
    .doing("asking for the right to LiteLLM's schema")?;
    if usage.denied {
        missing.push(Missing {
            purpose: Purpose::Passes,
            privilege: "USAGE",
            table: format!("schema {schema}"),
            columns: Vec::new(),
        });
    }
    // By oid, because looking a table up by name asks for a right itself.
    let denied: Vec<Denied> = sql_query(
        "SELECT position, bool_and(denied) AS wholly, \
                coalesce(array_agg(name ORDER BY number) FILTER (WHERE denied AND name IS NOT NULL), '{}') AS columns \
         FROM ( \
            SELECT r.position, a.attname::text AS name, a.attnum AS number, \
                   NOT CASE r.privilege \
                       WHEN 'DELETE' THEN has_table_privilege(c.oid, 'DELETE') \
                       WHEN 'USAGE' THEN has_sequence_privilege(c.oid, 'USAGE') \
                       ELSE has_column_privilege(c.oid, a.attnum, r.privilege) \
                   END AS denied \
            FROM unnest($2::text[], $3::text[], $4::text[]) \
                 WITH ORDINALITY AS r (privilege, relation, columns, position) \
            JOIN pg_namespace n ON n.nspname = $1 \
            JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = r.relation \
                 AND c.relkind IN ('r', 'p', 'S') \
            LEFT JOIN pg_attribute a ON r.privilege NOT IN ('DELETE', 'USAGE') \
                 AND a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
                 AND a.attname <> 'password' \
                 AND (r.columns IS NULL OR a.attname = ANY (string_to_array(r.columns, ','))) \
            WHERE a.attname IS NOT NULL OR r.privilege IN ('DELETE', 'USAGE') \
         ) asked GROUP BY position HAVING bool_or(denied) ORDER BY position",
    )
    .bind::<Text, _>(schema)
    .bind::<Array<Text>, _>(rights.iter().map(|r| r.privilege).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rights.iter().map(|r| r.table).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(rights.iter().map(|r| r.columns).collect::<Vec<_>>())
    .load(connection)
    .await
    .doing("asking for the rights to LiteLLM's tables")?;
    missing.extend(denied.into_iter().filter_map(|row| {
        let at = usize::try_from(row.position).ok()?.checked_sub(1)?;
        let right = rights.get(at)?;
        let all = row.wholly && right.columns.is_none();
        Some(Missing {
            purpose: right.purpose,
            privilege: right.privilege,
            table: right.table.to_owned(),
            columns: if all { Vec::new() } else { row.columns },
        })
    }));
    Ok(missing)
}

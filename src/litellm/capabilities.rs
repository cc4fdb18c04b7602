//! What this LiteLLM's tables look like (litellm-contract 1.14).
//!
//! Invariant: version strings are not trusted, columns are. A column that is
//! not there is not written; a table that demands more than we know is not
//! written at all; a migration in flight stops the pass.

use std::collections::{BTreeMap, BTreeSet};

use diesel::sql_types::{BigInt, Bool, Text};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::error::{Error, Result};
use crate::db::QueryContext;

/// Tables a pass reads and writes, with the columns that every LiteLLM we
/// support has.
const CORE: &[(&str, &[&str])] = &[
    (
        "LiteLLM_BudgetTable",
        &[
            "budget_id",
            "max_budget",
            "soft_budget",
            "max_parallel_requests",
            "tpm_limit",
            "rpm_limit",
            "model_max_budget",
            "budget_duration",
            "budget_reset_at",
            "created_at",
            "created_by",
            "updated_at",
            "updated_by",
        ],
    ),
    (
        "LiteLLM_OrganizationTable",
        &[
            "organization_id",
            "organization_alias",
            "budget_id",
            "metadata",
            "models",
            "spend",
            "model_spend",
            "created_at",
            "created_by",
            "updated_at",
            "updated_by",
        ],
    ),
    (
        "LiteLLM_TeamTable",
        &[
            "team_id",
            "team_alias",
            "organization_id",
            "admins",
            "members",
            "members_with_roles",
            "metadata",
            "max_budget",
            "spend",
            "models",
            "max_parallel_requests",
            "tpm_limit",
            "rpm_limit",
            "budget_duration",
            "budget_reset_at",
            "blocked",
            "created_at",
            "updated_at",
            "model_spend",
            "model_max_budget",
            "model_id",
        ],
    ),
    (
        "LiteLLM_UserTable",
        &[
            "user_id",
            "user_alias",
            "team_id",
            "sso_user_id",
            "organization_id",
            "user_role",
            "max_budget",
            "spend",
            "user_email",
            "models",
            "metadata",
            "max_parallel_requests",
            "tpm_limit",
            "rpm_limit",
            "budget_duration",
            "budget_reset_at",
            "teams",
            "allowed_cache_controls",
            "model_spend",
            "model_max_budget",
            "created_at",
            "updated_at",
        ],
    ),
    (
        "LiteLLM_OrganizationMembership",
        &[
            "user_id",
            "organization_id",
            "user_role",
            "spend",
            "budget_id",
            "created_at",
            "updated_at",
        ],
    ),
    (
        "LiteLLM_TeamMembership",
        &["user_id", "team_id", "spend", "budget_id"],
    ),
];

/// Later columns that we know: written when they are there, and no surprise
/// when a release demands them.
const LATER: &[(&str, &[&str])] = &[
    (
        "LiteLLM_BudgetTable",
        &[
            "allowed_models",
            "tpd_limit",
            "temp_budget_increase",
            "temp_budget_expiry",
        ],
    ),
    ("LiteLLM_OrganizationTable", &["object_permission_id"]),
    (
        "LiteLLM_TeamTable",
        &[
            "team_member_permissions",
            "object_permission_id",
            "router_settings",
            "policies",
            "allow_team_guardrail_config",
            "soft_budget",
            "access_group_ids",
            "budget_limits",
            "default_team_member_models",
            "tpd_limit",
        ],
    ),
    (
        "LiteLLM_UserTable",
        &[
            "password",
            "object_permission_id",
            "policies",
            "password_reset_required",
            "last_breach_check_at",
        ],
    ),
    ("LiteLLM_TeamMembership", &["total_spend"]),
];

/// A migration unfinished for longer has broken off.
const MIGRATION_MINUTES: i64 = 10;

/// The columns of LiteLLM's tables in this database.
#[derive(Debug, Clone, Default)]
pub struct Capabilities {
    tables: BTreeMap<String, BTreeSet<String>>,
    /// Table and column of what no insert may leave out.
    demanded: BTreeSet<(String, String)>,
}

impl Capabilities {
    /// Whether the table is there.
    #[must_use]
    pub fn has_table(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// Whether the column is there.
    #[must_use]
    pub fn has(&self, table: &str, column: &str) -> bool {
        self.tables
            .get(table)
            .is_some_and(|columns| columns.contains(column))
    }

    /// The columns of a table, sorted; none when it is not there.
    pub(super) fn columns(&self, table: &str) -> impl Iterator<Item = &str> {
        self.tables
            .get(table)
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// Columns of a table that no insert may leave out, sorted.
    pub(super) fn demanded<'a>(&'a self, table: &'a str) -> impl Iterator<Item = &'a str> {
        self.demanded
            .iter()
            .filter(move |(of, _)| of == table)
            .map(|(_, column)| column.as_str())
    }
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    column_name: String,
    #[diesel(sql_type = Bool)]
    demanded: bool,
}

#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = Text)]
    database: String,
}

/// Reads the shape of LiteLLM's tables and refuses what cannot be written
/// safely. The transaction's search path names LiteLLM's schema.
///
/// # Errors
/// [`Error::NoTables`], [`Error::MissingColumns`],
/// [`Error::UnknownRequiredColumns`], or a migration in flight.
pub async fn probe(connection: &mut AsyncPgConnection, schema: &str) -> Result<Capabilities> {
    // pg_catalog, not information_schema: that one hides what the role may
    // not touch, and a missing right is another trouble than a missing column.
    let columns: Vec<Column> = sql_query(
        "SELECT c.relname::text AS table_name, a.attname::text AS column_name, \
                (a.attnotnull AND NOT a.atthasdef AND a.attidentity = '') AS demanded \
         FROM pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND starts_with(c.relname, 'LiteLLM_')",
    )
    .bind::<Text, _>(schema)
    .load(connection)
    .await
    .doing("reading the shape of LiteLLM's tables")?;
    let mut capabilities = Capabilities::default();
    for column in columns {
        if column.demanded {
            let name = (column.table_name.clone(), column.column_name.clone());
            capabilities.demanded.insert(name);
        }
        capabilities
            .tables
            .entry(column.table_name)
            .or_default()
            .insert(column.column_name);
    }
    refuse_missing(connection, schema, &capabilities).await?;
    refuse_demanding(&capabilities.demanded)?;
    refuse_migration(connection, schema).await?;
    Ok(capabilities)
}

async fn refuse_missing(
    connection: &mut AsyncPgConnection,
    schema: &str,
    capabilities: &Capabilities,
) -> Result<()> {
    let tables: Vec<&str> = CORE
        .iter()
        .map(|(table, _)| *table)
        .filter(|table| !capabilities.has_table(table))
        .collect();
    if !tables.is_empty() {
        let place: Place = sql_query("SELECT current_database()::text AS database")
            .get_result(connection)
            .await
            .doing("asking where we are")?;
        return Err(Error::NoTables {
            // Not current_schema(), which leaves out what the role may not see.
            schema: schema.to_owned(),
            database: place.database,
            missing: tables.join(", "),
        });
    }
    let columns: Vec<String> = CORE
        .iter()
        .flat_map(|(table, columns)| columns.iter().map(move |column| (table, column)))
        .filter(|(table, column)| !capabilities.has(table, column))
        .map(|(table, column)| format!("{table}.{column}"))
        .collect();
    if columns.is_empty() {
        Ok(())
    } else {
        Err(Error::MissingColumns {
            missing: columns.join(", "),
        })
    }
}

fn refuse_demanding(demanded: &BTreeSet<(String, String)>) -> Result<()> {
    let known = |table: &str, column: &str| {
        CORE.iter()
            .chain(LATER)
            .any(|(t, columns)| *t == table && columns.contains(&column))
    };
    let written = |table: &str| CORE.iter().any(|(t, _)| *t == table);
    let unknown: Vec<String> = demanded
        .iter()
        .filter(|(table, column)| written(table) && !known(table, column))
        .map(|(table, column)| format!("{table}.{column}"))
        .collect();
    if unknown.is_empty() {
        Ok(())
    } else {
        Err(Error::UnknownRequiredColumns {
            columns: unknown.join(", "),
        })
    }
}

#[derive(QueryableByName)]
struct Migration {
    #[diesel(sql_type = Text)]
    migration_name: String,
    #[diesel(sql_type = BigInt)]
    minutes: i64,
}

async fn refuse_migration(connection: &mut AsyncPgConnection, schema: &str) -> Result<()> {
    #[derive(QueryableByName)]
    struct Present {
        #[diesel(sql_type = Bool)]
        present: bool,
    }
    // Absent after `db push`: then there is nothing to look at.
    let table: Present = sql_query(
        "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = '_prisma_migrations') AS present",
    )
    .bind::<Text, _>(schema)
    .get_result(connection)
    .await
    .doing("looking for LiteLLM's migration table")?;
    if !table.present {
        return Ok(());
    }
    let running: Option<Migration> = sql_query(
        "SELECT migration_name::text, \
                (extract(epoch FROM clock_timestamp() - started_at) / 60)::bigint AS minutes \
         FROM _prisma_migrations WHERE finished_at IS NULL AND rolled_back_at IS NULL \
         ORDER BY started_at LIMIT 1",
    )
    .get_result(connection)
    .await
    .optional()
    .doing("looking for a running LiteLLM migration")?;
    match running {
        None => Ok(()),
        Some(Migration {
            migration_name,
            minutes,
        }) if minutes <= MIGRATION_MINUTES => Err(Error::MigrationRunning {
            migration: migration_name,
            minutes,
        }),
        Some(Migration {
            migration_name,
            minutes,
        }) => Err(Error::MigrationUnfinished {
            migration: migration_name,
            minutes,
        }),
    }
}

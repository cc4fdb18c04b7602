//! What there is of the ledger, for `check` and for whoever only reads: told from
//! the catalogue and diesel's version table, changing nothing.

use std::collections::BTreeSet;

use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel::sql_types::{Array, Bool, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::error::{Error, Result};
use super::migrate::MIGRATIONS;
use crate::db::{Database, Limits, QueryContext};

/// How far the schema `entra_sync` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// There is none; the first pass makes it.
    Creatable,
    /// There is none, and this role may not make it.
    NotCreatable,
    /// It is there, but this role may not do this to it.
    Forbidden(Vec<String>),
    /// The next start applies these versions.
    Behind(Vec<String>),
    /// As this program wants it.
    Newest,
    /// A newer program has been here and applied these versions.
    Newer(Vec<String>),
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    present: bool,
    #[diesel(sql_type = Bool)]
    creatable: bool,
    #[diesel(sql_type = Bool)]
    has_versions: bool,
    #[diesel(sql_type = Array<Text>)]
    forbidden: Vec<String>,
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

/// Looks at the schema `entra_sync`.
///
/// # Errors
/// When the database fails.
pub async fn standing(connection: &mut AsyncPgConnection) -> Result<Standing> {
    let found: Found = sql_query(
        "SELECT n.oid IS NOT NULL AS present, \
                has_database_privilege(current_database(), 'CREATE') AS creatable, \
                EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid \
                        AND c.relname = '__diesel_schema_migrations') AS has_versions, \
                ARRAY(SELECT p || ' on schema entra_sync' FROM unnest('{USAGE,CREATE}'::text[]) p \
                      WHERE NOT has_schema_privilege(n.oid, p)) || \
                ARRAY(SELECT p || ' on entra_sync.' || c.relname \
                      FROM pg_class c, unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) p \
                      WHERE c.relnamespace = n.oid AND c.relkind = 'r' \
                        AND NOT has_table_privilege(c.oid, p) ORDER BY 1) AS forbidden \
         FROM (SELECT) AS one LEFT JOIN pg_namespace n ON n.nspname = 'entra_sync'",
    )
    .get_result(connection)
    .await
    .doing("looking at schema entra_sync")?;
    if !found.present {
        return Ok(if found.creatable {
            Standing::Creatable
        } else {
            Standing::NotCreatable
        });
    }
    if !found.forbidden.is_empty() {
        return Ok(Standing::Forbidden(found.forbidden));
    }
    let applied = match found.has_versions {
        true => applied(connection).await?,
        false => BTreeSet::new(),
    };
    let known = known()?;
    let pending: Vec<String> = known.difference(&applied).cloned().collect();
    let newer: Vec<String> = applied.difference(&known).cloned().collect();
    Ok(if !newer.is_empty() {
        Standing::Newer(newer)
    } else if !pending.is_empty() {
        Standing::Behind(pending)
    } else {
        Standing::Newest
    })
}

/// Whether there is a ledger to read, for whoever must not migrate it: `false`
/// before the first pass.
///
/// # Errors
/// [`Error::NotMigrated`] while it lacks steps of this version, so that nobody is
/// told of a missing column.
pub async fn readable(database: &Database) -> Result<bool> {
    if !super::exists(database).await? {
        return Ok(false);
    }
    let mut transaction = database.begin(Limits::READ).await?;
    let applied = applied(&mut transaction).await?;
    transaction.commit().await?;
    let pending: Vec<String> = known()?.difference(&applied).cloned().collect();
    if pending.is_empty() {
        return Ok(true);
    }
    Err(Error::NotMigrated(format!(
        "it was made by an older entra-sync and lacks {}; the next pass brings it up to date, or",
        pending.join(", ")
    )))
}

async fn applied(connection: &mut AsyncPgConnection) -> Result<BTreeSet<String>> {
    let versions: Vec<Version> =
        sql_query("SELECT version::text FROM entra_sync.__diesel_schema_migrations")
            .load(connection)
            .await
            .doing("reading the version of schema entra_sync")?;
    Ok(versions.into_iter().map(|row| row.version).collect())
}

fn known() -> Result<BTreeSet<String>> {
    let migrations = MigrationSource::<Pg>::migrations(&MIGRATIONS)
        .map_err(|error| Error::NotMigrated(error.to_string()))?;
    let versions = migrations
        .iter()
        .map(|one| one.name().version().to_string());
    Ok(versions.collect())
}

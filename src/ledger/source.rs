//! Which tenant and Enterprise Application this ledger is about.
//!
//! Invariant: a ledger row is only ever read for the source it was written
//! for. Settings that point elsewhere are an error, never a reason to remove.

use diesel::sql_types::{Integer, Text, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::error::{Error, Result};
use crate::db::QueryContext;
use crate::model::ids::{ServicePrincipalId, SourceId};

/// The name of the one source that the settings describe today.
const NAME: &str = "default";

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Integer)]
    source_id: i32,
    #[diesel(sql_type = Text)]
    tenant: String,
    #[diesel(sql_type = SqlUuid)]
    service_principal_id: uuid::Uuid,
}

/// The source that the settings describe, if a pass has recorded it already.
///
/// # Errors
/// [`Error::SourceMismatch`] when the ledger was written for another one.
pub async fn find_source(
    connection: &mut AsyncPgConnection,
    tenant: &str,
    service_principal: ServicePrincipalId,
) -> Result<Option<SourceId>> {
    let row: Option<Row> = sql_query(
        "SELECT source_id, tenant, service_principal_id FROM entra_sync.source WHERE name = $1",
    )
    .bind::<Text, _>(NAME)
    .get_result(connection)
    .await
    .optional()
    .doing("reading the ledger's source")?;
    let Some(row) = row else { return Ok(None) };
    let same = row.tenant.eq_ignore_ascii_case(tenant)
        && row.service_principal_id == service_principal.as_uuid();
    if same {
        return Ok(Some(SourceId::new(row.source_id)));
    }
    Err(Error::SourceMismatch {
        stored_tenant: row.tenant,
        stored_service_principal: row.service_principal_id.to_string(),
        tenant: tenant.to_owned(),
        service_principal: service_principal.to_string(),
    })
}

/// The same, recording the source when the ledger has none yet.
///
/// # Errors
/// [`Error::SourceMismatch`] when the ledger was written for another one.
pub async fn resolve_source(
    connection: &mut AsyncPgConnection,
    tenant: &str,
    service_principal: ServicePrincipalId,
) -> Result<SourceId> {
    sql_query(
        "INSERT INTO entra_sync.source (name, tenant, service_principal_id) VALUES ($1, $2, $3) \
         ON CONFLICT (name) DO NOTHING",
    )
    .bind::<Text, _>(NAME)
    .bind::<Text, _>(tenant)
    .bind::<SqlUuid, _>(service_principal.as_uuid())
    .execute(connection)
    .await
    .doing("recording the ledger's source")?;
    match find_source(connection, tenant, service_principal).await? {
        Some(source) => Ok(source),
        None => Err(Error::NotMigrated(
            "the source just recorded cannot be read back".into(),
        )),
    }
}

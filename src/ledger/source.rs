//! Which tenants and Enterprise Applications this ledger is about.
//!
//! Invariant: a ledger row is only ever read for the source it was written
//! for. Who a source is, its application says, whose object id no other has;
//! its name is what people call it and may change, and a tenant can be written
//! in several ways. Settings that give a name to another application, or an
//! application to another tenant, are an error, never a reason to remove or to
//! begin a second row; a source that no settings name is left alone.

use diesel::sql_types::{Array, Integer, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::error::{Error, Result};
use crate::db::QueryContext;
use crate::model::ids::SourceId;
use crate::model::source::Described;

/// A source as the ledger found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Its number.
    pub source: SourceId,
    /// What it was called before it got the name of these settings, just now.
    pub renamed_from: Option<String>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Integer)]
    source_id: i32,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    tenant: String,
    #[diesel(sql_type = SqlUuid)]
    service_principal_id: uuid::Uuid,
}

/// The source that the settings describe, if a pass has recorded it already,
/// whatever it was called then.
///
/// # Errors
/// [`Error::SourceMismatch`] when the ledger was written for another one of
/// this name, or for this application in another tenant;
/// [`Error::SourceTwice`] when it has two rows for the application.
pub async fn find_source(
    connection: &mut AsyncPgConnection,
    wanted: Described<'_>,
) -> Result<Option<SourceId>> {
    let row = find(connection, wanted).await?;
    Ok(row.map(|row| SourceId::new(row.source_id)))
}

async fn find(connection: &mut AsyncPgConnection, wanted: Described<'_>) -> Result<Option<Row>> {
    let application = wanted.service_principal.as_uuid();
    let rows: Vec<Row> = sql_query(
        "SELECT source_id, name, tenant, service_principal_id FROM entra_sync.source \
         WHERE name = $1 OR service_principal_id = $2 ORDER BY source_id",
    )
    .bind::<Text, _>(wanted.name.as_str())
    .bind::<SqlUuid, _>(application)
    .load(connection)
    .await
    .doing("reading the ledger's sources")?;
    let is_same = |row: &Row| row.service_principal_id == application;
    let (mut same, others): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(is_same);
    if same.len() > 1 {
        let rows = same.iter().map(Row::in_words).collect::<Vec<_>>();
        return Err(Error::SourceTwice {
            service_principal: wanted.service_principal.to_string(),
            rows: rows.join(" and "),
        });
    }
    let same = same.pop();
    let elsewhere = |row: &&Row| !row.tenant.eq_ignore_ascii_case(wanted.tenant);
    // Whatever else has the name is another application's.
    if let Some(row) = same
        .as_ref()
        .filter(elsewhere)
        .or(others.as_slice().first())
    {
        return Err(Error::SourceMismatch {
            name: row.name.clone(),
            stored_tenant: row.tenant.clone(),
            stored_service_principal: row.service_principal_id.to_string(),
            tenant: wanted.tenant.to_owned(),
            service_principal: wanted.service_principal.to_string(),
        });
    }
    Ok(same)
}

impl Row {
    fn in_words(&self) -> String {
        let Self {
            source_id,
            name,
            tenant,
            ..
        } = self;
        format!("source_id {source_id} (`{name}`, tenant {tenant})")
    }
}

/// The same, recording the source when the ledger has none yet, and its name
/// when it was called otherwise: so nothing that it manages is lost.
///
/// # Errors
/// [`Error::SourceMismatch`] when the ledger was written for another one of
/// this name, or for this application in another tenant;
/// [`Error::SourceTwice`] when it has two rows for the application.
pub async fn resolve_source(
    connection: &mut AsyncPgConnection,
    wanted: Described<'_>,
) -> Result<Resolved> {
    // A name that another one has, and an application that is known in another
    // tenant, are refused before anything is recorded.
    if find(connection, wanted).await?.is_none() {
        sql_query(
            "INSERT INTO entra_sync.source (name, tenant, service_principal_id) \
             VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind::<Text, _>(wanted.name.as_str())
        .bind::<Text, _>(wanted.tenant)
        .bind::<SqlUuid, _>(wanted.service_principal.as_uuid())
        .execute(connection)
        .await
        .doing("recording the ledger's source")?;
    }
    // Another instance may have recorded it at the same time.
    let Some(row) = find(connection, wanted).await? else {
        return Err(Error::NotMigrated(
            "the source just recorded cannot be read back".into(),
        ));
    };
    let source = SourceId::new(row.source_id);
    if row.name == wanted.name.as_str() {
        return Ok(Resolved {
            source,
            renamed_from: None,
        });
    }
    sql_query("UPDATE entra_sync.source SET name = $2 WHERE source_id = $1")
        .bind::<Integer, _>(row.source_id)
        .bind::<Text, _>(wanted.name.as_str())
        .execute(connection)
        .await
        .doing("recording the source's new name")?;
    Ok(Resolved {
        source,
        renamed_from: Some(row.name),
    })
}

/// The names of sources that the ledger has and these settings do not.
///
/// # Errors
/// When the database fails.
pub async fn unnamed_sources(
    connection: &mut AsyncPgConnection,
    settings: &[Described<'_>],
) -> Result<Vec<String>> {
    let applications = settings.iter().map(|one| one.service_principal.as_uuid());
    let rows: Vec<Row> = sql_query(
        "SELECT source_id, name, tenant, service_principal_id FROM entra_sync.source \
         WHERE service_principal_id <> ALL ($1) ORDER BY name",
    )
    .bind::<Array<SqlUuid>, _>(applications.collect::<Vec<_>>())
    .load(connection)
    .await
    .doing("reading the ledger's sources")?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

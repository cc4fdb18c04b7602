//! `/api/v1`: what the ledger and this replica know, as JSON.
//!
//! Invariant: the database is asked by one request at a time, on a connection
//! that no pass uses, and the answer serves whoever asks within the same
//! second. Whoever cannot wait is told to come again.
//! Must not: answer with names or addresses: changes with their columns are for
//! `entra-sync show`, which needs the database's password.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::health::word;
use super::routes::{App, Problem};
use crate::config::Settings;
use crate::daemon::{InUse, SourceState};
use crate::db::{Database, Limits};
use crate::ledger::{self, runs};
use crate::sync::{Moment, open_database};

/// How old an answer may be.
const FRESH: Duration = Duration::from_secs(1);

/// Nobody waits longer for the database.
const PATIENCE: Duration = Duration::from_secs(3);

/// Runs in one answer, unless asked otherwise, and at most.
const RUNS: u16 = 20;
const MOST_RUNS: u16 = 200;

/// The API's own way to the database.
#[derive(Default)]
pub(super) struct Desk(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// Made from these settings.
    database: Option<(Arc<[Settings]>, Database)>,
    sources: Option<(Instant, Vec<(String, Value)>)>,
    /// By source and number.
    runs: BTreeMap<(String, u16), (Instant, Value)>,
}

impl App {
    /// Asks the database, after whoever else asks it over HTTP.
    pub(super) async fn database<T>(
        &self,
        ask: impl AsyncFnOnce(&Database) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        in_time(async {
            let in_use = self.in_use()?;
            let mut kept = self.desk.0.lock().await;
            let database = kept.database(&in_use)?;
            ask(&database).await
        })
        .await
    }
}

impl Kept {
    fn database(&mut self, in_use: &InUse) -> Result<Database, Problem> {
        if let Some((of, database)) = &self.database
            && Arc::ptr_eq(of, &in_use.settings)
        {
            return Ok(database.clone());
        }
        let Some(first) = in_use.settings.first() else {
            return Err(Problem::not_ready());
        };
        let mut settings = first.clone();
        settings.litellm.database.pool_size = 1;
        let database = open_database(&settings).map_err(|_| Problem::unreachable())?;
        self.database = Some((Arc::clone(&in_use.settings), database.clone()));
        self.sources = None;
        self.runs.clear();
        Ok(database)
    }
}

/// Every source: what the ledger knows, and what this replica does about it.
pub(super) async fn sources(State(app): State<App>) -> Result<Json<Value>, Problem> {
    let kept = in_time(kept_sources(&app)).await?;
    let live = app.board.sources();
    let sources: Vec<Value> = kept
        .into_iter()
        .map(|(name, mut state)| {
            let here = live.iter().find(|(one, _)| one.as_str() == name);
            if let Value::Object(fields) = &mut state {
                fields.insert("name".to_owned(), json!(name));
                fields.insert(
                    "replica".to_owned(),
                    json!(here.map(|(_, one)| replica(one))),
                );
            }
            state
        })
        .collect();
    Ok(Json(json!({ "sources": sources })))
}

/// One of them.
pub(super) async fn source(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let Json(mut all) = sources(State(app)).await?;
    let found = all["sources"]
        .as_array_mut()
        .and_then(|sources| sources.iter_mut().find(|one| one["name"] == name.as_str()));
    match found {
        Some(source) => Ok(Json(source.take())),
        None => Err(Problem::no_such_source()),
    }
}

/// What this replica does about a source, beside what the ledger knows.
fn replica(state: &SourceState) -> Value {
    let running = state.running.as_ref().map(|running| {
        let phase = match running.watch.moment() {
            Moment::Opening => "opening",
            Moment::Reading(_) => "reading",
            Moment::Comparing => "comparing",
            Moment::Writing(_) => "writing",
        };
        json!({
            "trigger": running.trigger,
            "mode": running.mode,
            "since": running.since,
            "phase": phase,
        })
    });
    json!({
        "state": word(state),
        "running": running,
        "next_run_at": state.next_at,
    })
}

async fn kept_sources(app: &App) -> Result<Vec<(String, Value)>, Problem> {
    let in_use = app.in_use()?;
    let mut kept = app.desk.0.lock().await;
    let database = kept.database(&in_use)?;
    if let Some((at, sources)) = &kept.sources
        && at.elapsed() < FRESH
    {
        return Ok(sources.clone());
    }
    let there = ledger::readable(&database).await?;
    let mut sources = Vec::new();
    let mut transaction = database.begin(Limits::READ).await?;
    for settings in in_use.settings.iter() {
        let state = if there {
            ledger::overview(&mut transaction, settings.described()).await?
        } else {
            ledger::Overview::default()
        };
        let name = settings.source.to_string();
        sources.push((name, state.json(settings.described())));
    }
    transaction.commit().await?;
    kept.sources = Some((Instant::now(), sources.clone()));
    Ok(sources)
}

/// Which runs are listed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Of one source; of the only one, if there is one.
    source: Option<String>,
    limit: Option<u16>,
}

/// The newest runs of a source, newest first.
pub(super) async fn runs(
    State(app): State<App>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Ok(Query(which)) = which else {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "the query knows `source` and `limit` (a number from 1 to 200) only",
        ));
    };
    let limit = which.limit.unwrap_or(RUNS);
    if !(1..=MOST_RUNS).contains(&limit) {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "limit is a number from 1 to 200",
        ));
    }
    let in_use = app.in_use()?;
    let settings = one_source(&in_use, which.source.as_deref())?.clone();
    let listed = in_time(async {
        let mut kept = app.desk.0.lock().await;
        let database = kept.database(&in_use)?;
        kept.runs.retain(|_, (at, _)| at.elapsed() < FRESH);
        let key = (settings.source.to_string(), limit);
        if let Some((_, listed)) = kept.runs.get(&key) {
            return Ok(listed.clone());
        }
        if !ledger::readable(&database).await? {
            return Ok(json!([]));
        }
        let mut transaction = database.begin(Limits::READ).await?;
        let source = ledger::find_source(&mut transaction, settings.described()).await?;
        let listed = match source {
            Some(source) => runs::list(&mut transaction, source, i64::from(limit)).await?,
            None => Vec::new(),
        };
        transaction.commit().await?;
        let listed = json!(listed);
        kept.runs.insert(key, (Instant::now(), listed.clone()));
        Ok(listed)
    })
    .await?;
    Ok(Json(json!({ "runs": listed })))
}

/// One run, whichever source it is of.
pub(super) async fn run(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let Ok(id) = id.parse::<Uuid>() else {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "a run's id is a GUID; GET /api/v1/runs lists them",
        ));
    };
    let in_use = app.in_use()?;
    let found = app
        .database(async |database| {
            if !ledger::readable(database).await? {
                return Ok(None);
            }
            let mut transaction = database.begin(Limits::READ).await?;
            let mut found = None;
            for settings in in_use.settings.iter() {
                let source = ledger::find_source(&mut transaction, settings.described()).await?;
                if let Some(source) = source {
                    let runs = runs::find(&mut transaction, source, &id.to_string()).await?;
                    found = found.or(runs.into_iter().next());
                }
            }
            transaction.commit().await?;
            Ok(found)
        })
        .await?;
    match found {
        Some(run) => Ok(Json(json!(run))),
        None => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "there is no run with this id; what is older than history.keep is gone",
        )),
    }
}

/// The source that a request is about.
fn one_source<'s>(in_use: &'s InUse, name: Option<&str>) -> Result<&'s Settings, Problem> {
    let mut all = in_use.settings.iter();
    let found = match (name, in_use.settings.len()) {
        (Some(name), _) => all.find(|one| one.source.as_str() == name),
        (None, 1) => all.next(),
        (None, _) => {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "there are several sources: name one with ?source=",
            ));
        }
    };
    found.ok_or(Problem::no_such_source())
}

async fn in_time<T>(asking: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    let asked = tokio::time::timeout(PATIENCE, asking).await;
    asked.unwrap_or_else(|_| Err(Problem::busy()))
}

//! An Entra tenant, a LiteLLM database, and the daemon's passes between them.

use std::path::Path;
use std::sync::Arc;

use entra_sync::config::{self, Environment, Overrides, Settings, Sources};
use entra_sync::model::policy::Scope;
use entra_sync::model::report::{Mode, Status, Trigger};
use entra_sync::simulator::{Simulator, Tenant};
use entra_sync::sync::{Error, Narrowing, Planned, Progress, Report, Request, Source};
use tokio_util::sync::CancellationToken;

use super::TestDatabase;

/// Settings are made as an operator makes them: from the environment.
pub struct World {
    pub entra: Simulator,
    pub database: TestDatabase,
    environment: Environment,
}

impl World {
    /// A tenant beside an empty LiteLLM. Seats are unlimited; the tests about
    /// seats say otherwise.
    pub async fn new(furnish: impl FnOnce(&mut Tenant)) -> Self {
        Self::beside(TestDatabase::create().await, furnish).await
    }

    /// The same beside this database.
    pub async fn beside(database: TestDatabase, furnish: impl FnOnce(&mut Tenant)) -> Self {
        let entra = Simulator::start(Tenant::build(furnish))
            .await
            .expect("a loopback port");
        let (tenant, client, secret, application) = entra.tenant(|tenant| {
            (
                tenant.tenant_id().to_string(),
                tenant.client_id().to_string(),
                tenant.client_secret().to_owned(),
                tenant.service_principal_id().to_string(),
            )
        });
        let environment = [
            ("MICROSOFT_TENANT", tenant),
            ("MICROSOFT_CLIENT_ID", client),
            ("MICROSOFT_CLIENT_SECRET", secret),
            ("MICROSOFT_SERVICE_PRINCIPAL_ID", application),
            ("MICROSOFT_GRAPH_ENDPOINT", entra.graph_url()),
            ("MICROSOFT_TOKEN_ENDPOINT", entra.token_url()),
            ("DATABASE_URL", database.url()),
            ("ENTRA_SYNC__LITELLM__SEATS", "unlimited".to_owned()),
        ];
        Self {
            entra,
            database,
            environment: environment
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        }
    }

    /// Has the client secret come from this file, which holds this one now.
    pub fn secret_from(&mut self, path: &Path, secret: &str) -> &mut Self {
        std::fs::write(path, secret).expect("the file is written");
        self.set("MICROSOFT_CLIENT_SECRET", "");
        self.set("ENTRA_SYNC__ENTRA__CLIENT_SECRET_FILE", path.display())
    }

    /// Has the database's URL come from this file, which holds this one now.
    pub fn database_url_from(&mut self, path: &Path, url: &str) -> &mut Self {
        std::fs::write(path, url).expect("the file is written");
        self.set("DATABASE_URL", "");
        self.set("ENTRA_SYNC__LITELLM__DATABASE_URL_FILE", path.display())
    }

    /// Sets one environment variable, for example `ENTRA_SYNC__LITELLM__SEATS`.
    ///
    /// Scheduled passes read in full, unless a test says when they do.
    pub fn set(&mut self, name: &str, value: impl ToString) -> &mut Self {
        let value = value.to_string();
        if name == "ENTRA_SYNC__SCHEDULE__CRON" {
            let full = "ENTRA_SYNC__SCHEDULE__FULL_CRON".to_owned();
            self.environment
                .entry(full)
                .or_insert_with(|| value.clone());
        }
        self.environment.insert(name.to_owned(), value);
        self
    }

    /// The same while the world is being made.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.set(name, value);
        self
    }

    /// What the daemon would be given as environment.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    pub fn settings(&self) -> Settings {
        let sources = Sources {
            files: Vec::new(),
            environment: self.environment.clone(),
            overrides: Overrides::default(),
            today: chrono::Utc::now().date_naive(),
        };
        match config::load(&sources) {
            Ok(loaded) => loaded.settings,
            Err(error) => panic!("{error}"),
        }
    }

    /// A fresh daemon: no connections, no token, no memory.
    pub fn source(&self) -> Source {
        let source = self.whole_source();
        match std::env::var("ENTRA_SYNC_TEST_MODE").as_deref() {
            Ok("changed") => source.narrowing(NARROW),
            _ => source,
        }
    }

    fn whole_source(&self) -> Source {
        Source::new(Arc::new(self.settings())).expect("a source")
    }

    /// One pass over everything, whatever comes of it.
    pub async fn try_pass(&self) -> (Report, Option<Error>) {
        self.pass_of(&self.source(), Scope::default()).await
    }

    /// One pass with this scope, by this daemon.
    pub async fn pass_of(&self, source: &Source, scope: Scope) -> (Report, Option<Error>) {
        self.pass_by(source, mode(), scope).await
    }

    /// The same, reading this way.
    pub async fn pass_by(
        &self,
        source: &Source,
        mode: Mode,
        scope: Scope,
    ) -> (Report, Option<Error>) {
        let request = Request {
            trigger: Trigger::Cli,
            mode,
            scope,
        };
        let stop = CancellationToken::new();
        source.pass(&request, &Progress::unobserved(), &stop).await
    }

    /// One pass over everything that must not fail.
    pub async fn pass(&self) -> Report {
        let (report, error) = self.try_pass().await;
        if let Some(error) = error {
            panic!("the pass failed: {error}");
        }
        report
    }

    /// Two passes: the first does everything, the second must find nothing to
    /// do. Returns the report of the first.
    pub async fn settle(&self) -> Report {
        let first = self.pass().await;
        assert_eq!(first.errors, [], "objects gave trouble");
        let planned = self.plan().await;
        let items: Vec<_> = planned.plan.items().collect();
        assert!(items.is_empty(), "the second plan is not empty: {items:#?}");
        let second = self.pass().await;
        assert_eq!(second.status, Status::Unchanged, "{}", second.json());
        first
    }

    /// What a pass would do now.
    pub async fn plan(&self) -> Planned {
        let request = Request {
            trigger: Trigger::Cli,
            mode: mode(),
            scope: Scope::default(),
        };
        match self.source().plan(&request, &Progress::unobserved()).await {
            Ok(planned) => planned,
            Err(error) => panic!("the plan failed: {error}"),
        }
    }
}

/// Compares what has changed, however small the directory is.
pub const NARROW: Narrowing = Narrowing {
    from: 0,
    most: usize::MAX,
};

/// How passes read: `ENTRA_SYNC_TEST_MODE=incremental` lets all tests go through
/// delta queries, `changed` makes their plans look at what has changed alone.
fn mode() -> Mode {
    match std::env::var("ENTRA_SYNC_TEST_MODE").as_deref() {
        Ok("incremental" | "changed") => Mode::Incremental,
        _ => Mode::Full,
    }
}

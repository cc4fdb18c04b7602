//! LiteLLM's tables in our hands: transactions of the daemon's own role, and
//! what its writers ask for, without a pass around them.

use chrono::{DateTime, Utc};
use entra_sync::config::{self, Environment, Overrides, Settings, Sources};
use entra_sync::db::{Database, Limits, Transaction};
use entra_sync::ledger;
use entra_sync::litellm::{self, Audit, Capabilities, Writing};
use entra_sync::model::ids::{ServicePrincipalId, SourceId, SourceName};
use entra_sync::model::policy::Policy;
use entra_sync::model::source::Described;

use super::TestDatabase;

pub struct Hands {
    pub database: TestDatabase,
    settings: Settings,
    pool: Database,
    capabilities: Capabilities,
    pub now: DateTime<Utc>,
}

impl Hands {
    /// On this database as it is now.
    pub async fn on(database: TestDatabase) -> Self {
        let some_id = "11111111-1111-4111-8111-111111111111";
        let environment: Environment = [
            ("MICROSOFT_TENANT", some_id),
            ("MICROSOFT_CLIENT_ID", some_id),
            ("MICROSOFT_CLIENT_SECRET", "not used"),
            ("MICROSOFT_SERVICE_PRINCIPAL_ID", some_id),
            ("DATABASE_URL", &database.url()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        let sources = Sources {
            files: Vec::new(),
            environment,
            overrides: Overrides::default(),
            today: Utc::now().date_naive(),
        };
        let settings = match config::load(&sources) {
            Ok(loaded) => loaded.settings,
            Err(error) => panic!("{error}"),
        };
        let pool = Database::new(&settings.litellm.database).expect("a pool");
        let mut hands = Self {
            database,
            settings,
            pool,
            capabilities: Capabilities::default(),
            now: "2026-11-21T19:30:15.123Z".parse().expect("a time"),
        };
        hands.look().await;
        hands
    }

    /// Reads the shape of the tables again.
    pub async fn look(&mut self) {
        let mut transaction = self.begin().await;
        self.capabilities = litellm::probe(&mut transaction, "public")
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        transaction.rollback().await.expect("the end of looking");
    }

    /// A transaction as the daemon's passes begin one.
    pub async fn begin(&self) -> Transaction {
        match self.pool.begin(Limits::WRITE).await {
            Ok(transaction) => transaction,
            Err(error) => panic!("{error}"),
        }
    }

    /// A transaction for reading everything.
    pub async fn begin_reading(&self) -> Transaction {
        match self.pool.begin(Limits::READ).await {
            Ok(transaction) => transaction,
            Err(error) => panic!("{error}"),
        }
    }

    /// The ledger's schema, and a source in it that no settings name.
    pub async fn ledger(&self) -> SourceId {
        let migrated = ledger::migrate(&self.pool).await;
        migrated.unwrap_or_else(|error| panic!("{error}"));
        let application = ServicePrincipalId::new(uuid::Uuid::from_u128(1));
        let mut transaction = self.begin().await;
        let name = SourceName::of("sample").expect("a name");
        let described = Described {
            name: &name,
            tenant: "contoso",
            service_principal: application,
        };
        let resolved = ledger::resolve_source(&mut transaction, described).await;
        transaction.commit().await.expect("the source is recorded");
        resolved.unwrap_or_else(|error| panic!("{error}")).source
    }

    /// What passes are to do with these settings.
    pub fn policy(&self) -> &Policy {
        &self.settings.litellm.policy
    }

    /// What this LiteLLM has.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Without audit rows.
    pub fn writing(&self) -> Writing<'_> {
        self.writing_with(Audit::Off)
    }

    pub fn writing_with(&self, audit: Audit) -> Writing<'_> {
        Writing {
            capabilities: &self.capabilities,
            calendar: &self.settings.litellm.calendar,
            audit,
            now: self.now,
        }
    }

    /// Runs SQL as the owner of LiteLLM's tables.
    pub async fn sql(&self, sql: &str) {
        self.database
            .admin()
            .batch_execute(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

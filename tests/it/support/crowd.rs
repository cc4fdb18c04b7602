//! Several tenants beside one LiteLLM, each a source of the same settings.

use std::path::PathBuf;

use entra_sync::config::Environment;
use entra_sync::simulator::{Simulator, Tenant};
use tempfile::TempDir;
use uuid::Uuid;

use super::TestDatabase;
use super::wait::far_off;

/// Ten tenants, say, and what the daemons are told of them.
pub struct Crowd {
    pub tenants: Vec<Simulator>,
    pub database: TestDatabase,
    pub environment: Environment,
    folder: TempDir,
}

/// The name of a source.
pub fn name(number: usize) -> String {
    format!("tenant-{number}")
}

impl Crowd {
    /// So many tenants, furnished by their numbers.
    pub async fn of(many: usize, furnish: impl Fn(usize, &mut Tenant)) -> Self {
        let database = TestDatabase::create().await;
        let mut tenants = Vec::new();
        for number in 0..many {
            let tenant = Tenant::build(|tenant| {
                let own = tenant.service_principal_id().as_u128() ^ number as u128;
                tenant.set_service_principal_id(Uuid::from_u128(own));
                furnish(number, tenant);
            });
            tenants.push(Simulator::start(tenant).await.expect("a loopback port"));
        }
        let environment = [
            ("DATABASE_URL", database.url()),
            ("ENTRA_SYNC__LITELLM__SEATS", "unlimited".to_owned()),
            ("ENTRA_SYNC__SCHEDULE__JITTER", "0s".to_owned()),
            ("ENTRA_SYNC__SCHEDULE__CRON", far_off()),
            ("ENTRA_SYNC__SCHEDULE__FULL_CRON", far_off()),
        ];
        let mut crowd = Self {
            tenants,
            database,
            environment: Environment::new(),
            folder: TempDir::new().expect("a folder"),
        };
        for (name, value) in environment {
            crowd.set(name, value);
        }
        let all: Vec<usize> = (0..many).collect();
        crowd.settings(&crowd.entries(&all));
        let file = crowd.file().display().to_string();
        crowd.set("ENTRA_SYNC_CONFIG", file);
        crowd
    }

    /// Sets one environment variable.
    pub fn set(&mut self, name: &str, value: impl ToString) -> &mut Self {
        self.environment.insert(name.to_owned(), value.to_string());
        self
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("settings.yaml")
    }

    /// Writes other settings, to be read from now on.
    pub fn settings(&self, text: &str) {
        std::fs::write(self.file(), text).expect("written");
    }

    /// Settings with these tenants as entries of `sources`.
    pub fn entries(&self, numbers: &[usize]) -> String {
        let mut text = "sources:\n".to_owned();
        for number in numbers {
            text.push_str(&format!("  {}:\n", name(*number)));
            text.push_str(&format!("    entra: {}\n", self.entra(*number)));
        }
        text
    }

    /// The section `entra` of one tenant.
    pub fn entra(&self, number: usize) -> String {
        let simulator = &self.tenants[number];
        // They look at the tenant themselves.
        let (graph, token) = (simulator.graph_url(), simulator.token_url());
        simulator.tenant(|tenant| {
            format!(
                "{{tenant: tenant-{number}.example.com, client_id: \"{}\", client_secret: \"{}\", \
                 service_principal_id: \"{}\", graph_endpoint: \"{graph}\", token_endpoint: \"{token}\"}}",
                tenant.client_id(),
                tenant.client_secret(),
                tenant.service_principal_id(),
            )
        })
    }
}

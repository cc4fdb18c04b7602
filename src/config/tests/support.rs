//! A place with its files and environment, ready to be loaded.

use std::path::PathBuf;

use chrono::NaiveDate;
use serde_json::Value;
use tempfile::TempDir;

use crate::config::{
    Credential, Effective, Environment, Error, Loaded, Overrides, Secret, Settings, Shown, Sources,
    load,
};

pub const TENANT: &str = "11111111-1111-4111-8111-111111111111";
pub const CLIENT: &str = "22222222-2222-4222-8222-222222222222";
pub const PRINCIPAL: &str = "33333333-3333-4333-8333-333333333333";
pub const GROUP: &str = "44444444-4444-4444-8444-444444444444";

/// A day on which no licence of the tests has expired.
pub fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 1, 1).unwrap()
}

pub struct Room {
    dir: TempDir,
    pub environment: Environment,
    pub files: Vec<PathBuf>,
    pub overrides: Overrides,
}

impl Room {
    /// Nothing is given.
    pub fn empty() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            environment: Environment::new(),
            files: Vec::new(),
            overrides: Overrides::default(),
        }
    }

    /// The environment of a LiteLLM deployment, just enough.
    pub fn complete() -> Self {
        Self::empty()
            .with("MICROSOFT_TENANT", TENANT)
            .with("MICROSOFT_CLIENT_ID", CLIENT)
            .with("MICROSOFT_CLIENT_SECRET", "client-secret-value")
            .with("MICROSOFT_SERVICE_PRINCIPAL_ID", PRINCIPAL)
            .with(
                "DATABASE_URL",
                "postgresql://litellm:db-password@localhost/litellm",
            )
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file that nothing refers to yet.
    pub fn write(self, name: &str, text: &str) -> Self {
        std::fs::write(self.path(name), text).unwrap();
        self
    }

    /// Writes a `--config` file.
    pub fn file(self, name: &str, text: &str) -> Self {
        let mut room = self.write(name, text);
        room.files.push(room.path(name));
        room
    }

    pub fn load(&self) -> Result<Loaded, Error> {
        load(&Sources {
            files: self.files.clone(),
            environment: self.environment.clone(),
            overrides: self.overrides,
            today: today(),
        })
    }

    pub fn loaded(&self) -> Loaded {
        match self.load() {
            Ok(loaded) => loaded,
            Err(error) => panic!("{error}"),
        }
    }

    /// What is wrong, with the folder of this room left out.
    pub fn wrong(&self) -> String {
        let text = self.load().unwrap_err().to_string();
        text.replace(&format!("{}/", self.dir.path().display()), "")
    }
}

pub fn effective<'a>(loaded: &'a Loaded, key: &str) -> &'a Effective {
    loaded.origins.iter().find(|one| one.key == key).unwrap()
}

pub fn value(loaded: &Loaded, key: &str) -> Value {
    match &effective(loaded, key).shown {
        Shown::Value(value) => value.clone(),
        other => panic!("{key}: {other:?}"),
    }
}

pub fn origin(loaded: &Loaded, key: &str) -> String {
    effective(loaded, key).origin.to_string()
}

/// The client secret that a source uses.
pub fn secret(settings: &Settings) -> &Secret {
    match &settings.entra.credential {
        Credential::ClientSecret(secret) => secret,
        other => panic!("{other:?}"),
    }
}

//! LiteLLM's names for its database and for the login there.
//!
//! Source: LiteLLM 1.109.1 `db_url_settings.py`: with `IAM_TOKEN_DB_AUTH` the
//! URL is made of `DATABASE_HOST` and friends, also where there is a
//! `DATABASE_URL`; without it a `DATABASE_URL` comes first.
//! Invariant: what somebody gave under a name of ours, or in a file of ours, is
//! used as it is, whatever LiteLLM does with its own.

use serde_json::Value;

use super::{Entry, Environment, Gathering};
use crate::config::error::Wrong;
use crate::config::litellm_environment::{self as names, PartsFor};
use crate::config::origin::Origin;
use crate::config::schema;

const URL: &str = "litellm.database_url";
const URL_FILE: &str = "litellm.database_url_file";
const AUTH: &str = "litellm.database_auth";

const RDS: &str = "IAM_TOKEN_DB_AUTH";
const AZURE: &str = "AZURE_POSTGRESQL_AUTH";

impl Gathering<'_> {
    /// Comes after all that may give a URL.
    pub(super) fn database(&mut self, environment: &Environment) {
        let is_on = |name| {
            environment
                .get(name)
                .is_some_and(|on| names::is_true(on.trim()))
        };
        let auth = self.value(AUTH).and_then(Value::as_str);
        let follows =
            is_on(RDS) && !self.has_a_url_of_ours() && auth.is_none_or(|auth| auth == "aws");
        if !follows {
            if self.value(URL).is_none() && self.value(URL_FILE).is_none() {
                self.parts(environment, PartsFor::Password);
            }
            if is_on(AZURE) && auth_is_open(self) {
                self.warn_of_tokens_of_azure();
            }
            return;
        }
        if is_on(AZURE) && auth_is_open(self) {
            let wrong = Wrong::new(
                format!("and {AZURE} are both on, and there is one login"),
                "unset one of them; LiteLLM does not start with both",
            );
            return self.problem(Origin::Environment(RDS.into()), None, wrong);
        }
        let pinned = self.value(URL).is_some();
        if self.parts(environment, PartsFor::Token) == Found::Something && pinned {
            self.warnings.push(format!(
                "DATABASE_URL is not used: with {RDS} LiteLLM makes its own of DATABASE_HOST, and \
                 so does entra-sync; for another one, give {} and {}",
                schema::environment_name(URL),
                schema::environment_name(AUTH),
            ));
        }
        let origin = Origin::Environment(RDS.into());
        self.give_weakly(AUTH, "aws".into(), origin);
    }

    fn value(&self, key: &str) -> Option<&Value> {
        let given = self.merged.get(key).map(|entry| &entry.value);
        given.filter(|value| !value.is_null())
    }

    /// Whether a URL was given otherwise than under a name of LiteLLM's.
    fn has_a_url_of_ours(&self) -> bool {
        [URL, URL_FILE].into_iter().any(|key| {
            self.value(key).is_some() && !self.merged.get(key).is_some_and(is_of_litellm)
        })
    }

    /// Makes a URL of `DATABASE_HOST` and friends, if they are there.
    fn parts(&mut self, environment: &Environment, login: PartsFor) -> Found {
        match names::database_url(environment, login) {
            Some(Ok((used, url))) => self.give(URL, Value::String(url), Origin::Environment(used)),
            Some(Err((used, wrong))) => self.problem(Origin::Environment(used), None, wrong),
            None => return Found::Nothing,
        }
        Found::Something
    }

    /// LiteLLM then puts a token of its own in the place of the password.
    fn warn_of_tokens_of_azure(&mut self) {
        let Some(entry) = self.merged.get(URL).filter(|entry| is_of_litellm(entry)) else {
            return;
        };
        self.warnings.push(format!(
            "{AZURE} makes LiteLLM log in to its database with cloud tokens, and {AUTH} is \
             password: the password of {} is used; if that is refused, set {AUTH} to azure, or \
             give {} with a user that has one",
            entry.origin,
            schema::environment_name(URL),
        ));
    }
}

/// Whether there were such names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Something,
    Nothing,
}

fn auth_is_open(gathering: &Gathering<'_>) -> bool {
    !gathering.merged.contains_key(AUTH)
}

fn is_of_litellm(entry: &Entry) -> bool {
    matches!(&entry.origin, Origin::Environment(name) if name.starts_with("DATABASE_"))
}

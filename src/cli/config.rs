//! `entra-sync config`: the settings as they took effect, and where each came
//! from.
//!
//! Must not: see a secret; what it is given has none.

use std::io::Write;

use serde_json::{Value, json};

use super::{Exit, Format, output};
use crate::config::{DEFAULTS, Effective, Loaded, Shown};

/// Prints the commented defaults.
pub(super) fn defaults() -> anyhow::Result<Exit> {
    output::text(|out| out.write_all(DEFAULTS.as_bytes()))?;
    Ok(Exit::Ok)
}

/// Prints every key with its value and where it came from; secrets hidden.
pub(super) fn run(format: Format, loaded: &Loaded) -> anyhow::Result<Exit> {
    let printed = print(loaded, format);
    output::text(|out| out.write_all(printed.as_bytes()))?;
    Ok(Exit::Ok)
}

/// The settings in the form asked for, with a final line break.
///
/// JSON: `{"settings": {KEY: {"value", "set", "hidden", "origin"}}, "warnings": [TEXT]}`;
/// `value` is null when it is not set or hidden.
fn print(loaded: &Loaded, format: Format) -> String {
    match format {
        Format::Text => text(loaded),
        Format::Json => {
            let settings: serde_json::Map<String, Value> = loaded
                .origins
                .iter()
                .map(|one| (one.key.clone(), object(one)))
                .collect();
            let all = json!({"settings": settings, "warnings": loaded.settings.warnings});
            format!("{all:#}\n")
        }
    }
}

fn object(one: &Effective) -> Value {
    let (value, set, hidden) = match &one.shown {
        Shown::NotSet => (Value::Null, false, false),
        Shown::Hidden => (Value::Null, true, true),
        Shown::Value(value) => (value.clone(), true, false),
    };
    json!({"value": value, "set": set, "hidden": hidden, "origin": one.origin.to_string()})
}

fn text(loaded: &Loaded) -> String {
    let lines: Vec<(String, &Effective)> = loaded
        .origins
        .iter()
        .map(|one| (format!("{} = {}", one.key, shown(&one.shown)), one))
        .collect();
    // One very long value should not push all origins off the screen.
    let width = lines
        .iter()
        .map(|(line, _)| line.chars().count())
        .filter(|width| *width <= 72)
        .max()
        .unwrap_or_default();
    let mut out = String::new();
    for (line, one) in lines {
        out.push_str(&format!("{line:width$}  # {}\n", one.origin));
    }
    for warning in &loaded.settings.warnings {
        out.push_str(&format!("# warning: {warning}\n"));
    }
    out
}

fn shown(value: &Shown) -> String {
    match value {
        Shown::NotSet => "<not set>".to_owned(),
        Shown::Hidden => "<hidden>".to_owned(),
        // As JSON, because it escapes control characters and because a value
        // can be copied into a YAML file as it stands.
        Shown::Value(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;
    use crate::config::{Overrides, Sources, load};

    fn loaded() -> Loaded {
        let environment = [
            ("MICROSOFT_TENANT", "contoso.onmicrosoft.com"),
            (
                "MICROSOFT_CLIENT_ID",
                "22222222-2222-4222-8222-222222222222",
            ),
            ("MICROSOFT_CLIENT_SECRET", "hunter2"),
            (
                "MICROSOFT_SERVICE_PRINCIPAL_ID",
                "33333333-3333-4333-8333-333333333333",
            ),
            (
                "DATABASE_URL",
                "postgresql://lite:hunter2@localhost/litellm",
            ),
            ("ENTRA_SYNC__LITELLM__SEATS", "10"),
            (
                "MICROSOFT_TOKEN_ENDPOINT",
                "http://localhost:9/contoso/token",
            ),
        ];
        let sources = Sources {
            files: Vec::new(),
            environment: environment
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            overrides: Overrides::default(),
            today: NaiveDate::MIN,
        };
        match load(&sources) {
            Ok(loaded) => loaded,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn every_line_gives_key_value_and_origin() {
        let text = print(&loaded(), Format::Text);
        let line = |key: &str| {
            let start = format!("{key} = ");
            let line = text.lines().find(|line| line.starts_with(&start)).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            line("entra.client_secret"),
            "entra.client_secret = <hidden> # environment MICROSOFT_CLIENT_SECRET"
        );
        assert_eq!(line("server.token"), "server.token = <not set> # default");
        assert_eq!(
            line("litellm.database_url"),
            "litellm.database_url = \"postgresql://lite:***@localhost/litellm\" # environment DATABASE_URL"
        );
        assert_eq!(
            text.lines().last(),
            Some(
                "# warning: `entra.token_endpoint` is on this machine (localhost): Microsoft is not asked"
            )
        );
        assert!(!text.contains("hunter2"));
    }

    #[test]
    fn json_is_one_object_with_the_same_content() {
        let text = print(&loaded(), Format::Json);
        let all: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            all["settings"]["entra.client_secret"],
            json!({
                "value": null, "set": true, "hidden": true,
                "origin": "environment MICROSOFT_CLIENT_SECRET"
            })
        );
        assert_eq!(
            all["settings"]["entra.concurrency"],
            json!({"value": 16, "set": true, "hidden": false, "origin": "default"})
        );
        assert_eq!(all["warnings"].as_array().unwrap().len(), 1);
        assert!(!text.contains("hunter2"));
    }
}

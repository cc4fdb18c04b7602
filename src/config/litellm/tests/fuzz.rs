//! LiteLLM's own inputs, changed in ways that nobody thought of.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::NaiveDate;
use serde_json::Value;

use crate::config::litellm::licence::Licence;
use crate::config::litellm::{config_file, yaml};
use crate::fuzz::fuzz;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[test]
fn a_licence_says_what_its_json_says_and_is_never_told() {
    let seeds: &[&[u8]] = &[
        br#"{"expiration_date":"2027-01-31","user_id":"of its own","allowed_features":["*"],"max_users":250,"max_teams":40}.the signature"#,
        br#"{"expiration_date":"2020-01-31","allowed_features":"sso","max_users":-1,"max_teams":true}.x"#,
        b"sk-of its own",
    ];
    let words = [
        "\"max_users\":",
        "2027-02-30",
        "+262143-01-01",
        ".",
        "9999-12-31",
    ];
    let today = day("2026-11-21");
    fuzz(seeds, &words, |plain| {
        for text in [
            BASE64_STANDARD.encode(plain),
            String::from_utf8_lossy(plain).into_owned(),
        ] {
            match Licence::read(Some(&text), today) {
                Licence::Absent => assert!(text.trim().is_empty()),
                Licence::Unreadable { reason } => {
                    let date = reason.strip_prefix("expired on ");
                    match date.map(str::parse::<NaiveDate>) {
                        Some(date) => assert!(date.is_ok_and(|date| date <= today)),
                        None => assert!(!reason.contains("of its own"), "{reason}"),
                    }
                }
                Licence::Valid(terms) => {
                    assert!(terms.expires > today);
                    let message = plain.split(|byte| *byte == b'.').next().unwrap();
                    if let Ok(data) = serde_json::from_slice::<Value>(message) {
                        let users = data["max_users"].as_u64();
                        assert!(users.is_none() || terms.max_users == users);
                    }
                }
            }
        }
    });
}

/// As JSON is YAML, what was read can be written as JSON and read again. Not
/// so numbers with an exponent, which YAML 1.1 takes for text, and what breaks
/// a line or stands longer in a key than a YAML parser looks ahead.
fn is_the_same_in_yaml(value: &Value) -> bool {
    let plain = |text: &str| {
        text.len() < 200 && !text.contains(['\u{85}', '\u{2028}', '\u{2029}', '\u{feff}', '\u{7f}'])
    };
    match value {
        Value::Number(number) => !number.to_string().contains(['e', 'E']),
        Value::String(text) => plain(text),
        Value::Array(items) => items.iter().all(is_the_same_in_yaml),
        Value::Object(map) => map
            .iter()
            .all(|(key, value)| plain(key) && is_the_same_in_yaml(value)),
        Value::Null | Value::Bool(_) => true,
    }
}

const YAML_WORDS: &[&str] = &[
    "<<: ",
    "*d",
    "&d ",
    "- ",
    "? ",
    "!!int ",
    "!!float ",
    "!!binary ",
    "! ",
    "|\n  ",
    ">-\n",
    "\t",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "# ",
    "yes",
    "0x_",
    "0b",
    "1:59:59.5",
    "2026-01-31",
    ".inf",
    "-.5e+3",
    "\u{feff}",
    "os.environ/SECRET",
    "os.environ/",
    "include:\n- x.yaml\n",
    "include: [config.yaml]\n",
];

#[test]
fn yaml_is_json_of_bounded_size_which_reads_as_the_same_again() {
    let seeds: &[&[u8]] = &[
        include_bytes!("fuzz/config.yaml"),
        b"a: &d {k: 1, l: [x, 'y', \"z\\u00e9\"]}\nb: {<<: [*d, *d], m: 0o17, n: 017, o: 1_000.5}\n",
        b"- - - 1\n- ? k\n  : v\n- !!str 5\n- |\n  text\n  more\n",
    ];
    fuzz(seeds, YAML_WORDS, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(Some(node)) = yaml::parse(&text) else {
            return;
        };
        let _ = node.entries();
        let Ok(value) = node.to_json() else {
            return;
        };
        if !is_the_same_in_yaml(&value) {
            return;
        }
        let json = value.to_string();
        let again = yaml::parse(&json)
            .unwrap_or_else(|fault| panic!("{fault:?}: {json}"))
            .map_or(Value::Null, |node| node.to_json().unwrap());
        assert_eq!(again, value);
    });
}

/// Few lines that would be as many values as there are grains of sand.
#[test]
fn anchors_that_multiply_are_refused_at_once() {
    let mut merged = String::from("a0: &a0 {}\n");
    let mut listed = String::from("a0: &a0 [1, 1]\n");
    for level in 1..50 {
        let before = format!("*a{}", level - 1);
        let many = [before.as_str(); 10].join(", ");
        merged.push_str(&format!("a{level}: &a{level} {{<<: [{many}]}}\n"));
        listed.push_str(&format!("a{level}: &a{level} [{many}]\n"));
    }
    for text in [merged, listed] {
        let node = yaml::parse(&text).unwrap().unwrap();
        assert!(node.to_json().is_err());
        for entry in node.entries().unwrap().unwrap() {
            let _ = entry.node.entries();
        }
    }
}

#[test]
fn a_configuration_file_of_litellms_never_tells_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    let env = BTreeMap::from([("SECRET".to_owned(), "of its own".to_owned())]);
    let seeds: &[&[u8]] = &[include_bytes!("fuzz/config.yaml")];
    fuzz(seeds, YAML_WORDS, |bytes| {
        std::fs::write(&file, bytes).unwrap();
        let said = match config_file::read(&file, &env) {
            Ok(read) => read.warnings.join("\n"),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!said.contains("of its own"), "{said}");
    });
}

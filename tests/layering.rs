//! Keeps the rooms of the house apart: who may name what.
//!
//! A rule looks at the code of a file: comments, documentation and test
//! modules may name anything. Each rule is also tried on sample texts, so that
//! a rule which has stopped biting fails here.

use std::fs;
use std::path::{Path, PathBuf};

/// The longest file that one still reads in one go.
const MOST_LINES: usize = 420;

/// One rule: where it holds, and what may not be named there.
struct Rule {
    /// Why, as the complaint puts it.
    says: &'static str,
    /// Whether the rule holds for this file, named relative to `src/`.
    holds: fn(&str) -> bool,
    /// Words that code there must not contain.
    refuses: &'static [&'static str],
}

const RULES: [Rule; 8] = [
    Rule {
        says: "model and plan decide from what they are given: no I/O, no clock, no chance",
        holds: |file| inside(file, "model") || inside(file, "plan"),
        refuses: &[
            "tokio",
            "diesel",
            "reqwest",
            "graph_rs_sdk",
            "graph_core",
            "graph_http",
            "axum",
            "tracing",
            "SystemTime",
            "Instant",
            "Utc::now",
            "Local::now",
            "rand",
            "new_v4",
            "crate::db",
            "crate::entra",
            "crate::litellm",
            "crate::ledger",
            "crate::sync",
            "crate::daemon",
            "crate::server",
            "crate::cli",
        ],
    },
    Rule {
        says: "only the reader that saw the last page can prove that a reading is complete",
        holds: |file| !inside(file, "entra") && file != "model/complete.rs",
        refuses: &["LastPage"],
    },
    Rule {
        says: "only the ledger's directory can vouch for what was written down as whole",
        holds: |file| !inside(file, "ledger/directory") && file != "model/complete.rs",
        refuses: &["Recorded"],
    },
    Rule {
        says: "only entra::client knows graph-rs-sdk",
        holds: |file| !inside(file, "entra/client"),
        refuses: &["graph_rs_sdk", "graph_core", "graph_http"],
    },
    Rule {
        says: "only aws knows AWS's libraries",
        holds: |file| !inside(file, "aws"),
        refuses: &[
            "aws_config",
            "aws_credential_types",
            "aws_sigv4",
            "aws_smithy_runtime_api",
        ],
    },
    Rule {
        says: "readers, tables and ledger do not know who uses them",
        holds: |file| {
            ["aws", "entra", "litellm", "ledger"]
                .iter()
                .any(|room| inside(file, room))
        },
        refuses: &[
            "crate::sync",
            "crate::daemon",
            "crate::server",
            "crate::cli",
        ],
    },
    Rule {
        says: "nobody waits for notifications: only the terminal knows who sends them",
        holds: |file| !inside(file, "notify") && !inside(file, "cli") && !inside(file, "server"),
        refuses: &["crate::notify"],
    },
    Rule {
        says: "the rooms that talk to the outside do not know the terminal",
        holds: |file| {
            ["sync", "daemon", "server", "notify"]
                .iter()
                .any(|room| inside(file, room))
        },
        refuses: &["crate::cli"],
    },
];

#[test]
fn every_room_names_only_what_it_may() {
    let complaints: Vec<String> = sources()
        .iter()
        .flat_map(|(file, text)| complaints(file, text))
        .collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn there_is_something_to_look_at() {
    let files: Vec<String> = sources().into_iter().map(|(file, _)| file).collect();
    assert!(files.contains(&"lib.rs".to_owned()), "{files:?}");
    assert!(files.contains(&"model/complete.rs".to_owned()), "{files:?}");
}

#[test]
fn the_rules_bite() {
    let sound = "//! About tokio and LastPage.\n\n/// Not `tokio`.\npub fn f() {}\n";
    for (file, text, expected) in [
        ("plan/diff.rs", "use tokio::time;", "no I/O"),
        ("plan/diff.rs", "use diesel::prelude::*;", "no I/O"),
        (
            "model/ids.rs",
            "let id = uuid::Uuid::new_v4();",
            "no clock, no chance",
        ),
        ("plan.rs", "let now = chrono::Utc::now();", "no clock"),
        (
            "plan/guard.rs",
            "use std::time::{Duration, Instant};",
            "no clock",
        ),
        ("plan/diff.rs", "use crate::litellm::snapshot;", "no I/O"),
        ("sync.rs", "let end = LastPage::seen(None);", "last page"),
        (
            "entra/members.rs",
            "use graph_rs_sdk::GraphClient;",
            "graph-rs-sdk",
        ),
        (
            "cli/check.rs",
            "use graph_http::api_impl::RequestHandler;",
            "graph-rs-sdk",
        ),
        (
            "sync/database.rs",
            "use aws_config::Region;",
            "AWS's libraries",
        ),
        (
            "litellm/apply.rs",
            "use crate::sync::Pass;",
            "do not know who uses them",
        ),
        ("server/health.rs", "use crate::cli::render;", "terminal"),
        ("sync/mod.rs", "use crate::notify::Kind;", "notifications"),
        (
            "sync.rs",
            "let sql = \"SELECT 1 FROM \\\"LiteLLM_TeamTable\\\"\";",
            "LiteLLM's tables",
        ),
        (
            "cli/check.rs",
            "let sql = r#\"DELETE FROM \"LiteLLM_UserTable\"\"#;",
            "LiteLLM's tables",
        ),
        (
            "ledger/runs.rs",
            "let sql = \"INSERT INTO runs (id) VALUES ($1)\";",
            "schema entra_sync",
        ),
        (
            "plan/diff.rs",
            "#[cfg(test)]\nmod tests;\n\nuse tokio::time;",
            "no I/O",
        ),
        (
            "plan/diff.rs",
            "#[cfg(test)]\nmod tests {\n    use x;\n}\n\nuse tokio::time;",
            "no I/O",
        ),
        (
            "ledger/runs.rs",
            "let sql = \"UPDATE\\n  public.runs SET x = 1\";",
            "schema entra_sync",
        ),
    ] {
        let text = format!("{sound}{text}\n");
        let found = complaints(file, &text);
        assert_eq!(found.len(), 1, "{file}: {text}\n{found:?}");
        assert!(found[0].contains(expected), "{found:?}");
    }
    assert_eq!(
        complaints("daemon/run.rs", "use std::fmt;\n").len(),
        1,
        "no opening words"
    );
    let long = format!("{sound}{}", "\n".repeat(MOST_LINES));
    assert_eq!(complaints("daemon/run.rs", &long).len(), 1, "too long");
}

#[test]
fn the_rules_spare_what_is_allowed() {
    for (file, text) in [
        (
            "plan/diff.rs",
            "/// As tokio would.\n// diesel\nlet operand = brand; /* reqwest */\n",
        ),
        (
            "plan/diff.rs",
            "fn f() {}\n#[cfg(test)]\nmod tests {\n    use tokio::test;\n}\n",
        ),
        ("model/complete.rs", "pub struct LastPage(());\n"),
        ("entra/pages.rs", "let end = LastPage::seen(next);\n"),
        ("entra/client.rs", "use graph_rs_sdk::GraphClient;\n"),
        (
            "entra/client/token.rs",
            "use graph_core::identity::ForceTokenRefresh;\n",
        ),
        (
            "litellm/apply.rs",
            "let sql = \"UPDATE \\\"LiteLLM_TeamTable\\\" SET blocked = true\";\n",
        ),
        (
            "model/target.rs",
            "/// A row of `LiteLLM_TeamTable`.\nstruct Team;\n",
        ),
        (
            "cli/check.rs",
            "let text = \"LiteLLM_TeamTable cannot be read\";\n",
        ),
        (
            "ledger/runs.rs",
            "let sql = \"INSERT INTO entra_sync.runs (id) VALUES ($1)\";\n",
        ),
        (
            "ledger/runs.rs",
            "let sql = \"SELECT 1 FROM entra_sync.lease FOR UPDATE\";\nlet text = \"read from the ledger\";\n",
        ),
        (
            "ledger/runs.rs",
            "let sql = \"WITH old AS (DELETE FROM entra_sync.runs RETURNING id), kept AS (SELECT 1) SELECT id FROM old WHERE a IS DISTINCT FROM b FOR NO KEY UPDATE OF c\";\n",
        ),
        ("plan/diff/tests.rs", "use tokio::test;\n"),
        (
            "ledger/runs.rs",
            "let sql = \"SELECT extract(epoch FROM expires_at) FROM entra_sync.lease\";\n",
        ),
        (
            "ledger/runs.rs",
            "let sql = \"SELECT 1 FROM pg_namespace\";\n",
        ),
        (
            "ledger/runs.rs",
            "let sql = \"INSERT INTO entra_sync.a SELECT x FROM unnest($1::text[]) ON CONFLICT DO UPDATE SET x = 1\";\n",
        ),
    ] {
        let text = format!("//! About something.\n{text}");
        let found = complaints(file, &text);
        assert!(found.is_empty(), "{file}: {text}\n{found:?}");
    }
}

/// What is wrong with one file.
fn complaints(file: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > MOST_LINES {
        found.push(format!("{file}: {lines} lines; at most {MOST_LINES}"));
    }
    if is_test(file) {
        return found;
    }
    if file != "main.rs" && !text.starts_with("//!") {
        found.push(format!("{file}: a module opens with what it is for (//!)"));
    }
    let code = code_of(text);
    for rule in RULES.iter().filter(|rule| (rule.holds)(file)) {
        for word in rule.refuses {
            if let Some(line) = code.iter().position(|line| names(line, word)) {
                found.push(format!("{file}:{}: names {word}; {}", line + 1, rule.says));
            }
        }
    }
    for sql in strings_of(&code).iter().filter(|text| is_sql(text)) {
        // The demo tells its reader what to ask with psql, and asks nothing itself.
        if sql.contains("LiteLLM_") && !inside(file, "litellm") && file != "demo/story.rs" {
            found.push(format!(
                "{file}: only litellm has SQL on LiteLLM's tables: {sql}"
            ));
        }
        if inside(file, "ledger")
            && let Some(table) = tables_of(sql)
                .iter()
                .find(|table| !table.starts_with("entra_sync."))
        {
            found.push(format!(
                "{file}: ledger's SQL only names schema entra_sync, not {table}: {sql}"
            ));
        }
    }
    found
}

/// Whether the file is the room's own file, or in its folder.
fn inside(file: &str, room: &str) -> bool {
    file.strip_prefix(room)
        .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// Whether the file is a test module of its own.
fn is_test(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/tests/")
}

/// The lines of a file without comments and without what only tests see. Line
/// numbers stay as they are.
fn code_of(text: &str) -> Vec<String> {
    let mut code = Vec::new();
    let mut in_comment = false;
    let mut test_item = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if line.trim_start().starts_with("#[cfg(test)]") {
            test_item = Some(indent);
        }
        let Some(start) = test_item else {
            code.push(without_comments(line, &mut in_comment));
            continue;
        };
        // Formatted code closes an item where it opened it.
        let ends = indent == start && (line.ends_with(';') || line.trim_start() == "}");
        test_item = (!ends).then_some(start);
        code.push(String::new());
    }
    code
}

/// One line without its comments; `//` and `/*` inside a string stay.
fn without_comments(line: &str, in_comment: &mut bool) -> String {
    let mut kept = String::new();
    let mut rest = line;
    let mut in_string = false;
    while let Some(next) = rest.chars().next() {
        if *in_comment {
            match rest.find("*/") {
                Some(end) => rest = &rest[end + 2..],
                None => return kept,
            }
            *in_comment = false;
            continue;
        }
        if !in_string && rest.starts_with("//") {
            break;
        }
        if !in_string && rest.starts_with("/*") {
            *in_comment = true;
            rest = &rest[2..];
            continue;
        }
        let taken = match next {
            '\\' if in_string => rest.chars().take(2).map(char::len_utf8).sum(),
            '"' => {
                in_string = !in_string;
                1
            }
            other => other.len_utf8(),
        };
        kept.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    kept
}

/// Whether a line of code names a word as a whole.
fn names(line: &str, word: &str) -> bool {
    let part_of_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(word).any(|(start, _)| {
        !line[..start].ends_with(part_of_name)
            && !line[start + word.len()..].starts_with(part_of_name)
    })
}

/// The string literals of the code, quotes inside them without backslashes.
fn strings_of(code: &[String]) -> Vec<String> {
    let text = code.join("\n");
    let mut strings = Vec::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find('"') {
        let hashes = rest[..start].len() - rest[..start].trim_end_matches('#').len();
        let raw = rest[..start - hashes].ends_with('r');
        rest = &rest[start + 1..];
        let end = if raw {
            let close = format!("\"{}", "#".repeat(hashes));
            rest.find(&close).unwrap_or(rest.len())
        } else {
            end_of_string(rest)
        };
        strings.push(rest[..end].replace("\\\"", "\"").replace("\\n", "\n"));
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    strings
}

fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at,
            _ => {}
        }
    }
    text.len()
}

/// Whether a text is a statement: it has a keyword, in capitals as we write them.
fn is_sql(text: &str) -> bool {
    [
        "SELECT", "INSERT", "UPDATE", "DELETE", "FROM", "JOIN", "CREATE", "ALTER", "DROP",
        "TRUNCATE",
    ]
    .iter()
    .any(|word| names(text, word))
}

/// What a statement reads from or writes to, as far as its keywords tell;
/// functions, subqueries, the catalogue and locking clauses are no tables.
fn tables_of(sql: &str) -> Vec<String> {
    let words: Vec<&str> = sql
        .split_whitespace()
        .filter(|word| *word != "\\")
        .collect();
    let mut tables = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| words[before]);
        let of_function = before.is_some_and(|word| word.to_lowercase().contains("extract("));
        let introduces = (*word == "FROM" && before != Some("DISTINCT") && !of_function)
            || matches!(*word, "JOIN" | "INTO")
            || (*word == "UPDATE" && !matches!(before, Some("DO" | "FOR" | "KEY")));
        let Some(next) = words.get(at + 1).filter(|_| introduces) else {
            continue;
        };
        let name = next.trim_end_matches([',', ';', ')']);
        let is_table = name.starts_with(|letter: char| letter.is_alphabetic() || letter == '"')
            && !name.contains('(')
            && !name.starts_with("pg_")
            && !name.starts_with("information_schema.");
        // WITH name AS (…) is a table of this statement only.
        let is_local = words.windows(3).any(|three| {
            three[0].trim_start_matches('(') == name
                && three[1] == "AS"
                && three[2].starts_with('(')
        });
        if is_table && !is_local {
            tables.push(name.to_owned());
        }
    }
    tables
}

/// Every source file with its text, named relative to `src/`.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of sources") {
            let path: PathBuf = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).expect("a file below src");
                let text = fs::read_to_string(&path).expect("a source file");
                files.push((name.to_string_lossy().into_owned(), text));
            }
        }
    }
    files.sort();
    files
}

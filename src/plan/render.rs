//! A plan as text for people: what, from what to what, and why.
//!
//! Invariant: two equal plans print the same text; no name can forge a line
//! (see [`super::printable`]).

use std::io::{self, Write};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::text::{quoted, shown_id};
use super::{Item, Plan, Waits, printable};
use crate::model::report::Kind;

/// Writes the plan, one line for one object, then what was left out.
///
/// # Errors
/// Only when the output breaks.
pub fn text(plan: &Plan, out: &mut impl Write) -> io::Result<()> {
    let counts = plan.counts();
    if counts.total() == 0 {
        let removals = &plan.deprovision;
        let stays = !removals.verdict.held.is_empty() || !removals.waiting.is_empty();
        out.write_all(match plan.unreadable.as_slice() {
            [] if stays => b"Nothing to change now; what is marked with ? stays as it is.\n",
            [] => b"Nothing to change: LiteLLM is as Entra wants it.\n" as &[u8],
            _ => b"Nothing to change among what could be read.\n",
        })?;
    }
    for item in plan.items() {
        line(&item, out)?;
    }
    for skipped in &plan.skipped {
        let kind = skipped.kind.as_str();
        writeln!(
            out,
            ". {kind} {} left out: {}",
            shown_id(&skipped.id),
            skipped.reason
        )?;
    }
    for error in &plan.unreadable {
        let kind = error.kind.as_str();
        let message = printable(&error.message);
        writeln!(out, "! {kind} {} {message}", shown_id(&error.id))?;
    }
    Ok(())
}

/// Writes one item as one line.
///
/// # Errors
/// Only when the output breaks.
pub fn line(item: &Item, out: &mut impl Write) -> io::Result<()> {
    let mark = match item.action {
        "create" | "add" | "reactivate" | "unblock" => '+',
        "remove" | "delete" | "deactivate" | "block" => '-',
        "hold" | "wait" => '?',
        "adopt" => '=',
        _ => '~',
    };
    write!(
        out,
        "{mark} {} {} {}",
        item.action,
        item.kind.as_str(),
        shown_id(&item.id)
    )?;
    let empty = Map::new();
    let before = item.before.as_object().unwrap_or(&empty);
    if let Some(after) = item.after.as_object() {
        for (column, value) in after {
            if is_usual(item.kind, column, value) {
                continue;
            }
            match before.get(column) {
                Some(old) => write!(out, " {column}: {} -> {}", shown(old), shown(value))?,
                None if value.is_null() => {}
                None => write!(out, " {column}: {}", shown(value))?,
            }
        }
    }
    match item.waits {
        None => writeln!(out, " ({})", item.reason),
        Some(Waits { since: None, .. }) => writeln!(
            out,
            " ({}; its wait begins with the next complete pass)",
            item.reason
        ),
        Some(Waits {
            since: Some(since),
            until,
        }) => {
            let until =
                until.map_or_else(|| "for ever".to_owned(), |at| format!("until {}", time(at)));
            writeln!(
                out,
                " ({}; waits since {} {until})",
                item.reason,
                time(since)
            )
        }
    }
}

/// To the second, as all times that people are shown.
fn time(at: DateTime<Utc>) -> impl std::fmt::Display {
    at.format("%Y-%m-%dT%H:%M:%SZ")
}

/// Whether a membership's column says what nearly every membership says: a
/// million lines need not repeat it.
fn is_usual(kind: Kind, column: &str, value: &Value) -> bool {
    match kind {
        Kind::TeamMembership => column == "role" && value == "user",
        Kind::OrganizationMembership => column == "role",
        _ => false,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => quoted(text),
        Value::Array(list) => {
            let list: Vec<String> = list.iter().map(shown).collect();
            format!("[{}]", list.join(", "))
        }
        other => printable(&other.to_string()).into_owned(),
    }
}

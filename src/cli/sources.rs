//! Which sources a command is about, and how it goes through several.
//!
//! Invariant: with one source nothing is printed that was not printed before
//! there could be several; with several, one that fails keeps no other from its
//! turn, and the gravest end is the command's.

use std::io::{self, Write};

use serde_json::Value;

use super::{CommonArguments, Exit, Format, output};
use crate::config::{Loaded, Settings};
use crate::model::ids::SourceName;

/// A command line that does not go with the settings (exit code 64).
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Misuse(String);

impl Misuse {
    /// A command that is about one source was not told which.
    pub(super) fn which(command: &str, sources: &[Settings]) -> Self {
        Self(format!(
            "{command} is about one source: name it with --source ({})",
            names(sources)
        ))
    }

    /// A command that serves all sources was given one.
    pub(super) fn of_one(command: &str) -> Self {
        Self(format!(
            "`{command}` is about all sources: leave --source out, or give it settings with one source"
        ))
    }
}

/// The sources that the command line asks for: all, or the one it names.
///
/// # Errors
/// [`Misuse`] when the settings have none of that name.
pub(super) fn chosen(loaded: &Loaded, common: &CommonArguments) -> anyhow::Result<Vec<Settings>> {
    let Some(wanted) = &common.source else {
        return Ok(loaded.sources.clone());
    };
    let mut all = loaded.sources.iter();
    match all.find(|one| one.source.as_str() == wanted) {
        Some(one) => Ok(vec![one.clone()]),
        None => Err(Misuse(format!(
            "the settings have no source of this name: give --source one of {}",
            names(&loaded.sources)
        ))
        .into()),
    }
}

fn names(sources: &[Settings]) -> String {
    let names: Vec<&str> = sources.iter().map(|one| one.source.as_str()).collect();
    names.join(", ")
}

/// How what is printed says whose it is.
#[derive(Debug, Clone)]
pub(super) enum Heading {
    /// There is only one.
    None,
    /// One of several.
    Of(SourceName),
}

impl Heading {
    /// Prints one object on one line; of several sources with the name in it.
    pub(super) fn json(&self, mut value: Value) -> anyhow::Result<()> {
        if let (Self::Of(name), Some(object)) = (self, value.as_object_mut()) {
            match object.get_mut("source").and_then(Value::as_object_mut) {
                Some(source) => source.insert("name".to_owned(), name.as_str().into()),
                None => object.insert("source".to_owned(), name.as_str().into()),
            };
        }
        output::json(&value)
    }

    /// The line above what people are told.
    pub(super) fn text(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::None => Ok(()),
            Self::Of(name) => writeln!(out, "== source {name}"),
        }
    }

    /// The heading where text is printed, nothing where programs read.
    pub(super) fn print(&self, format: Format) -> anyhow::Result<()> {
        match format {
            Format::Text => output::text(|out| self.text(out)),
            Format::Json => Ok(()),
        }
    }
}

/// Does the same for each source, in the order of their names.
///
/// # Errors
/// Of the one source; of several each failure is told and the next one has its
/// turn.
pub(super) async fn each(
    sources: Vec<Settings>,
    mut one: impl AsyncFnMut(Settings, Heading) -> anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    let mut sources = sources.into_iter().peekable();
    let Some(first) = sources.next() else {
        return Ok(Exit::Ok);
    };
    if sources.peek().is_none() {
        return one(first, Heading::None).await;
    }
    let mut gravest = Exit::Ok;
    for settings in std::iter::once(first).chain(sources) {
        let name = settings.source.clone();
        let exit = match one(settings, Heading::Of(name.clone())).await {
            Ok(exit) => exit,
            Err(error) => {
                eprintln!("entra-sync: source {name}: {error:#}");
                Exit::of(&error)
            }
        };
        gravest = gravest.or_graver(exit);
    }
    Ok(gravest)
}

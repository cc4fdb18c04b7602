//! What `entra-sync demo` tells, step by step, on standard output.
//!
//! The passes come from outside through [`Stage`]; this room knows only their
//! order and the words between them.
//!
//! Invariant: the same stage gives the same text. Must not: decide anything
//! about a pass, or write anywhere but to the writer that it is given.

use std::io::{self, Write};

use async_trait::async_trait;

/// What the story needs from the program.
#[async_trait(?Send)]
pub trait Stage {
    /// The plan of the next pass, as `entra-sync plan` prints it.
    async fn plan(&mut self) -> anyhow::Result<String>;

    /// One pass; what it did, as `entra-sync sync` prints it.
    async fn pass(&mut self) -> anyhow::Result<String>;

    /// Changes the tenant; each change as one sentence.
    async fn change(&mut self) -> anyhow::Result<Vec<String>>;
}

/// Where things are, for the reader.
#[derive(Debug, Clone)]
pub struct Scene {
    /// What the database is, in a few words.
    pub database: String,
    /// Its URL.
    pub database_url: String,
    /// The simulated tenant's URL.
    pub tenant_url: String,
    /// How many groups, people and memberships it has.
    pub size: (usize, usize, usize),
    /// What is typed for this program.
    pub program: String,
    /// A settings file with which other commands see the same.
    pub settings: String,
    /// Where the data stays, if it does.
    pub data: Option<String>,
    /// What the database held before.
    pub beginning: Beginning,
    /// What follows.
    pub sequel: Sequel,
    /// Whether somebody may look into the database meanwhile.
    pub onlookers: Onlookers,
}

/// What a demo finds in its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// Nothing: it was made just now.
    Empty,
    /// What an earlier demo kept.
    AsItWasLeft,
}

/// What follows the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequel {
    /// The end, at once.
    Nothing,
    /// More passes, until Ctrl-C.
    Passes,
}

/// Whether a second connection to the database is possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onlookers {
    /// `psql` may be used beside the demo.
    Welcome,
    /// The embedded database has one connection, which the demo needs.
    NoRoom,
}

/// Tells the story: plan, pass, pass again, changes, plan, pass.
///
/// # Errors
/// When a pass fails or the text cannot be written.
pub async fn tell(
    scene: &Scene,
    stage: &mut dyn Stage,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    introduce(scene, out)?;

    let (planned, first) = match scene.beginning {
        Beginning::Empty => (
            "What a first pass would do (entra-sync plan)",
            "The first pass (entra-sync sync)",
        ),
        Beginning::AsItWasLeft => (
            "What a pass would do with what was kept (entra-sync plan)",
            "The pass (entra-sync sync)",
        ),
    };
    heading(out, 1, planned)?;
    quote(out, &stage.plan().await?)?;

    heading(out, 2, first)?;
    quote(out, &stage.pass().await?)?;

    heading(out, 3, "The same again: nothing is left to do")?;
    quote(out, &stage.pass().await?)?;

    heading(out, 4, "Meanwhile, in Entra")?;
    for change in stage.change().await? {
        writeln!(out, "  - {change}")?;
    }

    heading(out, 5, "What the next pass would do")?;
    quote(out, &stage.plan().await?)?;

    heading(out, 6, "The next pass")?;
    quote(out, &stage.pass().await?)?;

    conclude(scene, out)?;
    Ok(())
}

fn introduce(scene: &Scene, out: &mut (dyn Write + Send)) -> io::Result<()> {
    let (groups, people, memberships) = scene.size;
    writeln!(
        out,
        "entra-sync demo: everything on this machine, nothing real."
    )?;
    writeln!(out)?;
    writeln!(
        out,
        "  Entra     a simulated tenant at {}",
        scene.tenant_url
    )?;
    writeln!(
        out,
        "            {groups} groups, {people} people, {memberships} memberships"
    )?;
    let tables = match scene.beginning {
        Beginning::Empty => "empty",
        Beginning::AsItWasLeft => "as the last demo left them",
    };
    writeln!(
        out,
        "  LiteLLM   its tables, {tables}, in {}",
        scene.database
    )?;
    writeln!(out, "            {}", scene.database_url)?;
    Ok(())
}

fn conclude(scene: &Scene, out: &mut (dyn Write + Send)) -> io::Result<()> {
    if scene.sequel == Sequel::Nothing {
        writeln!(out)?;
        return match &scene.data {
            Some(data) => writeln!(out, "The demo ends. The database stays in {data}."),
            None => writeln!(out, "The demo ends. Nothing stays behind."),
        };
    }
    heading(out, 7, "Where to look")?;
    match scene.onlookers {
        Onlookers::Welcome => {
            writeln!(out, "  psql '{}'", scene.database_url)?;
            writeln!(
                out,
                "    SELECT team_alias, jsonb_array_length(members_with_roles) FROM \"LiteLLM_TeamTable\";"
            )?;
            writeln!(
                out,
                "    SELECT user_email, user_role, teams FROM \"LiteLLM_UserTable\";"
            )?;
            for command in ["status", "history", "show last", "plan"] {
                writeln!(
                    out,
                    "  {} --config {} {command}",
                    scene.program, scene.settings
                )?;
            }
        }
        Onlookers::NoRoom => {
            writeln!(
                out,
                "  The embedded database has one connection, which the demo needs."
            )?;
            writeln!(
                out,
                "  Install PostgreSQL's binaries to look inside with psql meanwhile."
            )?;
        }
    }
    writeln!(
        out,
        "  curl {}/_control/requests    # what was asked of Graph",
        scene.tenant_url
    )?;
    writeln!(out)?;
    writeln!(out, "Change the tenant yourself; the next pass follows:")?;
    writeln!(
        out,
        "  curl {}/_control/tenant -H 'content-type: application/json' \\",
        scene.tenant_url
    )?;
    writeln!(
        out,
        "    -d '{{\"group\":{{\"key\":\"Auditors\",\"add\":[\"anna\"]}}}}'"
    )?;
    writeln!(out)?;
    match &scene.data {
        Some(data) => writeln!(out, "Ctrl-C ends the demo. The database stays in {data}."),
        None => writeln!(out, "Ctrl-C ends the demo. Nothing stays behind."),
    }
}

fn heading(out: &mut (dyn Write + Send), number: usize, text: &str) -> io::Result<()> {
    writeln!(out)?;
    writeln!(out, "{number}. {text}")?;
    writeln!(out)
}

fn quote(out: &mut (dyn Write + Send), text: &str) -> io::Result<()> {
    for line in text.lines() {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

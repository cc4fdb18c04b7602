//! The words of the command line.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::config::{LogFormat, Overrides};
use crate::model::ids::{GroupId, PersonId};

/// Keeps LiteLLM's organizations, teams, users and memberships equal to what
/// Microsoft Entra ID says, ahead of any login.
#[derive(Debug, Clone, Parser)]
#[command(name = "entra-sync", version, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// A YAML file with settings; may be given several times, later ones win.
    #[arg(long, global = true, value_name = "FILE", env = "ENTRA_SYNC_CONFIG", action = ArgAction::Append)]
    pub config: Vec<PathBuf>,
    /// How data is printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// How logs are printed, on standard error.
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub log_format: Option<Format>,
    /// More logs: once for debug, twice for trace.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

impl Arguments {
    pub(super) fn overrides(&self) -> Overrides {
        Overrides {
            log_format: self.log_format.map(|format| match format {
                Format::Text => LogFormat::Text,
                Format::Json => LogFormat::Json,
            }),
            verbosity: self.verbose,
        }
    }
}

/// For people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// The subcommands.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// The daemon: passes on a schedule, on start, and on SIGUSR1; SIGHUP reads
    /// the settings again.
    Run,
    /// One pass, then exit.
    Sync(SyncArguments),
    /// What a pass would change; changes nothing.
    Plan(PlanArguments),
    /// Releases held removals: the next complete pass applies them, once.
    Approve(DecideArguments),
    /// Drops held removals: exactly these stay unapplied.
    Reject(DecideArguments),
    /// The last pass, the lease, and what is managed.
    Status,
    /// The last passes.
    History(HistoryArguments),
    /// What one pass changed.
    Show(ShowArguments),
    /// The settings in force and where each came from.
    Config(ConfigArguments),
    /// Brings our own schema to the newest version; also done at start.
    Migrate,
    /// Everything on one machine: no Entra, no database to install.
    #[cfg(feature = "simulator")]
    Demo(super::demo::DemoArguments),
    /// A stand-in for Microsoft Graph, for benchmarks.
    #[cfg(feature = "simulator")]
    #[command(hide = true)]
    Simulate(crate::simulator::command::SimulateArgs),
}

/// How far to look.
#[derive(Debug, Clone, Default, Args)]
pub struct ScopeArguments {
    /// Only this group's team and members, by the group's object id; may be
    /// given several times.
    #[arg(long = "group", value_name = "ID")]
    pub groups: Vec<GroupId>,
    /// Only this person's rows, by the user's object id; may be given several
    /// times.
    #[arg(long = "user", value_name = "ID")]
    pub people: Vec<PersonId>,
}

/// `entra-sync sync`.
#[derive(Debug, Clone, Args)]
pub struct SyncArguments {
    /// Read everything, not only what changed.
    #[arg(long)]
    pub full: bool,
    /// How far to look.
    #[command(flatten)]
    pub scope: ScopeArguments,
}

/// `entra-sync plan`.
#[derive(Debug, Clone, Args)]
pub struct PlanArguments {
    /// Exit with 2 when there is anything to change.
    #[arg(long)]
    pub check: bool,
    /// How far to look.
    #[command(flatten)]
    pub scope: ScopeArguments,
}

/// `entra-sync approve` and `reject`.
#[derive(Debug, Clone, Args)]
pub struct DecideArguments {
    /// The digest of the held set, or the beginning of it; `status` shows it.
    pub digest: String,
}

/// `entra-sync history`.
#[derive(Debug, Clone, Args)]
pub struct HistoryArguments {
    /// How many passes, newest first.
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub limit: u32,
}

/// `entra-sync show`.
#[derive(Debug, Clone, Args)]
pub struct ShowArguments {
    /// The run's id, or the beginning of it; `last` is the newest.
    pub run: String,
}

/// `entra-sync config`.
#[derive(Debug, Clone, Args)]
pub struct ConfigArguments {
    /// Print the commented defaults instead: the reference of all settings.
    #[arg(long)]
    pub defaults: bool,
}

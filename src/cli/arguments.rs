//! The words of the command line.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use super::operator::OperatorArguments;
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
    /// Given before the subcommand.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// What every command takes, before or after its name.
///
/// Not clap's `global`: of a flag on both sides it keeps the last side only,
/// and a settings file would be lost without a word.
#[derive(Debug, Clone, Default, Args)]
pub struct CommonArguments {
    /// A YAML file with settings; may be given several times, later ones win.
    /// ENTRA_SYNC_CONFIG names files, separated as in PATH, when none is given.
    #[arg(long, value_name = "FILE", action = ArgAction::Append)]
    pub config: Vec<PathBuf>,
    /// How data is printed [default: text].
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// How logs are printed, on standard error.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub log_format: Option<Format>,
    /// Only this source, where the settings have several.
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// More logs: once for debug, twice for trace.
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

impl CommonArguments {
    /// Both sides of the subcommand together; what stands later wins.
    fn followed_by(&self, later: &Self) -> Self {
        Self {
            config: [self.config.as_slice(), &later.config].concat(),
            format: later.format.or(self.format),
            log_format: later.log_format.or(self.log_format),
            source: later.source.as_ref().or(self.source.as_ref()).cloned(),
            verbose: self.verbose.saturating_add(later.verbose),
        }
    }

    /// What the flags say about settings.
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

impl Arguments {
    /// The common flags of both places.
    #[must_use]
    pub fn common(&self) -> CommonArguments {
        match self.command.common() {
            Some(after) => self.common.followed_by(after),
            None => self.common.clone(),
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
    /// The daemon: passes on a schedule, on start, on SIGUSR1 and when `resync`
    /// asks; SIGHUP reads the settings again.
    Run(CommonArguments),
    /// One pass, then exit.
    Sync(SyncArguments),
    /// Asks the daemon for a pass now, through the database.
    Resync(ResyncArguments),
    /// What a pass would change; changes nothing.
    Plan(PlanArguments),
    /// Why a person is, or is not, in a team; changes nothing.
    Explain(ExplainArguments),
    /// Releases held removals: the next complete pass applies them, once.
    Approve(DecideArguments),
    /// Drops held removals: exactly these stay unapplied.
    Reject(DecideArguments),
    /// The last pass, the lease, and what is managed.
    Status(CommonArguments),
    /// The last passes.
    History(HistoryArguments),
    /// What one pass changed.
    Show(ShowArguments),
    /// Gives back what one pass took away, from the copies that were kept.
    Undo(UndoArguments),
    /// Whether everything that a pass needs is there, with the remedy for what
    /// is not; writes nothing.
    Check(CheckArguments),
    /// The settings in force and where each came from.
    Config(ConfigArguments),
    /// Brings our own schema to the newest version; also done at start.
    Migrate(CommonArguments),
    /// Prints the SQL script that makes the database role of this program.
    RoleSql,
    /// Everything on one machine: no Entra, no database to install.
    #[cfg(feature = "simulator")]
    Demo(super::demo::DemoArguments),
    /// What `demo` starts on a machine without PostgreSQL.
    #[cfg(feature = "demo")]
    #[command(hide = true)]
    EmbeddedPostgres(crate::demo::embedded::EmbeddedArguments),
    /// A stand-in for Microsoft Graph, for benchmarks.
    #[cfg(feature = "simulator")]
    #[command(hide = true)]
    Simulate(crate::simulator::command::SimulateArgs),
}

impl Command {
    fn common(&self) -> Option<&CommonArguments> {
        match self {
            Self::Run(common) | Self::Status(common) | Self::Migrate(common) => Some(common),
            Self::Approve(command) | Self::Reject(command) => Some(&command.common),
            Self::Sync(command) => Some(&command.common),
            Self::Resync(command) => Some(&command.common),
            Self::Plan(command) => Some(&command.common),
            Self::Explain(command) => Some(&command.common),
            Self::History(command) => Some(&command.common),
            Self::Show(command) => Some(&command.common),
            Self::Undo(command) => Some(&command.common),
            Self::Check(command) => Some(&command.common),
            Self::Config(command) => Some(&command.common),
            Self::RoleSql => None,
            #[cfg(feature = "demo")]
            Self::EmbeddedPostgres(_) => None,
            #[cfg(feature = "simulator")]
            Self::Demo(_) | Self::Simulate(_) => None,
        }
    }
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
    /// Given after the subcommand.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `entra-sync resync`.
#[derive(Debug, Clone, Args)]
pub struct ResyncArguments {
    /// Read everything, not only what changed.
    #[arg(long)]
    pub full: bool,
    /// Wait until the pass has ended, print its report and exit as `sync` does.
    #[arg(long)]
    pub wait: bool,
    /// Who asks.
    #[command(flatten)]
    pub operator: OperatorArguments,
    /// Given after the subcommand.
    #[command(flatten)]
    pub common: CommonArguments,
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
    /// Given after the subcommand.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `entra-sync explain`.
#[derive(Debug, Clone, Args)]
pub struct ExplainArguments {
    /// Object id, user principal name, e-mail or display name. If it means
    /// several people, they are listed with their ids, and the exit code is 1.
    pub user: String,
    /// Only this team, by the group's object id or display name.
    pub team: Option<String>,
    /// Flags that every command takes.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `entra-sync approve` and `reject`.
#[derive(Debug, Clone, Args)]
pub struct DecideArguments {
    /// The digest of the held set, or the beginning of it; `status` shows it.
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub digest: String,
    /// Who decides.
    #[command(flatten)]
    pub operator: OperatorArguments,
    /// Flags that every command takes.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `entra-sync history`.
#[derive(Debug, Clone, Args)]
pub struct HistoryArguments {
    /// How many passes, newest first.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Given after the subcommand.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `entra-sync show`.
#[derive(Debug, Clone, Args)]
pub struct ShowArguments {
    /// The run's id, or the beginning of it; `last` is the newest.
    pub run: String,
    /// Given after the subcommand.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `entra-sync undo`.
#[derive(Debug, Clone, Args)]
pub struct UndoArguments {
    /// The run's id, or the beginning of it; `last` is the newest.
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub run: String,
    /// Only show what would be given back; change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Who decides.
    #[command(flatten)]
    pub operator: OperatorArguments,
    /// Given after the subcommand.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `entra-sync check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArguments {
    /// Only what can be told without Entra and without the database.
    #[arg(long)]
    pub offline: bool,
    /// Also post a test message to notify.webhook_url.
    #[arg(long, conflicts_with = "offline")]
    pub notify: bool,
    /// Given after the subcommand.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// `entra-sync config`.
#[derive(Debug, Clone, Args)]
pub struct ConfigArguments {
    /// Print the commented defaults instead: the reference of all settings.
    #[arg(long)]
    pub defaults: bool,
    /// Given after the subcommand.
    #[command(flatten)]
    pub common: CommonArguments,
}

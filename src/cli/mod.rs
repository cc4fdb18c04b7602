//! What people type: one file for each subcommand.
//!
//! Invariant: data goes to standard output, everything else to standard error;
//! the exit code says how it ended (design 4); every command validates the
//! whole configuration before it does anything.

mod arguments;
mod check;
mod config;
mod decide;
#[cfg(feature = "simulator")]
mod demo;
mod exit;
mod explain;
mod history;
mod migrate;
mod output;
mod plan;
mod run;
mod show;
mod status;
mod sync;
mod undo;
mod watch;
mod which_run;

use std::process::ExitCode;

use clap::Parser;

pub use arguments::{Arguments, Command, CommonArguments, Format};
pub use exit::Exit;

use crate::config::{Loaded, Sources, process_environment};
use crate::ledger::held::Decision;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; clap knows where each goes.
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Ok
            };
            if error.print().is_err() {
                return Exit::Failed.into();
            }
            return exit.into();
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("entra-sync: the runtime cannot start: {error}");
            return Exit::Failed.into();
        }
    };
    let exit = runtime.block_on(dispatch(arguments));
    // Blocking work of a dropped future must not keep the process.
    runtime.shutdown_background();
    exit.into()
}

async fn dispatch(arguments: Arguments) -> Exit {
    let ended = match &arguments.command {
        Command::Config(command) if command.defaults => config::defaults(),
        #[cfg(feature = "simulator")]
        Command::Demo(command) => demo::run(command).await,
        #[cfg(feature = "simulator")]
        Command::Simulate(command) => simulate(command.clone()).await,
        _ => match crate::config::load(&sources(&arguments.common())) {
            Ok(loaded) => {
                crate::telemetry::start(&loaded.settings.telemetry);
                // `check` prints them as findings.
                if !matches!(arguments.command, Command::Check(_)) {
                    for warning in &loaded.settings.warnings {
                        tracing::warn!("{warning}");
                    }
                }
                configured(&arguments, loaded).await
            }
            Err(error) => {
                eprintln!("entra-sync: {error}");
                match &arguments.command {
                    Command::Check(_) => check::refused(format(&arguments), &error),
                    _ => Ok(Exit::Usage),
                }
            }
        },
    };
    ended.unwrap_or_else(|error| {
        eprintln!("entra-sync: {error:#}");
        Exit::of(&error)
    })
}

async fn configured(arguments: &Arguments, loaded: Loaded) -> anyhow::Result<Exit> {
    let format = format(arguments);
    match &arguments.command {
        Command::Run(_) => run::run(arguments.common(), loaded).await,
        Command::Sync(command) => sync::run(command, format, loaded).await,
        Command::Plan(command) => plan::run(command, format, loaded).await,
        Command::Explain(command) => explain::run(command, format, loaded).await,
        Command::Approve(command) => decide::run(command, Decision::Approve, format, loaded).await,
        Command::Reject(command) => decide::run(command, Decision::Reject, format, loaded).await,
        Command::Status(_) => status::run(format, loaded).await,
        Command::History(command) => history::run(command, format, loaded).await,
        Command::Show(command) => show::run(command, format, loaded).await,
        Command::Undo(command) => undo::run(command, format, loaded).await,
        Command::Check(command) => check::run(command, format, loaded).await,
        Command::Config(_) => config::run(format, &loaded),
        Command::Migrate(_) => migrate::run(format, loaded).await,
        #[cfg(feature = "simulator")]
        Command::Demo(_) | Command::Simulate(_) => Ok(Exit::Usage),
    }
}

fn format(arguments: &Arguments) -> Format {
    arguments.common().format.unwrap_or(Format::Text)
}

/// Where the settings come from: files, environment, flags.
fn sources(common: &CommonArguments) -> Sources {
    Sources {
        files: common.config.clone(),
        environment: process_environment(),
        overrides: common.overrides(),
        today: chrono::Utc::now().date_naive(),
    }
}

#[cfg(feature = "simulator")]
async fn simulate(command: crate::simulator::command::SimulateArgs) -> anyhow::Result<Exit> {
    command.run().await?;
    Ok(Exit::Ok)
}

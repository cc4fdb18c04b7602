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
mod operator;
mod output;
mod plan;
mod progress;
mod resync;
mod role_sql;
mod run;
mod show;
mod sources;
mod status;
mod stop;
mod sync;
mod undo;
mod watch;
mod which_run;
mod words;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;

pub use arguments::{Arguments, Command, CommonArguments, Format};
pub use exit::Exit;

use crate::config::{Loaded, Sources, process_environment};
use crate::ledger::held::Decision;

/// For traces that still wait when everything else has ended.
const LAST_TRACES: Duration = Duration::from_secs(2);

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
    let exit = runtime.block_on(async {
        let exit = dispatch(arguments).await;
        crate::telemetry::end(LAST_TRACES).await;
        exit
    });
    // Blocking work of a dropped future must not keep the process.
    runtime.shutdown_background();
    exit.into()
}

async fn dispatch(arguments: Arguments) -> Exit {
    let ended = match &arguments.command {
        Command::Config(command) if command.defaults => config::defaults(),
        Command::RoleSql => role_sql::run(),
        #[cfg(feature = "simulator")]
        Command::Demo(command) => demo::run(command).await,
        #[cfg(feature = "demo")]
        Command::EmbeddedPostgres(command) => embedded_postgres(command.clone()).await,
        #[cfg(feature = "simulator")]
        Command::Simulate(command) => simulate(command.clone()).await,
        // These catch signals before they read their settings.
        Command::Run(_) => run::run(&arguments).await,
        Command::Sync(command) => sync::run(command, format(&arguments), &arguments).await,
        Command::Undo(command) => undo::run(command, format(&arguments), &arguments).await,
        _ => match settings(&arguments).await {
            Ok(loaded) => configured(&arguments, loaded).await,
            Err(error) => Err(error),
        },
    };
    ended.unwrap_or_else(|error| {
        eprintln!("entra-sync: {error:#}");
        if let (Command::Check(_), Some(refused)) = (&arguments.command, error.downcast_ref())
            && let Err(error) = check::refused(format(&arguments), refused)
        {
            eprintln!("entra-sync: {error:#}");
            return Exit::of(&error);
        }
        Exit::of(&error)
    })
}

/// Reads the settings and begins to log.
///
/// # Errors
/// [`crate::config::Error`], with everything that is wrong.
async fn settings(arguments: &Arguments) -> anyhow::Result<Loaded> {
    let sources = sources(&arguments.common());
    // A file may be a pipe, or on a disk that does not answer.
    let reading = tokio::task::spawn_blocking(move || crate::config::load(&sources));
    let loaded = reading.await.context("reading the settings broke off")??;
    crate::telemetry::start(&loaded.settings.telemetry);
    // `check` prints them as findings.
    if !matches!(arguments.command, Command::Check(_)) {
        for warning in &loaded.settings.warnings {
            tracing::warn!("{warning}");
        }
    }
    Ok(loaded)
}

async fn configured(arguments: &Arguments, loaded: Loaded) -> anyhow::Result<Exit> {
    let format = format(arguments);
    let chosen = sources::chosen(&loaded, &arguments.common())?;
    match &arguments.command {
        Command::Plan(command) => {
            sources::each(chosen, async |one, heading| {
                plan::run(command, format, one, &heading).await
            })
            .await
        }
        Command::Resync(command) => resync::run(command, format, chosen).await,
        Command::Explain(command) => explain::run(command, format, chosen).await,
        Command::Approve(command) => decide::run(command, Decision::Approve, format, chosen).await,
        Command::Reject(command) => decide::run(command, Decision::Reject, format, chosen).await,
        Command::Status(_) => {
            let ended = sources::each(chosen, async |one, heading| {
                status::run(format, one, &heading).await
            });
            let exit = ended.await?;
            status::tell_of_the_unnamed(&loaded).await;
            Ok(exit)
        }
        Command::History(command) => {
            sources::each(chosen, async |one, heading| {
                history::run(command, format, one, &heading).await
            })
            .await
        }
        Command::Show(command) => show::run(command, format, chosen).await,
        Command::Check(command) => {
            sources::each(chosen, async |one, heading| {
                check::run(command, format, one, &heading).await
            })
            .await
        }
        Command::Config(_) => config::run(format, &loaded),
        Command::Migrate(_) => migrate::run(format, loaded).await,
        // They read their settings themselves, or none.
        Command::Run(_) | Command::Sync(_) | Command::Undo(_) | Command::RoleSql => Ok(Exit::Usage),
        #[cfg(feature = "demo")]
        Command::EmbeddedPostgres(_) => Ok(Exit::Usage),
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

#[cfg(feature = "demo")]
async fn embedded_postgres(
    command: crate::demo::embedded::EmbeddedArguments,
) -> anyhow::Result<Exit> {
    tokio::task::spawn_blocking(move || command.serve())
        .await
        .context("the embedded PostgreSQL broke off")??;
    Ok(Exit::Ok)
}

//! `entra-sync demo`: everything on one machine, no Entra, no database to
//! install.
//!
//! Invariant: nothing outside the machine is asked, nothing stays behind but
//! what `--data DIR` asks for, and it ends on Ctrl-C whatever it is doing.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use clap::Args;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{Exit, sync};
use crate::config::{Environment, Overrides, Settings, Sources};
use crate::daemon::{self, Board, Hangup, Wakes};
use crate::demo::postgres::{Place, PrivatePostgres, Server};
use crate::demo::story::{self, Onlookers, Scene, Sequel, Stage};
use crate::demo::{LITELLM_TABLES, tenant};
use crate::model::policy::Scope;
use crate::model::report::{Mode, Trigger};
use crate::plan::render;
use crate::simulator::Simulator;
use crate::sync::{Progress, Request, Source};
use crate::telemetry;

/// Lines of a list that the story shows.
const SHOWN: usize = 12;

/// `entra-sync demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArguments {
    /// End by itself after the story.
    #[arg(long)]
    pub once: bool,
    /// Keep the database in this folder, and use it again the next time.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Use the embedded PostgreSQL even if this machine has one.
    #[cfg(feature = "demo")]
    #[arg(long)]
    pub embedded: bool,
}

impl DemoArguments {
    fn server(&self) -> Server {
        #[cfg(feature = "demo")]
        if self.embedded {
            return Server::Embedded;
        }
        Server::OfTheMachine
    }
}

/// Tells the story, then keeps running on a short schedule.
pub(super) async fn run(command: &DemoArguments) -> anyhow::Result<Exit> {
    let wakes = Wakes::listen(Hangup::Ends).context("signals cannot be caught")?;
    let place = match &command.data {
        Some(folder) => Place::Folder(folder.clone()),
        None => Place::Temporary,
    };
    println!("Starting a private PostgreSQL and a simulated Entra tenant …");
    // Not to be broken off: half a server could not be given back.
    let postgres = PrivatePostgres::start(place, command.server())
        .await
        .context("the demo's own PostgreSQL cannot start")?;
    let ended = perform(command, &postgres, wakes).await;
    postgres.stop().await;
    ended.map(|()| Exit::Ok)
}

/// What the daemon needs after the story; the tenant and the settings file go
/// with it.
struct Play {
    settings: Settings,
    file: PathBuf,
    entra: Simulator,
    _work: TempDir,
}

async fn perform(
    command: &DemoArguments,
    postgres: &PrivatePostgres,
    wakes: Wakes,
) -> anyhow::Result<()> {
    let play = tokio::select! {
        biased;
        () = wakes.stopped() => return Ok(()),
        play = tell(command, postgres) => play?,
    };
    if !command.once {
        let file = play.file.clone();
        let again = move || Ok(vec![load(&file)?]);
        daemon::run(
            vec![play.settings],
            Arc::new(again),
            wakes,
            Board::observed_by(Vec::new()),
        )
        .await?;
    }
    play.entra.stop().await;
    Ok(())
}

async fn tell(command: &DemoArguments, postgres: &PrivatePostgres) -> anyhow::Result<Play> {
    // A kept folder has them already.
    postgres.execute(LITELLM_TABLES).await?;
    let entra = Simulator::start(tenant::tenant()).await?;
    let work = tempfile::tempdir().context("no temporary folder can be made")?;
    let file = work.path().join("entra-sync.yaml");
    std::fs::write(&file, settings_file(&entra, postgres))
        .context("the demo's settings cannot be written")?;
    let settings = load(&file)?;
    telemetry::start(&settings.telemetry);
    let mut stage = Program {
        source: Source::new(Arc::new(settings.clone()))?,
        entra,
    };
    let scene = scene(command, postgres, &stage.entra, &file);
    story::tell(&scene, &mut stage, &mut std::io::stdout()).await?;
    std::io::stdout().flush()?;
    // Dropped here, the source gives back its connections: an embedded database
    // has only one, and ends only when that is closed.
    Ok(Play {
        settings,
        file,
        entra: stage.entra,
        _work: work,
    })
}

fn settings_file(entra: &Simulator, postgres: &PrivatePostgres) -> String {
    let (tenant, client, secret, application) = entra.tenant(|tenant| {
        (
            tenant.tenant_id(),
            tenant.client_id(),
            tenant.client_secret().to_owned(),
            tenant.service_principal_id(),
        )
    });
    let url = postgres.url();
    let joint = if url.contains('?') { '&' } else { '?' };
    format!(
        "# Made by `entra-sync demo`; gone when it ends.\n\
         entra:\n  tenant: \"{tenant}\"\n  client_id: \"{client}\"\n  client_secret: \"{secret}\"\n  \
         service_principal_id: \"{application}\"\n  graph_endpoint: \"{}\"\n  token_endpoint: \"{}\"\n\
         litellm:\n  database_url: \"{url}{joint}connection_limit={}\"\n  \
         create_organizations: true\n  seats: unlimited\n  default_team_params:\n    \
         models: [gpt-demo]\n    max_budget: 100\n    budget_duration: 30d\n\
         schedule:\n  cron: \"*/15 * * * * *\"\n  jitter: 0s\n  on_start: false\n",
        entra.graph_url(),
        entra.token_url(),
        postgres.pool_size(),
    )
}

/// The demo asks nobody's environment: it shows the same on every machine.
fn load(file: &Path) -> anyhow::Result<Settings> {
    let loaded = crate::config::load(&Sources {
        files: vec![file.to_owned()],
        environment: Environment::new(),
        overrides: Overrides::default(),
        today: chrono::Utc::now().date_naive(),
    })?;
    Ok(loaded.settings)
}

fn scene(
    command: &DemoArguments,
    postgres: &PrivatePostgres,
    entra: &Simulator,
    file: &Path,
) -> Scene {
    let size = entra.tenant(|tenant| tenant.size());
    Scene {
        database: postgres.description(),
        database_url: postgres.url(),
        tenant_url: entra.url().to_owned(),
        size,
        program: std::env::current_exe().map_or_else(
            |_| "entra-sync".to_owned(),
            |path| path.display().to_string(),
        ),
        settings: file.display().to_string(),
        data: command
            .data
            .as_ref()
            .map(|folder| folder.display().to_string()),
        beginning: postgres.beginning(),
        sequel: if command.once {
            Sequel::Nothing
        } else {
            Sequel::Passes
        },
        onlookers: if postgres.pool_size() > 1 {
            Onlookers::Welcome
        } else {
            Onlookers::NoRoom
        },
    }
}

/// The program as the story's stage.
struct Program {
    source: Source,
    entra: Simulator,
}

fn request() -> Request {
    Request {
        trigger: Trigger::Cli,
        mode: Mode::Full,
        scope: Scope::default(),
    }
}

#[async_trait(?Send)]
impl Stage for Program {
    async fn plan(&mut self) -> anyhow::Result<String> {
        let planned = self
            .source
            .plan(&request(), &Progress::unobserved())
            .await?;
        let mut lines = Vec::new();
        render::text(&planned.plan, &mut lines)?;
        let text = String::from_utf8(lines).context("a plan is text")?;
        let counts = serde_json::to_value(planned.plan.counts())?;
        Ok(format!(
            "{}\n\n{}",
            sync::changes(&counts),
            shortened(&text)
        ))
    }

    async fn pass(&mut self) -> anyhow::Result<String> {
        let (progress, stop) = (Progress::unobserved(), CancellationToken::new());
        let (report, error) = self.source.pass(&request(), &progress, &stop).await;
        if let Some(error) = error {
            return Err(error.into());
        }
        let mut lines = Vec::new();
        sync::text(&report, &mut lines)?;
        Ok(shortened(
            &String::from_utf8(lines).context("a report is text")?,
        ))
    }

    async fn change(&mut self) -> anyhow::Result<Vec<String>> {
        Ok(self.entra.tenant(tenant::change))
    }
}

/// The beginning of a long list, and how much more there is.
fn shortened(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut shown = lines
        .iter()
        .take(SHOWN)
        .copied()
        .collect::<Vec<_>>()
        .join("\n");
    if lines.len() > SHOWN {
        // Writing to a String cannot fail.
        let _ = write!(shown, "\n… and {} lines more", lines.len() - SHOWN);
    }
    shown
}

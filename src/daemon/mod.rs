//! When passes run: schedules, signals, requests through the ledger, and the
//! replicas that share the work.
//!
//! Invariant: a wake carries no data; whatever asks, the same pass runs. Of one
//! source one runs and at most one waits, of different sources several run at
//! once. Asked to end, the daemon asks the passes to, and does nothing else any
//! more. One source that cannot go on keeps no other from its passes.
//! Must not: know what a pass does.

mod assignment;
mod board;
mod order;
mod reading;
mod requests;
mod roster;
mod schedule;
mod service_manager;
mod status_line;
mod subscriptions;
mod telling;
mod ticker;
mod wakes;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::config::Settings;
use crate::db::Database;
use crate::model::ids::SourceName;
use crate::sync::{Error, open_database};
use order::{Course, Order};
use reading::{Read, Reading};
use requests::Ears;
use roster::Roster;
use wakes::Wake;
use worker::Worker;

pub use board::{Board, Event, InUse, Observer, Place, Running, SourceState};
pub use service_manager::ServiceManager;
pub use subscriptions::Subscriptions;
pub use wakes::{Hangup, Wakes};

/// Passes that run at once, for each processor: they wait for Graph and for the
/// database most of the time.
const PASSES_PER_CORE: usize = 2;

/// Gives new settings when the daemon is asked to read them again. May block.
pub type Reload = Arc<dyn Fn() -> anyhow::Result<Vec<Settings>> + Send + Sync>;

/// Runs until it is asked to end.
///
/// # Errors
/// When the ticker cannot be set up, or the first settings cannot be used for
/// any source. A pass that fails is logged and tried again.
pub async fn run(
    settings: Vec<Settings>,
    reload: Reload,
    mut wakes: Wakes,
    board: Board,
) -> anyhow::Result<()> {
    let ticker = ticker::start(wakes.sender()).await?;
    let team = Team::of(settings)?;
    board.uses(&team.settings, &team.database);
    let roster = tokio::select! {
        roster = Roster::join(&team.settings, team.database.clone(), board.clone()) => roster,
        () = wakes.stopped() => {
            ticker.stop().await;
            tracing::info!("entra-sync ends");
            return Ok(());
        }
    };
    let mut daemon = Daemon {
        workers: BTreeMap::new(),
        tasks: JoinSet::new(),
        roster,
        ears: Ears::open(&team.settings, team.database.clone()),
        slots: team.slots(),
        // What is made from the settings may read files, too.
        reading: Reading::of(move || reload().and_then(Team::of)),
        form: team.form(),
        board,
    };
    tracing::info!(schedule.next = %team.next(), "entra-sync is up");
    daemon.board.tell(&Event::Up);
    daemon.start(team);
    let ended = daemon.until_stopped(&mut wakes).await;
    daemon.board.tell(&Event::Ending);
    daemon.end().await;
    ticker.stop().await;
    tracing::info!("entra-sync ends");
    Ok(ended?)
}

/// Everything that is made from settings, before anything of it is put to work:
/// what cannot be used changes nothing.
struct Team {
    settings: Vec<Settings>,
    database: Database,
    courses: Vec<(SourceName, Course)>,
}

/// Whether log lines have to say which source they are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    OneSource,
    Several,
}

impl Team {
    /// All sources are in one LiteLLM: they share its connections.
    fn of(settings: Vec<Settings>) -> anyhow::Result<Self> {
        let Some(first) = settings.first() else {
            anyhow::bail!("the settings have no source");
        };
        let database = open_database(first)?;
        let courses = settings
            .iter()
            .map(|one| {
                let course = Course::new(one.clone(), database.for_another())?;
                Ok((one.source.clone(), course))
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            settings,
            database,
            courses,
        })
    }

    /// One connection is left for leases and the heartbeat.
    fn slots(&self) -> Arc<Semaphore> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let connections = self.settings.first().map_or(1, |first| {
            first.litellm.database.pool_size.saturating_sub(1)
        });
        Arc::new(Semaphore::new(
            (cores * PASSES_PER_CORE).min(connections).max(1),
        ))
    }

    fn form(&self) -> Form {
        match self.settings.as_slice() {
            [one] if one.source.is_sole() => Form::OneSource,
            _ => Form::Several,
        }
    }

    /// The next time of any schedule, for a log line.
    fn next(&self) -> String {
        let times = self.courses.iter().map(|(_, course)| &course.schedule);
        let next = times.filter_map(schedule::Schedule::next).min();
        next.map_or_else(|| "never".to_owned(), schedule::moment)
    }
}

struct Daemon {
    workers: BTreeMap<SourceName, Handle>,
    tasks: JoinSet<(SourceName, Result<(), Error>)>,
    roster: Roster,
    ears: Ears,
    slots: Arc<Semaphore>,
    /// They may be on a disk that does not answer: the loop goes on meanwhile.
    reading: Reading<Team>,
    form: Form,
    board: Board,
}

/// A worker, as the daemon speaks to it.
struct Handle {
    orders: mpsc::Sender<Order>,
    stop: CancellationToken,
}

impl Handle {
    /// A worker reads its orders within seconds; signals that it could not take
    /// by then would ask for the same pass again.
    fn tell(&self, order: Order) {
        if let Err(mpsc::error::TrySendError::Full(Order::Pass | Order::Settings(_))) =
            self.orders.try_send(order)
        {
            tracing::warn!("a source is too busy to be told anything; ask again");
        }
    }
}

impl Daemon {
    /// Puts these sources to work, as they are new or as they are now.
    fn start(&mut self, team: Team) {
        for (name, course) in team.courses {
            match self.workers.get(&name) {
                Some(worker) => worker.tell(Order::Settings(Box::new(course))),
                None => self.hire(name, course),
            }
        }
    }

    fn hire(&mut self, name: SourceName, course: Course) {
        let (orders, told) = mpsc::channel(64);
        let stop = CancellationToken::new();
        let worker = Worker::new(
            course,
            self.roster.eyes(),
            self.ears.requests(),
            Arc::clone(&self.slots),
            stop.clone(),
            self.board.desk(&name),
        );
        let span = match self.form {
            Form::OneSource => tracing::Span::none(),
            Form::Several => tracing::info_span!("source", name = name.as_str()),
        };
        self.workers.insert(name.clone(), Handle { orders, stop });
        self.tasks
            .spawn(async move { (name, worker.run(told).await) }.instrument(span));
    }

    async fn until_stopped(&mut self, wakes: &mut Wakes) -> Result<(), Error> {
        loop {
            self.board.tell(&Event::Beat);
            tokio::select! {
                wake = wakes.next() => match wake {
                    Wake::Stop => return Ok(()),
                    Wake::Tick => self.tell_all(|| Order::Tick),
                    Wake::Pass => self.tell_all(|| Order::Pass),
                    Wake::Reload => {
                        if !self.reading.is_under_way() {
                            self.board.tell(&Event::Reloading);
                        }
                        self.reading.ask();
                    }
                },
                read = self.reading.ended() => self.settings_were_read(read),
                Some(ended) = self.tasks.join_next() => self.ended(ended)?,
            }
        }
    }

    fn tell_all(&self, order: impl Fn() -> Order) {
        for worker in self.workers.values() {
            worker.tell(order());
        }
    }

    /// A worker that gave up is not missed while others go on; the last one ends
    /// the daemon.
    fn ended(
        &mut self,
        ended: Result<(SourceName, Result<(), Error>), JoinError>,
    ) -> Result<(), Error> {
        let (name, Err(error)) = unbroken(ended) else {
            // No settings name it any more.
            return Ok(());
        };
        self.workers.retain(|_, worker| !worker.orders.is_closed());
        if self.workers.is_empty() {
            return Err(error);
        }
        tracing::error!(
            source = %name,
            error.kind = error.kind(),
            error.message = %error,
            "this source is left alone until SIGHUP; the others go on"
        );
        Ok(())
    }

    fn settings_were_read(&mut self, read: Read<Team>) {
        match read.map_err(Into::into).flatten() {
            Ok(team) => {
                if let Some(first) = team.settings.first() {
                    crate::telemetry::start(&first.telemetry);
                }
                tracing::info!(schedule.next = %team.next(), "settings read again");
                self.form = team.form();
                self.board.uses(&team.settings, &team.database);
                self.roster.say(&team.settings, team.database.clone());
                self.ears.turn_to(&team.settings, team.database.clone());
                let gone = |name: &SourceName| team.courses.iter().all(|(one, _)| one != name);
                self.workers.retain(|name, worker| {
                    let stays = !gone(name);
                    if !stays {
                        worker.stop.cancel();
                    }
                    stays
                });
                self.start(team);
            }
            Err(error) => tracing::error!(
                error.message = format!("{error:#}"),
                "the settings cannot be used; the daemon goes on with the ones it has"
            ),
        }
        self.board.tell(&Event::Reloaded);
        if self.reading.is_under_way() {
            self.board.tell(&Event::Reloading);
        }
    }

    /// Ends all passes, then lets the others take over.
    async fn end(mut self) {
        for worker in self.workers.values() {
            worker.stop.cancel();
        }
        while let Some(ended) = self.tasks.join_next().await {
            let _ = unbroken(ended);
        }
        self.roster.leave().await;
    }
}

/// A worker that panicked ends the daemon as a panic would.
fn unbroken<T>(ended: Result<T, JoinError>) -> T {
    match ended {
        Ok(ended) => ended,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Nobody aborts a worker.
            Err(error) => panic!("{error}"),
        },
    }
}

//! tokio-cron-scheduler as a ticker, and nothing more.
//!
//! One cron job in UTC asks every second whether anything is due; the schedule
//! itself is ours (see [`super::schedule`]), because the scheduler freezes time
//! zones to one offset, lets jobs overlap and can lose repeated ones for good
//! (dependency-notes 4). After the machine's clock was set back it says nothing
//! until its old time has come (`tests/it/clocks`), so that a second source of
//! ticks, by the monotonic clock, goes on beside it.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler};
use tokio_util::task::AbortOnDropHandle;

use super::wakes::Wake;

const EVERY_SECOND: &str = "* * * * * *";

/// So often by the monotonic clock: more would be every second twice.
const IN_ANY_CASE: Duration = Duration::from_secs(5);

/// The running ticker.
pub(super) struct Ticker {
    scheduler: JobScheduler,
    _in_any_case: AbortOnDropHandle<()>,
}

/// Begins to tick.
pub(super) async fn start(wakes: mpsc::Sender<Wake>) -> anyhow::Result<Ticker> {
    let scheduler = JobScheduler::new().await?;
    let steady = wakes.clone();
    let job = Job::new(EVERY_SECOND, move |_, _| {
        // A full queue has a tick in it already.
        let _ = wakes.try_send(Wake::Tick);
    })?;
    scheduler.add(job).await?;
    scheduler.start().await?;
    let in_any_case = tokio::spawn(async move {
        loop {
            tokio::time::sleep(IN_ANY_CASE).await;
            let _ = steady.try_send(Wake::Tick);
        }
    });
    Ok(Ticker {
        scheduler,
        _in_any_case: AbortOnDropHandle::new(in_any_case),
    })
}

impl Ticker {
    pub(super) async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::debug!(error.message = %error, "the ticker did not stop cleanly");
        }
    }
}

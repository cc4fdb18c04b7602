//! tokio-cron-scheduler as a ticker, and nothing more.
//!
//! One cron job in UTC asks every second whether anything is due; the schedule
//! itself is ours (see [`super::schedule`]), because the scheduler freezes time
//! zones to one offset, lets jobs overlap and can lose repeated ones for good
//! (dependency-notes 4).

use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler};

use super::wakes::Wake;

const EVERY_SECOND: &str = "* * * * * *";

/// The running ticker.
pub(super) struct Ticker(JobScheduler);

/// Begins to tick.
pub(super) async fn start(wakes: mpsc::Sender<Wake>) -> anyhow::Result<Ticker> {
    let scheduler = JobScheduler::new().await?;
    let job = Job::new(EVERY_SECOND, move |_, _| {
        // A full queue has a tick in it already.
        let _ = wakes.try_send(Wake::Tick);
    })?;
    scheduler.add(job).await?;
    scheduler.start().await?;
    Ok(Ticker(scheduler))
}

impl Ticker {
    pub(super) async fn stop(mut self) {
        if let Err(error) = self.0.shutdown().await {
            tracing::debug!(error.message = %error, "the ticker did not stop cleanly");
        }
    }
}

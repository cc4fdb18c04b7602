//! Alerts, posted to a webhook: what failed, is held, lasts, or is over.
//!
//! Invariant: whoever runs passes never waits for a receiver. What happened is
//! put into a queue that is full at some point, and a task of its own delivers
//! it. A message carries ids, counts and words of ours: no name, no address,
//! no text of another service.
//! Must not: say the URL or the secret, or ask the daemon anything.

mod delivery;
mod form;
mod message;
mod sent;
mod signature;

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{NotifySettings, Settings};
use crate::daemon::{Event, InUse, Observer};
use crate::sync::Report;
use delivery::{Courier, Pace};
use message::{Message, Subject};

pub use message::Kind;
pub use sent::{Outcome, Sent};

/// Messages that may wait. More than this in the time for which one is tried is
/// a daemon whose operators have been told enough.
const WAITING: usize = 64;

/// Who is told. Shared: whoever sees passes, and whoever counts.
pub struct Notifier {
    queue: mpsc::Sender<Message>,
    sent: Arc<Sent>,
}

impl Notifier {
    /// Begins to deliver, with these settings until [`Delivery::follow`] brings
    /// others.
    #[must_use]
    pub fn start(settings: &NotifySettings) -> (Arc<Self>, Delivery) {
        Self::at(Pace::PATIENT, settings)
    }

    fn at(pace: Pace, settings: &NotifySettings) -> (Arc<Self>, Delivery) {
        let (queue, waiting) = mpsc::channel(WAITING);
        let settings = Arc::new(watch::Sender::new(settings.clone()));
        let sent = Arc::new(Sent::default());
        let ending = CancellationToken::new();
        let courier = Courier {
            settings: settings.subscribe(),
            sent: Arc::clone(&sent),
            pace,
            ending: ending.clone(),
        };
        let delivery = Delivery {
            settings,
            ending,
            task: tokio::spawn(courier.deliver(waiting)),
        };
        (Arc::new(Self { queue, sent }), delivery)
    }

    /// What has been sent until now, and what could not be.
    #[must_use]
    pub fn sent(&self) -> Arc<Sent> {
        Arc::clone(&self.sent)
    }

    /// A pass has ended. Returns at once.
    pub fn tell(&self, settings: &Settings, report: &Report) {
        if settings.notify.webhook_url.is_none() {
            return;
        }
        for message in message::of_pass(settings, report) {
            if let Subject::Found(kind) = message.subject
                && settings.notify.when.contains(&kind.when())
            {
                self.post(kind, message);
            }
        }
    }

    fn post(&self, kind: Kind, message: Message) {
        if let Err(refused) = self.queue.try_send(message) {
            self.sent.count(kind, Outcome::Dropped);
            tracing::error!(
                target: "alert",
                { notification.kind = kind.as_str() },
                "a notification was dropped: {}",
                why(&refused)
            );
        }
    }
}

fn why(refused: &TrySendError<Message>) -> String {
    match refused {
        TrySendError::Full(_) => format!("{WAITING} others wait for the webhook"),
        TrySendError::Closed(_) => "the task that delivers has ended; restart the process if it \
                                    is not ending"
            .to_owned(),
    }
}

impl Observer for Notifier {
    fn sees(&self, event: &Event<'_>) {
        if let Event::PassEnded {
            settings, report, ..
        } = event
        {
            self.tell(settings, report);
        }
    }
}

/// Posts one message that says nothing but that it arrived, once: for `check`.
///
/// # Errors
/// Why the receiver did not take it, in words without the URL.
pub async fn try_out(settings: &Settings) -> Result<(), String> {
    let message = message::of_nothing(settings, Utc::now());
    delivery::once(&settings.notify, &message).await
}

/// The task that delivers.
pub struct Delivery {
    settings: Arc<watch::Sender<NotifySettings>>,
    ending: CancellationToken,
    task: JoinHandle<()>,
}

impl Delivery {
    /// Uses the daemon's settings from now on, also those that it reads again.
    pub fn follow(&self, mut in_use: watch::Receiver<Option<InUse>>) {
        let settings = Arc::clone(&self.settings);
        tokio::spawn(async move {
            while in_use.changed().await.is_ok() {
                let now = in_use.borrow_and_update();
                let first = now.as_ref().and_then(|now| now.settings.first());
                if let Some(first) = first {
                    settings.send_replace(first.notify.clone());
                }
            }
        });
    }

    /// Tries what waits once more each, for so long at most.
    pub async fn end(self, patience: Duration) {
        self.ending.cancel();
        self.drain(patience).await;
    }

    /// Delivers what waits, for so long at most. Nobody may hold the
    /// [`Notifier`] any more.
    pub async fn drain(self, patience: Duration) {
        let mut task = self.task;
        if tokio::time::timeout(patience, &mut task).await.is_err() {
            task.abort();
            tracing::warn!("the webhook does not answer; what waited for it is not delivered");
        }
    }
}

#[cfg(test)]
mod tests;

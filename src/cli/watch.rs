//! Showing a pass while it runs.

use std::convert::Infallible;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::sync::{Phase, Watch};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(15);
const REDRAW_EVERY: Duration = Duration::from_millis(150);

/// Shows progress on standard error until it is dropped: a bar on a terminal,
/// now and then a log line elsewhere.
pub(super) async fn show(watched: Watch) -> Infallible {
    if std::io::stderr().is_terminal() {
        bar(watched).await
    } else {
        lines(watched).await
    }
}

async fn bar(watched: Watch) -> Infallible {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let spinner = ProgressStyle::with_template("{spinner} {msg}");
    let counted = ProgressStyle::with_template("{spinner} {msg} [{bar:30}] {pos}/{len} eta {eta}");
    // Both templates are constants; the default style is as good if one is not.
    let spinner = spinner.unwrap_or_else(|_| ProgressStyle::default_spinner());
    let counted = counted.unwrap_or_else(|_| ProgressStyle::default_bar());
    let guard = Cleared(bar);
    loop {
        let (message, extent) = describe(&watched);
        match extent {
            Some((done, total)) => {
                guard.0.set_style(counted.clone());
                guard.0.set_length(total);
                guard.0.set_position(done);
            }
            None => guard.0.set_style(spinner.clone()),
        }
        guard.0.set_message(message);
        guard.0.tick();
        tokio::time::sleep(REDRAW_EVERY).await;
    }
}

/// Takes the bar off the screen, also when the watching is dropped.
struct Cleared(ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

async fn lines(watched: Watch) -> Infallible {
    loop {
        tokio::time::sleep(LINE_EVERY).await;
        let (message, extent) = describe(&watched);
        match extent {
            Some((done, total)) => tracing::info!(done, total, "{message}"),
            None => tracing::info!("{message}"),
        }
    }
}

fn describe(watched: &Watch) -> (String, Option<(u64, u64)>) {
    match *watched.phase.borrow() {
        Phase::Idle | Phase::Opening => ("looking at the database".to_owned(), None),
        Phase::Reading => {
            let reading = *watched.reading.borrow();
            let message = format!("reading groups, {} memberships", reading.memberships);
            (message, Some((reading.groups_done, reading.groups_total)))
        }
        Phase::Comparing => ("comparing with LiteLLM".to_owned(), None),
        Phase::Writing => {
            let written = *watched.written.borrow();
            ("writing".to_owned(), Some((written.done, written.total)))
        }
    }
}

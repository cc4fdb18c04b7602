//! Showing a pass while it runs, on standard error.
//!
//! Must not: decide what is shown; that is [`super::progress`].

use std::convert::Infallible;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::progress::{Frames, Lines};
use crate::sync::Watch;

const REDRAW_EVERY: Duration = Duration::from_millis(150);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Shows progress until it is dropped: a bar on a terminal, now and then a log
/// line elsewhere.
pub(super) async fn show(watched: Watch) -> Infallible {
    if std::io::stderr().is_terminal() {
        bar(watched).await
    } else {
        lines(watched).await
    }
}

async fn bar(watched: Watch) -> Infallible {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    // Bar and counts are part of the message: set one after the other, they
    // would be drawn in between, each with what is left of the phase before.
    let style = ProgressStyle::with_template("{spinner} {wide_msg}");
    // The template is a constant; the default style is as good if it is none.
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    let guard = Cleared(bar.with_style(style));
    let begun = Instant::now();
    let mut frames = Frames::default();
    loop {
        let frame = frames.next(begun.elapsed(), watched.moment());
        guard.0.set_message(frame);
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
    let begun = Instant::now();
    let mut lines = Lines::default();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Some(line) = lines.next(begun.elapsed(), watched.moment()) {
            let message = line.message;
            match line.extent {
                Some((done, total)) => tracing::info!(done, total, "{message}"),
                None => tracing::info!("{message}"),
            }
        }
    }
}

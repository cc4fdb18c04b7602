//! The end of a child process that was asked to end.

use std::process::Child;
use std::time::{Duration, Instant};

/// How long a server may take to stop before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Waits for the child; kills it when it takes too long. Blocks.
#[expect(
    clippy::disallowed_methods,
    reason = "a drop cannot await; in order, it runs off the runtime's threads"
)]
pub(super) fn wait_or_kill(child: &mut Child) {
    let deadline = Instant::now() + STOP_LIMIT;
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    // Nothing more can be done than to try; it is our own child.
    let _ = child.kill();
    let _ = child.wait();
}

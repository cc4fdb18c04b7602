//! What Linux says of this process. A figure that cannot be had is left out.

use procfs::process::Process;

/// At one moment.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<f64>,
    pub(super) open_fds: Option<f64>,
    pub(super) threads: Option<f64>,
}

impl Figures {
    #[expect(
        clippy::cast_precision_loss,
        reason = "no process uses so much that a float could not tell"
    )]
    pub(super) fn now() -> Self {
        let Ok(process) = Process::myself() else {
            return Self::default();
        };
        let stat = process.stat().ok();
        let ticks = procfs::ticks_per_second() as f64;
        let page = procfs::page_size() as f64;
        Self {
            cpu_seconds: stat
                .as_ref()
                .map(|stat| (stat.utime + stat.stime) as f64 / ticks),
            resident_bytes: stat.as_ref().map(|stat| stat.rss as f64 * page),
            open_fds: process.fd_count().ok().map(|many| many as f64),
            threads: stat.as_ref().map(|stat| stat.num_threads as f64),
        }
    }
}

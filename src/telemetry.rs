//! Logs, on standard error, as text for people or JSON for machines.
//!
//! Invariant: standard output stays free for data; lines carry object ids, not
//! names or addresses, at info.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::{LogFormat, TelemetrySettings};

static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Begins to write logs; later calls change the filter only.
pub fn start(settings: &TelemetrySettings) {
    let filter = filter(settings);
    if let Some(handle) = FILTER.get() {
        // The subscriber lives as long as the process.
        let _ = handle.reload(filter);
        return;
    }
    let (filter, handle) = reload::Layer::new(filter);
    let subscriber = Registry::default().with(filter);
    let started = match settings.log_format {
        LogFormat::Text => subscriber
            .with(
                fmt::layer()
                    .with_writer(std::io::stderr)
                    .with_target(false)
                    .with_ansi(wants_colours()),
            )
            .try_init(),
        LogFormat::Json => subscriber
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
    };
    if started.is_ok() {
        let _ = FILTER.set(handle);
    }
}

/// Colours are for terminals; in a file or a journal they are noise.
fn wants_colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
}

/// Levels for this program as they are set; libraries only when they warn,
/// unless the setting names them.
fn filter(settings: &TelemetrySettings) -> EnvFilter {
    let level = &settings.log_level;
    let directives = if level.contains('=') || level.contains(',') {
        level.clone()
    } else {
        format!("warn,entra_sync={level},alert={level}")
    };
    EnvFilter::try_new(directives)
        .unwrap_or_else(|_| EnvFilter::new("warn,entra_sync=info,alert=info"))
}

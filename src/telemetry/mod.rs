//! Logs, on standard error, as text for people or JSON for machines; and traces,
//! for whoever has a collector.
//!
//! Invariant: standard output stays free for data; lines carry object ids, not
//! names or addresses, at info. Each line of a pass carries its `run.id`.

mod json;
mod traces;

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::{LogFormat, TelemetrySettings};
use crate::model::ids::RunId;

static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Begins to write logs and to send traces; later calls change the filter only.
pub fn start(settings: &TelemetrySettings) {
    let filter = filter(settings);
    if let Some(handle) = FILTER.get() {
        // The subscriber lives as long as the process.
        let _ = handle.reload(filter);
        return;
    }
    let (filter, handle) = reload::Layer::new(filter);
    let lines = match settings.log_format {
        LogFormat::Text => fmt::layer()
            .with_writer(std::io::stderr)
            .with_target(false)
            .with_ansi(wants_colours())
            .with_filter(filter)
            .boxed(),
        LogFormat::Json => fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(json::Flat)
            .with_writer(std::io::stderr)
            .with_filter(filter)
            .boxed(),
    };
    let mut layers = vec![lines];
    let wanted = settings.otlp_endpoint.as_ref();
    let traces = wanted.map(traces::layer);
    let is_amiss = matches!(traces, Some(None));
    layers.extend(traces.flatten());
    if Registry::default().with(layers).try_init().is_ok() {
        let _ = FILTER.set(handle);
    }
    if is_amiss {
        tracing::error!("no traces: this machine's TLS or proxy settings are unusable");
    }
}

/// Sends what waits to be sent, for so long at most.
pub async fn end(patience: Duration) {
    let ending = tokio::task::spawn_blocking(move || traces::end(patience));
    // Its own patience may be cut by a thread that does not get its turn.
    let _ = tokio::time::timeout(patience * 2, ending).await;
}

/// Around everything that one pass does. At the gravest level, so that no filter
/// that lets a line through takes the pass's name from it.
#[must_use]
pub fn pass(run: RunId) -> Span {
    tracing::error_span!("pass", run.id = %run)
}

/// Says something of the current span in the trace, and in no log line.
pub fn attribute(name: &'static str, value: &str) {
    Span::current().set_attribute(name, value.to_owned());
}

/// Colours are for terminals; in a file or a journal they are noise.
fn wants_colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
}

/// Levels for this program as they are set; libraries only when they warn,
/// unless the setting names them.
fn filter(settings: &TelemetrySettings) -> EnvFilter {
    let level = &settings.log_level;
    let directives = if level.contains("change=") {
        level.clone()
    } else if level.contains('=') || level.contains(',') {
        // As many lines as there are changes: for whoever asks for them.
        format!("{level},change=off")
    } else {
        format!("warn,entra_sync={level},alert={level}")
    };
    EnvFilter::try_new(directives)
        .unwrap_or_else(|_| EnvFilter::new("warn,entra_sync=info,alert=info"))
}

//! Traces, over OTLP: a span for each pass, its parts, each request to Graph and
//! each writing transaction.
//!
//! Invariant: a collector that is away costs spans and nothing else. They wait in
//! a bounded queue, a thread of their own sends them, and the end of the process
//! waits for it no longer than it is told to. Spans carry routes, counts and run
//! ids; no name, no address, no object id, and no line of the log.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};
use url::Url;

/// Spans that wait at most: a first pass over a large tenant makes as many
/// before they are sent. More are dropped.
const WAITING: usize = 16_384;

/// For one attempt to send some.
const PATIENCE: Duration = Duration::from_secs(5);

/// The spans' service, as it is looked for.
const SERVICE: &str = "entra-sync";

/// Where the standard has traces below an endpoint.
const PATH: &str = "/v1/traces";

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// What sends spans there from now on; `None` outside a runtime, or when this
/// machine's TLS or proxy settings are unusable.
pub(super) fn layer(endpoint: &Url) -> Option<Box<dyn Layer<Registry> + Send + Sync>> {
    let client = Client {
        http: reqwest::Client::builder()
            .user_agent(concat!("litellm-entra-sync/", env!("CARGO_PKG_VERSION")))
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .ok()?,
        runtime: Handle::try_current().ok()?,
        is_away: AtomicBool::new(false),
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(address(endpoint))
        .with_timeout(PATIENCE)
        .build()
        .ok()?;
    let waiting = BatchConfigBuilder::default().with_max_queue_size(WAITING);
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(waiting.build());
    let resource = Resource::builder()
        .with_service_name(SERVICE)
        .with_attribute(opentelemetry::KeyValue::new(
            "service.version",
            env!("CARGO_PKG_VERSION"),
        ));
    let provider = SdkTracerProvider::builder()
        .with_resource(resource.build())
        .with_span_processor(processor.build())
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(SERVICE))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        // A source's span lasts as long as the daemon: passes are traces of
        // their own.
        .with_filter(filter_fn(|metadata| {
            metadata.is_span()
                && metadata.target().starts_with("entra_sync")
                && metadata.name() != "source"
        }));
    PROVIDER.set(provider).ok()?;
    Some(layer.boxed())
}

/// Sends what waits, for so long at most. Blocks.
pub(super) fn end(patience: Duration) {
    if let Some(provider) = PROVIDER.get() {
        // What is late then is lost; the client has said why.
        let _ = provider.shutdown_with_timeout(patience);
    }
}

/// An endpoint may name the path or leave it to the standard.
fn address(endpoint: &Url) -> String {
    let text = endpoint.as_str().trim_end_matches('/');
    match text.ends_with(PATH) {
        true => text.to_owned(),
        false => format!("{text}{PATH}"),
    }
}

/// The exporter's thread has no runtime; its requests run on ours, with the same
/// TLS as all others.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
    /// Said once, until it is there again.
    is_away: AtomicBool,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let place = request.uri().authority().map(ToString::to_string);
        let place = place.unwrap_or_default();
        let request = reqwest::Request::try_from(request)?;
        let http = self.http.clone();
        let sending = self.runtime.spawn(async move {
            let answer = http.execute(request).await?;
            let status = answer.status();
            Ok::<_, reqwest::Error>((status, answer.bytes().await?))
        });
        let sent = match sending.await {
            Ok(sent) => sent,
            // The process ends.
            Err(error) => return Err(Box::new(error)),
        };
        let is_well = matches!(&sent, Ok((status, _)) if status.is_success());
        let was_away = self.is_away.swap(!is_well, Ordering::Relaxed);
        if !is_well && !was_away {
            let reason = match &sent {
                Ok((status, _)) => format!("it answers with {}", status.as_u16()),
                Err(error) if error.is_timeout() => "it does not answer in time".to_owned(),
                Err(_) => "it cannot be reached".to_owned(),
            };
            tracing::warn!(
                "traces are lost: {place} of telemetry.otlp_endpoint, {reason}; look whether a \
                     collector takes OTLP over HTTP there"
            );
        }
        let (status, body) = sent?;
        let mut response = Response::new(body);
        *response.status_mut() = status;
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_may_name_the_path_or_not() {
        for (endpoint, expected) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            (
                "https://example.org/otlp/",
                "https://example.org/otlp/v1/traces",
            ),
            (
                "https://example.org/v1/traces",
                "https://example.org/v1/traces",
            ),
        ] {
            assert_eq!(address(&endpoint.parse().unwrap()), expected);
        }
    }
}

//! What is read at the moment of a scrape: the state of each source, and the
//! process.
//!
//! Must not: ask the database or Graph; a scrape costs nothing but memory that
//! is there.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::Utc;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue};
use prometheus_client::metrics::MetricType;

use super::processes;
use crate::daemon::{Board, Place, SourceState};
use crate::model::ids::SourceName;
use crate::notify::Sent;
use crate::sync::Phase;

type Labels = Vec<(&'static str, String)>;

/// Every source as the board shows it.
#[derive(Debug)]
pub(super) struct Sources(BTreeMap<SourceName, SourceState>);

impl Sources {
    pub(super) fn of(board: &Board) -> Self {
        Self(board.sources())
    }

    /// One sample of each source that has one.
    fn each<V>(
        &self,
        value: impl Fn(&SourceState) -> Option<V>,
    ) -> impl Iterator<Item = (Labels, V)> {
        self.0.iter().filter_map(move |(name, state)| {
            Some((vec![("source", name.to_string())], value(state)?))
        })
    }

    /// Several of each, told apart by one more label.
    fn several(
        &self,
        label: &'static str,
        values: impl Fn(&SourceState) -> BTreeMap<String, u64>,
    ) -> impl Iterator<Item = (Labels, u64)> {
        self.0.iter().flat_map(move |(name, state)| {
            values(state).into_iter().map(move |(word, value)| {
                (vec![("source", name.to_string()), (label, word)], value)
            })
        })
    }

    fn passes(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        gauges(
            to,
            "pass_running",
            "1 while a pass runs",
            self.each(|state| Some(u64::from(state.running.is_some()))),
        )?;
        gauges(
            to,
            "last_pass_timestamp_seconds",
            "When the last pass of this process ended",
            self.each(|state| Some(seconds(state.last.as_ref()?.finished_at?))),
        )?;
        gauges(
            to,
            "last_success_timestamp_seconds",
            "When the last pass began that succeeded, found nothing to do or held removals",
            self.each(|state| Some(seconds(state.last_success_at?))),
        )?;
        let now = Utc::now();
        gauges(
            to,
            "last_success_age_seconds",
            "How long ago that was",
            self.each(|state| {
                let age = now - state.last_success_at?;
                Some(age.as_seconds_f64().max(0.0))
            }),
        )?;
        gauges(
            to,
            "next_run_timestamp_seconds",
            "When the schedule has the next pass; absent where another replica has the source",
            self.each(|state| match state.place {
                Place::Here => Some(seconds(state.next_at?)),
                Place::Elsewhere => None,
            }),
        )
    }

    fn last(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        gauges(
            to,
            "held_removals",
            "Removals that the guard holds back, by the last pass",
            self.each(|state| {
                let last = state.last.as_ref()?;
                Some(last.held.as_ref().map_or(0, |held| held.removals))
            }),
        )?;
        gauges(
            to,
            "skipped_objects",
            "Objects that the last pass left out on purpose",
            self.several("reason", |state| {
                count(state, |report| {
                    report
                        .skipped
                        .iter()
                        .map(|one| one.reason.clone())
                        .collect()
                })
            }),
        )?;
        gauges(
            to,
            "object_errors",
            "Objects that the last pass could not read or write",
            self.several("kind", |state| {
                count(state, |report| {
                    let kinds = report.errors.iter().map(|one| one.kind.as_str());
                    kinds.map(str::to_owned).collect()
                })
            }),
        )?;
        gauges(
            to,
            "directory_objects",
            "Size of the directory that the last pass read",
            self.several("kind", |state| {
                let sizes = state.last.as_ref().map(|report| report.directory);
                let sizes = sizes.filter(|sizes| sizes.groups + sizes.users > 0);
                sizes.map_or_else(BTreeMap::new, |sizes| {
                    BTreeMap::from([
                        ("group".to_owned(), sizes.groups),
                        ("user".to_owned(), sizes.users),
                        ("membership".to_owned(), sizes.memberships),
                    ])
                })
            }),
        )
    }

    fn graph(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        counters(
            to,
            "graph_requests",
            "Requests to Microsoft Graph, retries included",
            self.each(|state| Some(state.usage().requests)),
        )?;
        counters(
            to,
            "graph_retries",
            "Requests to Microsoft Graph that were sent again",
            self.each(|state| Some(state.usage().retries)),
        )?;
        counters(
            to,
            "graph_throttled",
            "Answers of Microsoft Graph that asked to slow down",
            self.each(|state| Some(state.usage().throttled)),
        )?;
        counters(
            to,
            "graph_delayed_requests",
            "Requests that waited for resource units before they were sent",
            self.each(|state| Some(state.usage().held_back)),
        )?;
        counters(
            to,
            "graph_resource_units",
            "Resource units used, as Microsoft Graph counts them",
            self.each(|state| Some(state.usage().resource_units)),
        )
    }

    fn standing(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let now = Utc::now();
        gauges(
            to,
            "quarantined",
            "1 while the schedule waits because passes keep failing",
            self.each(|state| {
                let failing = state.quarantine.as_ref();
                Some(u64::from(failing.is_some_and(|one| one.rests(now))))
            }),
        )?;
        gauges(
            to,
            "alert_open",
            "1 while this trouble is not over",
            self.several("kind", |state| {
                let open = state.alerts.iter();
                open.map(|one| (one.trouble.as_str().to_owned(), 1))
                    .collect()
            }),
        )?;
        gauges(
            to,
            "source_assigned",
            "1 where this replica looks after the source, 0 where it stands by",
            self.each(|state| Some(u64::from(state.place == Place::Here))),
        )?;
        gauges(
            to,
            "lease_held",
            "1 while this process holds the lease that lets it write",
            self.each(|state| {
                let phase = state
                    .running
                    .as_ref()
                    .map(|running| *running.watch.phase.borrow());
                Some(u64::from(matches!(
                    phase,
                    Some(Phase::Reading | Phase::Comparing | Phase::Writing)
                )))
            }),
        )
    }
}

impl Collector for Sources {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        self.passes(&mut to)?;
        self.last(&mut to)?;
        self.graph(&mut to)?;
        self.standing(&mut to)
    }
}

/// How many of the last pass's objects have each word.
fn count(
    state: &SourceState,
    words: impl Fn(&crate::sync::Report) -> Vec<String>,
) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for word in state.last.as_deref().map(words).unwrap_or_default() {
        *counts.entry(word).or_default() += 1;
    }
    counts
}

fn seconds(time: chrono::DateTime<Utc>) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds fit for thousands of years"
    )]
    let milliseconds = time.timestamp_millis() as f64;
    milliseconds / 1000.0
}

fn gauges<V: EncodeGaugeValue>(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl Iterator<Item = (Labels, V)>,
) -> fmt::Result {
    let mut metric = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in samples {
        if labels.is_empty() {
            metric.encode_gauge(&value)?;
        } else {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
    }
    Ok(())
}

fn counters<V: EncodeCounterValue>(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl Iterator<Item = (Labels, V)>,
) -> fmt::Result {
    let mut metric = to.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in samples {
        if labels.is_empty() {
            metric.encode_counter::<Labels, _, f64>(&value, None)?;
        } else {
            let mut one = metric.encode_family(&labels)?;
            one.encode_counter::<Labels, _, f64>(&value, None)?;
        }
    }
    Ok(())
}

/// What was posted to the webhook.
#[derive(Debug)]
pub(super) struct Alerts(pub(super) Arc<Sent>);

impl Collector for Alerts {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let samples = self.0.snapshot().into_iter();
        let samples = samples.map(|(kind, result, many)| {
            let labels = vec![
                ("kind", kind.as_str().to_owned()),
                ("result", result.as_str().to_owned()),
            ];
            (labels, many)
        });
        counters(
            &mut to,
            "alerts_sent",
            "Notifications for the webhook",
            samples,
        )
    }
}

/// The process's own figures, under the names that Prometheus' own clients use.
#[derive(Debug)]
pub(super) struct Process {
    /// Unix seconds.
    pub(super) started: f64,
}

impl Collector for Process {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let one = |value: Option<f64>| value.into_iter().map(|value| (Labels::new(), value));
        let now = processes::Figures::now();
        gauges(
            &mut to,
            "process_start_time_seconds",
            "When the process started",
            one(Some(self.started)),
        )?;
        counters(
            &mut to,
            "process_cpu_seconds",
            "User and system time spent",
            one(now.cpu_seconds),
        )?;
        gauges(
            &mut to,
            "process_resident_memory_bytes",
            "Resident memory",
            one(now.resident_bytes),
        )?;
        gauges(
            &mut to,
            "process_open_fds",
            "Open file descriptors",
            one(now.open_fds),
        )?;
        gauges(&mut to, "process_threads", "Threads", one(now.threads))
    }
}

//! Log lines for machines: one flat object a line.
//!
//! Invariant: a key is there once. What a span says (`run.id`, `source.name`)
//! stands beside what the event says, and the event's own word counts.

use std::fmt;

use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes an event with the fields of the spans around it. Spans' fields must be
/// kept as [`tracing_subscriber::fmt::format::JsonFields`] does.
pub(super) struct Flat;

impl<S, N> FormatEvent<S, N> for Flat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields(mut fields) = fields;
        let message = fields.remove("message").unwrap_or_default();
        // From the innermost outwards: the nearest counts.
        for span in context.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            let kept = extensions.get::<FormattedFields<N>>();
            let kept = kept.and_then(|kept| serde_json::from_str(kept).ok());
            let kept: Map<String, Value> = kept.unwrap_or_default();
            for (name, value) in kept {
                let name = match name.contains('.') {
                    true => name,
                    false => format!("{}.{name}", span.name()),
                };
                fields.entry(name).or_insert(value);
            }
        }
        let head = [
            ("timestamp", now().into()),
            ("level", event.metadata().level().as_str().into()),
            ("target", event.metadata().target().into()),
            ("message", message),
        ];
        writer.write_char('{')?;
        for (number, (name, value)) in head.iter().enumerate() {
            fields.remove(*name);
            let comma = if number == 0 { "" } else { "," };
            write!(writer, "{comma}\"{name}\":{value}")?;
        }
        for (name, value) in fields {
            write!(writer, ",{}:{value}", Value::from(name))?;
        }
        writer.write_str("}\n")
    }
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// What an event says.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::format::JsonFields;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(say: impl FnOnce()) -> Vec<String> {
        let kept = Kept::default();
        let writer = kept.clone();
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(Flat)
            .with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, say);
        let text = kept.0.lock().unwrap().clone();
        let text = String::from_utf8(text).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_is_flat_and_has_what_the_spans_say() {
        let lines = lines(|| {
            let source = tracing::info_span!("source", name = "north");
            let _source = source.enter();
            let pass = tracing::info_span!("pass", run.id = %"r-1", later = tracing::field::Empty);
            let _pass = pass.enter();
            pass.record("later", 2);
            tracing::info!(target: "t", { some.count = 7_u64, quoted = "a\"b\n" }, "it {}", "is");
            tracing::info!(run.id = "r-2", level = "mine", "own word");
        });
        let (time, rest) = lines[0].split_at(lines[0].find("\"level\"").unwrap());
        assert!(time.starts_with("{\"timestamp\":\"20"), "{time}");
        assert!(time.ends_with("Z\","), "{time}");
        assert_eq!(
            rest,
            r#""level":"INFO","target":"t","message":"it is","pass.later":2,"quoted":"a\"b\n","run.id":"r-1","some.count":7,"source.name":"north"}"#
        );
        let own: Value = serde_json::from_str(&lines[1]).unwrap();
        assert_eq!(
            (&own["run.id"], &own["level"]),
            (&"r-2".into(), &"INFO".into())
        );
        assert_eq!(lines[1].matches("run.id").count(), 1, "{}", lines[1]);
    }
}

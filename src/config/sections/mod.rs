//! From merged values to parsed settings, one file per section.
//!
//! Invariant: a section reads all its keys before it gives up, so that every
//! problem is reported in one run. Must not: open a connection.

mod credential;
mod database_auth;
mod entra;
mod litellm;
mod operation;
mod schedule;

pub use operation::signing_key;
pub use schedule::cron;

use chrono::NaiveDate;

use super::layers::Fallbacks;
use super::reader::{Read, Reader};
use super::settings::Settings;

/// Keys and sections whose values are checked and then steer nothing yet.
const WITHOUT_EFFECT: [&str; 2] = ["litellm.redis_url", "litellm.redis_url_file"];

/// Reads every section.
pub(super) fn settings(
    reader: &mut Reader<'_>,
    fallbacks: &Fallbacks,
    today: NaiveDate,
) -> Read<Settings> {
    let entra = entra::read(reader, today);
    let litellm = litellm::read(reader, fallbacks, today);
    let schedule = schedule::read(reader);
    let deprovision = operation::deprovision(reader);
    let guard = operation::guard(reader);
    let history = operation::history(reader);
    let server = operation::server(reader);
    let notify = operation::notify(reader);
    let telemetry = operation::telemetry(reader);
    if let (Ok(guard), Ok(history)) = (&guard, &history) {
        operation::check_history_covers_the_window(reader, guard, history)?;
    }
    if let (Ok(server), Ok(deprovision)) = (&server, &deprovision) {
        operation::warn_of_hasty_removals(reader, server, deprovision);
    }
    let entra = entra?;
    let mut litellm = litellm?;
    litellm.policy.groups = entra.groups.clone();
    for (key, origin) in reader.given(&WITHOUT_EFFECT) {
        reader.warn(format!(
            "`{key}` ({origin}) has no effect in this version; remove it, or leave it for a later one"
        ));
    }
    Ok(Settings {
        source: reader.source(),
        together: vec![entra.service_principal_id],
        entra,
        litellm,
        schedule: schedule?,
        deprovision: deprovision?,
        guard: guard?,
        history: history?,
        server: server?,
        notify: notify?,
        telemetry: telemetry?,
        warnings: std::mem::take(&mut reader.warnings),
    })
}

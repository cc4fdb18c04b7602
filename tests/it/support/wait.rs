//! Waiting for a condition, never for a time.

use std::future::Future;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(10);

/// Asks again and again until there is an answer; panics after a minute and a half,
/// naming what did not come.
pub async fn wait_for<T, F>(what: &str, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let asking = async {
        loop {
            if let Some(answer) = condition().await {
                return answer;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(answer) => answer,
        Err(_) => panic!("waited {PATIENCE:?} in vain for {what}"),
    }
}

/// A cron line that comes by in almost a year, whatever day it is: what was the
/// day before yesterday is past in every time zone.
pub fn far_off() -> String {
    let past = chrono::Utc::now() - chrono::TimeDelta::days(2);
    past.format("0 0 %-d %-m *").to_string()
}

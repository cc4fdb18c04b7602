//! Passes in a loop, and what they did.

use std::collections::BTreeMap;

use entra_sync::model::report::Status;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::support::World;

/// What the only kind of trouble that this race may give says.
const DELETED: &str = "was deleted in LiteLLM while this pass ran";

/// Counts passes as they end.
#[derive(Default)]
pub struct Passes {
    ended: watch::Sender<u64>,
}

/// What all passes of the race did together.
#[derive(Debug, Default)]
pub struct Done {
    pub passes: u64,
    statuses: BTreeMap<String, u64>,
    /// `kind.change`, as reports count them.
    changes: BTreeMap<String, u64>,
    errors: u64,
}

impl Passes {
    /// One pass after the other, until told to stop.
    pub async fn run(&self, world: &World, stop: &CancellationToken) -> Done {
        let mut done = Done::default();
        while !stop.is_cancelled() {
            let (report, error) = world.try_pass().await;
            let status = report.status;
            let fits = match status {
                Status::Succeeded | Status::Unchanged => report.errors.is_empty(),
                Status::Partial => !report.errors.is_empty(),
                _ => false,
            };
            assert!(fits && error.is_none(), "{error:?} {}", report.json());
            for error in &report.errors {
                println!("{error:?}");
                assert!(error.message.contains(DELETED), "{error:?}");
            }
            done.add(status, report.errors.len(), &report.json()["changes"]);
            self.ended.send_modify(|ended| *ended += 1);
        }
        done
    }

    /// Waits until a pass that began after this call has ended.
    pub async fn have_followed(&self) {
        let mut ended = self.ended.subscribe();
        // The one that runs now may have read already.
        let enough = *ended.borrow_and_update() + 2;
        let followed = ended.wait_for(|ended| *ended >= enough).await;
        followed.expect("passes go on");
    }
}

impl Done {
    fn add(&mut self, status: Status, errors: usize, changes: &Value) {
        self.passes += 1;
        *self.statuses.entry(format!("{status:?}")).or_default() += 1;
        self.errors += errors as u64;
        for (kind, counts) in changes.as_object().expect("counts by kind") {
            for (change, count) in counts.as_object().expect("counts by change") {
                let sum = self.changes.entry(format!("{kind}.{change}")).or_default();
                *sum += count.as_u64().expect("a count");
            }
        }
    }

    /// A race in which nothing moved would prove nothing.
    pub fn shows_every_kind_of_change(&self, deleted_teams: u64) {
        for change in [
            "teams.created",
            "users.created",
            "team_memberships.added",
            "team_memberships.removed",
            "team_memberships.repaired",
            "organization_memberships.added",
            "organization_memberships.removed",
            "keys.deleted",
        ] {
            assert!(self.changes[change] > 0, "{change}: {self:?}");
        }
        assert!(self.passes >= 20, "{self:?}");
        // A pass names a team once that vanishes under it.
        assert!(self.errors <= deleted_teams, "{self:?}");
    }
}

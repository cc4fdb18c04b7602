//! Passes that ask only what has changed.
//!
//! Most of them are made to compare only that as well, however small their
//! tenant is; after each one a plan that reads everything must find nothing.

mod breaking;
mod changes;
mod comparing;
mod leaving;

use entra_sync::model::policy::Scope;
use entra_sync::model::report::{Mode, Status};
use entra_sync::simulator::Tenant;
use entra_sync::sync::{Report, Source};

use crate::support::World;
use crate::support::world::NARROW;

/// A daemon that looks at what has changed alone, and the tenant it follows.
pub struct Followed {
    pub world: World,
    pub source: Source,
}

impl Followed {
    /// A tenant, read in full and settled.
    pub async fn new(furnish: impl FnOnce(&mut Tenant)) -> Self {
        Self::with(furnish, &[]).await
    }

    pub async fn with(furnish: impl FnOnce(&mut Tenant), settings: &[(&str, &str)]) -> Self {
        let mut world = World::new(furnish).await;
        for (name, value) in settings {
            world.set(name, value);
        }
        let source = world.source().narrowing(NARROW);
        let followed = Self { world, source };
        let first = followed.pass(Mode::Full).await;
        assert_eq!(first.errors, [], "objects gave trouble");
        // What was adopted is settled by the second.
        followed.pass(Mode::Full).await;
        followed
    }

    /// One pass that must not fail.
    pub async fn pass(&self, mode: Mode) -> Report {
        let pass = self.world.pass_by(&self.source, mode, Scope::Everything);
        let (report, error) = pass.await;
        if let Some(error) = error {
            panic!("the pass failed: {error}");
        }
        report
    }

    /// Edits the tenant, and one pass that follows.
    pub async fn after(&self, edit: impl FnOnce(&mut Tenant)) -> Report {
        self.world.entra.tenant(edit);
        let report = self.pass(Mode::Incremental).await;
        assert_eq!(report.mode, Mode::Incremental, "{}", report.json());
        report
    }

    /// Nothing is left to do, by a plan that reads and compares everything, and
    /// by the next pass.
    pub async fn settled(&self) {
        let planned = self.world.plan().await;
        let items: Vec<_> = planned.plan.items().collect();
        assert!(items.is_empty(), "a full plan is not empty: {items:#?}");
        let next = self.pass(Mode::Incremental).await;
        assert_eq!(next.status, Status::Unchanged, "{}", next.json());
    }
}

/// Two groups that share somebody, one with a role, and somebody assigned alone.
pub fn two_groups(tenant: &mut Tenant) {
    tenant
        .group("science")
        .display_name("Science")
        .members(["ada", "bob"])
        .assigned_by_default();
    tenant
        .group("sales")
        .display_name("Sales")
        .members(["bob", "cem"])
        .assigned("internal_user");
    tenant.user("dan").assigned_by_default();
}

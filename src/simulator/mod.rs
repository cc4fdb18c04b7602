//! A small Microsoft Entra tenant over real HTTP: token endpoint and the part
//! of Microsoft Graph v1.0 that a reader of groups needs.
//!
//! Tests, benchmarks and the demo read from it. It is strict on purpose: what
//! Graph refuses, it refuses in Graph's words, so that a reader that works
//! here does not work by luck. What Graph only sometimes does wrong (throttle,
//! cut a connection, repeat a row, point a link elsewhere) happens on demand,
//! through [`Fault`]s.
//!
//! Delta queries tell what was changed through the editing API since the start.
//! Whoever subscribes is posted the same changes, without their contents.
//! Quotas, latency and the clock are set from outside; without them every
//! request is answered at once.
//!
//! Invariant: the same tenant, asked in the same order, gives the same answers
//! but for request ids and dates. Object ids follow from the keys that the
//! tenant was built with ([`group_id`], [`person_id`]).
//!
//! Must not: know anything of this program's other rooms but the id types, be
//! reachable from outside the machine, or be part of a default build.

mod assertion;
mod clock;
pub mod command;
mod control;
mod delta;
mod endpoints;
mod fault;
pub mod generate;
mod guid;
mod handle;
mod journal;
mod outbound;
mod page;
mod patience;
mod permission;
mod properties;
mod query;
mod quota;
mod random;
mod refusal;
mod render;
mod reply;
mod route;
mod server;
mod subscriptions;
mod tenant;
mod token;
mod wire;
mod words;

#[cfg(test)]
mod tests;

pub use command::serve_forever;
pub use delta::{
    DeltaExpiry, DeltaLayout, DeltaOffer, DeltaSettings, PurgedMembers, RestoredMembers, WordOrder,
};
pub use fault::{Effect, Fault, LinkTampering, RetryAfter};
pub use guid::{app_role_id, group_id, person_id};
pub use handle::Simulator;
pub use journal::{EndpointCount, LoggedRequest, Requests};
pub use permission::Permission;
pub use quota::Quota;
pub use subscriptions::{KeptSubscription, LifecycleEvent};
pub use tenant::{
    AccountEnabled, ApplicationEditor, DeletedAssignments, ExpiresIn, GroupEditor, Presence,
    RoleState, ServicePrincipalMembers, Tenant, UserEditor, UserType, Visibility,
};

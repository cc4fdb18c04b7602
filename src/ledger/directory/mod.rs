//! The directory between passes: what a whole reading showed, brought up to
//! date by whole rounds of delta queries.
//!
//! Invariant: state, what it leaves open, and the links by which it goes on
//! change in the caller's one transaction, which has fenced itself against a
//! takeover of the lease; nothing here commits. Only whole readings and whole
//! rounds go in, so what comes out may be sealed again ([`Complete`]); what a
//! group's own reading lacked comes out as unread. Who reads without holding
//! the lease needs a snapshot (REPEATABLE READ), or the parts may be of
//! different rounds.
//! Must not: log a link, nor a name or address.
//!
//! [`Complete`]: crate::model::complete::Complete

mod groups;
mod head;
mod links;
mod outline;
mod people;
mod save;
mod turn;
mod unread;
mod whole;
mod wording;
mod writing;

pub use groups::distrust;
pub use head::{Head, Open, Stamp, compared, forget, head, settle};
pub use outline::outline;
pub use people::{alike, count as count_people, members, people};
pub use save::{Saved, save_whole};
pub use turn::save_turn;
pub use whole::whole;

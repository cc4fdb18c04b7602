//! Reading the directory: who is assigned to the Enterprise Application, who
//! is in the assigned groups, and what those people are called.
//!
//! Invariant: a collection leaves this room only when its last page was seen;
//! the bearer token goes to the configured Graph endpoint and nowhere else.
//! Must not: decide anything about LiteLLM, write anywhere, or log names,
//! e-mail addresses, links or tokens.
//!
//! The way in is [`Reader`]. Below it, from the wire upwards: `client` (one
//! request, the only file that names graph-rs-sdk), `token` with `issuer`, `sts`,
//! `machine` and `credential` (the bearer), `throttle` (what all readings of one application share: the gate,
//! the `budget` of resource units, the `window` of requests in flight, the
//! `queue`), `line` (one question with its `tries`, `judge`d), `batch` (several
//! at once), `paging` (collections to their end), then one file per question
//! asked of Graph; `delta` asks what has changed. `subscriptions` asks
//! Graph to tell by itself; `notifications` reads what it tells then, and stands
//! apart.

mod assertion;
mod assigned;
mod attributes;
mod batch;
mod budget;
mod call;
mod causes;
mod client;
mod credential;
mod credential_error;
mod database_tokens;
mod delta;
mod envelope;
mod error;
mod fault;
mod fresh;
mod gate;
mod issuer;
mod judge;
mod line;
mod link;
mod machine;
mod members;
mod meter;
pub mod notifications;
mod objects;
mod pace;
mod paging;
mod people;
mod probe;
mod progress;
mod queue;
mod reader;
mod second_look;
mod sts;
mod subscriptions;
mod throttle;
mod token;
mod transport;
mod tries;
mod whereabouts;
mod whole;
mod window;
mod wire;
mod wire_person;

#[cfg(test)]
mod tests;

pub use call::{Call, Permission};
pub use credential_error::CredentialError;
pub use database_tokens::DatabaseTokens;
pub use delta::{Heard, Terms};
pub use error::{Error, LinkFault, NetworkCause, NoDelta};
pub use fault::Defect;
pub use fresh::Fresh;
pub use probe::{Outcome, Probe};
pub use progress::{Progress, ReadingProgress, Usage};
pub use reader::Reader;
pub use subscriptions::{Prolonged, Subscription, Watched};
pub use whole::WholeReading;

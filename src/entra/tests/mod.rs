//! The room against a Graph of its own on 127.0.0.1.
//!
//! Time is made short by the pace the tests inject; nothing sleeps to wait for
//! something to happen.

mod batches;
#[cfg(feature = "simulator")]
mod changes;
#[cfg(feature = "simulator")]
mod changes_lost;
mod collections;
mod credentials;
mod delta;
mod delta_buckets;
mod delta_links;
mod delta_rounds;
mod delta_tokens;
mod fuzz;
mod managed_identity;
mod members;
mod network;
mod probes;
#[cfg(feature = "simulator")]
mod quotas;
mod readings;
#[cfg(feature = "simulator")]
mod scene;
mod second_look;
mod sharing;
mod stub;
#[cfg(feature = "simulator")]
mod subscriptions;
#[cfg(feature = "simulator")]
mod suspicions;
mod throttling;
mod tokens;
mod whereabouts;

//! The room against a Graph of its own on 127.0.0.1.
//!
//! Time is made short by the pace the tests inject; nothing sleeps to wait for
//! something to happen.

#[cfg(feature = "simulator")]
mod changes;
#[cfg(feature = "simulator")]
mod changes_lost;
mod collections;
mod delta;
mod delta_buckets;
mod delta_links;
mod delta_rounds;
mod delta_tokens;
mod members;
mod network;
mod probes;
mod readings;
#[cfg(feature = "simulator")]
mod scene;
mod second_look;
mod stub;
#[cfg(feature = "simulator")]
mod suspicions;
mod throttling;
mod tokens;
mod whereabouts;

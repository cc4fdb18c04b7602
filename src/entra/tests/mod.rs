//! The room against a Graph of its own on 127.0.0.1.
//!
//! Time is made short by the pace the tests inject; nothing sleeps to wait for
//! something to happen.

mod collections;
mod members;
mod network;
mod probes;
mod readings;
mod stub;
mod throttling;
mod tokens;

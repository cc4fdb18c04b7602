//! Faults, really done: a program that is killed, connections that break, a
//! server that restarts, tables that refuse. After each nobody lost what Entra
//! gives, no membership is torn, and the next pass heals the rest.

mod graph;
mod killed;
mod locked;
mod oracle;
mod refused;
mod requests;
mod restarted;
mod seasons;
mod takeovers;

pub use oracle::whole;

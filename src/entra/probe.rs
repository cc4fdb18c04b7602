//! What `entra-sync check` asks of Entra.
//!
//! Each probe stands for one permission and is answered with PASS, WARN or
//! FAIL and a remedy. A token proves nothing by itself (graph-contract 2), so
//! every call is really made.

/// One thing that was tried.
#[derive(Debug, Clone)]
pub struct Probe {
    /// What was tried.
    pub name: &'static str,
    /// How it went.
    pub outcome: Outcome,
}

/// How a probe went.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// As it should.
    Pass(String),
    /// The daemon works, but not all of it; one sentence with the remedy.
    Warn(String),
    /// The daemon cannot work; one sentence with the remedy.
    Fail(String),
}

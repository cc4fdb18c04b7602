//! `entra-sync simulate`: a generated tenant as a process of its own, for
//! benchmarks and for tests of the binary.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;

use super::fault::{Effect, Fault};
use super::generate::Spec;
use super::handle::Simulator;

/// What `entra-sync simulate` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct SimulateArgs {
    /// Loopback address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Another seed, other names and memberships.
    #[arg(long, default_value_t = Spec::SMALL.seed)]
    pub seed: u64,
    /// Groups assigned to the application.
    #[arg(long, default_value_t = Spec::SMALL.groups)]
    pub groups: usize,
    /// People in the tenant.
    #[arg(long, default_value_t = Spec::SMALL.people)]
    pub people: usize,
    /// Memberships of people in groups.
    #[arg(long, default_value_t = Spec::SMALL.memberships)]
    pub memberships: usize,
    /// Members of the largest group, if one shall stand out.
    #[arg(long)]
    pub largest_group: Option<usize>,
    /// Every answer comes so much later, for example 250ms.
    #[arg(long, value_parser = humantime::parse_duration)]
    pub latency: Option<Duration>,
}

impl SimulateArgs {
    /// The tenant that is asked for.
    #[must_use]
    pub fn spec(&self) -> Spec {
        Spec {
            seed: self.seed,
            groups: self.groups,
            people: self.people,
            memberships: self.memberships,
            largest_group: self.largest_group,
        }
    }

    /// Serves until the process is stopped by Ctrl-C.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn run(self) -> anyhow::Result<()> {
        let simulator = start(self.spec(), self.listen).await?;
        if let Some(latency) = self.latency {
            let milliseconds = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
            simulator.fault(Fault::new(Effect::Latency { milliseconds }).always());
        }
        wait(simulator).await
    }
}

/// Serves a generated tenant until Ctrl-C, and says on standard output, in one
/// line of JSON, where it is and with which ids and secret it is asked.
///
/// # Errors
/// When the address cannot be had.
pub async fn serve_forever(spec: Spec, address: SocketAddr) -> anyhow::Result<()> {
    wait(start(spec, address).await?).await
}

async fn start(spec: Spec, address: SocketAddr) -> anyhow::Result<Simulator> {
    Simulator::start_at(spec.tenant(), address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
}

async fn wait(simulator: Simulator) -> anyhow::Result<()> {
    println!("{}", simulator.describe());
    tokio::signal::ctrl_c()
        .await
        .context("cannot wait for Ctrl-C")?;
    simulator.stop().await;
    Ok(())
}

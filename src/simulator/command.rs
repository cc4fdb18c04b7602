//! `entra-sync simulate`: a generated tenant as a process of its own, for
//! benchmarks and for tests of the binary.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;

use super::delta::DeltaLayout;
use super::generate::Spec;
use super::handle::Simulator;
use super::quota::Quota;

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
    #[arg(long, value_parser = humantime::parse_duration, default_value = "0ms")]
    pub latency: Duration,
    /// Throttle as Graph does: S, M or L, as for a tenant of that size, or so
    /// many resource units in ten seconds.
    #[arg(long, value_name = "S|M|L|N")]
    pub quota: Option<Quota>,
    /// Tell large groups of a first delta round in turn, piece by piece.
    #[arg(long)]
    pub interleave: bool,
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
        simulator.latency(self.latency).quota(self.quota);
        if self.interleave {
            simulator.tenant(|tenant| tenant.delta().layout = DeltaLayout::Interleaved);
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        simulate: SimulateArgs,
    }

    fn parse(line: &str) -> Result<SimulateArgs, clap::Error> {
        let words = std::iter::once("x").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.simulate)
    }

    #[test]
    fn nothing_is_late_or_throttled_unless_asked_for() {
        let plain = parse("").unwrap();
        assert_eq!((plain.latency, plain.quota), (Duration::ZERO, None));
        let slow = parse("--latency 100ms --quota L --interleave").unwrap();
        assert_eq!(slow.latency, Duration::from_millis(100));
        assert_eq!(slow.quota, Some(Quota::LARGE));
        assert!(slow.interleave);
        assert!(parse("--quota XL").is_err() && parse("--latency 100").is_err());
    }
}

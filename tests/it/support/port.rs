//! Ports for programs that have to be told one before they listen.
//!
//! Invariant: nobody else gets them meanwhile. What the kernel hands out, to a
//! listener without a wish or to any connection that goes out, comes from a
//! range of its own; these are below it, and each is given once.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Ports below it are for those whom everybody knows.
const LOWEST: u16 = 10_000;

/// The kernel's range where it does not say: Linux's.
const KERNELS: u16 = 32_768;

/// A port that nobody listens on, and that nobody is given by chance.
pub fn own() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let kernels = range.ok().and_then(|range| {
        let first = range.split_whitespace().next()?;
        first.parse().ok()
    });
    let many = kernels.unwrap_or(KERNELS).saturating_sub(LOWEST);
    for _ in 0..many {
        let given = u32::from(GIVEN.fetch_add(1, Ordering::Relaxed));
        // Two processes begin in different places.
        let place = (std::process::id() * 61 + given) % u32::from(many);
        let port = LOWEST + u16::try_from(place).expect("less than a u16");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("there is no port below those that the kernel hands out");
}

//! Who this process is, for people: the holder of a lease, whoever asks.

/// Host and process, as `status` shows the holder of the lease.
#[must_use]
pub fn holder() -> String {
    format!("{} (process {})", host(), std::process::id())
}

/// This machine's name.
#[must_use]
pub fn host() -> String {
    // Not from /proc: a service may be kept from all of it but processes.
    let uname = rustix::system::uname();
    match uname.nodename().to_str().unwrap_or_default() {
        "" => "unknown host".to_owned(),
        host => host.to_owned(),
    }
}

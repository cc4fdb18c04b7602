//! Writing data to standard output.
//!
//! Invariant: a reader that closes the pipe early (`| head`) is no failure.

use std::io::{self, BufWriter, ErrorKind, Write};

use serde::Serialize;

/// Prints one JSON value and a line break.
///
/// # Errors
/// When standard output breaks otherwise than by being closed.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    text(|out| {
        serde_json::to_writer(&mut *out, value)?;
        writeln!(out)
    })
}

/// Prints text, buffered.
///
/// # Errors
/// When standard output breaks otherwise than by being closed.
pub(super) fn text(
    write: impl FnOnce(&mut BufWriter<io::StdoutLock<'static>>) -> io::Result<()>,
) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        ended => Ok(ended?),
    }
}

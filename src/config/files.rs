//! Reading the files that settings name: none may be without end, and none that
//! is needed while passes run may keep anybody waiting for good.
//!
//! Invariant: whoever asks for a secret or a certificate has an answer within
//! `PATIENCE`. A disk that does not answer holds a thread for as long as it
//! does not; the same file is then asked seldom and by few more, in case that
//! it was mounted anew. Must not: print what it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, FileType};
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use secrecy::SecretString;

/// A network disk that is slow answers within seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a file that did not answer is left alone.
const FIRST_REST: Duration = Duration::from_secs(60);

/// Not longer, however often it did not.
const LONGEST_REST: Duration = Duration::from_secs(3600);

/// Threads that one file may hold.
const GIVEN_UP_AT_MOST: u32 = 32;

/// Bytes of a secret, a token, or a certificate with its issuers, at most.
const SECRET: u64 = 64 << 10;

/// Bytes of a bundle of root certificates; a system's own has some 250 KB.
const BUNDLE: u64 = 8 << 20;

/// Bytes of a settings file; `yaml_bounds` allows 100,000 values.
const SETTINGS: u64 = 16 << 20;

/// Reads a regular file with a secret: 64 KiB of UTF-8 at most, within ten
/// seconds. May block that long.
///
/// # Errors
/// The operating system's, or what is wrong with the file in words that follow
/// its name and a colon.
pub fn secret(path: &Path) -> io::Result<SecretString> {
    let bytes = in_time(path, PATIENCE, |path| regular(path, SECRET))?;
    text(bytes).map(SecretString::from)
}

/// Reads a regular file with root certificates, 8 MiB at most, as [`secret`]
/// does.
///
/// # Errors
/// As [`secret`].
pub fn certificates(path: &Path) -> io::Result<Vec<u8>> {
    in_time(path, PATIENCE, |path| regular(path, BUNDLE))
}

/// Reads a settings file, 16 MiB of UTF-8 at most. It may be a pipe, and then
/// somebody may have to write to it first: this may block for ever.
pub(super) fn settings(path: &Path) -> io::Result<String> {
    let is_pipe = fs::metadata(path)?.file_type().is_fifo();
    let _only = is_pipe.then(|| OnlyReader::of(path)).transpose()?;
    text(bounded(File::open(path)?, SETTINGS)?)
}

fn regular(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // Opening a pipe waits for a writer; a device may do anything.
    let kind = fs::metadata(path)?.file_type();
    if !kind.is_file() {
        let kind = named(kind);
        return Err(io::Error::other(format!(
            "it is {kind} and no regular file"
        )));
    }
    bounded(File::open(path)?, most)
}

fn bounded(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = file.take(most + 1).read_to_end(&mut bytes)?;
    if read as u64 > most {
        return Err(io::Error::other(format!(
            "it has more than {} KiB",
            most >> 10
        )));
    }
    Ok(bytes)
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    // The error would hold the bytes.
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

fn named(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// Readings of one file that go on and that nobody waits for any more.
#[derive(Debug, Clone, Copy)]
struct GivenUp {
    many: u32,
    last: Instant,
}

impl GivenUp {
    /// Whether the file is left alone now.
    fn rests(self, now: Instant) -> bool {
        // A minute, then twice as long each time.
        let pause = FIRST_REST.saturating_mul(1 << (self.many.max(1) - 1).min(8));
        self.many >= GIVEN_UP_AT_MOST || now.duration_since(self.last) < pause.min(LONGEST_REST)
    }
}

/// By file, and of the whole process, as its threads are.
static GIVEN_UP: Mutex<BTreeMap<PathBuf, GivenUp>> = Mutex::new(BTreeMap::new());

fn given_up() -> MutexGuard<'static, BTreeMap<PathBuf, GivenUp>> {
    GIVEN_UP.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets somebody else read, and waits no longer than this.
fn in_time(
    path: &Path,
    patience: Duration,
    read: impl FnOnce(&Path) -> io::Result<Vec<u8>> + Send + 'static,
) -> io::Result<Vec<u8>> {
    let hangs = given_up().get(path).copied();
    if hangs.is_some_and(|hangs| hangs.rests(Instant::now())) {
        return Err(no_answer("it still does not answer an earlier reading"));
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    let file = path.to_owned();
    // Not a thread of the runtime's: those are few, and its end waits for them.
    thread::Builder::new()
        .name("reading-a-file".to_owned())
        .spawn(move || {
            let read = read(&file);
            let mut given_up = given_up();
            if sender.send(read).is_err()
                && let Some(hung) = given_up.get_mut(&file)
            {
                hung.many -= 1;
                if hung.many == 0 {
                    given_up.remove(&file);
                }
            }
        })?;
    match receiver.recv_timeout(patience) {
        Ok(read) => read,
        Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("reading it broke off")),
        Err(RecvTimeoutError::Timeout) => {
            // The other end sends under the same lock: it either has sent by now,
            // or finds nobody.
            let mut given_up = given_up();
            if let Ok(read) = receiver.try_recv() {
                return read;
            }
            let last = Instant::now();
            let none = GivenUp { many: 0, last };
            let hung = given_up.entry(path.to_owned()).or_insert(none);
            *hung = GivenUp {
                many: hung.many + 1,
                last,
            };
            drop(receiver);
            Err(no_answer(&format!(
                "it did not answer within {}",
                humantime::format_duration(patience)
            )))
        }
    }
}

fn no_answer(said: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, said)
}

/// Two who read one pipe would get a part each.
struct OnlyReader(PathBuf);

static PIPES: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

impl OnlyReader {
    fn of(path: &Path) -> io::Result<Self> {
        let mut pipes = PIPES.lock().unwrap_or_else(PoisonError::into_inner);
        if pipes.insert(path.to_owned()) {
            return Ok(Self(path.to_owned()));
        }
        Err(io::Error::other(
            "it is a pipe, and an earlier reading still waits for somebody who writes to it",
        ))
    }
}

impl Drop for OnlyReader {
    fn drop(&mut self) {
        let mut pipes = PIPES.lock().unwrap_or_else(PoisonError::into_inner);
        pipes.remove(&self.0);
    }
}

#[cfg(test)]
mod tests;

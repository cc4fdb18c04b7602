//! Files that a daemon looks at while a test changes them.

use std::path::Path;

/// Puts a file with this text in the place of what is there, whole at once:
/// whoever looks sees the old one or the new one, and never an empty one.
pub fn put(path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
    let path = path.as_ref();
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, text).expect("the file is written");
    std::fs::rename(&beside, path).expect("it takes the other's place");
}

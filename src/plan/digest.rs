//! A plan's fingerprint: equal plans have equal digests, and nothing else
//! does. Adoptions change nothing in LiteLLM and do not count.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

use super::{Item, Plan};

/// Feeds what is written into a hash.
struct Hasher(Sha256);

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Plan {
    /// SHA-256 over the items that change something, as 64 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        of(self.items().filter(Item::is_drift))
    }
}

/// Over these items, in their order.
pub(super) fn of(items: impl Iterator<Item = Item>) -> String {
    let mut hasher = Hasher(Sha256::new());
    for item in items {
        // JSON is self-delimiting and its map keys are sorted, so no two lists
        // of items give the same bytes. Hashing cannot fail, and an item is
        // always representable.
        let written = serde_json::to_writer(&mut hasher, &item);
        debug_assert!(written.is_ok());
        hasher.0.update(b"\n");
    }
    hex(hasher.0)
}

/// SHA-256 of a text, as 64 hexadecimal digits.
#[must_use]
pub fn fingerprint(text: &str) -> String {
    hex(Sha256::new_with_prefix(text))
}

/// As 64 hexadecimal digits.
pub(super) fn hex(hasher: Sha256) -> String {
    let digest = hasher.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

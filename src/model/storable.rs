//! What PostgreSQL takes as text.

use std::borrow::Cow;

/// Everything but NUL, which becomes U+FFFD.
#[must_use]
pub fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::storable;

    #[test]
    fn only_nul_is_refused_by_the_database() {
        assert_eq!(storable("a\0b"), "a\u{fffd}b");
        assert_eq!(storable("tab\tstays"), "tab\tstays");
    }
}

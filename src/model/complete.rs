//! Proof that a collection was read to its end.
//!
//! Invariant: a `Complete<T>` exists only where a page without a following
//! page was seen. Whoever decides about removals asks for it by type, so a
//! reading that broke off, looped or was refused cannot take anything away.
//!
//! Must not: be made from anything but the last page's own words. Only the
//! Graph reader names [`LastPage`]; a layering test keeps it so.

/// Evidence that the page in hand was the last one of its collection.
#[derive(Debug)]
pub struct LastPage(());

impl LastPage {
    /// Takes the page's own link to its successor: only a page that names
    /// none is the last.
    #[must_use]
    pub fn seen(next_link: Option<&str>) -> Option<Self> {
        match next_link {
            None => Some(Self(())),
            Some(_) => None,
        }
    }
}

/// A value known to be whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complete<T>(T);

impl<T> Complete<T> {
    /// Seals a collection whose last page was seen.
    #[must_use]
    pub fn proven(value: T, _end: LastPage) -> Self {
        Self(value)
    }

    /// The whole value.
    #[must_use]
    pub fn get(&self) -> &T {
        &self.0
    }

    /// Changes the form of the value, not its extent.
    #[must_use]
    pub fn map<U>(self, form: impl FnOnce(T) -> U) -> Complete<U> {
        Complete(form(self.0))
    }
}

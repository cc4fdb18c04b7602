//! Proof that a collection was read to its end.
//!
//! Invariant: a `Complete<T>` exists only where a page without a following
//! page was seen. Whoever decides about removals asks for it by type, so a
//! reading that broke off, looped or was refused cannot take anything away.
//!
//! Must not: be made from anything but the last page's own words, or from what
//! the ledger keeps of them. Only the Graph reader names [`LastPage`], only the
//! ledger's directory [`Recorded`]; a layering test keeps it so.

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

/// Evidence that a collection comes out of the ledger, into which only whole
/// readings go. Only the ledger's own directory names it; a layering test keeps
/// it so.
#[derive(Debug)]
pub struct Recorded(());

impl Recorded {
    /// For a row that was written from a whole reading.
    #[must_use]
    pub const fn whole() -> Self {
        Self(())
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

    /// Seals again what was written down as whole.
    #[must_use]
    pub fn recorded(value: T, _row: Recorded) -> Self {
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

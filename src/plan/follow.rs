//! When a name or an address is ours to change.
//!
//! Entra's value is followed while the column holds what we last wrote. Once
//! it holds something else, a person changed it, and it is theirs for good.
//! A value equal to Entra's counts as written by us, whoever wrote it
//! (LiteLLM's own login refreshes the e-mail).

use crate::model::ledger::LastWritten;

/// What to do with one column.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<T> {
    /// Write this.
    Write(T),
    /// Leave it; it already is what Entra says.
    Equal,
    /// Leave it; it is a person's, or Entra has nothing to say.
    Leave,
}

/// Decides for a column that holds `present`, where Entra says `wanted` and we
/// last wrote `last`. `same` tells whether two values mean the same.
pub(super) fn follow<T: Clone + PartialEq>(
    present: Option<&T>,
    wanted: Option<&T>,
    last: &LastWritten<T>,
    same: impl Fn(&T, &T) -> bool,
) -> Verdict<T> {
    let Some(wanted) = wanted else {
        return Verdict::Leave;
    };
    match (present, last) {
        (Some(present), _) if same(present, wanted) => Verdict::Equal,
        (Some(present), LastWritten::Value(last)) if present == last => {
            Verdict::Write(wanted.clone())
        }
        // Empty and never filled by us: LiteLLM's login fills it as well.
        (None, LastWritten::Never | LastWritten::Null) => Verdict::Write(wanted.clone()),
        _ => Verdict::Leave,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        present: Option<&'static str>,
        wanted: Option<&'static str>,
        last: LastWritten<&'static str>,
    ) -> Verdict<&'static str> {
        follow(present.as_ref(), wanted.as_ref(), &last, |a, b| {
            a.eq_ignore_ascii_case(b)
        })
    }

    #[test]
    fn our_own_value_follows_entra() {
        let last = LastWritten::Value("old");
        assert_eq!(check(Some("old"), Some("new"), last), Verdict::Write("new"));
    }

    #[test]
    fn a_persons_value_stays() {
        let last = LastWritten::Value("old");
        assert_eq!(check(Some("mine"), Some("new"), last), Verdict::Leave);
        assert_eq!(
            check(Some("mine"), Some("new"), LastWritten::Never),
            Verdict::Leave
        );
    }

    #[test]
    fn a_value_that_a_person_cleared_stays_cleared() {
        assert_eq!(
            check(None, Some("new"), LastWritten::Value("old")),
            Verdict::Leave
        );
    }

    #[test]
    fn an_empty_column_is_filled() {
        assert_eq!(
            check(None, Some("new"), LastWritten::Never),
            Verdict::Write("new")
        );
        assert_eq!(
            check(None, Some("new"), LastWritten::Null),
            Verdict::Write("new")
        );
    }

    #[test]
    fn nothing_in_entra_erases_nothing() {
        let last = LastWritten::Value("old");
        assert_eq!(check(Some("old"), None, last), Verdict::Leave);
    }

    #[test]
    fn the_same_address_in_another_case_is_equal() {
        assert_eq!(
            check(
                Some("A@example.com"),
                Some("a@example.com"),
                LastWritten::Never
            ),
            Verdict::Equal
        );
    }
}

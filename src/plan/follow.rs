//! When a name, an address or a role is ours to change.
//!
//! Entra's value is followed while the column holds what we last wrote. Once
//! it holds something else, a person changed it, and it is theirs for good.
//! A value equal to Entra's counts as written by us, whoever wrote it
//! (LiteLLM's own login refreshes the e-mail).

use super::World;
use super::change::FieldChange;
use crate::model::ledger::{LastWritten, OwnedUser, RoleFrom};
use crate::model::role::Role;
use crate::model::target::StoredRole;

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

/// A role only rises here: lowering it takes something away.
pub(super) fn raised_role(wanted: Option<Role>, present: &StoredRole) -> Option<FieldChange<Role>> {
    let wanted = wanted?;
    let before = match present {
        StoredRole::None => None,
        StoredRole::Role(present) if wanted > *present => Some(*present),
        StoredRole::Role(_) | StoredRole::Other(_) => return None,
    };
    Some(FieldChange {
        before,
        after: Some(wanted),
    })
}

/// A role of ours that has become exactly what Entra wants is ours again:
/// LiteLLM's login writes app roles as well, and may have been the first.
pub(super) fn take_over_role(
    world: World<'_>,
    wanted: Option<Role>,
    present: &StoredRole,
    owned: &mut OwnedUser,
) {
    let (Some(_), StoredRole::Role(present)) = (owned.role, present) else {
        return;
    };
    let default = world.policy.user_defaults.role.unwrap_or(Role::FALLBACK);
    match wanted {
        Some(wanted) if wanted == *present => {
            (owned.role, owned.role_from) = (Some(wanted), RoleFrom::Assignment);
        }
        // What is left of an app role that has gone.
        None if default == *present && world.scope.judges_absence() => {
            (owned.role, owned.role_from) = (Some(default), RoleFrom::Default);
        }
        _ => {}
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

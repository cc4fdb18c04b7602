//! Names come from people: they may hold anything Unicode has.

use std::borrow::Cow;
use std::fmt::Write;

/// What PostgreSQL takes as text: everything but NUL, which becomes U+FFFD.
pub(super) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// A name as it may be shown on a terminal or in a log: control characters and
/// marks that turn the direction of text are written out, so that a name
/// cannot move the cursor, fake a line or show itself backwards.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_deceptive) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_deceptive(character) {
            // Writing to a String cannot fail.
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}'
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_move_the_cursor_or_turn_the_line() {
        assert_eq!(printable("Ann\u{1b}[2J"), "Ann\\u{1b}[2J");
        assert_eq!(printable("abc\u{202e}fed"), "abc\\u{202e}fed");
        assert_eq!(printable("Zoë 🦀"), "Zoë 🦀");
    }

    #[test]
    fn only_nul_is_refused_by_the_database() {
        assert_eq!(storable("a\0b"), "a\u{fffd}b");
        assert_eq!(storable("tab\tstays"), "tab\tstays");
    }
}

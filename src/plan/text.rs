//! Names come from people: they may hold anything Unicode has.

use std::borrow::Cow;
use std::fmt::Write;

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

/// A name between quotation marks that it cannot close by itself, so that it
/// cannot pass for what is printed around it.
pub(super) fn quoted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 2);
    shown.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            shown.push('\\');
        }
        shown.push(character);
    }
    shown.push('"');
    match printable(&shown) {
        Cow::Borrowed(_) => shown,
        Cow::Owned(shown) => shown,
    }
}

/// An id as a line shows it: bare, unless it holds anything that could pass
/// for the words around it. `LiteLLM`'s ids are free text.
pub(super) fn shown_id(id: &str) -> Cow<'_, str> {
    let plain = |c: char| !c.is_whitespace() && !is_deceptive(c) && !matches!(c, '"' | '\\');
    if !id.is_empty() && id.chars().all(plain) {
        Cow::Borrowed(id)
    } else {
        Cow::Owned(quoted(id))
    }
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
    fn a_name_cannot_leave_its_quotation_marks() {
        assert_eq!(quoted(r#"x" user_role: "y"#), r#""x\" user_role: \"y""#);
        assert_eq!(quoted("ends with \\"), r#""ends with \\""#);
        assert_eq!(quoted("two\nlines"), r#""two\u{a}lines""#);
    }

    #[test]
    fn an_id_is_bare_unless_it_could_pass_for_words() {
        assert_eq!(shown_id("team/ann@example.com"), "team/ann@example.com");
        assert_eq!(
            shown_id("ann (member of the group)"),
            "\"ann (member of the group)\""
        );
        assert_eq!(shown_id(""), "\"\"");
    }
}

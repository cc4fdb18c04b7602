//! Texts for people. Names come from people too: they may hold anything Unicode
//! has. A span of time is said as it was set.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

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

/// How long, in the largest unit that says it exactly: "24 hours", "90 days".
#[must_use]
pub fn span(duration: Duration) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    let seconds = duration.as_secs();
    let exact = |(size, _): &&(u64, &str)| seconds >= *size && seconds.is_multiple_of(*size);
    // One day is a day of hours: "the last 24 hours".
    let units = if seconds == 86_400 {
        &UNITS[1..]
    } else {
        &UNITS
    };
    let (size, unit) = units.iter().find(exact).unwrap_or(&(1, "second"));
    match seconds / size {
        1 => format!("1 {unit}"),
        many => format!("{many} {unit}s"),
    }
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
    fn a_span_is_said_as_it_was_set() {
        let said = |seconds| span(Duration::from_secs(seconds));
        assert_eq!(said(86_400), "24 hours");
        assert_eq!(said(90 * 86_400), "90 days");
        assert_eq!(said(3_600), "1 hour");
        assert_eq!(said(5_400), "90 minutes");
        assert_eq!(said(61), "61 seconds");
        assert_eq!(said(0), "0 seconds");
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

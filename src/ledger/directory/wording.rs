//! Texts of the directory as PostgreSQL can hold them.
//!
//! Invariant: what is read back is what was written, to the last character:
//! what Graph shows may hold a NUL, which PostgreSQL refuses, and one such name
//! must not keep the whole directory from being kept.

use std::borrow::Cow;

/// Begins what stands for a character that cannot be stored, or for itself.
const ESCAPE: char = '\u{1}';

/// A text in the form that is stored.
pub(super) fn stored(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 1);
    for letter in text.chars() {
        match letter {
            '\0' => escaped.extend([ESCAPE, '0']),
            ESCAPE => escaped.extend([ESCAPE, '1']),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

/// A stored text as it was.
pub(super) fn read(stored: String) -> String {
    if !stored.contains(ESCAPE) {
        return stored;
    }
    let mut text = String::with_capacity(stored.len());
    let mut letters = stored.chars();
    while let Some(letter) = letters.next() {
        text.push(match letter {
            ESCAPE => match letters.next() {
                Some('0') => '\0',
                _ => ESCAPE,
            },
            other => other,
        });
    }
    text
}

/// Texts as the literal of an array, which `unnest` can hand out row by row;
/// `None` when there are none.
pub(super) fn array_literal(texts: &[Box<str>]) -> Option<String> {
    if texts.is_empty() {
        return None;
    }
    let mut literal = String::from("{");
    for text in texts {
        if literal.len() > 1 {
            literal.push(',');
        }
        literal.push('"');
        for letter in stored(text).chars() {
            if matches!(letter, '"' | '\\') {
                literal.push('\\');
            }
            literal.push(letter);
        }
        literal.push('"');
    }
    literal.push('}');
    Some(literal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_as_it_was() {
        for text in ["", "Zoë", "a\0b", "\u{1}", "\u{1}0", "\0\u{1}\u{1}1\0"] {
            let form = stored(text);
            assert!(!form.contains('\0'), "{form:?}");
            assert_eq!(read(form.into_owned()), text);
        }
    }

    #[test]
    fn what_needs_no_escape_is_not_copied() {
        assert!(matches!(stored("Vera Lang"), Cow::Borrowed(_)));
    }

    #[test]
    fn an_array_quotes_what_would_end_an_element() {
        let texts = [r#"a"b\c"#, "d,e}", ""].map(Box::from);
        assert_eq!(
            array_literal(&texts).as_deref(),
            Some(r#"{"a\"b\\c","d,e}",""}"#)
        );
        assert_eq!(array_literal(&[]), None);
    }
}

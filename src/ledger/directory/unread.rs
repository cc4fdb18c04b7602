//! Why something is not known, as two columns.

use crate::ledger::error::{Error, Result};
use crate::model::directory::Unread;

use super::wording;

/// The word, and the sentence that goes with one of them.
pub(super) fn columns(unread: &Unread) -> (&'static str, Option<String>) {
    let word = match unread {
        Unread::Excluded => "excluded",
        Unread::OutOfScope => "out_of_scope",
        Unread::NotFound => "not_found",
        Unread::HiddenMembership => "hidden",
        Unread::Failed(sentence) => {
            return ("failed", Some(wording::stored(sentence).into_owned()));
        }
    };
    (word, None)
}

/// Reads them back; `place` says of which table they are.
pub(super) fn read(word: String, says: Option<String>, place: &'static str) -> Result<Unread> {
    Ok(match word.as_str() {
        "excluded" => Unread::Excluded,
        "out_of_scope" => Unread::OutOfScope,
        "not_found" => Unread::NotFound,
        "hidden" => Unread::HiddenMembership,
        "failed" => Unread::Failed(wording::read(says.unwrap_or_default())),
        _ => return Err(Error::Foreign { place, value: word }),
    })
}

//! One thing that was checked, and how it went.

use serde::Serialize;

use crate::plan::printable;

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Verdict {
    /// As it should.
    Pass,
    /// The daemon works, but not all of it, or not as somebody may expect.
    Warn,
    /// The daemon cannot work.
    Fail,
}

/// One line of `check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) name: &'static str,
    pub(super) result: Verdict,
    pub(super) message: String,
    pub(super) remedy: Option<String>,
}

impl Finding {
    pub(super) fn pass(name: &'static str, message: impl Into<String>) -> Self {
        Self {
            name,
            result: Verdict::Pass,
            message: message.into(),
            remedy: None,
        }
    }

    pub(super) fn warn(name: &'static str, message: impl Into<String>, remedy: &str) -> Self {
        Self {
            name,
            result: Verdict::Warn,
            message: message.into(),
            remedy: Some(remedy.to_owned()),
        }
    }

    pub(super) fn fail(name: &'static str, message: impl Into<String>, remedy: &str) -> Self {
        Self {
            result: Verdict::Fail,
            ..Self::warn(name, message, remedy)
        }
    }

    /// From a sentence that ends with its remedy, as errors here do.
    pub(super) fn told(name: &'static str, result: Verdict, sentence: &str) -> Self {
        let (message, remedy) = split(sentence);
        Self {
            name,
            result,
            message: message.to_owned(),
            remedy: remedy.map(str::to_owned),
        }
    }

    /// For people, in one line.
    pub(super) fn line(&self) -> String {
        let result = match self.result {
            Verdict::Pass => "PASS",
            Verdict::Warn => "WARN",
            Verdict::Fail => "FAIL",
        };
        let message = printable(&self.message);
        match &self.remedy {
            None => format!("{result} {}: {message}", self.name),
            Some(remedy) => format!("{result} {}: {message}; {}", self.name, printable(remedy)),
        }
    }
}

/// What happened, and what to do: they are parted by the first colon or
/// semicolon that stands outside of brackets and is followed by a space.
fn split(sentence: &str) -> (&str, Option<&str>) {
    let mut depth = 0_u32;
    for (at, letter) in sentence.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ':' | ';' if depth == 0 => {
                let (message, rest) = sentence.split_at(at);
                if let Some(remedy) = rest.get(1..).and_then(|rest| rest.strip_prefix(' ')) {
                    return (message, Some(remedy));
                }
            }
            _ => {}
        }
    }
    (sentence, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cause_and_remedy_part_outside_of_brackets() {
        assert_eq!(
            split(
                "tenant x does not exist (invalid_tenant: AADSTS90002; trace id 1): check entra.tenant"
            ),
            (
                "tenant x does not exist (invalid_tenant: AADSTS90002; trace id 1)",
                Some("check entra.tenant")
            )
        );
        assert_eq!(
            split("no answer from http://localhost:1/x; wait: or not"),
            ("no answer from http://localhost:1/x", Some("wait: or not"))
        );
        assert_eq!(split("read"), ("read", None));
    }
}

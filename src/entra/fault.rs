//! What is wrong with an answer's body, in words that quote none of it.
//!
//! Invariant: a body may hold names and addresses and serde's own messages
//! quote values, so only kinds and positions are ever told.

use std::fmt;

/// Why a body could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defect {
    /// JSON that stops in the middle, or an empty body.
    Cut,
    /// A page for people, typically from a gateway.
    Html,
    /// No JSON.
    Syntax,
    /// JSON of another shape than asked for.
    Shape {
        /// 1-based line of the body.
        line: usize,
        /// 1-based column of the body.
        column: usize,
    },
    /// Something that must be there is not.
    Missing(&'static str),
    /// The page of a delta query names the next page and the next round: it
    /// can only be followed by one of them.
    TwoLinks,
    /// Status 200 around an error object.
    ErrorInside {
        /// Graph's own error code.
        code: String,
    },
    /// More bytes than any real page has.
    Oversized,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("it ends in the middle"),
            Self::Html => f.write_str("it is an HTML page, as a gateway or proxy sends it"),
            Self::Syntax => f.write_str("it is no JSON"),
            Self::Shape { line, column } => {
                write!(f, "its shape is unexpected at line {line}, column {column}")
            }
            Self::Missing(what) => write!(f, "it has no `{what}`"),
            Self::TwoLinks => f.write_str("it names a further page and calls itself the last one"),
            Self::ErrorInside { code } => write!(f, "it reports the error `{code}` as a success"),
            Self::Oversized => f.write_str("it is larger than any page can be"),
        }
    }
}

impl From<serde_json::Error> for Defect {
    fn from(error: serde_json::Error) -> Self {
        use serde_json::error::Category;
        match error.classify() {
            Category::Eof | Category::Io => Self::Cut,
            Category::Syntax => Self::Syntax,
            Category::Data => Self::Shape {
                line: error.line(),
                column: error.column(),
            },
        }
    }
}

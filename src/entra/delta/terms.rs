//! What links, and what is kept beside them, hold good for.

use std::fmt;

use crate::config::{AttributeNames, Membership};
use crate::entra::client::tracked;
use crate::entra::reader::Reader;

/// What a reader asks for and how it understands the answer. To be kept beside
/// the links: what was kept on other terms is of no use, because what a link
/// tracks is baked into it (trap 35), and people were understood otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms(String);

impl Terms {
    /// As it was kept.
    #[must_use]
    pub const fn kept(text: String) -> Self {
        Self(text)
    }

    /// For keeping.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Reader {
    /// The terms on which this reader reads. Short, and without secrets.
    #[must_use]
    pub fn terms(&self) -> Terms {
        let membership = match self.settings.membership {
            Membership::Direct => "direct",
            Membership::Transitive => "transitive",
        };
        let names = &self.settings.attributes;
        let tracked = tracked(names);
        let AttributeNames {
            id,
            email,
            display_name,
            first_name,
            last_name,
        } = names;
        Terms(format!(
            "{tracked};{membership};id={id};email={email};name={display_name};\
             first={first_name};last={last_name}"
        ))
    }
}

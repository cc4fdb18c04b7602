//! Who decides or asks, for the record.
//!
//! Invariant: what is recorded is a claim, as good as the access to the ledger
//! that whoever types has: it helps colleagues, it proves nothing.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use crate::sync::host;

/// `--by`, for commands whose record names somebody.
#[derive(Debug, Clone, Default, Args)]
pub struct OperatorArguments {
    /// Who says so, for the record; else SUDO_USER, USER or LOGNAME of the
    /// environment, which a container has not.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub by: Option<String>,
}

impl OperatorArguments {
    /// `NAME@HOST`.
    pub(super) fn operator(&self) -> String {
        let account = || {
            let names = ["SUDO_USER", "USER", "LOGNAME"].iter();
            let mut set = names.filter_map(|name| std::env::var(name).ok());
            set.find(|value| !value.is_empty())
        };
        let who = self.by.clone().or_else(account);
        let who = who.as_deref().unwrap_or("unknown account");
        format!("{who}@{}", host())
    }
}

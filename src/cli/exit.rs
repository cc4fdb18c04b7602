//! How a command ended, for the shell (design 4).

use std::process::ExitCode;

use crate::model::report::Status;

/// An exit code with a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0.
    Ok,
    /// 1: token, service principal, assignment list, database, schema, lease.
    Failed,
    /// 2: `plan --check` found something to change.
    Drift,
    /// 3: the guard holds removals.
    Held,
    /// 4: an object could not be read or written, the others were.
    Partial,
    /// 64: usage or configuration, before anything is read.
    Usage,
}

impl Exit {
    /// The code of a pass that ended like this.
    #[must_use]
    pub const fn of_status(status: Status) -> Self {
        match status {
            Status::Succeeded | Status::Unchanged => Self::Ok,
            Status::Partial => Self::Partial,
            Status::Held => Self::Held,
            Status::Failed => Self::Failed,
        }
    }

    /// Of two sources' ends the graver one: usage, then a failure, then what is
    /// held, then what is partial, then what differs.
    #[must_use]
    pub fn or_graver(self, other: Self) -> Self {
        const fn weight(exit: Exit) -> u8 {
            match exit {
                Exit::Ok => 0,
                Exit::Drift => 1,
                Exit::Partial => 2,
                Exit::Held => 3,
                Exit::Failed => 4,
                Exit::Usage => 5,
            }
        }
        if weight(other) > weight(self) {
            other
        } else {
            self
        }
    }

    /// The code of a command that gave up with this error.
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Self {
        let configuration = error.downcast_ref::<crate::config::Error>().is_some()
            || error.downcast_ref::<super::sources::Misuse>().is_some()
            || error
                .downcast_ref::<crate::sync::Error>()
                .is_some_and(crate::sync::Error::is_configuration)
            || error
                .downcast_ref::<crate::ledger::Error>()
                .is_some_and(crate::ledger::Error::is_configuration);
        if configuration {
            Self::Usage
        } else {
            Self::Failed
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Drift => 2,
            Exit::Held => 3,
            Exit::Partial => 4,
            Exit::Usage => 64,
        })
    }
}

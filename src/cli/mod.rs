//! What people type, one file per subcommand.

pub mod config;

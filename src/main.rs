//! The `entra-sync` program: reads its words, runs one command, tells the
//! shell how it ended.

use std::process::ExitCode;

fn main() -> ExitCode {
    entra_sync::cli::main()
}

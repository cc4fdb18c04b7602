//! Runs SQL files as their reader would: with psql.

use std::path::Path;
use std::process::Command;

/// Runs a file of the repository; gives what it printed, or what it complained.
pub fn run_file(url: &str, file: &str, variables: &[(&str, &str)]) -> Result<String, String> {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--dbname", url, "--file"]);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
    for (name, value) in variables {
        command.args(["--set", &format!("{name}={value}")]);
    }
    let output = command.output().expect("psql is installed with PostgreSQL");
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

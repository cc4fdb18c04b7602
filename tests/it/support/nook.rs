//! A place of its own for a program that makes temporary folders and starts
//! servers, so that a test can tell whether anything of it is left.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use entra_sync::config::Environment;
use tempfile::TempDir;

use super::wait::wait_for;

/// A folder for temporary files, seen by nobody else.
pub struct Nook(TempDir);

impl Nook {
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        // PostgreSQL runs as another user when the test is root's.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).expect("it is ours");
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The environment of a program that lives here: temporary files and
    /// whatever it keeps for its user go into this folder.
    pub fn environment(&self) -> Environment {
        let path = self.path().to_str().expect("UTF-8");
        let names = ["TMPDIR", "HOME", "XDG_CACHE_HOME"];
        let pairs = names.map(|name| (name.to_owned(), path.to_owned()));
        Environment::from(pairs)
    }

    /// What is in the folder.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).expect("it is there");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = names
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Programs that were started with a path in this folder and still run.
    pub fn programs(&self) -> Vec<String> {
        let path = self.path().to_str().expect("UTF-8");
        let processes = std::fs::read_dir("/proc").expect("Linux");
        processes
            .filter_map(|process| std::fs::read(process.ok()?.path().join("cmdline")).ok())
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .filter(|line| line.contains(path))
            .collect()
    }

    /// Waits until one runs: what a server has just forked looks like the server
    /// until it has given itself a title.
    pub async fn has_one_program(&self) {
        wait_for("one program", || async {
            (self.programs().len() == 1).then_some(())
        })
        .await;
    }
}

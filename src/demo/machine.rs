//! The machine's own PostgreSQL binaries, run on a private folder.
//!
//! PostgreSQL refuses to run as root; the folder is then given to the user
//! `postgres` or `nobody`, and the server runs as that user.
//!
//! Invariant: the server that is stopped is the one that was started, by its
//! own process id. It sees no environment but a path and a locale.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};
use uuid::Uuid;

use super::children;
use super::postgres::Folder;
use super::story::Beginning;

/// Where binaries are looked for after Debian's versioned folders. Not taken
/// from the environment: what runs here should not depend on who calls.
const USUAL_PATHS: &[&str] = &[
    "/usr/local/pgsql/bin",
    "/usr/local/bin",
    "/usr/bin",
    "/opt/homebrew/bin",
    "/usr/libexec/postgresql",
];

/// Lower-privileged users to run as when this process is root.
const UNPRIVILEGED: &[&str] = &["postgres", "nobody"];

/// A folder with `initdb` and `postgres` that run.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    folder: PathBuf,
    version: String,
}

impl Binaries {
    /// The newest of Debian's versions, else the first on the usual paths.
    pub(super) fn find() -> Option<Self> {
        let major = |folder: &PathBuf| -> u32 {
            let version = folder
                .parent()
                .and_then(Path::file_name)
                .and_then(OsStr::to_str);
            version.and_then(|name| name.parse().ok()).unwrap_or(0)
        };
        let versions = fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten();
        let mut folders: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
        folders.sort_by_key(|folder| std::cmp::Reverse(major(folder)));
        folders.extend(USUAL_PATHS.iter().map(PathBuf::from));
        Self::among(folders)
    }

    /// The first folder whose programs run.
    fn among(folders: impl IntoIterator<Item = PathBuf>) -> Option<Self> {
        folders.into_iter().find_map(Self::at)
    }

    fn at(folder: PathBuf) -> Option<Self> {
        let asked = |name| {
            let output = Command::new(folder.join(name))
                .arg("--version")
                .env_clear()
                .output();
            output.ok().filter(|output| output.status.success())
        };
        asked("initdb")?;
        let version = String::from_utf8_lossy(&asked("postgres")?.stdout)
            .trim()
            .to_owned();
        Some(Self { folder, version })
    }

    fn command(&self, name: &str, user: Option<User>) -> Command {
        let mut command = Command::new(self.folder.join(name));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C");
        command.stdin(Stdio::null()).current_dir("/");
        if let Some(user) = user {
            command.uid(user.uid).gid(user.gid);
        }
        command
    }
}

/// Whom the server runs as, when it cannot run as ourselves.
#[derive(Debug, Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// Nobody else, unless the folder that we made belongs to root.
    fn for_folder(folder: &Path) -> anyhow::Result<Option<Self>> {
        let owner = fs::metadata(folder)
            .context("cannot look at the folder")?
            .uid();
        // A kept folder may belong to the other user from the time before.
        let probe = tempfile::tempfile().context("cannot make a temporary file")?;
        let ourselves = probe
            .metadata()
            .context("cannot look at a temporary file")?
            .uid();
        if ourselves != 0 {
            ensure!(owner == ourselves, "the folder belongs to another user");
            return Ok(None);
        }
        let accounts = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        let found = UNPRIVILEGED
            .iter()
            .find_map(|name| Self::named(name, &accounts));
        let remedy = "PostgreSQL refuses to run as root, and there is neither a user `postgres` \
                      nor a user `nobody` to run it as";
        found.map(Some).context(remedy)
    }

    fn named(name: &str, accounts: &str) -> Option<Self> {
        accounts.lines().find_map(|line| {
            let mut fields = line.split(':');
            let this = fields.next()? == name;
            let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            (this && uid != 0).then_some(Self { uid, gid })
        })
    }
}

/// A server that runs.
#[derive(Debug)]
pub(super) struct Machine {
    child: Child,
    port: u16,
    password: String,
    log: PathBuf,
    version: String,
    beginning: Beginning,
}

impl Machine {
    /// Makes the cluster if the folder has none, and starts the server.
    pub(super) fn start(binaries: &Binaries, folder: &Folder) -> anyhow::Result<Self> {
        let path = folder.path();
        let user = User::for_folder(path)?;
        let durable = matches!(folder, Folder::Kept(_));
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
            .context("cannot close the folder to others")?;
        let password = password(&path.join("password"), user)?;
        if let Some(user) = user {
            chown(path, Some(user.uid), Some(user.gid))
                .context("cannot give the folder to the user that PostgreSQL runs as")?;
        }
        let data = path.join("data");
        let beginning = if data.join("PG_VERSION").exists() {
            Beginning::AsItWasLeft
        } else {
            init(binaries, user, path, &data)?;
            Beginning::Empty
        };
        let log = path.join("postgres.log");
        let port = free_port()?;
        let child = serve(binaries, user, &data, &log, port, durable)?;
        let version = binaries.version.clone();
        Ok(Self {
            child,
            port,
            password,
            log,
            version,
            beginning,
        })
    }

    pub(super) fn beginning(&self) -> Beginning {
        self.beginning
    }

    pub(super) fn url(&self, database: &str) -> String {
        let (password, port) = (&self.password, self.port);
        format!("postgresql://postgres:{password}@127.0.0.1:{port}/{database}?sslmode=disable")
    }

    pub(super) fn description(&self) -> String {
        format!("{} of this machine, on port {}", self.version, self.port)
    }

    /// An error with the end of the server's log, if it has ended.
    pub(super) fn still_runs(&mut self) -> anyhow::Result<()> {
        match self
            .child
            .try_wait()
            .context("cannot look at the server process")?
        {
            None => Ok(()),
            Some(status) => {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                let end = log.lines().next_back().unwrap_or("its log is empty");
                bail!("PostgreSQL ended with {status}: {end}")
            }
        }
    }

    /// SIGINT is PostgreSQL's fast shutdown. It is sent by a shell because
    /// this crate forbids unsafe code and the standard library only kills.
    fn interrupt(&self) {
        let pid = self.child.id().to_string();
        let mut kill = Command::new("/bin/sh");
        kill.args(["-c", "kill -INT \"$0\"", &pid])
            .env_clear()
            .env("PATH", "/usr/bin:/bin");
        // Should it fail, the time limit ends in a real kill.
        let _ = kill.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.interrupt();
            children::wait_or_kill(&mut self.child);
        }
    }
}

/// The password kept in the folder, made if there is none.
fn password(file: &Path, user: Option<User>) -> anyhow::Result<String> {
    if let Ok(known) = fs::read_to_string(file) {
        return Ok(known.trim().to_owned());
    }
    let password = Uuid::new_v4().simple().to_string();
    let mut created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .context("cannot write the password file")?;
    created
        .write_all(password.as_bytes())
        .context("cannot write the password file")?;
    if let Some(user) = user {
        chown(file, Some(user.uid), Some(user.gid))
            .context("cannot give the password file to the user that PostgreSQL runs as")?;
    }
    Ok(password)
}

fn init(binaries: &Binaries, user: Option<User>, path: &Path, data: &Path) -> anyhow::Result<()> {
    let output = binaries
        .command("initdb", user)
        .args([
            "--no-sync",
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C",
        ])
        .args(["--auth=scram-sha-256", "--no-instructions"])
        .arg("--pwfile")
        .arg(path.join("password"))
        .arg("--pgdata")
        .arg(data)
        .output()
        .context("cannot run initdb")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "initdb failed: {}", said.trim());
    Ok(())
}

fn serve(
    binaries: &Binaries,
    user: Option<User>,
    data: &Path,
    log: &Path,
    port: u16,
    durable: bool,
) -> anyhow::Result<Child> {
    let log = fs::File::create(log).context("cannot write the server's log")?;
    let errors = log.try_clone().context("cannot write the server's log")?;
    let mut command = binaries.command("postgres", user);
    command.arg("-D").arg(data).arg("-p").arg(port.to_string());
    let mut set = |setting: &str| {
        command.args(["-c", setting]);
    };
    set("listen_addresses=127.0.0.1");
    set("unix_socket_directories=");
    set("max_connections=40");
    set("timezone=UTC");
    set("log_timezone=UTC");
    if !durable {
        // The folder goes with the server: nothing is worth waiting for.
        set("fsync=off");
        set("full_page_writes=off");
        set("synchronous_commit=off");
    }
    // A group of its own: Ctrl-C is for us, and we stop the server in order.
    command
        .stdout(log)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .context("cannot run postgres")
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr().context("no free port")?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name_but_never_root() {
        let accounts = "root:x:0:0::/:/bin/sh\nfake:x:0:0::/:/bin/sh\nnobody:x:65534:65533::/:/n\n";
        let nobody = User::named("nobody", accounts).unwrap();
        assert_eq!((nobody.uid, nobody.gid), (65534, 65533));
        assert!(User::named("fake", accounts).is_none());
        assert!(User::named("postgres", accounts).is_none());
    }

    #[test]
    fn programs_that_are_not_there_or_do_not_run_are_passed_over() {
        let program = |folder: &Path, name: &str, script: &str| {
            let path = folder.join(name);
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        let root = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let path = root.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        let (empty, half, broken, sound) = (
            folder("empty"),
            folder("half"),
            folder("broken"),
            folder("sound"),
        );
        program(&half, "initdb", "true");
        program(&broken, "initdb", "true");
        program(&broken, "postgres", "false");
        program(&sound, "initdb", "true");
        program(&sound, "postgres", "echo postgres 99");

        let unusable = [empty, half, broken, root.path().join("nowhere")];
        assert!(Binaries::among(unusable.clone()).is_none());
        let found = Binaries::among(unusable.into_iter().chain([sound.clone()])).unwrap();
        assert_eq!(
            (found.folder, found.version.as_str()),
            (sound, "postgres 99")
        );
    }
}

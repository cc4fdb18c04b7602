//! A PostgreSQL server of a test's own, to be shut down and started again
//! while a pass runs.
//!
//! Invariant: it is ended by its own process id, and its folder goes with it.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tokio_postgres::NoTls;

use super::TestDatabase;
use super::certificates::Pair;
use super::port;
use super::wait::wait_for;

/// How a server is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// SIGINT: sessions are told, transactions rolled back, all is on disk.
    Fast,
    /// SIGQUIT: as if the machine had lost its power; the start recovers.
    Immediate,
}

impl Shutdown {
    const fn signal(self) -> &'static str {
        match self {
            Self::Fast => "INT",
            Self::Immediate => "QUIT",
        }
    }
}

/// A server that runs.
pub struct Server {
    programs: PathBuf,
    user: Option<(u32, u32)>,
    port: u16,
    process: Child,
    folder: TempDir,
}

impl Server {
    /// Makes a cluster with LiteLLM's roles and one database, a copy of that
    /// which the other tests clone.
    pub async fn start() -> (Self, TestDatabase) {
        let programs = programs();
        let user = other_user();
        let folder = TempDir::new().expect("a folder");
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).expect("it is ours");
        }
        let data = folder.path().join("data");
        let made = as_user(&programs.join("initdb"), user)
            .arg("--pgdata")
            .arg(&data)
            .args(["--no-sync", "--auth=trust", "--username=postgres"])
            .args(["--encoding=UTF8", "--locale=C.UTF-8"])
            .output()
            .expect("initdb is there");
        assert!(made.status.success(), "{made:?}");
        let port = port::own();
        let process = serve(&programs, user, &data, port);
        let server = Self {
            programs,
            user,
            port,
            process,
            folder,
        };
        server.answers().await;
        server.copy_of(&TestDatabase::create().await).await;
        let database = TestDatabase::of_another_server(&server.url(), "litellm").await;
        (server, database)
    }

    /// Turns TLS on: the server shows this certificate, trusts clients by that
    /// authority, and admits people by these lines, and after them whoever comes
    /// from this machine.
    pub async fn speaks_tls(&self, shown: &Pair, trusted: &str, admission: &str) {
        let data = self.folder.path().join("data");
        let hba = format!("{admission}\nhost all all 127.0.0.1/32 trust\n");
        for (name, text) in [
            ("server.crt", &shown.certificate),
            ("server.key", &shown.key),
            ("trusted.crt", &trusted.to_owned()),
            ("pg_hba.conf", &hba),
        ] {
            let path = data.join(name);
            std::fs::write(&path, text).expect("the folder is ours");
            let only_me = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&path, only_me).expect("the file is ours");
            if let Some((uid, gid)) = self.user {
                std::os::unix::fs::chown(&path, Some(uid), Some(gid)).expect("it is ours");
            }
        }
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls)
            .await
            .expect("the server answers");
        tokio::spawn(connection);
        for setting in ["ssl_ca_file = 'trusted.crt'", "ssl = on"] {
            let statement = format!("ALTER SYSTEM SET {setting}");
            client.batch_execute(&statement).await.expect("a setting");
        }
        client
            .batch_execute("SELECT pg_reload_conf()")
            .await
            .expect("its settings read again");
    }

    fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Waits for the end of a server that has been told to end, and starts it
    /// again.
    pub async fn comes_back(&mut self) {
        let ended = wait_for("the server to end", || {
            let ended = self.process.try_wait().expect("it is ours");
            async move { ended }
        });
        ended.await;
        let data = self.folder.path().join("data");
        self.process = serve(&self.programs, self.user, &data, self.port);
        self.answers().await;
    }

    async fn answers(&self) {
        let url = self.url();
        wait_for("the server to answer", || async {
            let connected = tokio_postgres::connect(&url, NoTls).await.ok();
            connected.map(drop)
        })
        .await;
    }

    /// Fills the database `litellm` with what is in this one.
    async fn copy_of(&self, database: &TestDatabase) {
        let (dump, psql) = (self.programs.join("pg_dump"), self.programs.join("psql"));
        let (from, to) = (database.url_as("postgres"), self.url());
        let script = "set -eu\n\
             \"$2\" -Xqd \"$4\" -v ON_ERROR_STOP=1 -c 'CREATE ROLE litellm LOGIN' \
                 -c 'CREATE ROLE entra_sync LOGIN' -c 'CREATE DATABASE litellm OWNER litellm'\n\
             \"$1\" --dbname=\"$3\" \
                 | \"$2\" -Xqd \"${4%/*}/litellm\" -v ON_ERROR_STOP=1 --output=/dev/null\n";
        let copied = Command::new("bash")
            .args(["-o", "pipefail", "-c", script, "copy"])
            .args([&dump, &psql])
            .args([&from, &to])
            .output()
            .expect("bash is there");
        assert!(copied.status.success(), "{copied:?}");
    }

    /// Tells it to end.
    pub fn signal(&self, shutdown: Shutdown) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", shutdown.signal(), &id])
            .status()
            .expect("kill is there");
        assert!(sent.success(), "{shutdown:?} was not sent");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            self.signal(Shutdown::Immediate);
            self.process.wait().expect("its end");
        }
    }
}

fn serve(programs: &Path, user: Option<(u32, u32)>, data: &Path, port: u16) -> Child {
    let mut command = as_user(&programs.join("postgres"), user);
    command.arg("-D").arg(data).arg("-p").arg(port.to_string());
    for setting in [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "max_connections=60",
        // What a stopped server has written is in the machine's memory.
        "fsync=off",
    ] {
        command.args(["-c", setting]);
    }
    command.spawn().expect("postgres is there")
}

fn as_user(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// The newest of Debian's versions, else whatever is on the path.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let mut folders: Vec<(u32, PathBuf)> = versions
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, folder)| folder.join("initdb").exists())
        .collect();
    folders.sort();
    folders.pop().map(|(_, folder)| folder).unwrap_or_default()
}

/// PostgreSQL refuses to run as root.
fn other_user() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !root {
        return None;
    }
    let id = |which: &str| -> u32 {
        let output = Command::new("id").args([which, "postgres"]).output();
        let output = output.expect("id is there");
        let text = String::from_utf8(output.stdout).expect("a number");
        text.trim().parse().expect("a user for PostgreSQL")
    };
    Some((id("-u"), id("-g")))
}

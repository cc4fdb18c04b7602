//! PgBouncer in transaction mode before the test cluster: two transactions of
//! one connection meet whatever server connection is free.

use std::process::Stdio;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use url::Url;

use super::port;
use super::wait::wait_for;

/// A pooler that is ended, by its own process id, with this value.
pub struct Pooler {
    port: u16,
    _process: Child,
    _folder: TempDir,
}

impl Pooler {
    /// Starts one before the server of this URL, with two server connections.
    pub async fn before(url: &str) -> Self {
        let url: Url = url.parse().expect("a URL");
        let port = port::own();
        let folder = TempDir::new().expect("a folder");
        let users = folder.path().join("users.txt");
        std::fs::write(&users, "\"entra_sync\" \"\"\n").expect("written");
        let settings = format!(
            "[databases]\n* = host={} port={}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = 2\n",
            url.host_str().expect("a host"),
            url.port().expect("a port"),
            users.display(),
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).expect("written");
        // It refuses to run as root and takes another user's name instead.
        open_to_everybody(&folder);
        let mut command = Command::new("pgbouncer");
        if is_root() {
            command.args(["-u", "postgres"]);
        }
        let process = command
            .arg("--quiet")
            .arg(&file)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("pgbouncer is installed by scripts/test");
        wait_for("the pooler to listen", || async {
            TcpStream::connect(("127.0.0.1", port)).await.ok().map(drop)
        })
        .await;
        Self {
            port,
            _process: process,
            _folder: folder,
        }
    }

    /// A database's URL through the pooler.
    pub fn url(&self, database: &str) -> String {
        let mut url: Url = database.parse().expect("a URL");
        url.set_port(Some(self.port)).expect("a URL with a host");
        url.into()
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn open_to_everybody(folder: &TempDir) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), mode).expect("it is ours");
}

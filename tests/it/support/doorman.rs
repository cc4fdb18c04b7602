//! Stands between the program and PostgreSQL: asks for a password where the
//! test cluster trusts everybody, and shuts the door when a test says so.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// What the doorman does with who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    Shut,
}

/// A door before one database.
pub struct Doorman {
    url: Url,
    door: watch::Sender<Door>,
    password: Arc<Mutex<Option<String>>>,
}

impl Doorman {
    /// Stands before the database with this URL.
    pub async fn before(url: &str) -> Self {
        let (url, server, listener) = in_front_of(url).await;
        let (door, watched) = watch::channel(Door::Open);
        let password: Arc<Mutex<Option<String>>> = Arc::default();
        let asked = Arc::clone(&password);
        tokio::spawn(async move {
            while let Ok((guest, _)) = listener.accept().await {
                let mut watched = watched.clone();
                let (server, asked) = (server.clone(), Arc::clone(&asked));
                tokio::spawn(async move {
                    let password = asked.lock().expect("no poison").clone();
                    if *watched.borrow_and_update() == Door::Shut {
                        return;
                    }
                    tokio::select! {
                        _ = relay(guest, &server, password) => {}
                        // Everything is dropped, so both ends see it break.
                        _ = watched.changed() => {}
                    }
                });
            }
        });
        Self {
            url,
            door,
            password,
        }
    }

    /// The database's URL through this door.
    pub fn url(&self) -> String {
        self.url.to_string()
    }

    /// The same with a password.
    pub fn url_with(&self, password: &str) -> String {
        let mut url = self.url.clone();
        url.set_password(Some(password)).expect("a URL with a host");
        url.into()
    }

    /// Asks everybody who comes from now on for this password.
    pub fn ask_for(&self, password: &str) {
        *self.password.lock().expect("no poison") = Some(password.to_owned());
    }

    /// Throws everybody out and lets nobody in.
    pub fn shut(&self) {
        self.door.send_replace(Door::Shut);
    }

    /// Lets people in again.
    pub fn open(&self) {
        self.door.send_replace(Door::Open);
    }
}

/// A place to stand before the database with this URL: the URL of that place,
/// the server behind it, and who comes.
pub(super) async fn in_front_of(url: &str) -> (Url, String, TcpListener) {
    let mut url: Url = url.parse().expect("a URL");
    let host = url.host_str().expect("a host").to_owned();
    let server = format!("{host}:{}", url.port().expect("a port"));
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a loopback port");
    let port = listener.local_addr().expect("an address").port();
    url.set_port(Some(port)).expect("a URL with a host");
    (url, server, listener)
}

async fn relay(
    mut guest: TcpStream,
    server: &str,
    password: Option<String>,
) -> std::io::Result<()> {
    const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();
    let mut start = message(&mut guest, 0).await?;
    if start.get(4..8) == Some(&SSL_REQUEST) {
        guest.write_all(b"N").await?;
        start = message(&mut guest, 0).await?;
    }
    if let Some(password) = password {
        guest.write_all(b"R\0\0\0\x08\0\0\0\x03").await?;
        let answer = message(&mut guest, 1).await?;
        if answer.get(5..) != Some(format!("{password}\0").as_bytes()) {
            let fields = "SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user \"entra_sync\"\0\0";
            guest.write_u8(b'E').await?;
            guest.write_u32(fields.len() as u32 + 4).await?;
            guest.write_all(fields.as_bytes()).await?;
            return Ok(());
        }
    }
    let mut server = TcpStream::connect(server).await?;
    server.write_all(&start).await?;
    tokio::io::copy_bidirectional(&mut guest, &mut server).await?;
    Ok(())
}

/// A whole message whose length stands after so many bytes.
pub(super) async fn message(
    guest: &mut (impl AsyncRead + Unpin),
    before: usize,
) -> std::io::Result<Vec<u8>> {
    let mut message = vec![0; before + 4];
    guest.read_exact(&mut message).await?;
    let length = u32::from_be_bytes(message[before..].try_into().expect("four bytes")) as usize;
    let rest = message.len();
    message.resize(before + length.max(4), 0);
    guest.read_exact(&mut message[rest..]).await?;
    Ok(message)
}

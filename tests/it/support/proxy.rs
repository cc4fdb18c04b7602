//! A proxy as companies have it: it opens tunnels on request and notes where to.
//! Behind it, whatever name is asked for, is one server that speaks TLS.

use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::certificates::Pair;

/// A proxy that runs.
pub struct Proxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Before the plain HTTP server on this port of this machine, for which it
    /// shows this certificate.
    pub async fn before(server: u16, shown: &Pair) -> Self {
        let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).expect("a key");
        let chain = CertificateDer::pem_slice_iter(shown.certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a pair");
        let tls = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((guest, _)) = listener.accept().await {
                let (tls, noted) = (tls.clone(), Arc::clone(&noted));
                // Who is refused hangs up: that is the test's to judge.
                tokio::spawn(async move { tunnel(guest, &tls, server, &noted).await.ok() });
            }
        });
        Self { port, asked }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where tunnels were asked for to.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no poison").clone()
    }
}

async fn tunnel(
    mut guest: TcpStream,
    tls: &TlsAcceptor,
    server: u16,
    noted: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(guest.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let asked: Vec<&str> = head.split(' ').take(2).collect();
    noted.lock().expect("no poison").push(asked.join(" "));
    guest.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
    let mut guest = tls.accept(guest).await?;
    let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
    copy_bidirectional(&mut guest, &mut server).await?;
    Ok(())
}

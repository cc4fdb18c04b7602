//! One connection to LiteLLM's database, encrypted as its URL asks.
//!
//! Invariant: `verify-ca` and `verify-full` never fall back to an unchecked or
//! plain connection, and even unchecked certificates must sign the handshake.
//! diesel-async's own `establish` goes plain without a word, so nobody else
//! may connect. Must not: pool, retry or log.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use diesel::connection::CacheSize;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connect_error::{ConnectError, Place};
use super::listener::Listener;
use crate::config::{ClientCertificate, DatabaseTarget, DatabaseTls, files};

/// Opens one connection and drives it in the background until it is dropped.
///
/// Gives up after `connect_timeout` for each host, the handshake included.
///
/// # Errors
/// Why there is no connection, with the cause that tokio-postgres would cut
/// off.
pub async fn establish(target: &DatabaseTarget) -> Result<AsyncPgConnection, ConnectError> {
    let tls = prepared(target).await?;
    let attempt = async {
        let client = match tls {
            None => drive(open(&target.connection, NoTls).await?),
            Some(tls) => drive(open(&target.connection, tls).await?),
        };
        let set_up = set_up(client).await;
        set_up.map_err(|reason| refused(target, reason))
    };
    in_time(target, attempt).await
}

/// Opens one connection that listens on a channel until it is dropped, under a
/// name of its own for whoever looks into `pg_stat_activity`.
///
/// # Errors
/// Why there is no connection, or nothing can be heard on it.
pub(super) async fn listen(
    target: &DatabaseTarget,
    channel: &str,
) -> Result<Listener, ConnectError> {
    let mut config = target.connection.clone();
    let name = config.get_application_name().unwrap_or("entra-sync");
    let name = format!("{name} (listening)");
    config.application_name(name);
    let tls = prepared(target).await?;
    let attempt = async {
        let listener = match tls {
            None => Listener::drive(open(&config, NoTls).await?),
            Some(tls) => Listener::drive(open(&config, tls).await?),
        };
        let listening = listener.subscribe(channel).await;
        listening.map_err(|error| refused(target, error.to_string()))?;
        Ok(listener)
    };
    in_time(target, attempt).await
}

/// Whether the certificates that the target asks for can be used. May block for
/// the ten seconds that a disk has to answer, for each file.
pub(super) fn prepare(target: &DatabaseTarget) -> Result<(), ConnectError> {
    connector(target).map(drop)
}

/// What encrypts the connection; `None` if nothing does. Reading its files is no
/// part of the time that the server has.
async fn prepared(target: &DatabaseTarget) -> Result<Option<MakeRustlsConnect>, ConnectError> {
    if target.tls == DatabaseTls::Disable {
        return Ok(None);
    }
    let target = target.clone();
    tokio::task::spawn_blocking(move || connector(&target))
        .await
        .map_err(|error| ConnectError::tls_setup(&error))?
}

fn connector(target: &DatabaseTarget) -> Result<Option<MakeRustlsConnect>, ConnectError> {
    match &target.tls {
        DatabaseTls::Disable => Ok(None),
        tls => {
            let config = client_config(tls, target.client_certificate.as_ref())?;
            Ok(Some(MakeRustlsConnect::new(config)))
        }
    }
}

type Opened<S> = (Client, Connection<Socket, S>);

async fn open<T>(config: &Config, tls: T) -> Result<Opened<T::Stream>, ConnectError>
where
    T: MakeTlsConnect<Socket>,
{
    let opened = config.connect(tls).await;
    opened.map_err(|error| ConnectError::from_postgres(&Place::of(config), &error))
}

/// Ends by itself when the client is dropped.
fn drive<S>((client, connection): Opened<S>) -> Client
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(connection);
    client
}

/// tokio-postgres's own limit ends when the socket is open: a server that takes
/// connections and then says nothing would hold us for ever.
async fn in_time<T>(
    target: &DatabaseTarget,
    attempt: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    let Some(limit) = time_limit(target) else {
        return attempt.await;
    };
    tokio::time::timeout(limit, attempt)
        .await
        .unwrap_or_else(|_| {
            Err(ConnectError::TimedOut {
                place: Place::of(&target.connection).to_string(),
                after: limit,
            })
        })
}

fn refused(target: &DatabaseTarget, reason: String) -> ConnectError {
    ConnectError::Other {
        place: Place::of(&target.connection).to_string(),
        reason,
    }
}

/// diesel-async prepares two `SET`s on a new connection. Inside a transaction
/// a transaction-mode pooler sends all of it to one server; outside, it may
/// send preparing and executing to two.
async fn set_up(client: Client) -> Result<AsyncPgConnection, String> {
    client
        .batch_execute("BEGIN")
        .await
        .map_err(|error| error.to_string())?;
    let mut connection = AsyncPgConnection::try_from(client)
        .await
        .map_err(|error| error.to_string())?;
    // Named statements do not survive such a pooler either, and with
    // set-based SQL there is little to gain from keeping them.
    connection.set_prepared_statement_cache_size(CacheSize::Disabled);
    connection
        .batch_execute("COMMIT")
        .await
        .map_err(|error| error.to_string())?;
    Ok(connection)
}

/// `None` when `connect_timeout` was 0, which both dialects take for "no limit".
fn time_limit(target: &DatabaseTarget) -> Option<Duration> {
    let config = &target.connection;
    let each = *config.get_connect_timeout()?;
    let hosts = config.get_hosts().len().max(config.get_hostaddrs().len());
    Some(each * u32::try_from(hosts.max(1)).unwrap_or(u32::MAX))
}

/// Reads all files anew: they may have been replaced since the last connection.
fn client_config(
    tls: &DatabaseTls,
    ours: Option<&ClientCertificate>,
) -> Result<ClientConfig, ConnectError> {
    // Named, because a process with two providers has no default one.
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectError::tls_setup(&error))?;
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier(tls, provider)?);
    let Some(files) = ours else {
        return Ok(builder.with_no_client_auth());
    };
    let certified = files
        .read()
        .map_err(|error| ConnectError::ClientCertificate {
            reason: error.to_string(),
        })?;
    let ours = SingleCertAndKey::from(certified.key);
    Ok(builder.with_client_cert_resolver(Arc::new(ours)))
}

fn verifier(
    tls: &DatabaseTls,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, ConnectError> {
    Ok(match tls {
        DatabaseTls::Disable | DatabaseTls::Prefer | DatabaseTls::Require => {
            Arc::new(Unchecked { provider })
        }
        DatabaseTls::VerifyCa { root } => Arc::new(ChainOnly(chain(root.as_deref(), provider)?)),
        DatabaseTls::VerifyFull { root } => chain(root.as_deref(), provider)?,
    })
}

/// The ordinary verifier: chain and host name.
fn chain(
    root: Option<&Path>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, ConnectError> {
    let roots = match root {
        Some(path) => roots_of_file(path)?,
        None => roots_of_system()?,
    };
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| ConnectError::tls_setup(&error))
}

fn roots_of_file(path: &Path) -> Result<RootCertStore, ConnectError> {
    let unusable = |reason: String| ConnectError::Roots {
        store: path.display().to_string(),
        reason,
    };
    let mut roots = RootCertStore::empty();
    let bundle = files::certificates(path).map_err(|error| unusable(error.to_string()))?;
    for certificate in CertificateDer::pem_slice_iter(&bundle) {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("it holds no certificate in PEM form".into()));
    }
    Ok(roots)
}

fn roots_of_system() -> Result<RootCertStore, ConnectError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some systems carry a certificate or two that nobody can read.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let reason = found
            .errors
            .first()
            .map_or_else(|| "it is empty".to_owned(), ToString::to_string);
        return Err(ConnectError::Roots {
            store: "the system's certificate store".into(),
            reason,
        });
    }
    Ok(roots)
}

/// `verify-ca`: everything but the name is checked.
#[derive(Debug)]
struct ChainOnly(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for ChainOnly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self
            .0
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            // webpki looks at the name last, so the chain is good by then.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// `prefer` and `require`: any certificate, but whoever shows it must hold its
/// key.
#[derive(Debug)]
struct Unchecked {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, schemes)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, schemes)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests;

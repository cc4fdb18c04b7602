//! What the parameters of a database URL say about TLS.
//!
//! Invariant: `sslmode` means what libpq means by it (`require` with a root
//! certificate checks the chain), and nothing here weakens it.

use std::path::PathBuf;

use tokio_postgres::config::SslMode;

use super::parameters::choice;
use super::{DatabaseTarget, DatabaseTls};
use crate::config::client_certificate::ClientCertificate;
use crate::config::error::Wrong;

/// What decides about TLS, gathered before it is decided.
#[derive(Default)]
pub(super) struct TlsWishes {
    /// `sslmode`.
    pub mode: Option<String>,
    /// `sslrootcert`.
    pub root: Option<PathBuf>,
    /// `sslcert`: Prisma's CA file, or with `sslkey` libpq's client certificate.
    pub cert: Option<PathBuf>,
    /// libpq's `sslkey`.
    pub key: Option<PathBuf>,
    /// libpq's `sslcertmode`.
    pub cert_mode: CertMode,
    /// Prisma's `sslaccept`.
    pub accept: Option<Accept>,
}

/// Prisma's `sslaccept`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Accept {
    /// `strict`.
    Strict,
    /// `accept_invalid_certs`.
    Anything,
}

/// libpq's `sslcertmode`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum CertMode {
    /// `disable`: a client certificate is not sent.
    Disable,
    /// `allow`: it is sent if there is one.
    #[default]
    Allow,
    /// `require`: there must be one.
    Require,
}

/// How far away the farthest host is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// A socket of this machine.
    Socket,
    /// This machine, over TCP.
    Loopback,
    /// The network.
    Remote,
}

impl TlsWishes {
    /// Decides about TLS as libpq would, with Prisma's words translated.
    /// The result holds what is worth a warning.
    pub(super) fn decide(
        self,
        reach: Reach,
        target: &mut DatabaseTarget,
    ) -> Result<Vec<String>, Wrong> {
        let mut warnings = Vec::new();
        let system = self
            .root
            .as_deref()
            .is_some_and(|root| root.as_os_str() == "system");
        let root = self.root.filter(|_| !system);
        let strict = self.accept == Some(Accept::Strict);
        let mode = self.mode.as_deref();
        if let Some(mode) = mode {
            let known = [
                "disable",
                "allow",
                "prefer",
                "require",
                "verify-ca",
                "verify-full",
            ];
            choice("sslmode", mode, &known.map(|mode| (mode, ())))?;
        }
        if strict && mode == Some("disable") {
            return Err(Wrong::new(
                "contradicts itself: sslaccept=strict and sslmode=disable",
                "remove one of them",
            ));
        }
        if system && !matches!(mode, None | Some("verify-full")) {
            return Err(Wrong::new(
                "contradicts itself: sslrootcert=system goes with sslmode=verify-full only",
                "use sslmode=verify-full",
            ));
        }
        let prisma_root = match client_certificate(self.cert, self.key, self.cert_mode)? {
            Cert::Client(files) => {
                if mode == Some("disable") {
                    return Err(Wrong::new(
                        "contradicts itself: a client certificate (sslkey) and sslmode=disable",
                        "use sslmode=verify-full, or remove sslcert and sslkey",
                    ));
                }
                target.client_certificate = Some(files);
                None
            }
            Cert::Root(root) => root,
        };
        if prisma_root.is_some() && !strict {
            warnings.push(
                "sslcert is not used: with sslkey it would be a client certificate, with \
                 sslaccept=strict Prisma's file of root certificates; add one of them"
                    .to_owned(),
            );
        }
        target.tls = match (mode, root) {
            (Some("verify-ca"), root) if !strict => DatabaseTls::VerifyCa { root },
            (Some("verify-full"), root) => DatabaseTls::VerifyFull {
                root: root.or(prisma_root.filter(|_| strict)),
            },
            (_, root) if strict => DatabaseTls::VerifyFull {
                root: root.or(prisma_root),
            },
            (None, None) if system => DatabaseTls::VerifyFull { root: None },
            (Some("disable"), _) => DatabaseTls::Disable,
            (Some("require"), Some(root)) => DatabaseTls::VerifyCa { root: Some(root) },
            (Some("require"), None) => DatabaseTls::Require,
            // `allow` tries without TLS first; both promise nothing.
            (_, root) => {
                if root.is_some() {
                    warnings.push(
                        "sslrootcert is not used without sslmode=verify-ca or verify-full"
                            .to_owned(),
                    );
                }
                DatabaseTls::Prefer
            }
        };
        if reach == Reach::Socket {
            // As libpq does: PostgreSQL offers no TLS on a socket.
            target.tls = DatabaseTls::Disable;
        }
        target.connection.ssl_mode(match target.tls {
            DatabaseTls::Disable => SslMode::Disable,
            DatabaseTls::Prefer => SslMode::Prefer,
            _ => SslMode::Require,
        });
        if reach == Reach::Remote {
            match target.tls {
                DatabaseTls::Disable => warnings.push(
                    "the connection is not encrypted (sslmode=disable); use sslmode=verify-full"
                        .to_owned(),
                ),
                DatabaseTls::Prefer | DatabaseTls::Require => warnings.push(
                    "the server's certificate is not checked; use sslmode=verify-full".to_owned(),
                ),
                DatabaseTls::VerifyCa { .. } | DatabaseTls::VerifyFull { .. } => {}
            }
        }
        Ok(warnings)
    }
}

/// What `sslcert` stands for.
enum Cert {
    /// libpq's dialect.
    Client(ClientCertificate),
    /// Prisma's, or nothing at all.
    Root(Option<PathBuf>),
}

fn client_certificate(
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    mode: CertMode,
) -> Result<Cert, Wrong> {
    match (cert, key) {
        (Some(_), Some(_)) if mode == CertMode::Disable => Ok(Cert::Root(None)),
        (Some(certificate), Some(key)) => Ok(Cert::Client(ClientCertificate { certificate, key })),
        (None, Some(_)) => Err(Wrong::new(
            "names a key (sslkey) without its certificate",
            "add sslcert; one PEM file may be named in both",
        )),
        (_, None) if mode == CertMode::Require => Err(Wrong::new(
            "asks for a client certificate (sslcertmode=require) and names none",
            "add sslcert and sslkey",
        )),
        (root, None) => Ok(Cert::Root(root)),
    }
}

//! What stands behind some errors: the stage, the part or the reason, each with
//! its remedy where there is one.

/// Which stage of a connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NetworkCause {
    /// The name was not resolved.
    #[error("its name cannot be resolved; check the endpoint's spelling and this machine's DNS")]
    Dns,
    /// Nobody listens.
    #[error("the connection is refused; check the port, the firewall and the proxy settings")]
    Refused,
    /// The certificate or handshake failed.
    #[error(
        "TLS failed; a proxy that inspects traffic needs its certificate in the system's store or SSL_CERT_FILE"
    )]
    Tls,
    /// Too slow.
    #[error("it does not answer in time; check the network, or raise entra.request_timeout")]
    Timeout,
    /// The connection broke after it stood.
    #[error("the connection breaks off; check the network and the proxy")]
    Cut,
    /// Anything else.
    #[error("the network fails; check the route and the proxy settings")]
    Other,
}

/// Why changes cannot be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoDelta {
    /// Graph refuses, as in Azure AD B2C and in external tenants.
    #[error("this tenant does not offer them")]
    NotOffered,
    /// They tell nothing of what happens inside nested groups.
    #[error("entra.membership is `transitive`, and they tell only of direct members")]
    Transitive,
}

/// How a link differs from the configured endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// No URL at all.
    #[error("it is no absolute URL")]
    Unreadable,
    /// Another scheme, such as plain http.
    #[error("another scheme")]
    Scheme,
    /// Another host.
    #[error("another host")]
    Host,
    /// Another port.
    #[error("another port")]
    Port,
    /// A user name or password in front of the host.
    #[error("credentials in front of the host")]
    Userinfo,
    /// Not below the endpoint's path.
    #[error("a path outside the endpoint's")]
    Path,
}

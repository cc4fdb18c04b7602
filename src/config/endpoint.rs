//! The gate that every endpoint passes: which hosts may be sent the client
//! secret and the token.
//!
//! Invariant: plain http leaves this room for loopback only; a host that is
//! not Microsoft's is https and known to the caller, who warns of it. No URL
//! with user, password, query or fragment gets through, and none is quoted.

use std::net::IpAddr;

use url::{Host, Url};

use super::error::Wrong;

/// A Microsoft cloud (graph-contract 1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// Worldwide, with US GCC.
    Global,
    /// US Government L4 (GCC High).
    UsGov,
    /// US Government L5 (DoD).
    UsGovDod,
    /// China, operated by 21Vianet.
    China,
}

impl Cloud {
    /// The spellings of `entra.cloud`; the first of each cloud is the name.
    pub(super) const NAMES: [(&'static str, Self); 6] = [
        ("global", Self::Global),
        ("usgov", Self::UsGov),
        ("usgov_dod", Self::UsGovDod),
        ("china", Self::China),
        ("us_gov", Self::UsGov),
        ("us_gov_dod", Self::UsGovDod),
    ];

    /// The name in the settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::UsGov => "usgov",
            Self::UsGovDod => "usgov_dod",
            Self::China => "china",
        }
    }

    /// The host of Microsoft Graph.
    #[must_use]
    pub fn graph_host(self) -> &'static str {
        match self {
            Self::Global => "graph.microsoft.com",
            Self::UsGov => "graph.microsoft.us",
            Self::UsGovDod => "dod-graph.microsoft.us",
            Self::China => "microsoftgraph.chinacloudapi.cn",
        }
    }

    /// The hosts of the identity platform, the usual one first.
    #[must_use]
    pub fn login_hosts(self) -> &'static [&'static str] {
        match self {
            Self::Global => &["login.microsoftonline.com"],
            Self::UsGov | Self::UsGovDod => &["login.microsoftonline.us"],
            Self::China => &["login.partner.microsoftonline.cn", "login.chinacloudapi.cn"],
        }
    }

    /// The usual host of the identity platform.
    #[must_use]
    pub fn login_host(self) -> &'static str {
        self.login_hosts().first().copied().unwrap_or_default()
    }

    /// The OAuth scope of Microsoft Graph in this cloud.
    #[must_use]
    pub fn scope(self) -> String {
        format!("https://{}/.default", self.graph_host())
    }

    /// The OAuth scope of Azure's open-source databases in this cloud.
    #[must_use]
    pub fn database_scope(self) -> &'static str {
        match self {
            Self::Global => "https://ossrdbms-aad.database.windows.net/.default",
            Self::UsGov | Self::UsGovDod => {
                "https://ossrdbms-aad.database.usgovcloudapi.net/.default"
            }
            Self::China => "https://ossrdbms-aad.database.chinacloudapi.cn/.default",
        }
    }

    /// The cloud whose Graph has this host.
    pub(super) fn of_graph_host(host: &str) -> Option<Self> {
        Self::NAMES
            .into_iter()
            .map(|(_, cloud)| cloud)
            .find(|cloud| cloud.graph_host() == host)
    }

    /// Whether a host is some cloud's identity platform.
    pub(crate) fn is_login_host(host: &str) -> bool {
        Self::NAMES
            .into_iter()
            .any(|(_, cloud)| cloud.login_hosts().contains(&host))
    }
}

/// Where an endpoint is, as far as trust goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Locality {
    /// This machine: `localhost`, 127.0.0.0/8 or `::1`.
    Loopback,
    /// Anywhere else.
    Elsewhere,
}

/// Checks an endpoint that is sent secrets.
pub(super) fn gate(text: &str) -> Result<(Url, Locality), Wrong> {
    let url = plain_url(text)?;
    let locality = locality(&url);
    if url.scheme() == "http" && locality != Locality::Loopback {
        return Err(Wrong::new(
            "uses plain http beyond this machine, which would show the token to the network",
            "use https; plain http is for 127.0.0.0/8, ::1 and localhost only",
        ));
    }
    Ok((url, locality))
}

/// An http(s) URL with a host and a path, and nothing else.
pub(super) fn plain_url(text: &str) -> Result<Url, Wrong> {
    let example = "give a URL such as https://host/path";
    // Any @ at all: after a raw / or ? in a password the rest of it would pass
    // for a path, and no endpoint of ours has one there.
    if text.contains('@') {
        return Err(Wrong::new(
            "holds a user or password",
            "remove everything up to the @",
        ));
    }
    // Never quoted: whoever writes a password into it should not find it in a log.
    let url = Url::parse(text.trim())
        .map_err(|error| Wrong::new(format!("is no URL: {error}"), example))?;
    if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
        return Err(Wrong::new("is neither an https nor an http URL", example));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Wrong::new(
            "holds a query or fragment",
            "remove everything from the first ? or #",
        ));
    }
    Ok(url)
}

/// Whether a URL stays on this machine.
pub(super) fn locality(url: &Url) -> Locality {
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    };
    if here {
        Locality::Loopback
    } else {
        Locality::Elsewhere
    }
}

/// The host, if the URL uses its scheme's own port; a Microsoft host on some
/// other port is not Microsoft's endpoint.
pub(super) fn host_on_default_port(url: &Url) -> Option<&str> {
    url.port().is_none().then(|| url.host_str()).flatten()
}

/// Removes final slashes: callers append paths.
pub(super) fn without_final_slash(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let wrong = gate(text).unwrap_err();
        format!("{}; {}", wrong.what, wrong.remedy)
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for here in [
            "http://127.0.0.1:1",
            "http://127.8.9.1/x",
            "http://[::1]:9/v1.0",
            "http://localhost",
        ] {
            assert_eq!(gate(here).unwrap().1, Locality::Loopback, "{here}");
        }
        for there in [
            "http://graph.microsoft.com/v1.0",
            "http://10.0.0.1",
            "http://localhost.example.org",
            "http://[::2]",
        ] {
            assert_eq!(
                refused(there),
                "uses plain http beyond this machine, which would show the token to the network; \
                 use https; plain http is for 127.0.0.0/8, ::1 and localhost only"
            );
        }
    }

    #[test]
    fn nothing_but_host_and_path_gets_through_and_nothing_is_quoted() {
        assert_eq!(
            refused("https://u:hunter2@graph.microsoft.com/v1.0"),
            "holds a user or password; remove everything up to the @"
        );
        assert_eq!(
            refused("https://graph.microsoft.com/v1.0?x=hunter2"),
            "holds a query or fragment; remove everything from the first ? or #"
        );
        assert_eq!(
            refused("ftp://graph.microsoft.com/"),
            "is neither an https nor an http URL; give a URL such as https://host/path"
        );
        assert!(refused("graph.microsoft.com/v1.0").starts_with("is no URL: "));
    }

    #[test]
    fn a_microsoft_host_on_another_port_is_not_microsofts() {
        let url = |text| Url::parse(text).unwrap();
        assert_eq!(
            host_on_default_port(&url("https://graph.microsoft.com:443/v1.0")),
            Some("graph.microsoft.com")
        );
        assert_eq!(
            host_on_default_port(&url("https://graph.microsoft.com:8443/v1.0")),
            None
        );
    }

    #[test]
    fn every_cloud_has_its_own_graph_and_scope() {
        assert_eq!(
            Cloud::of_graph_host("dod-graph.microsoft.us"),
            Some(Cloud::UsGovDod)
        );
        assert_eq!(
            Cloud::China.scope(),
            "https://microsoftgraph.chinacloudapi.cn/.default"
        );
        assert!(Cloud::is_login_host("login.chinacloudapi.cn"));
        assert!(!Cloud::is_login_host(
            "login.microsoftonline.com.example.org"
        ));
    }
}

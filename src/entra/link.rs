//! Which addresses may see the bearer token.
//!
//! Invariant: only URLs of the configured scheme, host and port, below the
//! configured path, without credentials of their own (graph-contract 11).

use url::Url;

use super::error::LinkFault;

/// The configured Graph endpoint, as a measure for links.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    root: Url,
    prefix: String,
}

impl Endpoint {
    pub(super) fn new(root: &Url) -> Self {
        let prefix = format!("{}/", root.path().trim_end_matches('/'));
        Self {
            root: root.clone(),
            prefix,
        }
    }

    /// Host and port, for messages.
    pub(super) fn authority(&self) -> String {
        authority(&self.root)
    }

    /// Path and query below the endpoint, as the items of a batch are named.
    ///
    /// # Errors
    /// Why the address is none of the endpoint's.
    pub(super) fn relative(&self, url: &Url) -> Result<String, LinkFault> {
        self.check(url)?;
        let path = url.path().strip_prefix(self.prefix.as_str());
        let path = path.ok_or(LinkFault::Path)?;
        Ok(match url.query() {
            Some(query) => format!("/{path}?{query}"),
            None => format!("/{path}"),
        })
    }

    /// Reads a link that a page named, or says why it must not be followed.
    pub(super) fn admit(&self, link: &str) -> Result<Url, LinkFault> {
        let url = Url::parse(link).map_err(|_| LinkFault::Unreadable)?;
        self.check(&url)?;
        Ok(url)
    }

    /// Checks an address that is about to see, or has seen, the token.
    pub(super) fn check(&self, url: &Url) -> Result<(), LinkFault> {
        if url.scheme() != self.root.scheme() {
            return Err(LinkFault::Scheme);
        }
        if url.host() != self.root.host() {
            return Err(LinkFault::Host);
        }
        if url.port_or_known_default() != self.root.port_or_known_default() {
            return Err(LinkFault::Port);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(LinkFault::Userinfo);
        }
        if !url.path().starts_with(&self.prefix) {
            return Err(LinkFault::Path);
        }
        Ok(())
    }
}

/// Host and port of a URL, for messages.
pub(super) fn authority(url: &Url) -> String {
    match (url.host_str(), url.port_or_known_default()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => "an address without host".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::new(&Url::parse("https://graph.microsoft.com/v1.0").unwrap())
    }

    #[test]
    fn a_link_below_the_endpoint_is_followed() {
        for link in [
            "https://graph.microsoft.com/v1.0/groups?$skiptoken=X%2By",
            "https://GRAPH.microsoft.com:443/v1.0/groups",
        ] {
            assert!(endpoint().admit(link).is_ok(), "{link}");
        }
    }

    #[test]
    fn what_is_below_the_endpoint_is_named_without_host_and_version() {
        let named = |text| endpoint().relative(&Url::parse(text).unwrap());
        assert_eq!(
            named("https://graph.microsoft.com/v1.0/users/x?$select=id%2Cmail"),
            Ok("/users/x?$select=id%2Cmail".to_owned())
        );
        assert_eq!(
            named("https://elsewhere.test/v1.0/users/x"),
            Err(LinkFault::Host)
        );
    }

    #[test]
    fn a_link_is_refused_for_each_part_that_differs() {
        for (link, fault) in [
            ("/v1.0/groups", LinkFault::Unreadable),
            ("", LinkFault::Unreadable),
            ("http://graph.microsoft.com/v1.0/groups", LinkFault::Scheme),
            (
                "https://graph.microsoft.com.evil.test/v1.0/x",
                LinkFault::Host,
            ),
            (
                "https://evil.test\\@graph.microsoft.com/v1.0/x",
                LinkFault::Host,
            ),
            ("https://graph.microsoft.com:8443/v1.0/x", LinkFault::Port),
            ("https://a@graph.microsoft.com/v1.0/x", LinkFault::Userinfo),
            ("https://:b@graph.microsoft.com/v1.0/x", LinkFault::Userinfo),
            ("https://graph.microsoft.com/beta/x", LinkFault::Path),
            ("https://graph.microsoft.com/v1.0x/x", LinkFault::Path),
            (
                "https://graph.microsoft.com/v1.0/../beta/x",
                LinkFault::Path,
            ),
            (
                "https://graph.microsoft.com/v1.0/%2e%2e/beta/x",
                LinkFault::Path,
            ),
        ] {
            assert_eq!(endpoint().admit(link).unwrap_err(), fault, "{link}");
        }
    }
}

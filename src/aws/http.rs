//! Lends AWS's library the HTTP client that everything else here goes through.
//!
//! Invariant: what is on this machine or one hop away (container endpoints, the
//! metadata service) is asked over plain http and never through a proxy;
//! everything else is https. No redirect is followed: it would carry what
//! authorizes us somewhere else. Must not: print a URL.

use std::error::Error as StdError;
use std::fmt;
use std::net::Ipv6Addr;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use reqwest::{Client, ClientBuilder, Method};
use url::{Host, Url};

use super::error::Error;

/// To a host that does not answer at all.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);

/// For one request where the library says nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Credentials are some 2 kB.
const LARGEST_BODY: usize = 256 * 1024;

/// Both clients; clones share them.
#[derive(Clone)]
pub(super) struct Http {
    near: Client,
    far: Client,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl Http {
    pub(super) fn new() -> Result<Self, Error> {
        let built = |builder: ClientBuilder| {
            builder
                .connect_timeout(CONNECT_PATIENCE)
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .map_err(|error| Error::Setup {
                    reason: innermost(&error),
                })
        };
        Ok(Self {
            near: built(Client::builder().no_proxy())?,
            far: built(Client::builder().https_only(true))?,
        })
    }

    /// The client for this address, if it may be asked at all.
    fn client(&self, url: &Url) -> Option<&Client> {
        match url.scheme() {
            "https" => Some(&self.far),
            "http" if is_near(url) => Some(&self.near),
            _ => None,
        }
    }
}

/// Loopback, link-local, or where AWS has its services for an instance in IPv6.
fn is_near(url: &Url) -> bool {
    const OF_EC2: [u16; 2] = [0xfd00, 0x0ec2];
    let of_ec2 = |address: Ipv6Addr| address.segments().starts_with(&OF_EC2);
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_link_local(),
        Some(Host::Ipv6(address)) => address.is_loopback() || of_ec2(address),
        None => false,
    }
}

impl HttpClient for Http {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let asked = [settings.connect_timeout(), settings.read_timeout()];
        let patience: Duration = asked.into_iter().flatten().sum();
        SharedHttpConnector::new(Connector {
            http: self.clone(),
            patience: if patience.is_zero() {
                PATIENCE
            } else {
                patience
            },
        })
    }
}

#[derive(Debug, Clone)]
struct Connector {
    http: Http,
    patience: Duration,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move { connector.send(request).await })
    }
}

impl Connector {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let user = |what: &str| ConnectorError::user(what.to_owned().into());
        let url = Url::parse(request.uri()).map_err(|_| user("the address is no URL"))?;
        let Some(client) = self.http.client(&url) else {
            return Err(user("plain http is for this machine only"));
        };
        let method = Method::from_bytes(request.method().as_bytes())
            .map_err(|_| user("there is no such method"))?;
        let body = request.body().bytes().map(<[u8]>::to_vec);
        let place = url.host_str().unwrap_or_default().to_owned();
        let mut sent = client.request(method, url).timeout(self.patience);
        for (name, value) in request.headers() {
            sent = sent.header(name, value);
        }
        if let Some(body) = body {
            sent = sent.body(body);
        }
        let failed = |error: &reqwest::Error| failure(&place, error);
        let mut answer = sent.send().await.map_err(|error| failed(&error))?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| failed(&error))? {
            if body.len() + chunk.len() > LARGEST_BODY {
                return Err(user("the answer is too long"));
            }
            body.extend_from_slice(&chunk);
        }
        let status = answer.status().as_u16().try_into();
        let status = status.map_err(|_| user("the answer has no status"))?;
        let mut whole = HttpResponse::new(status, body.into());
        for (name, value) in answer.headers() {
            // What is no text is nothing that the library reads.
            if let Ok(value) = value.to_str() {
                let (name, value) = (name.as_str().to_owned(), value.to_owned());
                whole.headers_mut().append(name, value);
            }
        }
        Ok(whole)
    }
}

fn failure(place: &str, error: &reqwest::Error) -> ConnectorError {
    let text = format!("{place}: {}", innermost(error));
    if error.is_timeout() {
        ConnectorError::timeout(text.into())
    } else {
        ConnectorError::io(text.into())
    }
}

/// The operating system's words; reqwest's own hold the URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    if error.is_timeout() {
        "no answer in time".to_owned()
    } else if error.source().is_some() {
        cause.to_string()
    } else {
        "no further cause given".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_what_is_near() {
        let http = Http::new().unwrap();
        let may = |url: &str| http.client(&Url::parse(url).unwrap()).is_some();
        for url in [
            "https://sts.eu-central-1.amazonaws.com/",
            "http://169.254.169.254/latest",
            "http://169.254.170.2/v2/credentials",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
            "http://127.0.0.1:9/",
            "http://localhost:9/",
        ] {
            assert!(may(url), "{url}");
        }
        for url in [
            "http://sts.eu-central-1.amazonaws.com/",
            "http://10.0.0.1/",
            "http://[fd00:ec3::23]/",
            "http://localhost.example.org/",
            "ftp://127.0.0.1/",
        ] {
            assert!(!may(url), "{url}");
        }
    }
}

//! The simulator, asked by a plain HTTP client.

mod applications;
mod assertions;
mod delta_faults;
mod delta_groups;
mod delta_links;
mod delta_users;
mod faults;
mod groups;
mod quotas;
mod steering;
mod tokens;
mod users;

use std::collections::BTreeSet;

use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

use super::*;

/// A simulator and somebody who asks it.
struct Asked {
    simulator: Simulator,
    client: Client,
    token: String,
}

impl Asked {
    async fn of(furnish: impl FnOnce(&mut Tenant)) -> Self {
        let simulator = Simulator::start(Tenant::build(furnish)).await.unwrap();
        let client = Client::builder().no_proxy().build().unwrap();
        let mut asked = Self {
            simulator,
            client,
            token: String::new(),
        };
        asked.new_token().await;
        asked
    }

    async fn new_token(&mut self) {
        let (status, body) = self.ask_token(&[]).await;
        assert_eq!(status, 200, "{body}");
        self.token = body["access_token"].as_str().unwrap().to_owned();
    }

    /// Asks for a token; `changes` replace form fields, an empty value takes
    /// the field away.
    async fn ask_token(&self, changes: &[(&str, &str)]) -> (u16, Value) {
        let (id, secret) = self
            .simulator
            .tenant(|t| (t.client_id().to_string(), t.client_secret().to_owned()));
        let mut form = std::collections::BTreeMap::from([
            ("grant_type", "client_credentials"),
            ("scope", "https://graph.microsoft.com/.default"),
            ("client_id", id.as_str()),
            ("client_secret", secret.as_str()),
        ]);
        for (name, value) in changes {
            form.insert(name, value);
        }
        form.retain(|_, value| !value.is_empty());
        let response = self
            .client
            .post(self.simulator.token_url())
            .form(&form)
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    fn request(&self, path: &str) -> RequestBuilder {
        let url = match path.starts_with("http") {
            true => path.to_owned(),
            false => format!("{}{path}", self.simulator.graph_url()),
        };
        self.client.get(url).bearer_auth(&self.token)
    }

    async fn try_get(&self, path: &str) -> reqwest::Result<Response> {
        self.request(path).send().await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.try_get(path).await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn good(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Asserts a refusal.
    async fn refused(&self, path: &str, status: u16, code: &str) {
        let (got, body) = self.get(path).await;
        assert_eq!(
            (got, body["error"]["code"].as_str()),
            (status, Some(code)),
            "{path}: {body}"
        );
        assert!(body["error"]["innerError"]["request-id"].is_string());
        assert!(body["error"]["innerError"]["date"].is_string());
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}{path}", self.simulator.graph_url());
        let request = self.client.post(url).bearer_auth(&self.token).json(&body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// All rows of a collection, page by page, and how many pages there were.
    async fn pages(&self, path: &str) -> (Vec<Value>, usize) {
        let (mut rows, mut pages, mut next) = (Vec::new(), 0, Some(path.to_owned()));
        while let Some(link) = next {
            let page = self.good(&link).await;
            rows.extend(page["value"].as_array().unwrap().iter().cloned());
            next = page["@odata.nextLink"].as_str().map(str::to_owned);
            pages += 1;
            assert!(pages < 100, "no end");
        }
        (rows, pages)
    }
}

/// A delta round that was read to its end.
struct Told {
    items: Vec<Value>,
    pages: usize,
    /// The link to the next round.
    link: String,
}

impl Told {
    fn ids(&self) -> Vec<&str> {
        self.items
            .iter()
            .map(|item| item["id"].as_str().unwrap())
            .collect()
    }
}

/// The link of a delta page; it must have one and not the other.
fn only_link(page: &Value) -> (&'static str, String) {
    let links: Vec<(&'static str, String)> = ["@odata.nextLink", "@odata.deltaLink"]
        .into_iter()
        .filter_map(|name| Some((name, page.get(name)?.as_str()?.to_owned())))
        .collect();
    match <[_; 1]>::try_from(links) {
        Ok([link]) => link,
        Err(links) => panic!("one link, not {links:?}"),
    }
}

impl Asked {
    /// Reads one round, which a first call or a delta link begins.
    async fn round(&self, path: &str) -> Told {
        let (mut items, mut pages, mut link) = (Vec::new(), 0, path.to_owned());
        loop {
            let page = self.good(&link).await;
            items.extend(page["value"].as_array().unwrap().iter().cloned());
            pages += 1;
            assert!(pages < 100, "no end");
            let kind;
            (kind, link) = only_link(&page);
            if kind == "@odata.deltaLink" {
                return Told { items, pages, link };
            }
        }
    }
}

/// `m1` to `m{count}`.
fn crowd(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("m{number}")).collect()
}

fn put_crowd(tenant: &mut Tenant, group: &str, count: usize) {
    let crowd = crowd(count);
    tenant
        .group(group)
        .members(crowd.iter().map(String::as_str));
}

fn distinct_ids(rows: &[Value]) -> usize {
    rows.iter()
        .map(|row| row["id"].as_str().unwrap())
        .collect::<BTreeSet<_>>()
        .len()
}

fn members(group: &str) -> String {
    format!("/groups/{}/members", group_id(group))
}

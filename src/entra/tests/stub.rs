//! A Graph and a token endpoint that say exactly what a test tells them.

mod script;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use url::Url;

use crate::config::{AttributeNames, Credential, EntraSettings, Membership, ResourceUnits, Secret};
use crate::entra::pace::Pace;
use crate::entra::{Error, Progress, Reader};
use crate::model::directory::Directory;
use crate::model::ids::{AppRoleId, GroupId, PersonId};
use crate::model::policy::{GroupFilter, Scope};

/// One scripted answer.
#[derive(Clone)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    ending: Ending,
    delay: Duration,
}

#[derive(Clone, Copy)]
enum Ending {
    Whole,
    /// The connection breaks after the body so far.
    Broken,
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, &body.to_string())
    }

    pub(super) fn text(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::from(body.to_owned()),
            ending: Ending::Whole,
            delay: Duration::ZERO,
        }
    }

    /// What takes another form in transit, as a header says.
    pub(super) fn packed(coding: &str, body: Vec<u8>) -> Self {
        Self {
            body: body.into(),
            ..Self::text(200, "")
        }
        .header("content-encoding", coding)
    }

    pub(super) fn page(items: &[Value]) -> Self {
        Self::json(200, &json!({ "value": items }))
    }

    pub(super) fn page_then(items: &[Value], next: &str) -> Self {
        Self::json(200, &json!({ "value": items, "@odata.nextLink": next }))
    }

    pub(super) fn error(status: u16, code: &str) -> Self {
        Self::json(
            status,
            &json!({ "error": { "code": code, "message": "secret words" } }),
        )
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn broken(mut self) -> Self {
        self.ending = Ending::Broken;
        self
    }

    /// As the answer of a batch's item.
    pub(super) fn item(&self, id: &Value) -> Value {
        use base64::Engine;
        let body = serde_json::from_slice(&self.body).unwrap_or_else(|_| {
            json!(base64::engine::general_purpose::STANDARD.encode(&self.body))
        });
        let headers: HashMap<&str, &str> = self
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        json!({ "id": id, "status": self.status, "headers": headers, "body": body })
    }

    pub(super) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// One request as it came in.
#[derive(Clone)]
pub(super) struct Seen {
    /// Path and, for further pages, `?page=…`.
    pub(super) key: String,
    pub(super) query: HashMap<String, String>,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    pub(super) at: Instant,
}

#[derive(Default)]
struct Script {
    answers: HashMap<String, VecDeque<Reply>>,
    groups: HashMap<String, Value>,
    seen: Vec<Seen>,
    issued: u32,
    refused: HashSet<String>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Script>>);

/// The server; ends with the test's runtime.
pub(super) struct Stub {
    pub(super) origin: String,
    shared: Shared,
}

pub(super) const SERVICE_PRINCIPAL: &str = "11111111-1111-1111-1111-111111111111";
pub(super) const DEFAULT_ACCESS: &str = "00000000-0000-0000-0000-000000000000";
pub(super) const TOKEN: &str = "/token";
pub(super) const BATCH: &str = "/v1.0/$batch";

impl Stub {
    /// A tenant with a service principal to which nothing is assigned.
    pub(super) async fn start() -> Self {
        let shared = Shared::default();
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let stub = Self { origin, shared };
        stub.roles(&[]);
        stub.assign(&[]);
        stub
    }

    /// The link to a further page, which `set` knows as `path?page=…`.
    pub(super) fn link(&self, path: &str, page: &str) -> String {
        format!("{}{path}?page={page}", self.origin)
    }

    /// What a path answers; of several replies the last one stays.
    pub(super) fn set(&self, key: &str, replies: impl Into<VecDeque<Reply>>) {
        self.script().answers.insert(key.to_owned(), replies.into());
    }

    pub(super) fn roles(&self, roles: &[Value]) {
        let body = json!({ "id": SERVICE_PRINCIPAL, "appRoles": roles, "accountEnabled": true });
        self.set(&service_principal_path(), [Reply::json(200, &body)]);
    }

    pub(super) fn assign(&self, rows: &[Value]) {
        self.set(&assignments_path(), [Reply::page(rows)]);
    }

    /// A group with an object and one page of members, not yet assigned.
    pub(super) fn group(&self, id: GroupId, members: &[Value]) {
        self.group_object(id, json!({ "displayName": format!("Group {id}") }));
        self.set(&members_path(id), [Reply::page(members)]);
    }

    pub(super) fn group_object(&self, id: GroupId, mut object: Value) {
        object["id"] = json!(id.to_string());
        self.script().groups.insert(id.to_string(), object);
    }

    /// Refuses this token with 401 from now on.
    pub(super) fn revoke(&self, token: &str) {
        self.script().refused.insert(format!("Bearer {token}"));
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.script().seen.clone()
    }

    pub(super) fn seen_at(&self, key: &str) -> Vec<Seen> {
        let mut seen = self.seen();
        seen.retain(|seen| seen.key == key);
        seen
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.shared.0.lock().unwrap()
    }

    pub(super) fn settings(&self) -> EntraSettings {
        EntraSettings {
            cloud: crate::config::Cloud::Global,
            tenant: "contoso.test".into(),
            client_id: "22222222-2222-2222-2222-222222222222".into(),
            credential: Credential::ClientSecret(Secret::Value("s3cret&+=%".to_owned().into())),
            service_principal_id: SERVICE_PRINCIPAL.parse().unwrap(),
            graph_endpoint: Url::parse(&format!("{}/v1.0", self.origin)).unwrap(),
            token_endpoint: Url::parse(&format!("{}{TOKEN}", self.origin)).unwrap(),
            scope: "https://graph.microsoft.com/.default".into(),
            membership: Membership::Direct,
            groups: GroupFilter::default(),
            concurrency: 4,
            resource_units: ResourceUnits::Auto,
            request_timeout: Duration::from_secs(10),
            attempts: 3,
            attributes: AttributeNames::default(),
        }
    }

    pub(super) fn reader(&self) -> Reader {
        Reader::with_pace(&self.settings(), quick()).unwrap()
    }

    pub(super) async fn read(&self) -> Result<Directory, Error> {
        read(&self.reader()).await
    }
}

pub(super) async fn read(reader: &Reader) -> Result<Directory, Error> {
    reader
        .read(&Scope::default(), &Progress::unobserved())
        .await
}

/// The daemon's pace with the waiting taken out.
pub(super) fn quick() -> Pace {
    Pace {
        first_delay: Duration::from_millis(2),
        longest_delay: Duration::from_millis(10),
        longest_pause: Duration::from_millis(200),
        ..Pace::steady(3)
    }
}

pub(super) fn group_id(number: u32) -> GroupId {
    format!("a0000000-0000-0000-0000-{number:012}")
        .parse()
        .unwrap()
}

pub(super) fn person_id(number: u32) -> PersonId {
    format!("b0000000-0000-0000-0000-{number:012}")
        .parse()
        .unwrap()
}

pub(super) fn role_id(number: u32) -> AppRoleId {
    format!("c0000000-0000-0000-0000-{number:012}")
        .parse()
        .unwrap()
}

pub(super) fn person(number: u32) -> Value {
    json!({
        "@odata.type": "#microsoft.graph.user",
        "id": person_id(number).to_string(),
        "userPrincipalName": format!("P{number}@Contoso.test"),
        "displayName": format!("Person {number}"),
        "accountEnabled": true,
    })
}

pub(super) fn people(numbers: std::ops::Range<u32>) -> Vec<Value> {
    numbers.map(person).collect()
}

pub(super) fn ids(numbers: impl IntoIterator<Item = u32>) -> Vec<PersonId> {
    numbers.into_iter().map(person_id).collect()
}

pub(super) fn assigned_group(id: GroupId) -> Value {
    assignment("Group", &id.to_string(), DEFAULT_ACCESS)
}

pub(super) fn assignment(kind: &str, principal: &str, role: &str) -> Value {
    json!({ "principalId": principal, "principalType": kind, "appRoleId": role })
}

pub(super) fn service_principal_path() -> String {
    format!("/v1.0/servicePrincipals/{SERVICE_PRINCIPAL}")
}

pub(super) fn assignments_path() -> String {
    format!("{}/appRoleAssignedTo", service_principal_path())
}

pub(super) fn members_path(id: GroupId) -> String {
    format!("/v1.0/groups/{id}/members")
}

pub(super) fn transitive_path(id: GroupId) -> String {
    format!("/v1.0/groups/{id}/transitiveMembers")
}

pub(super) fn person_path(id: PersonId) -> String {
    format!("/v1.0/users/{id}")
}

/// The members of the one group `members`, after reading `directory`.
pub(super) fn members(directory: &Directory, id: GroupId) -> Vec<PersonId> {
    directory.groups[&id]
        .members
        .as_ref()
        .unwrap()
        .get()
        .clone()
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let query = pairs(parts.uri.query().unwrap_or_default());
    let key = key(parts.uri.path(), &query);
    let seen = Seen {
        key,
        query,
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
        at: Instant::now(),
    };
    let reply = shared.0.lock().unwrap().answer(seen);
    if !reply.delay.is_zero() {
        tokio::time::sleep(reply.delay).await;
    }
    let mut response = Response::builder().status(StatusCode::from_u16(reply.status).unwrap());
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    let body = match reply.ending {
        Ending::Whole => Body::from(reply.body),
        Ending::Broken => Body::from_stream(futures::stream::iter([
            Ok(reply.body),
            Err(std::io::Error::other("broken on purpose")),
        ])),
    };
    response.body(body).unwrap()
}

fn pairs(query: &str) -> HashMap<String, String> {
    url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

fn key(path: &str, query: &HashMap<String, String>) -> String {
    match query.get("page") {
        Some(page) => format!("{path}?page={page}"),
        None => path.to_owned(),
    }
}

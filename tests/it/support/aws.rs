//! Stands for AWS: gives credentials as a container's endpoint, STS and the
//! metadata service do, and says of a login whether its token is good, as RDS
//! does.
//!
//! PostgreSQL asks by LDAP (a simple bind, RFC 4511), the one way in which a
//! server hands a password to somebody else without more than a line of its
//! settings. The signature is computed here from its definition (Signature
//! Version 4), without the library that made it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use ring::hmac;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const REGION: &str = "eu-central-1";
pub const ROLE: &str = "arn:aws:iam::123456789012:role/entra-sync";
/// What the pod shows to get credentials.
pub const POD: &str = "authorization-of-the-pod";
/// What the pod shows to STS.
pub const WEB_IDENTITY: &str = "identity-of-the-service-account";

/// The credentials of the moment.
#[derive(Clone)]
struct Keys {
    id: String,
    secret: String,
    session: String,
    end: DateTime<Utc>,
}

impl Keys {
    fn new(number: usize) -> Self {
        Self {
            id: format!("ASIAEXAMPLE{number}"),
            secret: format!("secret-key-number-{number}"),
            session: format!("session+of/number{number}=="),
            end: Utc::now() + TimeDelta::hours(1),
        }
    }

    fn end(&self) -> String {
        self.end.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    fn json(&self) -> Json<Value> {
        Json(json!({
            "Code": "Success",
            "Type": "AWS-HMAC",
            "AccessKeyId": self.id,
            "SecretAccessKey": self.secret,
            "Token": self.session,
            "Expiration": self.end(),
            "LastUpdated": "2026-01-01T00:00:00Z",
        }))
    }
}

struct Account {
    keys: Keys,
    number: usize,
    refusal: Option<&'static str>,
    tokens: Vec<String>,
}

#[derive(Clone)]
pub struct Aws {
    account: Arc<Mutex<Account>>,
    http: u16,
    ldap: u16,
}

impl Aws {
    pub async fn start() -> Self {
        let http = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let ldap = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
        let aws = Self {
            account: Arc::new(Mutex::new(Account {
                keys: Keys::new(1),
                number: 1,
                refusal: None,
                tokens: Vec::new(),
            })),
            http: port(&http),
            ldap: port(&ldap),
        };
        const IDENTITY: &str = "/latest/meta-data/iam/security-credentials/";
        let routes = Router::new()
            .route("/container", get(container))
            .route("/", post(sts))
            .route("/latest/api/token", put(session))
            .route(IDENTITY, get(async || "entra-sync"))
            .route(&format!("{IDENTITY}entra-sync"), get(instance))
            .with_state(aws.clone());
        tokio::spawn(async move { axum::serve(http, routes).await });
        let judge = aws.clone();
        tokio::spawn(async move {
            while let Ok((server, _)) = ldap.accept().await {
                tokio::spawn(judge.clone().binds(server));
            }
        });
        aws
    }

    /// The lines by which a server asks here.
    pub fn admission(&self) -> String {
        format!(
            "hostssl all entra_sync 127.0.0.1/32 ldap ldapserver=127.0.0.1 ldapport={} \
             ldapprefix=\"role=\"\nhostnossl all entra_sync 127.0.0.1/32 reject",
            self.ldap
        )
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http)
    }

    /// Other credentials from now on; the last ones are worth nothing.
    pub fn rotates(&self) {
        let mut account = self.account();
        account.number += 1;
        account.keys = Keys::new(account.number);
    }

    /// The credentials of the moment are over.
    pub fn expires(&self) {
        self.account().keys.end = Utc::now() - TimeDelta::seconds(1);
    }

    /// STS refuses with this code.
    pub fn refuses(&self, code: &'static str) {
        self.account().refusal = Some(code);
    }

    /// The tokens that were shown, good or not.
    pub fn tokens(&self) -> Vec<String> {
        self.account().tokens.clone()
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().expect("nobody panicked")
    }

    fn looks_at(&self, token: String, role: &str) -> Option<()> {
        let mut account = self.account();
        let judged = judge(&token, role, &account.keys);
        account.tokens.push(token);
        judged
    }

    /// One client of the LDAP server: it binds once and goes.
    async fn binds(self, mut server: TcpStream) -> Option<()> {
        let message = message(&mut server).await?;
        let mut fields = Ber(&message);
        let id = fields.next(0x02)?.to_vec();
        let mut bind = Ber(fields.next(0x60)?);
        bind.next(0x02)?;
        let name = String::from_utf8(bind.next(0x04)?.to_vec()).ok()?;
        let token = String::from_utf8(bind.next(0x80)?.to_vec()).ok()?;
        let judged = self.looks_at(token, name.strip_prefix("role=")?);
        let code = if judged.is_some() { 0 } else { 49 };
        let mut answer = vec![0x30, 9 + u8::try_from(id.len() + 2).ok()?];
        answer.extend([0x02, u8::try_from(id.len()).ok()?]);
        answer.extend(&id);
        answer.extend([0x61, 7, 0x0a, 1, code, 0x04, 0, 0x04, 0]);
        server.write_all(&answer).await.ok()?;
        // Its farewell, so that it does not find the door closed.
        let _ = server.read(&mut [0; 64]).await;
        Some(())
    }
}

async fn container(State(aws): State<Aws>, headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    if headers
        .get("authorization")
        .is_none_or(|shown| shown != POD)
    {
        return Err(StatusCode::UNAUTHORIZED);
    }
    Ok(aws.account().keys.json())
}

async fn session() -> ([(&'static str, &'static str); 1], &'static str) {
    let life = [("x-aws-ec2-metadata-token-ttl-seconds", "21600")];
    (life, "session-of-imds")
}

async fn instance(State(aws): State<Aws>, headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    let shown = headers.get("x-aws-ec2-metadata-token");
    if shown.is_none_or(|shown| shown != "session-of-imds") {
        return Err(StatusCode::UNAUTHORIZED);
    }
    Ok(aws.account().keys.json())
}

async fn sts(
    State(aws): State<Aws>,
    Form(asked): Form<BTreeMap<String, String>>,
) -> (StatusCode, String) {
    const NAMES: &str = "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"";
    let account = aws.account();
    let is = |name: &str, value: &str| asked.get(name).is_some_and(|given| given == value);
    let known = is("Action", "AssumeRoleWithWebIdentity")
        && is("RoleArn", ROLE)
        && is("WebIdentityToken", WEB_IDENTITY);
    let refusal = account
        .refusal
        .or((!known).then_some("InvalidIdentityToken"));
    if let Some(code) = refusal {
        let error =
            format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error>");
        let text =
            format!("<ErrorResponse {NAMES}>{error}<RequestId>1</RequestId></ErrorResponse>");
        return (StatusCode::FORBIDDEN, text);
    }
    let Keys {
        id,
        secret,
        session,
        ..
    } = &account.keys;
    let end = account.keys.end();
    let text = format!(
        "<AssumeRoleWithWebIdentityResponse {NAMES}><AssumeRoleWithWebIdentityResult>\
         <AssumedRoleUser><AssumedRoleId>A:s</AssumedRoleId><Arn>{ROLE}</Arn></AssumedRoleUser>\
         <Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>\
         <SessionToken>{session}</SessionToken><Expiration>{end}</Expiration></Credentials>\
         </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    );
    (StatusCode::OK, text)
}

/// Whether this token lets this role in now.
fn judge(token: &str, role: &str, keys: &Keys) -> Option<()> {
    let (host, query) = token.split_once("/?")?;
    let pairs: Vec<(&str, &str)> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .collect();
    let value = |name: &str| {
        let found = pairs.iter().find(|(known, _)| *known == name)?;
        let decoded = url::form_urlencoded::parse(format!("x={}", found.1).as_bytes())
            .next()?
            .1
            .into_owned();
        Some(decoded)
    };
    let time = value("X-Amz-Date")?;
    let day = time.get(..8)?;
    let scope = format!("{day}/{REGION}/rds-db/aws4_request");
    let is = |name: &str, expected: &str| value(name).filter(|found| found == expected).map(drop);
    is("Action", "connect")?;
    is("DBUser", role)?;
    is("X-Amz-Algorithm", "AWS4-HMAC-SHA256")?;
    is("X-Amz-Credential", &format!("{}/{scope}", keys.id))?;
    is("X-Amz-Security-Token", &keys.session)?;
    is("X-Amz-Expires", "900")?;
    is("X-Amz-SignedHeaders", "host")?;
    let signed = NaiveDateTime::parse_from_str(&time, "%Y%m%dT%H%M%SZ")
        .ok()?
        .and_utc();
    let age = Utc::now() - signed;
    (TimeDelta::seconds(-60)..TimeDelta::seconds(900))
        .contains(&age)
        .then_some(())?;
    (keys.end > Utc::now()).then_some(())?;

    let mut signed_pairs = pairs.clone();
    signed_pairs.retain(|(name, _)| *name != "X-Amz-Signature");
    signed_pairs.sort_unstable();
    let signed_pairs: Vec<String> = signed_pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let request = format!(
        "GET\n/\n{}\nhost:{host}\n\nhost\n{}",
        signed_pairs.join("&"),
        hex(&Sha256::digest(b""))
    );
    let text = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        hex(&Sha256::digest(request.as_bytes()))
    );
    let mut key = format!("AWS4{}", keys.secret).into_bytes();
    for part in scope.split('/').chain([text.as_str()]) {
        let by = hmac::Key::new(hmac::HMAC_SHA256, &key);
        key = hmac::sign(&by, part.as_bytes()).as_ref().to_vec();
    }
    is("X-Amz-Signature", &hex(&key))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The inside of the next LDAP message.
async fn message(server: &mut TcpStream) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    loop {
        let mut ber = Ber(&read);
        if let Some(inside) = ber.next(0x30) {
            return Some(inside.to_vec());
        }
        if server.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

/// Reads elements of definite length, one after the other.
struct Ber<'a>(&'a [u8]);

impl<'a> Ber<'a> {
    fn next(&mut self, tag: u8) -> Option<&'a [u8]> {
        let [found, length, rest @ ..] = self.0 else {
            return None;
        };
        let more = usize::from(length & 0x7f);
        let (length, rest) = if length & 0x80 == 0 {
            (more, rest)
        } else {
            let bytes = rest.get(..more)?;
            let length = bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (length, rest.get(more..)?)
        };
        let inside = rest.get(..length).filter(|_| *found == tag)?;
        self.0 = rest.get(length..)?;
        Some(inside)
    }
}

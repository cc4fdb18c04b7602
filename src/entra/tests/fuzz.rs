//! What Graph and the token endpoint may answer, compared with a plain reading
//! of the same JSON.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chrono::Utc;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::stub::Stub;
use crate::config::AttributeNames;
use crate::entra::assigned::Assignments;
use crate::entra::call::Call;
use crate::entra::client::Answer;
use crate::entra::credential::Credential;
use crate::entra::envelope;
use crate::entra::issuer;
use crate::entra::link::Endpoint;
use crate::entra::members::{MemberList, Members};
use crate::entra::notifications::{self, ClientState};
use crate::entra::pace;
use crate::entra::paging::Harvest;
use crate::entra::people::Register;
use crate::entra::sts::Sts;
use crate::entra::transport::is_plain;
use crate::entra::wire::ErrorBody;
use crate::entra::wire_person::people_page;
use crate::fuzz::fuzz;
use crate::model::complete::LastPage;
use crate::model::directory::Principal;

const WORDS: &[&str] = &[
    "\"value\":[],",
    "\"value\":null,",
    "\"error\":{\"code\":\"x\"},",
    "\"error\":null,",
    "\"@odata.nextLink\":null,",
    "\"@odata.nextLink\":\"https://elsewhere.test/v1.0/x\",",
    "\"@odata.deltaLink\":\"https://graph.microsoft.com/v1.0/x\",",
    "\"@removed\":{\"reason\":\"deleted\"},",
    "\"@odata.type\":\"#microsoft.graph.user\",",
    "\"id\":\"6f9619ff-8b86-d011-b42d-00cf4fc964ff\",",
    "6f9619ff8b86d011b42d00cf4fc964ff",
    "{6f9619ff-8b86-d011-b42d-00cf4fc964ff}",
    "urn:uuid:6f9619ff-8b86-d011-b42d-00cf4fc964ff",
    "\"../groups\"",
    "\"accountEnabled\":false,",
];

/// What a plain reading makes of a page: its items and its link. `None` if
/// there is nothing to compare with.
fn plain_page(body: &[u8]) -> Option<(Vec<Value>, Option<String>)> {
    let page = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(page)) => page,
        Ok(other) => panic!("{other} is a page"),
        // Where nothing is kept, not everything is looked at.
        Err(_) => return None,
    };
    assert!(
        page.get("error").is_none_or(Value::is_null),
        "an error inside"
    );
    let items = page["value"].as_array().expect("no list").clone();
    let link = match page.get("@odata.nextLink") {
        None | Some(Value::Null) => None,
        Some(link) => Some(link.as_str().expect("no link").to_owned()),
    };
    Some((items, link))
}

/// An id as it stands there, if it has the one spelling of a GUID.
fn guid(item: &Value, key: &str) -> Option<Uuid> {
    let text = item.get(key)?.as_str()?;
    (text.len() == 36).then(|| Uuid::parse_str(text).ok())?
}

fn says(item: &Value, key: &str, wanted: &str) -> bool {
    let text = item.get(key).and_then(Value::as_str);
    text.is_some_and(|text| text.eq_ignore_ascii_case(wanted))
}

/// The reader's link is the page's own, so that the last page is the one
/// without a link and no other.
fn same_end(read: Option<&str>, link: Option<&str>) {
    assert_eq!(read, link);
    assert_eq!(LastPage::seen(read).is_some(), link.is_none());
}

#[test]
fn a_page_of_members_is_its_people_and_nobody_else() {
    let names = AttributeNames::default();
    fuzz(&[include_bytes!("fuzz/members.json")], WORDS, |body| {
        let register = Register::default();
        let harvest = Members {
            names: &names,
            register: &register,
        };
        let mut list = MemberList::default();
        let Ok(next) = harvest.page(&mut list, body) else {
            assert!(list.people.is_empty() && register.is_empty());
            return;
        };
        let Some((items, link)) = plain_page(body) else {
            return;
        };
        same_end(next.as_deref(), link.as_deref());
        let people: Vec<Uuid> = items
            .iter()
            .filter(|item| says(item, "@odata.type", "#microsoft.graph.user"))
            .map(|item| guid(item, "id").expect("no GUID"))
            .collect();
        let read: Vec<Uuid> = list.people.iter().map(|id| id.as_uuid()).collect();
        assert_eq!(read, people);
        assert_eq!(list.rows, items.len());
        for id in &list.people {
            assert!(register.contains(*id));
        }
    });
}

#[test]
fn a_page_of_assignments_is_its_rows_for_groups_and_people() {
    fuzz(&[include_bytes!("fuzz/assignments.json")], WORDS, |body| {
        let mut list = <Assignments as Harvest>::Crop::default();
        let Ok(next) = Assignments.page(&mut list, body) else {
            assert!(list.assignments.is_empty());
            return;
        };
        let Some((items, link)) = plain_page(body) else {
            return;
        };
        same_end(next.as_deref(), link.as_deref());
        // serde takes a row in the form of a list as well.
        if !items.iter().all(Value::is_object) {
            return;
        }
        let of = |kind| {
            let rows = items
                .iter()
                .filter(move |row| says(row, "principalType", kind));
            rows.map(|row| {
                let id = guid(row, "principalId").expect("no GUID");
                (id, guid(row, "appRoleId").expect("no GUID"))
            })
            .collect::<Vec<_>>()
        };
        let (mut groups, mut people) = (Vec::new(), Vec::new());
        for one in &list.assignments {
            match one.principal {
                Principal::Group(id) => groups.push((id.as_uuid(), one.role.as_uuid())),
                Principal::Person(id) => people.push((id.as_uuid(), one.role.as_uuid())),
            }
        }
        assert_eq!((groups, people), (of("Group"), of("User")));
    });
}

#[test]
fn an_answer_in_a_batch_is_the_one_that_has_its_number() {
    let seeds: &[&[u8]] = &[include_bytes!("fuzz/batch.json")];
    let words = [
        "\"responses\":[],",
        "\"status\":404,",
        "\"id\":\"0\",",
        "PGh0bWw+",
    ];
    fuzz(seeds, &words, |body| {
        let whole = Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            trace: String::new(),
            body: Bytes::copy_from_slice(body),
        };
        let Ok(found) = envelope::answers(&whole) else {
            return;
        };
        let Ok(Value::Object(plain)) = serde_json::from_slice(body) else {
            return;
        };
        let mut statuses: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        let text = |value: &Value| match value {
            Value::String(text) => text.trim().to_owned(),
            other => other.to_string(),
        };
        for item in plain["responses"].as_array().expect("no list") {
            if let Some(place) = item.get("id").and_then(|id| text(id).parse().ok()) {
                let status = item.get("status").map(text).unwrap_or_default();
                statuses.entry(place).or_default().push(status);
            }
        }
        for (place, answer) in found {
            let status = answer.status.as_u16();
            if plain["responses"]
                .as_array()
                .is_some_and(|all| all.iter().all(Value::is_object))
            {
                assert_eq!(statuses[&place].len(), 1, "two answers to one question");
                assert_eq!(statuses[&place][0].parse(), Ok(status));
            }
            assert!(answer.body.len() <= 8 * body.len());
        }
    });
}

#[test]
fn an_error_of_graphs_is_told_by_a_plain_code_only() {
    let seeds: &[&[u8]] = &[include_bytes!("fuzz/error.json")];
    fuzz(
        seeds,
        &["\"innererror\":", "\"innerError\":{\"code\":"],
        |body| {
            if let Some(told) = ErrorBody::read(body) {
                assert!(is_plain(&told.code()) && is_plain(&told.absence()));
                let _ = told.lost_page_token();
            }
        },
    );
}

#[test]
fn a_link_is_followed_below_the_endpoint_only() {
    let endpoint = Endpoint::new(&Url::parse("https://graph.microsoft.com/v1.0").unwrap());
    let seeds: &[&[u8]] = &[
        b"https://graph.microsoft.com/v1.0/groups/6f9619ff-8b86-d011-b42d-00cf4fc964ff/members?%24top=999&%24skiptoken=RFNwdAIAAQ",
        b"https://GRAPH.MICROSOFT.COM:443/v1.0/users/delta?$deltatoken=abc",
        b"https://user:pw@elsewhere.test:8443\\@graph.microsoft.com/../beta/#x",
    ];
    let words = [
        "https://",
        "http:",
        "//",
        "\\",
        "@",
        "#",
        "..",
        "%2e%2e",
        "\t",
        "[::1]",
        ":8443",
        "elsewhere.test",
        "graph.microsoft.com",
        "\u{3002}",
        "\u{ff0e}",
        "/v1.0/",
    ];
    fuzz(seeds, &words, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(url) = endpoint.admit(&text) else {
            return;
        };
        assert_eq!(url.scheme(), "https");
        assert_eq!(url.host_str(), Some("graph.microsoft.com"));
        assert_eq!(url.port_or_known_default(), Some(443));
        assert_eq!((url.username(), url.password()), ("", None));
        assert!(url.path().starts_with("/v1.0/"));
        // What goes out is the text that was checked.
        assert!(
            url.as_str()
                .starts_with("https://graph.microsoft.com/v1.0/"),
            "{url}"
        );
        assert!(
            endpoint
                .relative(&url)
                .is_ok_and(|path| path.starts_with('/'))
        );
        assert_eq!(Url::parse(url.as_str()), Ok(url));
    });
}

#[tokio::test]
async fn what_the_token_endpoint_says_in_words_is_never_told() {
    let stub = Stub::start().await;
    let settings = stub.settings();
    let sts = Sts::new(&settings).unwrap();
    let credential = Credential::new(&settings).unwrap();
    let seeds: &[&[u8]] = &[
        br#"{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"eyJ0 Z\u0051X.b.c"}"#,
        br#"{"token_type":"Bearer","expires_in":"86399","access_token":"eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.e30.c2ln"}"#,
        include_bytes!("fuzz/token_refused.json"),
    ];
    let words = [
        "18446744073709551615",
        "\"700016\"",
        "invalid_client",
        "access_denied",
    ];
    fuzz(seeds, &words, |body| {
        let refusals = [400, 401, 503].map(|status| sts.refused(&credential, status, None, body));
        let words = match issuer::issued(Call::Token, body) {
            Ok(_) => Vec::new(),
            Err(refusal) => vec![refusal],
        };
        for refusal in refusals.iter().chain(&words) {
            let text = format!("{0} {0:?}", refusal.error);
            // With blanks, so it is never one of the codes that may be told.
            assert!(!text.contains("of its own"), "{text}");
            assert!(!text.contains(['\u{1b}', '\u{0}', '\u{202e}']), "{text}");
        }
    });
}

#[test]
fn a_pause_is_read_from_any_header() {
    let seeds: &[&[u8]] = &[
        b"7",
        b" 2.128 ",
        b"Sun, 01 Mar 2026 12:00:30 GMT|Sun, 01 Mar 2026 12:00:00 GMT",
        b"Sunday, 06-Nov-94 08:49:37 GMT|x",
    ];
    let words = [
        "Mon", "Feb", "29", "99999", "-0001", "+9999", "inf", "NaN", "1e308", "|",
    ];
    fuzz(seeds, &words, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let (value, date) = match text.split_once('|') {
            Some((value, date)) => (value, Some(date)),
            None => (&*text, None),
        };
        let _ = pace::retry_after(value, date, Utc::now());
    });
}

#[test]
fn a_page_that_says_something_twice_is_none() {
    let item = r##"{"@odata.type":"#microsoft.graph.user","id":"b0000000-0000-4000-8000-000000000001","accountEnabled":true}"##;
    for page in [
        r#"{"value":[],"@odata.nextLink":"https://graph.microsoft.com/v1.0/x","@odata.nextLink":null}"#.to_owned(),
        format!(r#"{{"value":[{item}],"value":[]}}"#),
        r#"{"error":{"code":"x"},"value":[],"error":null}"#.to_owned(),
        format!(r#"{{"value":[{}]}}"#, item.replace("true", "false,\"accountEnabled\":null")),
        format!(r#"{{"value":[{}]}}"#, item.replace("\"id\"", "\"id\":\"x\",\"id\"")),
        "[[],null,null]".to_owned(),
    ] {
        let names = AttributeNames::default();
        let register = Register::default();
        let harvest = Members {
            names: &names,
            register: &register,
        };
        let read = harvest.page(&mut MemberList::default(), page.as_bytes());
        assert!(read.is_err(), "{page}");
        let rows = page.replace("@odata.type", "principalType");
        let read = Assignments.page(&mut <Assignments as Harvest>::Crop::default(), rows.as_bytes());
        assert!(read.is_err(), "{rows}");
    }
}

/// Three bytes for each of them on the wire, some two hundred in memory.
#[test]
fn a_page_of_more_items_than_graph_gives_is_none() {
    let names = AttributeNames::default();
    let page = |items: usize| format!(r#"{{"value":[{}{{}}]}}"#, "{},".repeat(items));
    assert!(people_page(page(49_999).as_bytes(), &names).is_ok());
    assert!(people_page(page(50_000).as_bytes(), &names).is_err());
}

/// The seeds are genuine pages: what is in them is read.
#[test]
fn the_seeds_are_pages() {
    let names = AttributeNames::default();
    let register = Register::default();
    let mut list = MemberList::default();
    let harvest = Members {
        names: &names,
        register: &register,
    };
    harvest
        .page(&mut list, include_bytes!("fuzz/members.json"))
        .unwrap();
    let people: BTreeSet<_> = list.people.iter().collect();
    assert_eq!((people.len(), list.rows), (2, 3));
    let mut rows = <Assignments as Harvest>::Crop::default();
    let page = include_bytes!("fuzz/assignments.json");
    Assignments.page(&mut rows, page).unwrap();
    assert_eq!(rows.assignments.len(), 2);
}

/// Anybody may post: without the secret of a subscription nothing is proven.
#[test]
fn what_is_posted_as_a_notification_proves_nothing_by_itself() {
    let seeds: &[&[u8]] = &[
        br##"{"value":[{"subscriptionId":"76619225-ff6b-4e97-8b7f-d6e0ee1b0a57","clientState":"guess","changeType":"updated","resource":"Groups/6f9619ff-8b86-d011-b42d-00cf4fc964ff","resourceData":{"@odata.type":"#Microsoft.Graph.Group","members@delta":[{"id":"7f9619ff-8b86-d011-b42d-00cf4fc964ff"}]}}]}"##,
        br##"{"value":[{"subscriptionId":"76619225-ff6b-4e97-8b7f-d6e0ee1b0a57","clientState":"guess","lifecycleEvent":"missed"}]}"##,
    ];
    let words = [
        "subscriptionRemoved",
        "reauthorizationRequired",
        "\"value\"",
    ];
    let secret = ClientState::random().digest();
    fuzz(seeds, &words, |body| {
        let Ok(claims) = notifications::read(body) else {
            return;
        };
        // What is passed over need not be text.
        if let Ok(plain) = serde_json::from_slice::<Value>(body) {
            let items = plain["value"].as_array().expect("a collection").len();
            assert!(claims.subscriptions().count() <= items);
        }
        for subscription in claims.subscriptions() {
            assert!(claims.proven(subscription, &secret).is_empty());
        }
        if let Some(token) = notifications::validation_token(&String::from_utf8_lossy(body)) {
            assert!(token.len() <= 2_048, "{token}");
        }
    });
}

//! What is said when there is no answer, and when another try is worth it.

use std::time::Duration;

use url::Url;

use super::stub::{
    Reply, Stub, TOKEN, assigned_group, group_id, members, members_path, person, quick, read,
    service_principal_path,
};
use crate::entra::{Error, NetworkCause, Reader};

fn cause(error: &Error) -> NetworkCause {
    match error {
        Error::Unreachable { cause, .. } => *cause,
        other => panic!("{other}"),
    }
}

/// A port where nobody listens.
async fn deserted() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_refused_connection_is_called_so() {
    let stub = Stub::start().await;
    let port = deserted().await;
    let mut settings = stub.settings();
    settings.graph_endpoint = Url::parse(&format!("http://127.0.0.1:{port}/v1.0")).unwrap();
    let error = read(&Reader::with_pace(&settings, quick()).unwrap())
        .await
        .unwrap_err();
    assert_eq!(cause(&error), NetworkCause::Refused);
    let text = error.to_string();
    assert!(text.contains(&format!("127.0.0.1:{port}")), "{text}");
    assert!(!text.contains("http://"), "{text}");

    let mut settings = stub.settings();
    settings.token_endpoint = Url::parse(&format!("http://127.0.0.1:{port}/token")).unwrap();
    let error = read(&Reader::with_pace(&settings, quick()).unwrap())
        .await
        .unwrap_err();
    assert_eq!(cause(&error), NetworkCause::Refused);
    assert!(
        error.to_string().starts_with("the token endpoint"),
        "{error}"
    );
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_called_so() {
    let stub = Stub::start().await;
    let mut settings = stub.settings();
    settings.graph_endpoint = Url::parse("http://graph.invalid/v1.0").unwrap();
    let error = read(&Reader::with_pace(&settings, quick()).unwrap())
        .await
        .unwrap_err();
    assert_eq!(cause(&error), NetworkCause::Dns);
}

#[tokio::test]
async fn a_failed_handshake_is_called_so_and_not_tried_again() {
    let stub = Stub::start().await;
    let mut settings = stub.settings();
    settings.graph_endpoint =
        Url::parse(&format!("{}/v1.0", stub.origin.replace("http:", "https:"))).unwrap();
    let error = read(&Reader::with_pace(&settings, quick()).unwrap())
        .await
        .unwrap_err();
    assert_eq!(cause(&error), NetworkCause::Tls);
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_called_so() {
    let stub = Stub::start().await;
    stub.set(
        &service_principal_path(),
        [Reply::page(&[]).after(Duration::from_secs(60))],
    );
    let mut settings = stub.settings();
    settings.request_timeout = Duration::from_millis(400);
    let error = read(&Reader::with_pace(&settings, quick()).unwrap())
        .await
        .unwrap_err();
    assert_eq!(cause(&error), NetworkCause::Timeout);
    assert_eq!(stub.seen_at(&service_principal_path()).len(), 3);
}

#[tokio::test]
async fn a_connection_that_breaks_is_called_so() {
    let stub = Stub::start().await;
    stub.set(&service_principal_path(), [Reply::text(200, "{").broken()]);
    let error = stub.read().await.unwrap_err();
    assert_eq!(cause(&error), NetworkCause::Cut);
    assert_eq!(stub.seen_at(&service_principal_path()).len(), 3);
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    for (status, tries) in [
        (408, 2),
        (500, 2),
        (502, 2),
        (503, 2),
        (504, 2),
        (509, 2),
        (501, 1),
        (400, 1),
        (410, 1),
    ] {
        let stub = Stub::start().await;
        stub.assign(&[assigned_group(group_id(1))]);
        stub.group(group_id(1), &[]);
        let path = members_path(group_id(1));
        stub.set(
            &path,
            [
                Reply::error(status, "generalException"),
                Reply::page(&[person(1)]),
            ],
        );
        let directory = stub.read().await.unwrap();
        assert_eq!(stub.seen_at(&path).len(), tries, "{status}");
        if tries == 2 {
            assert_eq!(members(&directory, group_id(1)).len(), 1);
        } else {
            assert!(directory.groups[&group_id(1)].members.is_err());
        }
    }
}

#[tokio::test]
async fn a_not_found_from_a_gateway_is_no_word_about_the_directory() {
    let stub = Stub::start().await;
    stub.set(
        &service_principal_path(),
        [Reply::text(404, "<html>no such page</html>")],
    );
    let error = stub.read().await.unwrap_err();
    assert_eq!(error.kind(), "refused");
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_to_graph() {
    let stub = Stub::start().await;
    stub.set(TOKEN, [Reply::text(400, "{}")]);
    let error = stub.read().await.unwrap_err();
    assert_eq!(error.kind(), "token_refused");
    assert!(stub.seen().iter().all(|seen| seen.key == TOKEN));
}

/// A thousandth of it is on the wire: blanks before an empty page.
#[tokio::test]
async fn an_answer_that_unpacks_without_end_is_given_up() {
    let mebibyte = include_bytes!("fuzz/page.json.gz").as_slice();
    let seventeen = include_bytes!("fuzz/blanks.json.gz").as_slice();
    assert!(seventeen.len() < 20_000);
    for (packed, fits) in [(mebibyte, true), (seventeen, false)] {
        let stub = Stub::start().await;
        stub.assign(&[assigned_group(group_id(1))]);
        stub.group(group_id(1), &[]);
        let answer = Reply::packed("gzip", packed.to_vec());
        stub.set(&members_path(group_id(1)), [answer]);
        let directory = stub.read().await.unwrap();
        match &directory.groups[&group_id(1)].members {
            Ok(list) => assert!(fits && list.get().is_empty()),
            Err(why) => {
                let why = format!("{why:?}");
                assert!(!fits && why.contains("larger than any page"), "{why}");
            }
        }
    }
}

use std::time::Instant;

use super::*;

async fn with(effect: Effect) -> (Asked, String) {
    let asked = Asked::of(|t| put_crowd(t, "Sales", 250)).await;
    asked
        .simulator
        .fault(Fault::new(effect).on("/groups/*/members"));
    (asked, format!("{}?$select=id", members("Sales")))
}

#[tokio::test]
async fn a_status_comes_with_retry_after_in_any_form() {
    let (asked, path) = with(Effect::Status {
        status: 503,
        code: None,
        retry_after: None,
    })
    .await;
    asked.refused(&path, 503, "serviceNotAvailable").await;
    asked.good(&path).await;
    for (form, wanted) in [
        (RetryAfter::Seconds(3), "3"),
        (RetryAfter::Text("2.128".into()), "2.128"),
        (RetryAfter::DateIn(60), " GMT"),
    ] {
        asked.simulator.fault(Fault::throttled(form));
        let response = asked.try_get(&path).await.unwrap();
        assert_eq!(response.status(), 429);
        let header = response.headers()["retry-after"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(header.ends_with(wanted), "{header}");
        assert!(response.headers().contains_key("x-ms-throttle-scope"));
        assert_eq!(response.headers()["x-ms-resource-unit"], "0");
    }
}

#[tokio::test]
async fn a_cut_connection_answers_nothing_or_half() {
    let (asked, path) = with(Effect::CutBeforeAnswer).await;
    assert!(asked.try_get(&path).await.is_err());
    asked.good(&path).await;
    asked.simulator.fault(Fault::new(Effect::CutMidBody));
    let response = asked.try_get(&path).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.is_err(), "the body ends early");
    asked.good(&path).await;
    assert_eq!(asked.simulator.requests().log[1].status, 0);
}

#[tokio::test]
async fn bodies_can_be_wrong_in_every_way() {
    let (asked, path) = with(Effect::TruncatedJson).await;
    let bytes = asked.try_get(&path).await.unwrap().bytes().await.unwrap();
    assert!(serde_json::from_slice::<Value>(&bytes).is_err());

    asked.simulator.fault(Fault::new(Effect::HtmlBadGateway));
    let response = asked.try_get(&path).await.unwrap();
    assert_eq!(
        (
            response.status().as_u16(),
            &response.headers()["content-type"]
        ),
        (502, &"text/html".parse().unwrap())
    );

    asked
        .simulator
        .fault(Fault::new(Effect::ErrorWithStatus200 {
            code: "UnknownError".into(),
        }));
    assert_eq!(asked.good(&path).await["error"]["code"], "UnknownError");

    asked.simulator.fault(Fault::new(Effect::MissingValue));
    let body = asked.good(&path).await;
    assert!(body.get("value").is_none() && body.get("@odata.nextLink").is_some());

    let raw = Effect::Raw {
        status: 200,
        content_type: "text/plain".into(),
        body: "no".into(),
    };
    asked.simulator.fault(Fault::new(raw));
    assert_eq!(
        asked.try_get(&path).await.unwrap().text().await.unwrap(),
        "no"
    );
}

#[tokio::test]
async fn pages_can_be_wrong_in_every_way() {
    let (asked, path) = with(Effect::EmptyPage).await;
    let (rows, pages) = asked.pages(&path).await;
    assert_eq!(
        (distinct_ids(&rows), pages),
        (250, 4),
        "an empty page, then all of them"
    );

    asked
        .simulator
        .fault(Fault::new(Effect::DuplicateRows).page(2));
    let (rows, _) = asked.pages(&path).await;
    assert_eq!((rows.len(), distinct_ids(&rows)), (350, 250));

    asked
        .simulator
        .fault(Fault::new(Effect::ShiftedPage { rows: 3 }).page(2));
    let (rows, _) = asked.pages(&path).await;
    assert_eq!((rows.len(), distinct_ids(&rows)), (247, 247));

    asked
        .simulator
        .fault(Fault::new(Effect::TopIgnored).always());
    let (rows, pages) = asked.pages(&format!("{path}&$top=999")).await;
    assert_eq!((rows.len(), pages), (250, 3));
    asked.simulator.clear_faults();

    let short = Effect::ShortPages { rows: 50 };
    asked.simulator.fault(Fault::new(short.clone()).always());
    let (rows, pages) = asked.pages(&format!("{path}&$top=999")).await;
    assert_eq!((rows.len(), pages), (250, 5));
    let log = asked.simulator.requests().log;
    let last = log.back().expect("the last page");
    assert_eq!((last.page, &last.effects), (5, &vec![short]));
    asked.simulator.clear_faults();

    asked.simulator.fault(Fault::new(Effect::MissingLink));
    assert_eq!(asked.pages(&path).await.0.len(), 100);

    asked.simulator.fault(Fault::new(Effect::EmptyList));
    assert_eq!(asked.pages(&path).await, (vec![], 1));

    asked
        .simulator
        .fault(Fault::new(Effect::ExpiredPageToken).page(2));
    let link = asked.good(&path).await["@odata.nextLink"]
        .as_str()
        .unwrap()
        .to_owned();
    asked
        .refused(&link, 400, "Directory_ExpiredPageToken")
        .await;
    assert_eq!(asked.simulator.waiting_faults(), 0);
}

#[tokio::test]
async fn links_can_lead_anywhere() {
    let (asked, path) = with(Effect::LoopingLink).await;
    let link = async || {
        asked.good(&path).await["@odata.nextLink"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        link().await,
        format!("{}{path}", asked.simulator.graph_url())
    );
    for (tampering, wanted) in [
        (
            LinkTampering::Host("graph.example.com".into()),
            "http://graph.example.com:",
        ),
        (LinkTampering::Scheme("https".into()), "https://127.0.0.1:"),
        (LinkTampering::Port(1), "http://127.0.0.1:1/v1.0/"),
        (LinkTampering::UserInfo("x".into()), "http://x@127.0.0.1:"),
        (LinkTampering::Path("/elsewhere".into()), "/elsewhere?"),
        (
            LinkTampering::Origin("https://o.example.com".into()),
            "https://o.example.com/v1.0/",
        ),
    ] {
        asked.simulator.fault(Fault::new(Effect::Link(tampering)));
        let link = link().await;
        assert!(link.contains(wanted), "{link}");
    }
}

#[tokio::test]
async fn an_answer_can_be_late_and_a_token_request_can_fail() {
    let (asked, path) = with(Effect::Latency { milliseconds: 60 }).await;
    let start = Instant::now();
    asked.good(&path).await;
    assert!(start.elapsed().as_millis() >= 60);
    asked
        .simulator
        .fault(Fault::status(500).on("*/oauth2/v2.0/token"));
    assert_eq!(asked.ask_token(&[]).await.0, 500);
    assert_eq!(asked.ask_token(&[]).await.0, 200);
}

use std::time::{Duration, Instant};

use futures::future::join_all;

use super::*;

async fn held(quota: u32) -> Asked {
    let asked = Asked::of(|t| {
        t.group("Sales").member("anna");
    })
    .await;
    asked.simulator.hold_clock().quota(Quota::units(quota));
    asked
}

fn header(response: &Response, name: &str) -> Option<String> {
    let value = response.headers().get(name)?;
    Some(value.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_used_up_quota_is_429_until_the_time_that_is_named() {
    let asked = held(30).await;
    let path = format!("{}?$select=id", members("Sales"));
    let mut shares = Vec::new();
    for _ in 0..15 {
        let response = asked.try_get(&path).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "x-ms-resource-unit").unwrap(), "2");
        shares.extend(header(&response, "x-ms-throttle-limit-percentage"));
    }
    assert_eq!(shares, ["0.86", "0.93", "1.00"], "above four fifths only");
    let response = asked.try_get(&path).await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(header(&response, "x-ms-resource-unit").unwrap(), "0");
    assert_eq!(
        header(&response, "x-ms-throttle-limit-percentage").unwrap(),
        "1.06"
    );
    let scope = header(&response, "x-ms-throttle-scope").unwrap();
    let client = asked.simulator.tenant(|t| t.client_id());
    assert!(scope.starts_with("Tenant_Application/Read/"), "{scope}");
    assert!(scope.contains(&client.to_string()), "{scope}");
    let why = header(&response, "x-ms-throttle-information").unwrap();
    assert_eq!(why, "ResourceUnitLimitExceeded");
    let wait: u64 = header(&response, "retry-after").unwrap().parse().unwrap();
    assert_eq!(
        response.json::<Value>().await.unwrap()["error"]["code"],
        "TooManyRequests"
    );

    // Who does not wait waits longer, and the wait that is named is enough.
    let mut longer = wait;
    for _ in 0..3 {
        let response = asked.try_get(&path).await.unwrap();
        longer = header(&response, "retry-after").unwrap().parse().unwrap();
    }
    assert!(longer > wait, "{longer} after {wait}");
    asked.simulator.advance_clock(Duration::from_secs(longer));
    asked.good(&path).await;
    asked.simulator.quota(None);
    for _ in 0..20 {
        asked.good(&path).await;
    }
}

#[tokio::test]
async fn only_good_answers_of_graph_use_the_quota() {
    let asked = held(10).await;
    for _ in 0..20 {
        asked
            .refused("/groups/x/members", 400, "Request_BadRequest")
            .await;
        let nobody = format!("/users/{}", person_id("nobody"));
        asked
            .refused(&nobody, 404, "Request_ResourceNotFound")
            .await;
        assert_eq!(asked.ask_token(&[]).await.0, 200);
    }
    asked.simulator.fault(Fault::status(503).times(20));
    for _ in 0..20 {
        asked.refused("/groups", 503, "serviceNotAvailable").await;
    }
    for _ in 0..10 {
        asked.good("/groups/delta?$select=id").await;
    }
    asked.refused("/groups", 429, "TooManyRequests").await;
}

#[tokio::test]
async fn each_item_of_a_batch_is_charged_and_may_be_refused_alone() {
    let asked = held(5).await;
    let item = |id: usize| {
        let url = format!("/users/{}?$select=id", person_id("anna"));
        json!({"id": id.to_string(), "method": "GET", "url": url})
    };
    let requests: Vec<Value> = (0..7).map(item).collect();
    let (status, body) = asked.post("/$batch", json!({"requests": requests})).await;
    assert_eq!(status, 200);
    let answers = body["responses"].as_array().unwrap();
    let of = |status: u64| answers.iter().filter(move |a| a["status"] == status);
    assert_eq!((of(200).count(), of(429).count()), (5, 2));
    assert!(of(200).all(|answer| answer["headers"]["x-ms-resource-unit"] == "1"));
    assert!(of(429).all(|answer| {
        let wait = answer["headers"]["retry-after"].as_str().unwrap();
        wait.parse::<u64>().unwrap() > 0 && answer["body"]["error"]["code"] == "TooManyRequests"
    }));
    assert_eq!(
        asked.simulator.requests().of("users/{id}").resource_units,
        5
    );
}

#[tokio::test]
async fn items_of_a_batch_wait_for_those_that_they_depend_on() {
    let asked = held(100).await;
    let item = |id: &str, key: &str, needs: &[&str]| {
        let url = format!("/users/{}?$select=id", person_id(key));
        json!({"id": id, "method": "GET", "url": url, "dependsOn": needs})
    };
    let batch = async |items: Value| asked.post("/$batch", json!({"requests": items})).await;
    let later = json!([item("a", "anna", &["B"]), item("b", "nobody", &[])]);
    let (_, body) = batch(later).await;
    let answers = body["responses"].as_array().unwrap();
    let failed = answers.iter().find(|answer| answer["id"] == "a").unwrap();
    assert_eq!(failed["status"], 424, "though it stands first");
    let circle = json!([item("a", "anna", &["b"]), item("b", "anna", &["a"])]);
    assert_eq!(batch(circle).await.0, 400);
    let missing = json!([item("a", "anna", &["c"])]);
    assert_eq!(batch(missing).await.0, 400);
}

#[tokio::test]
async fn every_answer_is_late() {
    let asked = held(100).await;
    asked.simulator.latency(Duration::from_millis(150));
    let start = Instant::now();
    let late = Fault::new(Effect::Latency { milliseconds: 50 }).on("/users/*");
    asked.simulator.fault(late);
    let url = format!("/users/{}", person_id("anna"));
    let items = json!([{"id": "1", "method": "GET", "url": url}]);
    let batch = asked.post("/$batch", json!({ "requests": items }));
    assert_eq!(batch.await.0, 200);
    let passed = start.elapsed();
    assert!(
        passed >= Duration::from_millis(200),
        "the slowest item, too"
    );
}

#[tokio::test]
async fn no_late_answer_waits_for_another_and_all_come_when_they_are_called_for() {
    let asked = held(100).await;
    asked.simulator.latency(Duration::from_hours(1));
    asked.simulator.reset_requests();
    let all_wait = async || {
        while asked.simulator.requests().in_flight < 8 {
            tokio::task::yield_now().await;
        }
        asked.simulator.answer_now();
    };
    // What was called for before is not what is asked later.
    for _ in 0..2 {
        let answers = join_all((0..8).map(|_| asked.good("/groups?$select=id")));
        tokio::join!(answers, all_wait());
    }
    assert_eq!(asked.simulator.requests().most_in_flight, 8);
}

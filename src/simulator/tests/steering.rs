use super::super::generate::Spec;
use super::*;

impl Asked {
    fn control(&self, path: &str) -> String {
        format!("{}/_control/{path}", self.simulator.url())
    }

    async fn steer(&self, path: &str, body: Value) -> u16 {
        let request = self.client.post(self.control(path)).json(&body);
        request.send().await.unwrap().status().as_u16()
    }
}

#[tokio::test]
async fn another_process_can_change_the_tenant_over_http() {
    let asked = Asked::of(|_| ()).await;
    let changes = json!([
        {"user": {"key": "anna", "mail": null, "display_name": "Anna Sample", "account": "disabled",
                  "attributes": {"employeeId": "E1"}, "assign": ["proxy_admin"]}},
        {"group": {"key": "Sales", "add": ["anna", "ben"], "nest": ["Inner"], "assign": ["", "r"]}},
        {"role": {"value": "r", "state": "disabled"}},
        {"token": {"lifetime_seconds": 600, "expires_in": "text"}},
        {"permissions": ["GroupMember.Read.All", "User.Read.All"]},
    ]);
    assert_eq!(asked.steer("tenant", changes).await, 200);
    let body = asked
        .good(&format!("{}?$select=mail,accountEnabled", members("Sales")))
        .await;
    assert_eq!(body["value"][0]["mail"], Value::Null);
    assert_eq!(body["value"][0]["accountEnabled"], false);
    let one = json!({"group": {"key": "Sales", "remove": ["ben"], "display_name": "Sales 2"}});
    assert_eq!(asked.steer("tenant", one).await, 200);
    assert_eq!(
        asked.good(&members("Sales")).await["value"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let gone = json!({"group": {"key": group_id("Sales"), "fate": "soft_deleted"}});
    assert_eq!(asked.steer("tenant", gone).await, 200);
    assert_eq!(asked.get(&members("Sales")).await.0, 404);
    assert_eq!(asked.ask_token(&[]).await.1["expires_in"], "600");
    assert_eq!(
        asked
            .steer("tenant", json!({"group": {"key": "x", "ad": []}}))
            .await,
        400
    );
    let told: Value = asked
        .client
        .get(asked.control("tenant"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(told["token_url"], asked.simulator.token_url());
    assert_eq!(told["users"], 2);
}

#[tokio::test]
async fn another_process_can_add_faults_and_read_the_journal() {
    let asked = Asked::of(|t| {
        t.group("Sales");
    })
    .await;
    let fault = json!({"effect": {"status": {"status": 500}}, "path": "/groups", "times": 1});
    assert_eq!(asked.steer("faults", fault).await, 204);
    asked.refused("/groups", 500, "generalException").await;
    asked.good("/groups?$select=id").await;
    asked.refused("/groups/x", 400, "Request_BadRequest").await;
    let journal: Requests = asked
        .client
        .get(asked.control("requests"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let wanted = EndpointCount {
        requests: 2,
        refused: 1,
        resource_units: 1,
    };
    assert_eq!(journal.of("groups"), wanted);
    assert_eq!(
        (journal.of("token").requests, journal.of("unknown").requests),
        (1, 1)
    );
    assert_eq!(journal.graph().requests, 3);
    assert!(
        journal
            .log
            .iter()
            .all(|request| request.authorized == (request.endpoint != "token"))
    );
    let reset = asked
        .client
        .delete(asked.control("requests"))
        .send()
        .await
        .unwrap();
    assert_eq!(reset.status(), 204);
    assert!(asked.simulator.requests().log.is_empty());
    assert_eq!(asked.steer("tokens/expire", Value::Null).await, 204);
    asked
        .refused("/groups", 401, "InvalidAuthenticationToken")
        .await;
}

#[tokio::test]
async fn another_process_can_steer_delta_queries_quota_latency_and_clock() {
    let asked = Asked::of(|t| put_crowd(t, "Sales", 30)).await;
    let settings = json!({"delta": {"entries_per_page": 10, "layout": "interleaved",
                                    "purged_members": "silent", "offer": "offered"}});
    assert_eq!(asked.steer("tenant", settings).await, 200);
    let first = "/groups/delta?$select=id,members";
    let told = asked.round(first).await;
    assert_eq!(told.pages, 4);
    assert_eq!(asked.steer("delta/expire", json!("not_found")).await, 204);
    asked.refused(&told.link, 400, "syncStateNotFound").await;
    assert_eq!(asked.steer("delta/expire", json!("sometime")).await, 400);

    let hold = json!({"hold": true});
    assert_eq!(asked.steer("clock", hold).await, 204);
    assert_eq!(asked.steer("quota", json!(2)).await, 204);
    asked.round("/users/delta?$deltatoken=latest").await;
    asked.round("/users/delta?$deltatoken=latest").await;
    asked.refused("/users", 429, "TooManyRequests").await;
    assert_eq!(
        asked.steer("clock", json!({"advance_seconds": 60})).await,
        204
    );
    asked.good("/users?$select=id").await;
    assert_eq!(asked.steer("quota", json!("XXL")).await, 400);
    assert_eq!(asked.steer("quota", json!("L")).await, 204);
    asked.good("/users").await;
    assert_eq!(asked.steer("quota", Value::Null).await, 204);

    assert_eq!(asked.steer("latency", json!(40)).await, 204);
    let start = std::time::Instant::now();
    asked.good("/users?$select=id").await;
    assert!(start.elapsed().as_millis() >= 40);
    let fault = json!({"effect": {"replayed_changes": {"changes": 3}}, "path": "/groups/delta"});
    assert_eq!(asked.steer("faults", fault).await, 204);
}

#[tokio::test]
async fn it_listens_on_loopback_only_and_stops() {
    let outside = "0.0.0.0:0".parse().unwrap();
    assert!(Simulator::start_at(Tenant::new(), outside).await.is_err());
    let asked = Asked::of(|_| ()).await;
    let url = asked.simulator.graph_url();
    asked.simulator.stop().await;
    assert!(asked.client.get(url).send().await.is_err());
}

#[tokio::test]
async fn a_generated_tenant_is_the_same_for_the_same_seed_and_has_the_asked_sizes() {
    let spec = Spec {
        seed: 7,
        groups: 40,
        people: 300,
        memberships: 2_000,
        largest_group: Some(250),
    };
    let texts = async |spec: Spec| {
        let simulator = Simulator::start(spec.tenant()).await.unwrap();
        let mut asked = Asked {
            simulator,
            client: Client::builder().no_proxy().build().unwrap(),
            token: String::new(),
        };
        asked.new_token().await;
        let users = asked
            .pages("/users?$top=999&$select=id,displayName,mail,userType")
            .await
            .0;
        let groups = asked
            .pages("/groups?$top=999&$select=id,displayName")
            .await
            .0;
        let mut sizes = Vec::new();
        for group in &groups {
            let path = format!(
                "/groups/{}/members?$top=999&$select=id",
                group["id"].as_str().unwrap()
            );
            let rows = asked.pages(&path).await.0;
            assert_eq!(distinct_ids(&rows), rows.len());
            sizes.push(
                rows.iter()
                    .filter(|row| row["@odata.type"] == "#microsoft.graph.user")
                    .count(),
            );
        }
        (users, groups, sizes)
    };
    let (users, groups, sizes) = texts(spec).await;
    assert_eq!(users.len(), 300);
    assert_eq!(sizes[0], 250);
    assert_eq!(sizes.iter().sum::<usize>(), 2_000);
    assert!(users.iter().any(|user| user["userType"] == "Guest"));
    assert!(users.iter().any(|user| user["mail"].is_null()));
    assert_eq!((users, groups, sizes), texts(spec).await);
    let other = texts(Spec { seed: 8, ..spec }).await;
    assert_ne!(other.0[0]["id"], texts(spec).await.0[0]["id"]);
}

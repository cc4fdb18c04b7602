use super::*;

#[tokio::test]
async fn users_are_listed_and_found_by_id_and_by_name() {
    let asked = Asked::of(|t| {
        put_crowd(t, "Sales", 120);
        t.user("guest").guest("guest@partner.example.com");
    })
    .await;
    let (rows, pages) = asked.pages("/users?$select=id,userPrincipalName").await;
    assert_eq!((distinct_ids(&rows), pages), (121, 2));
    let user = asked
        .good(&format!(
            "/users/{}?$select=id,userType",
            person_id("guest")
        ))
        .await;
    assert_eq!(user["userType"], "Guest");
    let user = asked
        .good("/users/guest_partner.example.com%23EXT%23@contoso.example.com")
        .await;
    assert_eq!(user["id"], json!(person_id("guest").as_uuid()));
    assert_eq!(user["mail"], "guest@partner.example.com");
    let filter = format!(
        "/users?$filter=id in ('{}','{}')",
        person_id("m1"),
        person_id("nobody")
    );
    assert_eq!(
        asked.good(&filter).await["value"].as_array().unwrap().len(),
        1
    );
    let filter = "/users?$filter=startswith(userPrincipalName,'M12')&$select=id";
    assert_eq!(
        asked.good(filter).await["value"].as_array().unwrap().len(),
        2
    );
    asked
        .refused(
            "/users/nobody@contoso.example.com",
            404,
            "Request_ResourceNotFound",
        )
        .await;
    asked
        .refused("/users/nobody", 400, "Request_BadRequest")
        .await;
    asked
        .refused("/users?$filter=age eq '7'", 400, "Request_UnsupportedQuery")
        .await;
}

#[tokio::test]
async fn a_deleted_user_is_among_the_deleted_items_and_comes_back_with_memberships() {
    let asked = Asked::of(|t| {
        t.group("Sales").members(["anna", "ben"]);
    })
    .await;
    let anna = person_id("anna");
    let count = async || {
        asked.good(&members("Sales")).await["value"]
            .as_array()
            .unwrap()
            .len()
    };
    asked.simulator.tenant(|t| {
        t.user("anna").soft_deleted();
    });
    assert_eq!(count().await, 1);
    asked
        .refused(&format!("/users/{anna}"), 404, "Request_ResourceNotFound")
        .await;
    let list = "/directory/deletedItems/microsoft.graph.user?$select=id,deletedDateTime";
    let body = asked.good(list).await;
    assert_eq!(body["value"][0]["id"], json!(anna.as_uuid()));
    assert!(body["value"][0]["deletedDateTime"].is_string());
    let item = asked.good(&format!("/directory/deletedItems/{anna}")).await;
    assert_eq!(item["@odata.type"], "#microsoft.graph.user");

    asked.simulator.tenant(|t| {
        t.user("anna").restored();
    });
    assert_eq!(count().await, 2);
    asked
        .refused(
            &format!("/directory/deletedItems/{anna}"),
            404,
            "Request_ResourceNotFound",
        )
        .await;
    asked.simulator.tenant(|t| {
        t.user("anna").purged();
    });
    assert_eq!(count().await, 1);
    asked
        .refused(
            &format!("/directory/deletedItems/{anna}"),
            404,
            "Request_ResourceNotFound",
        )
        .await;
}

#[tokio::test]
async fn kept_texts_follow_every_change_and_new_people_have_theirs() {
    let asked = Asked::of(|t| {
        t.group("Sales").member("anna");
    })
    .await;
    let path = format!("{}?$select=displayName", members("Sales"));
    assert_eq!(asked.good(&path).await["value"][0]["displayName"], "anna");
    asked.simulator.tenant(|t| {
        t.user("anna")
            .display_name("Anna \"A\" \u{202e}Sample\u{0000}");
        t.group("Sales").member("ben");
    });
    let body = asked.good(&path).await;
    assert_eq!(
        body["value"][0]["displayName"],
        "Anna \"A\" \u{202e}Sample\u{0000}"
    );
    assert_eq!(body["value"][1]["displayName"], "ben");
}

#[tokio::test]
async fn get_by_ids_needs_its_permission_and_leaves_unknown_ids_out() {
    let mut asked = Asked::of(|t| {
        t.group("Sales").member("anna");
    })
    .await;
    let ids = json!([person_id("anna"), group_id("Sales"), person_id("nobody")]);
    let path = "/directoryObjects/getByIds?$select=id";
    let (status, _) = asked.post(path, json!({"ids": ids})).await;
    assert_eq!(status, 403);
    asked
        .simulator
        .tenant(|t| t.grant(Permission::DirectoryReadAll));
    asked.new_token().await;
    let (_, body) = asked.post(path, json!({"ids": ids})).await;
    assert_eq!(body["value"].as_array().unwrap().len(), 2);
    let (_, body) = asked
        .post(path, json!({"ids": ids, "types": ["user"]}))
        .await;
    let anna = json!({"@odata.type": "#microsoft.graph.user", "id": person_id("anna").as_uuid()});
    assert_eq!(body["value"], json!([anna]));
    let many = vec![person_id("anna").to_string(); 1001];
    assert_eq!(asked.post(path, json!({"ids": many})).await.0, 400);
}

#[tokio::test]
async fn a_batch_answers_each_item_on_its_own() {
    let asked = Asked::of(|t| {
        t.user("anna");
    })
    .await;
    let url = |name: &str| format!("/users/{}?$select=id,displayName", person_id(name));
    let item = |id: &str, url: String| json!({"id": id, "method": "GET", "url": url});
    asked.simulator.fault(
        Fault::throttled(RetryAfter::Seconds(7))
            .on("/users/*")
            .after(2),
    );
    asked
        .simulator
        .fault(Fault::new(Effect::MissingBatchItem).on("/groups"));
    let requests = json!([
        item("a", url("anna")),
        item("b", url("nobody")),
        item("c", url("anna")),
        item("d", "/groups".into()),
        {"id": "e", "method": "GET", "url": url("anna"), "dependsOn": ["b"]},
    ]);
    let (status, body) = asked.post("/$batch", json!({"requests": requests})).await;
    assert_eq!(status, 200);
    let answers: std::collections::BTreeMap<&str, &Value> = body["responses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| (answer["id"].as_str().unwrap(), answer))
        .collect();
    assert_eq!(answers["a"]["body"]["displayName"], "anna");
    assert_eq!(answers["b"]["status"], 404);
    assert_eq!(
        answers["b"]["body"]["error"]["code"],
        "Request_ResourceNotFound"
    );
    assert_eq!(answers["c"]["headers"]["retry-after"], "7");
    assert!(!answers.contains_key("d"));
    assert_eq!(answers["e"]["status"], 424);
    let requests: Vec<Value> = (0..21)
        .map(|number| item(&number.to_string(), url("anna")))
        .collect();
    assert_eq!(
        asked.post("/$batch", json!({"requests": requests})).await.0,
        400
    );
    let twice = json!({"requests": [item("a", url("anna")), item("A", url("anna"))]});
    assert_eq!(asked.post("/$batch", twice).await.0, 400);
}

use super::*;

#[tokio::test]
async fn members_come_in_pages_of_a_hundred_or_as_many_as_asked() {
    let asked = Asked::of(|t| put_crowd(t, "Sales", 250)).await;
    let (rows, pages) = asked.pages(&members("Sales")).await;
    assert_eq!((distinct_ids(&rows), pages), (250, 3));
    let path = format!("{}?%24top=999&%24select=id", members("Sales"));
    let (rows, pages) = asked.pages(&path).await;
    assert_eq!((distinct_ids(&rows), pages), (250, 1));
    let path = format!("{}?$top=125&$select=id", members("Sales"));
    let (rows, pages) = asked.pages(&path).await;
    assert_eq!((distinct_ids(&rows), pages), (250, 2));
}

#[tokio::test]
async fn a_link_is_absolute_opaque_and_bound_to_its_collection() {
    let asked = Asked::of(|t| {
        put_crowd(t, "Sales", 3);
        put_crowd(t, "Other", 3);
    })
    .await;
    let first = asked
        .good(&format!("{}?$select=id&$top=2", members("Sales")))
        .await;
    let link = first["@odata.nextLink"].as_str().unwrap();
    assert!(
        link.starts_with(asked.simulator.url()) && link.contains("$skiptoken="),
        "{link}"
    );
    assert!(link.contains("$select=id&$top=2"), "{link}");
    let stolen = link.replace(
        &group_id("Sales").to_string(),
        &group_id("Other").to_string(),
    );
    asked
        .refused(&stolen, 400, "DirectoryPageTokenNotFoundException")
        .await;
    asked
        .refused(
            &format!("{link}x"),
            400,
            "DirectoryPageTokenNotFoundException",
        )
        .await;
    asked.simulator.expire_page_tokens();
    asked.refused(link, 400, "Directory_ExpiredPageToken").await;
}

#[tokio::test]
async fn select_is_honoured_exactly_and_defaults_lack_account_enabled() {
    let asked = Asked::of(|t| {
        t.user("anna")
            .disabled()
            .names("Anna", "Sample")
            .attribute("employeeId", "E7");
        t.user("ben").account(AccountEnabled::Null);
        t.user("chloe").account(AccountEnabled::Omitted);
        t.group("Sales")
            .members(["anna", "ben", "chloe"])
            .nested("Inner")
            .device("laptop");
    })
    .await;
    let path = format!("{}?$select=id,accountEnabled,employeeId", members("Sales"));
    let body = asked.good(&path).await;
    let rows = body["value"].as_array().unwrap();
    let user = "#microsoft.graph.user";
    let anna = person_id("anna").as_uuid();
    let wanted =
        json!({"@odata.type": user, "id": anna, "accountEnabled": false, "employeeId": "E7"});
    assert_eq!(rows[0], wanted);
    assert_eq!(rows[1]["accountEnabled"], Value::Null);
    assert!(rows[1].get("accountEnabled").is_some());
    assert!(rows[2].get("accountEnabled").is_none());
    let inner = json!({"@odata.type": "#microsoft.graph.group", "id": group_id("Inner").as_uuid()});
    assert_eq!(rows[3], inner);
    assert_eq!(rows[4]["@odata.type"], "#microsoft.graph.device");
    let context = body["@odata.context"].as_str().unwrap();
    assert!(context.ends_with("$metadata#directoryObjects(id,accountEnabled,employeeId)"));

    let body = asked.good(&members("Sales")).await;
    let anna = &body["value"][0];
    assert_eq!(anna["userPrincipalName"], "anna@contoso.example.com");
    assert!(anna.get("accountEnabled").is_none() && anna.get("userType").is_none());
}

#[tokio::test]
async fn the_cast_needs_its_header_and_count_on_every_page() {
    let asked = Asked::of(|t| {
        put_crowd(t, "Sales", 3);
        t.group("Sales").nested("Inner");
    })
    .await;
    let cast = format!("{}/microsoft.graph.user", members("Sales"));
    asked.refused(&cast, 400, "Request_UnsupportedQuery").await;
    asked
        .refused(
            &format!("{cast}?$count=true"),
            400,
            "Request_UnsupportedQuery",
        )
        .await;
    let get = async |path: &str| {
        let request = asked.request(path).header("ConsistencyLevel", "eventual");
        request.send().await.unwrap().json::<Value>().await.unwrap()
    };
    let first = get(&format!("{cast}?$count=true&$top=2&$select=id")).await;
    assert_eq!(first["@odata.count"], 3);
    assert!(first["value"][0].get("@odata.type").is_none());
    let link = first["@odata.nextLink"].as_str().unwrap();
    asked.refused(link, 400, "Request_UnsupportedQuery").await;
    let second = get(link).await;
    assert_eq!(second["value"].as_array().unwrap().len(), 1);
    assert!(second.get("@odata.count").is_none());
    let short = format!("{}/graph.user", members("Sales"));
    asked.refused(&short, 400, "BadRequest").await;
}

#[tokio::test]
async fn transitive_members_are_flat_and_each_once_even_in_circles() {
    let asked = Asked::of(|t| {
        t.group("Outer").member("anna").nested("Inner");
        t.group("Inner").members(["anna", "ben"]).nested("Outer");
    })
    .await;
    let path = format!("/groups/{}/transitiveMembers", group_id("Outer"));
    let body = asked.good(&path).await;
    assert_eq!(distinct_ids(body["value"].as_array().unwrap()), 4);
    let direct = asked.good(&members("Outer")).await;
    assert_eq!(direct["value"].as_array().unwrap().len(), 2);
    let request = asked.request(&format!("{path}/microsoft.graph.user?$count=true"));
    let response = request
        .header("ConsistencyLevel", "eventual")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["x-ms-resource-unit"], "5");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["value"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn without_the_permission_for_users_attributes_are_null_and_the_answer_is_good() {
    let asked = Asked::of(|t| {
        t.revoke(Permission::UserReadAll);
        t.group("Sales").member("anna");
    })
    .await;
    let body = asked
        .good(&format!(
            "{}?$select=id,mail,accountEnabled",
            members("Sales")
        ))
        .await;
    let anna = person_id("anna").as_uuid();
    let row = json!({"@odata.type": "#microsoft.graph.user", "id": anna, "mail": null,
                     "accountEnabled": null});
    assert_eq!(body["value"][0], row);
}

#[tokio::test]
async fn hidden_membership_is_empty_without_its_permission() {
    let mut asked = Asked::of(|t| {
        t.revoke(Permission::MemberReadHidden);
        t.group("Secret")
            .visibility(Visibility::HiddenMembership)
            .member("anna");
    })
    .await;
    assert_eq!(asked.good(&members("Secret")).await["value"], json!([]));
    let group = asked
        .good(&format!(
            "/groups/{}?$select=visibility",
            group_id("Secret")
        ))
        .await;
    assert_eq!(group["visibility"], "HiddenMembership");
    asked
        .simulator
        .tenant(|t| t.grant(Permission::MemberReadHidden));
    asked.new_token().await;
    assert_eq!(
        asked.good(&members("Secret")).await["value"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn groups_are_asked_for_by_fifteen_ids_at_most() {
    let names: Vec<String> = (0..16).map(|number| format!("g{number}")).collect();
    let asked = Asked::of(|t| {
        for name in &names {
            t.group(name);
        }
        t.group("g1").without_display_name();
        t.group("g2").soft_deleted();
    })
    .await;
    let filter = |count: usize| {
        let ids: Vec<String> = names
            .iter()
            .take(count)
            .map(|name| format!("'{}'", group_id(name)))
            .collect();
        format!(
            "/groups?$filter=id in ({})&$select=id,displayName,visibility",
            ids.join(",")
        )
    };
    let body = asked.good(&filter(15)).await;
    assert_eq!(
        body["value"].as_array().unwrap().len(),
        14,
        "the deleted one is absent"
    );
    let g1 = &body["value"][1];
    assert_eq!(g1["displayName"], Value::Null);
    asked
        .refused(&filter(16), 400, "Request_UnsupportedQuery")
        .await;
    let gone = format!("/groups/{}", group_id("g2"));
    asked.refused(&gone, 404, "Request_ResourceNotFound").await;
    asked
        .refused(&format!("{gone}/members"), 404, "Request_ResourceNotFound")
        .await;
}

#[tokio::test]
async fn what_graph_does_not_know_is_refused() {
    let asked = Asked::of(|t| {
        t.group("Sales");
    })
    .await;
    let group = format!("/groups/{}", group_id("Sales"));
    let bad = "Request_BadRequest";
    asked.refused("/groups/not-a-guid/members", 400, bad).await;
    asked
        .refused(&format!("{}?$skip=1", members("Sales")), 400, bad)
        .await;
    asked
        .refused(&format!("{}?top=5", members("Sales")), 400, bad)
        .await;
    asked
        .refused(&format!("{}?$select=id,nme", members("Sales")), 400, bad)
        .await;
    asked.refused(&format!("{group}?$top=1"), 400, bad).await;
    let large = format!("{}?$top=1000", members("Sales"));
    asked.refused(&large, 400, "Request_UnsupportedQuery").await;
    asked
        .refused(&format!("{group}/owners"), 400, "BadRequest")
        .await;
    let beta = format!("{}/beta/groups", asked.simulator.url());
    asked.refused(&beta, 400, "BadRequest").await;
    let (status, _) = asked.post("/groups", json!({})).await;
    assert_eq!(status, 405);
    let request = asked
        .request("/groups")
        .header("ConsistencyLevel", "strong");
    assert_eq!(request.send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn answers_carry_their_ids_and_their_cost() {
    let asked = Asked::of(|t| {
        t.group("Sales").member("anna");
    })
    .await;
    for (query, units) in [
        ("", "3"),
        ("?$select=id", "2"),
        ("?$top=999", "3"),
        ("?$select=id&$top=5", "1"),
    ] {
        let request = asked.request(&format!("{}{query}", members("Sales")));
        let response = request
            .header("client-request-id", "abc")
            .send()
            .await
            .unwrap();
        assert_eq!(response.headers()["x-ms-resource-unit"], units, "{query}");
        assert_eq!(response.headers()["client-request-id"], "abc");
        assert!(response.headers().contains_key("request-id"));
    }
}

#[tokio::test]
async fn service_principals_are_members_that_v1_does_not_list() {
    let asked = Asked::of(|t| {
        t.group("Sales").service_principal("robot").contact("c");
    })
    .await;
    assert_eq!(
        asked.good(&members("Sales")).await["value"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    asked
        .simulator
        .tenant(|t| t.service_principal_members(ServicePrincipalMembers::Listed));
    assert_eq!(
        asked.good(&members("Sales")).await["value"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

use super::*;

fn assigned(asked: &Asked) -> String {
    let id = asked.simulator.tenant(|t| t.service_principal_id());
    format!("/servicePrincipals/{id}/appRoleAssignedTo")
}

#[tokio::test]
async fn the_service_principal_is_found_by_id_and_by_app_id() {
    let asked = Asked::of(|t| {
        t.application()
            .role("internal_user", RoleState::Enabled)
            .role("retired", RoleState::Disabled)
            .role_without_value("nameless");
    })
    .await;
    let id = asked.simulator.tenant(|t| t.service_principal_id());
    let path = format!("/servicePrincipals/{id}?$select=id,appId,appRoles");
    let body = asked.good(&path).await;
    let roles = body["appRoles"].as_array().unwrap();
    assert_eq!(roles[0]["value"], "internal_user");
    assert_eq!(
        roles[0]["id"],
        json!(app_role_id("internal_user").as_uuid())
    );
    assert_eq!(roles[1]["isEnabled"], false);
    assert_eq!(roles[2]["value"], Value::Null);
    assert!(
        body.get("displayName").is_none(),
        "$select is honoured exactly"
    );
    let app_id = body["appId"].as_str().unwrap();
    for path in [
        format!("/servicePrincipals(appId='{app_id}')"),
        format!("/servicePrincipals(appId=%27{app_id}%27)?$select=id"),
    ] {
        assert_eq!(asked.good(&path).await["id"], json!(id));
    }
    let found = asked
        .good(&format!(
            "/servicePrincipals?%24filter=appId+eq+%27{app_id}%27"
        ))
        .await;
    assert_eq!(found["value"][0]["id"], json!(id));
    asked
        .refused("/servicePrincipals/x", 400, "Request_BadRequest")
        .await;
    let other = format!("/servicePrincipals/{}", group_id("x"));
    asked.refused(&other, 404, "Request_ResourceNotFound").await;
}

#[tokio::test]
async fn assignments_have_one_row_for_each_principal_and_role() {
    let asked = Asked::of(|t| {
        t.group("Sales")
            .assigned("internal_user")
            .assigned("proxy_admin");
        t.group("Sales").assigned("internal_user");
        t.group("Open").assigned_by_default();
        t.user("anna").assigned("internal_user");
        t.application()
            .assigned_to_service_principal("robot", "internal_user");
    })
    .await;
    let body = asked
        .good(&format!("{}?%24top=999", assigned(&asked)))
        .await;
    let rows: Vec<(&str, &str)> = body["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["principalType"].as_str().unwrap(),
                row["principalDisplayName"].as_str().unwrap(),
            )
        })
        .collect();
    let wanted = [
        ("Group", "Sales"),
        ("Group", "Sales"),
        ("Group", "Open"),
        ("User", "anna"),
        ("ServicePrincipal", "robot"),
    ];
    assert_eq!(rows, wanted);
    assert_eq!(
        body["value"][2]["appRoleId"],
        "00000000-0000-0000-0000-000000000000"
    );
    assert!(body.get("@odata.nextLink").is_none());
}

#[tokio::test]
async fn the_name_in_an_assignment_goes_stale() {
    let asked = Asked::of(|t| {
        t.group("Sales").assigned("r").display_name("Sales EMEA");
    })
    .await;
    let body = asked.good(&assigned(&asked)).await;
    assert_eq!(body["value"][0]["principalDisplayName"], "Sales");
    let group = asked.good(&format!("/groups/{}", group_id("Sales"))).await;
    assert_eq!(group["displayName"], "Sales EMEA");
}

#[tokio::test]
async fn assignments_are_paged_and_may_vanish_or_linger_with_the_group() {
    let asked = Asked::of(|t| {
        for number in 0..150 {
            t.group(&format!("g{number}")).assigned("internal_user");
        }
    })
    .await;
    let (rows, pages) = asked.pages(&assigned(&asked)).await;
    assert_eq!((rows.len(), distinct_ids(&rows), pages), (150, 150, 2));
    asked.simulator.tenant(|t| {
        t.group("g7").soft_deleted();
    });
    assert_eq!(asked.pages(&assigned(&asked)).await.0.len(), 149);
    asked
        .simulator
        .tenant(|t| t.deleted_assignments(DeletedAssignments::Linger));
    assert_eq!(asked.pages(&assigned(&asked)).await.0.len(), 150);
    let filter = format!("{}?$filter=principalType eq 'Group'", assigned(&asked));
    asked
        .refused(&filter, 400, "Request_UnsupportedQuery")
        .await;
}

#[tokio::test]
async fn applications_need_their_permission() {
    let asked = Asked::of(|t| t.revoke(Permission::ApplicationReadAll)).await;
    asked
        .refused(&assigned(&asked), 403, "Authorization_RequestDenied")
        .await;
}

use super::*;

const FIRST: &str =
    "/users/delta?$select=id,accountEnabled,displayName,userPrincipalName,mail,userType";

fn removed(person: &str, reason: &str) -> Value {
    json!({"id": person_id(person).as_uuid(), "@removed": {"reason": reason}})
}

fn id(person: &str) -> String {
    person_id(person).to_string()
}

#[tokio::test]
async fn a_first_round_tells_everybody_two_hundred_to_a_page() {
    let asked = Asked::of(|t| {
        put_crowd(t, "Sales", 398);
        t.user("anna").without_mail().disabled();
        t.user("ben").account(AccountEnabled::Omitted);
        t.user("gone").soft_deleted();
    })
    .await;
    let told = asked.round(FIRST).await;
    assert_eq!((distinct_ids(&told.items), told.pages), (400, 2));
    let anna = json!({
        "id": person_id("anna").as_uuid(),
        "accountEnabled": false,
        "displayName": "anna",
        "userPrincipalName": "anna@contoso.example.com",
        "userType": "Member",
    });
    assert_eq!(told.items[398], anna, "what was never set is left out");
    assert!(told.items[399].get("accountEnabled").is_none());
    let next = asked.round(&told.link).await;
    assert_eq!((next.items.len(), next.pages), (0, 1));
}

#[tokio::test]
async fn a_later_round_tells_who_changed_in_what_is_tracked() {
    let asked = Asked::of(|t| {
        t.group("Sales").members(["anna", "ben", "chloe"]);
    })
    .await;
    let first = asked.round(FIRST).await;
    asked.simulator.tenant(|t| {
        t.user("anna").without_mail().disabled();
        t.user("ben").attribute("employeeId", "E1").names("B", "C");
        t.user("new");
        t.group("Sales").without_member("chloe");
    });
    let told = asked.round(&first.link).await;
    assert_eq!(told.ids(), [id("anna"), id("new")]);
    let anna = json!({
        "id": person_id("anna").as_uuid(),
        "accountEnabled": false,
        "displayName": "anna",
        "userPrincipalName": "anna@contoso.example.com",
        "mail": null,
        "userType": "Member",
    });
    assert_eq!(told.items[0], anna, "what was taken away is null");
    let minimal = asked
        .request(&first.link)
        .header("prefer", "respond-async, return=minimal");
    let page: Value = minimal.send().await.unwrap().json().await.unwrap();
    let anna = json!({"id": person_id("anna").as_uuid(), "accountEnabled": false, "mail": null});
    assert_eq!(page["value"][0], anna);
    assert_eq!(page["value"][1], told.items[1], "all of who is new");

    let tracked = "/users/delta?$select=employeeId&$deltatoken=latest";
    let link = asked.round(tracked).await.link;
    asked.simulator.tenant(|t| {
        t.user("ben").attribute("employeeId", "E2").disabled();
    });
    let wanted = json!({"id": person_id("ben").as_uuid(), "employeeId": "E2"});
    assert_eq!(asked.round(&link).await.items, [wanted]);
}

#[tokio::test]
async fn deletion_for_now_for_good_and_restoring_are_told_apart() {
    let asked = Asked::of(|t| {
        t.group("Sales").members(["anna", "ben", "chloe"]);
    })
    .await;
    let first = asked.round(FIRST).await;
    asked.simulator.tenant(|t| {
        t.user("anna").soft_deleted();
        t.user("ben").purged();
        t.user("chloe").soft_deleted().restored();
    });
    let told = asked.round(&first.link).await;
    let wanted = [removed("anna", "changed"), removed("ben", "deleted")];
    assert_eq!(told.items[..2], wanted);
    assert_eq!(told.items[2]["displayName"], "chloe", "there, and plain");
    asked.simulator.tenant(|t| {
        t.user("anna").restored();
    });
    let back = asked.round(&told.link).await;
    assert_eq!(back.items[0]["displayName"], "anna");
    asked.simulator.tenant(|t| {
        t.user("anna").soft_deleted();
    });
    let again = asked.round(&back.link).await;
    asked.simulator.tenant(|t| {
        t.user("anna").purged();
    });
    assert_eq!(again.items, [removed("anna", "changed")]);
    let gone = asked.round(&again.link).await;
    assert_eq!(gone.items, [removed("anna", "deleted")]);
}

#[tokio::test]
async fn changes_come_in_pages_and_a_name_can_move_to_a_new_person() {
    let asked = Asked::of(|t| {
        t.delta().users_per_page = 2;
        t.user("old").user_principal_name("ceo@contoso.example.com");
        t.user("other");
    })
    .await;
    let first = asked.round(FIRST).await;
    asked.simulator.tenant(|t| {
        t.user("old").purged();
        t.user("other").display_name("Other");
        t.user("young")
            .user_principal_name("ceo@contoso.example.com");
        t.user("old2").soft_deleted();
    });
    let told = asked.round(&first.link).await;
    assert_eq!(
        told.ids(),
        [id("old"), id("other"), id("young"), id("old2")]
    );
    assert_eq!(told.pages, 2);
    assert_eq!(
        told.items[2]["userPrincipalName"],
        "ceo@contoso.example.com"
    );
}

#[tokio::test]
async fn a_filter_narrows_people_and_their_attributes_need_the_permission() {
    let mut asked = Asked::of(|t| put_crowd(t, "Sales", 5)).await;
    let path = format!(
        "{FIRST}&$filter=id eq '{}' or id eq '{}'",
        id("m4"),
        id("later")
    );
    let told = asked.round(&path).await;
    assert_eq!(told.ids(), [id("m4")]);
    asked.simulator.tenant(|t| {
        t.user("m3").disabled();
        t.user("later");
    });
    let later = asked.round(&told.link).await;
    assert_eq!(later.ids(), [id("later")]);
    let bad = "/users/delta?$select=id,members";
    asked.refused(bad, 400, "Request_BadRequest").await;
    let bad = "/users/delta?$filter=mail eq 'x'";
    asked.refused(bad, 400, "Request_UnsupportedQuery").await;
    asked
        .simulator
        .tenant(|t| t.revoke(Permission::UserReadAll));
    asked.new_token().await;
    let denied = "Authorization_RequestDenied";
    asked.refused(&later.link, 403, denied).await;
}

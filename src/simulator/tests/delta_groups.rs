use super::*;

const FIRST: &str = "/groups/delta?$select=id,displayName,visibility,members";

/// An entry of `members@delta`.
fn joined(person: &str) -> Value {
    json!({"@odata.type": "#microsoft.graph.user", "id": person_id(person).as_uuid()})
}

fn left(person: &str) -> Value {
    let mut entry = joined(person);
    entry["@removed"] = json!({"reason": "deleted"});
    entry
}

fn id(group: &str) -> String {
    group_id(group).to_string()
}

fn entries(item: &Value) -> &[Value] {
    item["members@delta"].as_array().map_or(&[], Vec::as_slice)
}

#[tokio::test]
async fn a_first_round_tells_what_is_there_and_leads_to_the_next() {
    let asked = Asked::of(|t| {
        t.group("Sales")
            .visibility(Visibility::Private)
            .members(["anna", "gone", "purged"])
            .nested("Inner")
            .device("laptop")
            .service_principal("robot");
        t.user("gone").soft_deleted();
        t.user("purged").purged();
        t.group("Old").member("anna").soft_deleted();
    })
    .await;
    let told = asked.round(FIRST).await;
    assert_eq!(told.items.len(), 2);
    let sales = &told.items[0];
    assert_eq!(sales["displayName"], "Sales");
    assert_eq!(sales["visibility"], "Private");
    let kinds: Vec<_> = entries(sales)
        .iter()
        .map(|entry| entry["@odata.type"].as_str().unwrap())
        .collect();
    let wanted = [
        "#microsoft.graph.user",
        "#microsoft.graph.group",
        "#microsoft.graph.device",
    ];
    assert_eq!(kinds, wanted, "live members that v1.0 shows");
    assert_eq!(entries(sales)[0], joined("anna"));
    // Nobody in it, and a visibility that was never set.
    let inner = json!({"id": group_id("Inner").as_uuid(), "displayName": "Inner"});
    assert_eq!(told.items[1], inner);
    let next = asked.round(&told.link).await;
    assert_eq!((next.items.len(), next.pages), (0, 1));

    let unselected = asked.round("/groups/delta").await;
    assert_eq!(entries(&unselected.items[0]).len(), 3);
    assert_eq!(unselected.items[0]["securityEnabled"], true);
    let narrow = asked.round("/groups/delta?$select=displayName").await;
    assert!(narrow.items[0].get("members@delta").is_none());
}

#[tokio::test]
async fn a_large_group_is_cut_over_pages_and_groups_are_told_in_turn_by_option() {
    let asked = Asked::of(|t| {
        t.delta().entries_per_page = 100;
        put_crowd(t, "Sales", 250);
        put_crowd(t, "Other", 120);
    })
    .await;
    let check = |told: &Told| {
        for (group, size) in [("Sales", 250), ("Other", 120)] {
            let group = id(group);
            let items: Vec<&Value> = told.items.iter().filter(|i| i["id"] == *group).collect();
            let members: Vec<Value> = items.iter().flat_map(|i| entries(i)).cloned().collect();
            assert_eq!((members.len(), distinct_ids(&members)), (size, size));
            assert!(items[0].get("displayName").is_some());
            assert!(items[1..].iter().all(|i| i.get("displayName").is_none()));
        }
    };
    let told = asked.round(FIRST).await;
    check(&told);
    let (sales, other) = (id("Sales"), id("Other"));
    assert_eq!(told.ids(), [&sales, &sales, &sales, &other, &other]);
    assert_eq!(told.pages, 4);

    asked
        .simulator
        .tenant(|t| t.delta().layout = DeltaLayout::Interleaved);
    let told = asked.round(FIRST).await;
    check(&told);
    assert_eq!(told.ids()[..4], [&sales, &other, &sales, &other]);
    assert_eq!(told.pages, 4);
}

#[tokio::test]
async fn a_page_that_is_full_is_followed_by_an_empty_one() {
    let asked = Asked::of(|t| {
        t.delta().entries_per_page = 100;
        put_crowd(t, "Sales", 200);
    })
    .await;
    let told = asked.round(FIRST).await;
    assert_eq!((told.items.len(), told.pages), (2, 3));
}

#[tokio::test]
async fn a_later_round_tells_what_became_of_each_member() {
    let asked = Asked::of(|t| {
        t.group("Sales")
            .members(["stays", "goes", "back"])
            .nested("Inner");
        t.group("Quiet").member("stays");
    })
    .await;
    let first = asked.round(FIRST).await;
    asked.simulator.tenant(|t| {
        t.group("Sales")
            .without_member("goes")
            .members(["new", "brief"])
            .without_member("brief")
            .without_member("back")
            .member("back");
        // None of this is a change of a group.
        t.user("stays").display_name("Somebody").disabled();
        t.user("new").soft_deleted().restored().soft_deleted();
        t.group("Sales").assigned("internal_user");
    });
    let told = asked.round(&first.link).await;
    assert_eq!(told.ids(), [&id("Sales")]);
    let wanted = [left("goes"), joined("new"), left("brief"), joined("back")];
    assert_eq!(entries(&told.items[0]), wanted);
    assert_eq!(
        told.items[0]["displayName"], "Sales",
        "present is not changed"
    );

    asked.simulator.tenant(|t| {
        t.group("Inner").member("new");
        t.group("Quiet").display_name("Quiet 2");
        t.group("Fresh").member("new");
    });
    let told = asked.round(&told.link).await;
    assert_eq!(told.ids(), [id("Inner"), id("Quiet"), id("Fresh")]);
    assert!(told.items[1].get("members@delta").is_none());
    assert_eq!(entries(&told.items[2]), [joined("new")]);
    assert_eq!(asked.round(&told.link).await.items.len(), 0);
    // An old link tells it all again.
    assert_eq!(asked.round(&first.link).await.items.len(), 4);
}

#[tokio::test]
async fn only_what_is_selected_is_tracked() {
    let asked = Asked::of(|t| {
        t.group("Sales").member("anna");
    })
    .await;
    let names = asked.round("/groups/delta?$select=displayName").await;
    let members = asked.round("/groups/delta?$select=members").await;
    asked.simulator.tenant(|t| {
        t.group("Sales")
            .member("ben")
            .visibility(Visibility::Public);
    });
    assert_eq!(asked.round(&names.link).await.items.len(), 0);
    asked.simulator.tenant(|t| {
        t.group("Sales").without_display_name();
    });
    let cleared = json!({"id": group_id("Sales").as_uuid(), "displayName": null});
    assert_eq!(asked.round(&names.link).await.items, [cleared]);
    let told = asked.round(&members.link).await;
    let wanted = json!({"id": group_id("Sales").as_uuid(), "members@delta": [joined("ben")]});
    assert_eq!(told.items, [wanted]);
}

#[tokio::test]
async fn who_prefers_little_is_told_the_changed_properties_only() {
    let asked = Asked::of(|t| {
        t.group("Sales").visibility(Visibility::Public);
    })
    .await;
    let first = asked.round(FIRST).await;
    asked.simulator.tenant(|t| {
        t.group("Sales").visibility(Visibility::Private);
    });
    let request = asked.request(&first.link);
    let response = request.header("Prefer", "return=minimal").send();
    let page: Value = response.await.unwrap().json().await.unwrap();
    let wanted = json!({"id": group_id("Sales").as_uuid(), "visibility": "Private"});
    assert_eq!(page["value"], json!([wanted]));
    let whole = asked.round(&first.link).await;
    assert_eq!(whole.items[0]["displayName"], "Sales");
}

#[tokio::test]
async fn a_deleted_group_is_removed_for_now_or_for_good_and_comes_back_plain() {
    let asked = Asked::of(|t| {
        t.group("Sales").member("anna");
        t.group("Gone").members(["anna", "ben"]);
    })
    .await;
    let mut link = asked.round(FIRST).await.link;
    asked.simulator.tenant(|t| {
        t.group("Sales").soft_deleted();
        t.group("Gone").purged();
    });
    let told = asked.round(&link).await;
    let removed =
        |group, reason| json!({"id": group_id(group).as_uuid(), "@removed": {"reason": reason}});
    let wanted = [removed("Sales", "changed"), removed("Gone", "deleted")];
    assert_eq!(told.items, wanted);
    link = told.link;
    asked.simulator.tenant(|t| {
        t.group("Sales").restored();
    });
    let told = asked.round(&link).await;
    let plain = json!({"id": group_id("Sales").as_uuid(), "displayName": "Sales"});
    assert_eq!(told.items, [plain], "its members never went");
    asked.simulator.tenant(|t| {
        t.delta().restored_members = RestoredMembers::Told;
        t.group("Sales").soft_deleted().restored();
    });
    let told = asked.round(&told.link).await;
    assert_eq!(entries(&told.items[0]), [joined("anna")]);
}

#[tokio::test]
async fn a_filter_takes_fifty_ids_and_nothing_else() {
    let names: Vec<String> = (0..51).map(|number| format!("g{number}")).collect();
    let asked = Asked::of(|t| {
        for name in &names[1..] {
            t.group(name).member("anna");
        }
    })
    .await;
    let filter = |names: &[String]| {
        let terms: Vec<String> = names
            .iter()
            .map(|name| format!("id eq '{}'", group_id(name)))
            .collect();
        format!("{FIRST}&$filter={}", terms.join(" or "))
    };
    let told = asked.round(&filter(&names[..50])).await;
    assert_eq!(told.items.len(), 49, "one is not there yet");
    asked.simulator.tenant(|t| {
        t.group("g50").member("ben");
        t.group("g0").member("ben");
    });
    let later = asked.round(&told.link).await;
    assert_eq!(later.ids(), [&id("g0")], "the 51st was not asked for");

    let unsupported = "Request_UnsupportedQuery";
    asked.refused(&filter(&names), 400, unsupported).await;
    let one = group_id("g1");
    for bad in [
        "$filter=displayName eq 'g1'".to_owned(),
        format!("$filter=id in ('{one}','{}')", group_id("g2")),
        format!("$filter=id eq '{one}' or startswith(displayName,'g')"),
        "$expand=members".to_owned(),
        "$orderby=displayName".to_owned(),
    ] {
        let path = format!("/groups/delta?{bad}");
        asked.refused(&path, 400, unsupported).await;
    }
    for bad in [
        "$filter=id eq 'g1'",
        "$count=true",
        "$select=id,manager",
        "$select=id&$select=id",
    ] {
        let path = format!("/groups/delta?{bad}");
        asked.refused(&path, 400, "Request_BadRequest").await;
    }
    let ignored = asked.round("/groups/delta?$select=id&$top=1").await;
    assert_eq!(ignored.pages, 1);
}

#[tokio::test]
async fn a_group_that_changes_while_it_is_read_loses_nobody() {
    let asked = Asked::of(|t| {
        t.delta().entries_per_page = 10;
        put_crowd(t, "Sales", 35);
    })
    .await;
    let page = asked.good(FIRST).await;
    asked.simulator.tenant(|t| {
        t.group("Sales")
            .without_member("m1")
            .without_member("m20")
            .member("late");
    });
    let rest = asked.round(&only_link(&page).1).await;
    let items = page["value"].as_array().unwrap().iter().chain(&rest.items);
    let members: Vec<Value> = items.flat_map(entries).cloned().collect();
    assert_eq!((members.len(), distinct_ids(&members)), (35, 35));
    let next = asked.round(&rest.link).await;
    let wanted = [left("m1"), left("m20"), joined("late")];
    assert_eq!(entries(&next.items[0]), wanted);
}

#[tokio::test]
async fn a_group_that_goes_while_it_is_read_takes_nobody_of_the_next_along() {
    let asked = Asked::of(|t| {
        t.delta().entries_per_page = 10;
        put_crowd(t, "Sales", 35);
        put_crowd(t, "Other", 15);
    })
    .await;
    let page = asked.good(FIRST).await;
    asked.simulator.tenant(|t| {
        t.group("Sales").soft_deleted();
    });
    let rest = asked.round(&only_link(&page).1).await;
    assert!(rest.ids().iter().all(|one| **one == *id("Other")));
    let told: usize = rest.items.iter().map(|item| entries(item).len()).sum();
    assert_eq!(told, 15);
    let next = asked.round(&rest.link).await;
    assert_eq!(next.items[0]["@removed"]["reason"], "changed");
}

#[tokio::test]
async fn a_purged_member_is_reported_unless_the_tenant_is_silent_about_it() {
    let asked = Asked::of(|t| {
        t.group("Sales").members(["anna", "ben", "chloe"]);
    })
    .await;
    let first = asked.round(FIRST).await;
    asked.simulator.tenant(|t| {
        t.user("anna").soft_deleted();
        t.user("anna").purged();
    });
    let told = asked.round(&first.link).await;
    assert_eq!(entries(&told.items[0]), [left("anna")]);
    asked.simulator.tenant(|t| {
        t.delta().purged_members = PurgedMembers::Silent;
        t.user("ben").purged();
    });
    let silent = asked.round(&told.link).await;
    assert_eq!(silent.items.len(), 0);
    let listed = asked.good(&members("Sales")).await;
    assert_eq!(listed["value"].as_array().unwrap().len(), 1);
    let anew = asked.round(FIRST).await;
    assert_eq!(entries(&anew.items[0]), [joined("chloe")]);
}

#[tokio::test]
async fn hidden_members_and_groups_as_such_need_their_permission() {
    let mut asked = Asked::of(|t| {
        t.revoke(Permission::MemberReadHidden);
        t.group("Secret")
            .visibility(Visibility::HiddenMembership)
            .member("anna");
    })
    .await;
    let told = asked.round(FIRST).await;
    assert!(told.items[0].get("members@delta").is_none());
    asked.simulator.tenant(|t| {
        t.group("Secret").member("ben");
        t.revoke(Permission::GroupMemberReadAll);
    });
    assert_eq!(asked.round(&told.link).await.items.len(), 0);
    asked.new_token().await;
    let denied = "Authorization_RequestDenied";
    asked.refused(FIRST, 403, denied).await;
    asked.refused(&told.link, 403, denied).await;
}

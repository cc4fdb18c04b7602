use super::*;

const GROUPS: &str = "/groups/delta?$select=id,displayName,members";
const USERS: &str = "/users/delta?$select=id,accountEnabled,displayName";

fn at_groups(effect: Effect) -> Fault {
    Fault::new(effect).on("/groups/delta")
}

async fn sales() -> (Asked, String) {
    let asked = Asked::of(|t| {
        t.group("Sales").members(["anna", "ben"]);
    })
    .await;
    let link = asked.round(GROUPS).await.link;
    (asked, link)
}

/// Who is named in `members@delta`, a minus before those who left.
fn words(told: &Told) -> Vec<String> {
    let people = ["anna", "ben", "chloe", "dora"];
    let name = |entry: &Value| {
        let known = people
            .iter()
            .find(|key| entry["id"] == person_id(key).to_string());
        let sign = if entry.get("@removed").is_some() {
            "-"
        } else {
            ""
        };
        format!("{sign}{}", known.unwrap_or(&"?"))
    };
    let entries = told
        .items
        .iter()
        .filter_map(|item| item["members@delta"].as_array());
    entries.flatten().map(name).collect()
}

#[tokio::test]
async fn changes_can_come_late_and_again_and_twice() {
    let (asked, link) = sales().await;
    let all = Effect::ReplayedChanges { changes: 99 };
    asked.simulator.fault(at_groups(all));
    let told = asked.round(&link).await;
    assert_eq!(told.items.len(), 0, "how it was furnished is no change");
    asked.simulator.tenant(|t| {
        t.group("Sales").member("chloe");
    });
    asked
        .simulator
        .fault(at_groups(Effect::WithheldChanges).times(2));
    let told = asked.round(&link).await;
    assert_eq!(words(&told), Vec::<String>::new());
    let told = asked.round(&told.link).await;
    assert_eq!(words(&told), Vec::<String>::new());
    let told = asked.round(&told.link).await;
    assert_eq!(words(&told), ["chloe"]);

    asked.simulator.tenant(|t| {
        t.group("Sales").without_member("ben");
    });
    let replayed = Effect::ReplayedChanges { changes: 1 };
    asked.simulator.fault(at_groups(replayed));
    let told = asked.round(&told.link).await;
    assert_eq!(words(&told), ["chloe", "-ben"]);
    assert_eq!(asked.round(&told.link).await.items.len(), 0, "once");

    asked.simulator.tenant(|t| {
        t.group("Sales").member("dora");
    });
    asked.simulator.fault(at_groups(Effect::DuplicateRows));
    assert_eq!(words(&asked.round(&told.link).await), ["dora", "dora"]);
}

#[tokio::test]
async fn a_member_can_be_told_as_joined_and_left_in_any_order_and_on_any_page() {
    let (asked, link) = sales().await;
    asked.simulator.tenant(|t| {
        t.delta().entries_per_page = 1;
        t.group("Sales")
            .member("chloe")
            .without_member("anna")
            .without_member("chloe");
    });
    let told = asked.round(&link).await;
    assert_eq!(
        (words(&told), told.pages),
        (vec!["-anna".into(), "-chloe".into()], 3)
    );
    for (order, wanted) in [
        (WordOrder::Chronological, ["chloe", "-anna", "-chloe"]),
        (WordOrder::Backwards, ["-chloe", "-anna", "chloe"]),
    ] {
        asked
            .simulator
            .fault(at_groups(Effect::EveryWord { order }));
        let told = asked.round(&link).await;
        assert_eq!(
            (words(&told), told.pages),
            (wanted.map(String::from).to_vec(), 4)
        );
    }
}

#[tokio::test]
async fn pages_of_a_round_can_be_empty_or_lost_or_lead_astray() {
    let (asked, link) = sales().await;
    asked.simulator.tenant(|t| {
        t.group("Sales").member("chloe");
    });
    asked.simulator.fault(at_groups(Effect::EmptyPage).times(2));
    let told = asked.round(&link).await;
    assert_eq!((words(&told), told.pages), (vec!["chloe".into()], 3));

    asked.simulator.fault(at_groups(Effect::EmptyPage));
    let page = only_link(&asked.good(&link).await).1;
    let expired = Fault::new(Effect::ExpiredPageToken).page(2);
    asked.simulator.fault(expired);
    asked
        .refused(&page, 400, "Directory_ExpiredPageToken")
        .await;
    asked.good(&page).await;
    asked.simulator.expire_page_tokens();
    asked
        .refused(&page, 400, "Directory_ExpiredPageToken")
        .await;
    asked.good(&link).await;

    asked.simulator.fault(at_groups(Effect::MissingLink));
    let page = asked.good(&link).await;
    assert!(
        page.get("@odata.nextLink")
            .or(page.get("@odata.deltaLink"))
            .is_none()
    );
    asked.simulator.fault(at_groups(Effect::LoopingLink));
    let page = asked.good(&link).await;
    assert_eq!(only_link(&page), ("@odata.nextLink", link.clone()));
    let away = LinkTampering::Host("graph.example.com".into());
    asked.simulator.fault(at_groups(Effect::Link(away)));
    let (kind, away) = only_link(&asked.good(&link).await);
    assert_eq!(kind, "@odata.deltaLink");
    assert!(away.starts_with("http://graph.example.com:"), "{away}");
    asked.simulator.fault(at_groups(Effect::MissingValue));
    assert!(asked.good(&link).await.get("value").is_none());
    asked.simulator.fault(at_groups(Effect::EmptyList));
    let told = asked.round(&link).await;
    assert_eq!(told.items.len(), 0);
    assert_eq!(asked.round(&told.link).await.items.len(), 0, "lost");
    assert_eq!(asked.simulator.waiting_faults(), 0);
}

#[tokio::test]
async fn a_first_round_can_tell_removals_of_strangers() {
    let (asked, _) = sales().await;
    asked.simulator.tenant(|t| {
        t.group("Old").soft_deleted();
        t.user("old").purged();
    });
    let removed = |told: &Told| -> Vec<(String, String)> {
        let gone = told
            .items
            .iter()
            .filter(|item| item.get("@removed").is_some());
        gone.map(|item| {
            let reason = item["@removed"]["reason"].as_str().unwrap();
            (item["id"].as_str().unwrap().to_owned(), reason.to_owned())
        })
        .collect()
    };
    asked.simulator.fault(at_groups(Effect::PastRemovals));
    let told = asked.round(GROUPS).await;
    let gone = removed(&told);
    assert_eq!(gone[0], (group_id("Old").to_string(), "changed".into()));
    assert_eq!(gone.len(), 2, "and one that nobody knows");
    assert_eq!(words(&told), ["anna", "ben", "-?"]);
    asked.simulator.fault(at_groups(Effect::PastRemovals));
    assert_eq!(asked.round(&told.link).await.items.len(), 0);

    asked
        .simulator
        .fault(Fault::new(Effect::PastRemovals).on("/users/delta"));
    let told = asked.round(USERS).await;
    let gone = removed(&told);
    assert_eq!(gone[0], (person_id("old").to_string(), "deleted".into()));
    assert_eq!((gone.len(), told.items.len()), (2, 4));
}

#[tokio::test]
async fn a_full_reading_can_be_staler_than_the_delta() {
    let (asked, link) = sales().await;
    asked.simulator.tenant(|t| {
        t.group("Sales")
            .without_member("anna")
            .member("chloe")
            .display_name("Sales 2");
    });
    let listed = async |changes: Option<usize>| -> Vec<String> {
        if let Some(changes) = changes {
            let stale = Fault::new(Effect::StaleMembers { changes });
            asked.simulator.fault(stale.on("/groups/*/members"));
        }
        let page = asked.good(&members("Sales")).await;
        let rows = page["value"].as_array().unwrap().iter();
        rows.map(|row| row["displayName"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(listed(None).await, ["ben", "chloe"]);
    assert_eq!(listed(Some(1)).await, ["ben"]);
    assert_eq!(listed(Some(2)).await, ["anna", "ben"]);
    assert_eq!(listed(None).await, ["ben", "chloe"]);
    assert_eq!(words(&asked.round(&link).await), ["-anna", "chloe"]);
}

#[tokio::test]
async fn a_tracked_property_can_be_missing_from_a_page() {
    let asked = Asked::of(|t| {
        t.delta().users_per_page = 1;
        t.user("anna").disabled();
        t.user("ben").disabled();
    })
    .await;
    let omitted = || {
        let name = "accountEnabled".to_owned();
        Fault::new(Effect::OmittedProperty { name })
    };
    asked.simulator.fault(omitted().page(2));
    let told = asked.round(USERS).await;
    assert_eq!(told.items[0]["accountEnabled"], false);
    assert!(told.items[1].get("accountEnabled").is_none());
    assert_eq!(told.items[1]["displayName"], "ben");
    asked.simulator.tenant(|t| {
        t.user("anna").account(AccountEnabled::Enabled);
        t.user("ben").account(AccountEnabled::Null);
    });
    asked.simulator.fault(omitted());
    let told = asked.round(&told.link).await;
    assert!(told.items[0].get("accountEnabled").is_none());
    assert_eq!(told.items[1].get("accountEnabled"), Some(&Value::Null));
}

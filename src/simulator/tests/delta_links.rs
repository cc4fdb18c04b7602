use std::time::Duration;

use super::*;

const GROUPS: &str = "/groups/delta?$select=id,displayName,members";

async fn sales() -> Asked {
    Asked::of(|t| {
        t.group("Sales").member("anna");
    })
    .await
}

#[tokio::test]
async fn a_link_is_long_says_nothing_and_stands_alone() {
    let asked = sales().await;
    let ids: Vec<String> = (0..50)
        .map(|number| format!("id eq '{}'", group_id(&number.to_string())))
        .collect();
    let first = asked
        .round(&format!("{GROUPS}&$filter={}", ids.join(" or ")))
        .await;
    let link = first.link;
    assert!(link.starts_with(&asked.simulator.graph_url()), "{link}");
    assert!(link.len() > 1_000 && !link.contains("select") && !link.contains("filter"));
    for more in [
        "$select=id",
        "$filter=id eq 'x'",
        "$top=5",
        "$deltatoken=latest",
    ] {
        let (status, _) = asked.get(&format!("{link}&{more}")).await;
        assert_eq!(status, 400, "{more}");
    }
    let bad = "Request_BadRequest";
    let token = link.split_once('=').unwrap().1;
    let users = format!("/users/delta?$deltatoken={token}");
    asked.refused(&users, 400, bad).await;
    let page = format!("/groups/delta?$skiptoken={token}");
    asked.refused(&page, 400, bad).await;
    asked.refused(&format!("{link}x"), 400, bad).await;
    asked.round(&link).await;
}

#[tokio::test]
async fn the_latest_link_tells_nothing_of_before() {
    let asked = sales().await;
    for spelled in ["$deltatoken=latest", "$deltaToken=LATEST"] {
        let told = asked.round(&format!("{GROUPS}&{spelled}")).await;
        assert_eq!((told.items.len(), told.pages), (0, 1));
        asked.simulator.tenant(|t| {
            t.group("Sales").without_members().member("anna");
        });
        let later = asked.round(&told.link).await;
        assert_eq!(later.items[0]["displayName"], "Sales");
    }
    asked
        .simulator
        .fault(Fault::new(Effect::EmptyPage).times(3));
    let told = asked
        .round("/users/delta?$select=id,mail&$deltatoken=latest")
        .await;
    assert_eq!((told.items.len(), told.pages), (0, 4), "some links first");
    asked.simulator.tenant(|t| {
        t.user("anna").mail("a@example.com");
    });
    assert_eq!(asked.round(&told.link).await.items.len(), 1);
}

#[tokio::test]
async fn links_expire_in_all_the_ways_that_graph_has() {
    let asked = sales().await;
    asked.simulator.tenant(|t| {
        t.delta().entries_per_page = 1;
        t.group("Sales").member("ben");
    });
    for (expiry, status, code) in [
        (DeltaExpiry::Gone, 410, "resyncRequired"),
        (DeltaExpiry::NotFound, 400, "syncStateNotFound"),
        (DeltaExpiry::NotFoundInOtherCase, 400, "SyncStateNotFound"),
        (DeltaExpiry::NotFoundInside, 400, "BadRequest"),
    ] {
        let page = only_link(&asked.good(GROUPS).await).1;
        let told = asked.round(&page).await;
        asked.simulator.expire_delta_links(expiry);
        asked.refused(&told.link, status, code).await;
        asked.refused(&page, status, code).await;
        let body = asked.get(&told.link).await.1;
        let inner = &body["error"]["innerError"]["innererror"]["code"];
        let inside = expiry == DeltaExpiry::NotFoundInside;
        assert_eq!(inner.as_str(), inside.then_some("syncStateNotFound"));
        let response = asked.try_get(&told.link).await.unwrap();
        let location = response.headers().get("location");
        assert_eq!(location.is_some(), expiry == DeltaExpiry::Gone);
        if let Some(location) = location {
            let anew = asked.round(location.to_str().unwrap()).await;
            assert_eq!(anew.items[0]["displayName"], "Sales");
            assert_eq!(anew.pages, 3, "a first round with the same options");
        }
    }
}

#[tokio::test]
async fn a_link_is_good_for_seven_days_from_when_it_was_given() {
    let asked = sales().await;
    asked.simulator.hold_clock();
    let day = Duration::from_secs(24 * 3600);
    let mut link = asked.round(GROUPS).await.link;
    for _ in 0..3 {
        asked.simulator.advance_clock(6 * day);
        link = asked.round(&link).await.link;
    }
    asked.simulator.tenant(|t| {
        t.delta().entries_per_page = 1;
        t.group("Sales").members(["ben", "chloe"]);
    });
    asked.simulator.advance_clock(7 * day);
    let page = only_link(&asked.good(&link).await).1;
    asked.simulator.advance_clock(Duration::from_secs(1));
    asked.refused(&link, 400, "syncStateNotFound").await;
    // A round that was begun in time may be read to its end.
    asked.round(&page).await;
}

#[tokio::test]
async fn a_link_of_an_earlier_start_is_gone() {
    let (before, asked) = (sales().await, sales().await);
    before.simulator.tenant(|t| {
        t.group("Sales").member("ben");
    });
    let link = before.round(GROUPS).await.link;
    let here = link.replace(before.simulator.url(), asked.simulator.url());
    asked.refused(&here, 410, "resyncRequired").await;
}

#[tokio::test]
async fn a_tenant_without_delta_queries_says_so() {
    let asked = sales().await;
    let link = asked.round(GROUPS).await.link;
    asked
        .simulator
        .tenant(|t| t.delta().offer = DeltaOffer::Unsupported);
    for path in [GROUPS, "/users/delta", &link] {
        asked.refused(path, 400, "Request_UnsupportedQuery").await;
    }
    let message = asked.get(GROUPS).await.1["error"]["message"].clone();
    let wanted = "Change enumeration is not supported for requested tenant.";
    assert_eq!(message, wanted);
    asked
        .simulator
        .tenant(|t| t.delta().offer = DeltaOffer::NotImplemented);
    asked.refused("/users/delta", 501, "NotImplemented").await;
}

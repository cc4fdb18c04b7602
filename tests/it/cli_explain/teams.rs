//! How somebody stands to each team: wanted or not, managed or manual, and
//! what happens next.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{text, told};
use crate::cli_exit_codes::world;
use crate::support::World;
use crate::support::binary::entra_sync;
use crate::support::look::{group, person};
use crate::support::seed;

fn time(value: &Value) -> DateTime<Utc> {
    let text = value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no time"));
    text.parse().expect("a time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_within_its_grace_is_shown_with_its_time() {
    let world = world().await.with("ENTRA_SYNC__DEPROVISION__GRACE", "2h");
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("bob");
    });
    let bob = person("bob");
    let told_of = async || told(&world, &[&bob]).await["teams"][0]["planned"].clone();

    let planned = told_of().await;
    assert_eq!(planned[0]["action"], "wait", "{planned}");
    assert_eq!(planned[0]["waits"], json!({ "since": null, "until": null }));
    let said = text(&world, &[&bob]).await;
    let begins = "(left the group; its wait begins with the next complete pass)";
    assert!(said.contains(begins), "{said}");

    world.pass().await;
    let planned = told_of().await;
    let waits = &planned[0]["waits"];
    let (since, until) = (time(&waits["since"]), time(&waits["until"]));
    assert_eq!(until - since, TimeDelta::hours(2), "{waits}");
    let line = format!(
        "        ? wait team_membership {}/{bob} (left the group; waits since {} until {})\n",
        group("science"),
        since.format("%Y-%m-%dT%H:%M:%SZ"),
        until.format("%Y-%m-%dT%H:%M:%SZ"),
    );
    let said = text(&world, &[&bob]).await;
    assert!(said.contains(&line), "{line} is not in {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_somebody_was_taken_out_is_told_unless_another_team_is_asked_about() {
    let world = world().await;
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("bob");
    });
    world.pass().await;
    let bob = person("bob");
    let removed = format!("remove team_membership {}/{bob}", group("science"));
    let said = text(&world, &[&bob]).await;
    assert!(said.contains(&removed), "{said}");
    let said = text(&world, &[&bob, "arts"]).await;
    assert!(!said.contains(&removed), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_by_hand_and_admins_are_told_from_managed_ones_in_a_team_named_in_any_way() {
    let world = world().await;
    let [ada, bob, cleo] = ["ada", "bob", "cleo"].map(person);
    let science = group("science");
    world.settle().await;
    seed::join(&world.database, &cleo, &science).await;
    // An administrator of LiteLLM's made Ada admin of the team, and renamed it.
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_TeamTable\" SET team_alias = 'The Lab', members_with_roles = (
                 SELECT jsonb_agg(CASE WHEN e ->> 'user_id' = '{ada}'
                     THEN e || '{{\"role\": \"admin\"}}' ELSE e END)
                 FROM jsonb_array_elements(members_with_roles) e)
             WHERE team_id = '{science}'"
        ))
        .await;
    let id = science.to_uppercase();
    for word in ["SCIENCE", "the lab", &id] {
        for (who, wanted, membership) in [
            (&ada, "yes", "admin"),
            (&bob, "yes", "managed"),
            (&cleo, "no", "manual"),
        ] {
            let told = told(&world, &[who, word]).await;
            let teams = told["teams"].as_array().expect("a list");
            assert_eq!(teams.len(), 1, "{told}");
            assert_eq!(teams[0]["group"], science.as_str(), "{told}");
            assert_eq!(teams[0]["wanted"], wanted, "{told}");
            assert_eq!(teams[0]["membership"], membership, "{told}");
            assert_eq!(teams[0]["planned"], json!([]), "{told}");
        }
    }
    // A name that two groups have is answered for both; an id means one.
    world.entra.tenant(|tenant| {
        tenant.group("arts").display_name("Science");
        let named_so = tenant.group("odd").display_name(&science);
        named_so.assigned_by_default();
    });
    for (word, count) in [("science", 2), (id.as_str(), 1)] {
        let told = told(&world, &[&bob, word]).await;
        assert_eq!(
            told["teams"].as_array().map(Vec::len),
            Some(count),
            "{told}"
        );
    }
}

/// With ids, runs and times that differ from run to run written as words.
fn plain(said: &str, keys: &[&str]) -> String {
    let mut said = said.to_owned();
    for key in keys {
        said = said.replace(&group(key), &format!("<{key}>"));
    }
    said = said.replace(&person("ada"), "<ada>");
    let words = said.split_inclusive([' ', '\n', ')']);
    words
        .map(|word| {
            let (word, end) = word.split_at(word.len() - 1);
            let word = match word {
                _ if word.parse::<DateTime<Utc>>().is_ok() => "<time>",
                _ if word.parse::<uuid::Uuid>().is_ok() => "<run>",
                word => word,
            };
            format!("{word}{end}")
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_page_tells_everything_about_a_person() {
    let keys = ["science", "choir", "chess", "garden", "kitchen", "vault"];
    let mut world = World::new(|tenant| {
        tenant.user("ada").display_name("Ada Example");
        tenant.user("ada").assigned("billing");
        for key in ["science", "choir", "chess", "vault"] {
            tenant.group(key).member("ada").assigned_by_default();
        }
        tenant.group("science").assigned("internal_user");
        for key in ["garden", "kitchen"] {
            tenant.group(key).assigned_by_default();
        }
        for key in keys {
            tenant.group(key).member("bob");
        }
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true")
    .with("ENTRA_SYNC__DEPROVISION__GRACE", "2h")
    .with("ENTRA_SYNC__GUARD__MAX_REMOVALS", "0");
    world.settle().await;

    let (ada, choir, garden) = (person("ada"), group("choir"), group("garden"));
    seed::join(&world.database, &ada, &garden).await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").display_name("Ada Countess");
        tenant.group("choir").without_member("ada");
    });
    world.pass().await;
    // Time enough for the choir, whose removals are now held.
    world
        .ledger_sql("UPDATE entra_sync.waiting_removal SET since = since - interval '3 hours'")
        .await;
    world.entra.tenant(|tenant| {
        tenant.group("chess").without_member("ada");
        tenant.group("kitchen").member("ada");
    });
    world.set("ENTRA_SYNC__ENTRA__EXCLUDE_GROUPS", group("vault"));
    world.pass().await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").assigned("proxy_admin_viewer");
    });
    world
        .sql(&format!(
            "DELETE FROM \"LiteLLM_TeamMembership\" WHERE team_id = '{}' AND user_id = '{ada}';
             DELETE FROM \"LiteLLM_OrganizationMembership\" WHERE organization_id = '{}'",
            group("science"),
            group("kitchen"),
        ))
        .await;
    assert!(world.members("choir").await.contains(&ada), "held: {choir}");

    let said = text(&world, &["ada countess"]).await;
    // Teams are in the order of their ids.
    insta::assert_snapshot!(plain(&said, &keys), @r#"
    person  <ada> Ada Countess ada@contoso.example.com, enabled in Entra
    user    <ada>, found by user id, role internal_user, managed
    role    internal_user, through group <science>
    role    billing, assigned directly; no role of LiteLLM's: counts as none
    role    proxy_admin_viewer, assigned directly
    ~ update user <ada> user_role: "internal_user" -> "proxy_admin_viewer" (app role in Entra is higher)
    team    <vault> vault: wanted unknown (the settings exclude the group: it is left as it is), membership managed
    team    <chess> chess: wanted no (not a member of the group in Entra), membership managed
            ? wait team_membership <chess>/<ada> (left the group; waits since <time> until <time>)
            ? wait organization_membership <chess>/<ada> (left the group; waits since <time> until <time>)
    team    <science> science: wanted yes (member of the group in Entra), membership managed
            ~ repair team_membership <science>/<ada> (copies of the membership disagree)
    team    <garden> garden: wanted no (not a member of the group in Entra), membership manual
    team    <kitchen> kitchen: wanted yes (member of the group in Entra), membership managed
            + add organization_membership <kitchen>/<ada> (taken out in LiteLLM, still a member of the group)
    team    <choir> choir: wanted no (not a member of the group in Entra), membership managed
            ? hold team_membership <choir>/<ada> (left the group)
            ? hold organization_membership <choir>/<ada> (left the group)
    last    <time> update user <ada> (follows Entra), run <run>
    last    <time> add team_membership <vault>/<ada> (member of the group), run <run>
    last    <time> add team_membership <chess>/<ada> (member of the group), run <run>
    last    <time> add team_membership <science>/<ada> (member of the group), run <run>
    last    <time> add team_membership <kitchen>/<ada> (member of the group), run <run>
    last    <time> add team_membership <choir>/<ada> (member of the group), run <run>
    last    <time> add organization_membership <vault>/<ada> (member of the group, create_organizations is on), run <run>
    last    <time> add organization_membership <chess>/<ada> (member of the group, create_organizations is on), run <run>
    last    <time> add organization_membership <science>/<ada> (member of the group, create_organizations is on), run <run>
    last    <time> add organization_membership <kitchen>/<ada> (member of the group, create_organizations is on), run <run>
    last    <time> add organization_membership <choir>/<ada> (member of the group, create_organizations is on), run <run>
    "#);
    let missing = entra_sync(world.environment(), &["explain", &ada, "cellar"])
        .await
        .exits_with(1);
    let message = missing.message();
    assert!(
        message.contains("no assigned or managed group is cellar"),
        "{message}"
    );
}

//! Names as people give them: any character, any length, not unique.

use serde_json::json;

use crate::support::World;
use crate::support::look::{group, people, person, skipped};

const LONGEST: usize = 256;

#[tokio::test(flavor = "multi_thread")]
async fn quotes_emoji_and_marks_are_stored_as_they_are() {
    let names = [
        "Robert'); DROP TABLE \"LiteLLM_TeamTable\";--",
        "back\\slash %s $1 ${x} {{y}}",
        "Zoë Ångström 王小明 مرحبا 🦀👩‍🔬",
        "line\nbreak\tand \u{7}bell",
        "abc\u{202e}txt.exe\u{2066}",
        "null",
    ];
    let world = World::new(|tenant| {
        for (number, name) in names.iter().enumerate() {
            let user = format!("user-{number}");
            tenant.user(&user).display_name(name);
            tenant
                .group(&format!("group-{number}"))
                .display_name(name)
                .member(&user)
                .assigned_by_default();
        }
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true");

    let report = world.settle().await;

    assert_eq!(report.skipped, [], "the database takes them all");
    for (number, name) in names.iter().enumerate() {
        let key = format!("group-{number}");
        let user = format!("user-{number}");
        assert_eq!(world.team(&key).await["team_alias"], *name);
        let organization = world.organization(&key).await;
        assert_eq!(organization["organization_alias"], *name);
        assert_eq!(world.user(&user).await["user_alias"], *name);
        assert_eq!(world.members(&key).await, [person(&user)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_in_the_plan_cannot_forge_a_line_or_turn_it_round() {
    let world = World::new(|tenant| {
        tenant
            .group("trick")
            .display_name("a\n+ create user\u{202e}\u{1b}[2J")
            .assigned_by_default();
    })
    .await;
    let planned = world.plan().await;
    let mut text = Vec::new();

    entra_sync::plan::render::text(&planned.plan, &mut text).expect("memory does not break");

    let text = String::from_utf8(text).expect("UTF-8");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(
        text.contains(r"a\u{a}+ create user\u{202e}\u{1b}[2J"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_character_that_the_database_refuses_is_replaced_and_said() {
    let world = World::new(|tenant| {
        tenant.user("ada").display_name("Ada\0Example");
        tenant
            .user("bob")
            .user_principal_name("bob\0@contoso.example.com");
        tenant
            .group("science")
            .display_name("Sci\0ence")
            .members(["ada", "bob"])
            .assigned_by_default();
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true")
    .with(
        "ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS",
        r#"{"team_member_budget": 1}"#,
    );

    let report = world.settle().await;

    assert_eq!(world.team("science").await["team_alias"], "Sci\u{fffd}ence");
    let organization = world.organization("science").await;
    assert_eq!(organization["organization_alias"], "Sci\u{fffd}ence");
    assert_eq!(world.user("ada").await["user_alias"], "Ada\u{fffd}Example");
    let bob = world.user("bob").await;
    assert_eq!(bob["user_email"], "bob\u{fffd}@contoso.example.com");
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    let said = skipped(&report);
    for id in [group("science"), person("ada"), person("bob")] {
        let words = (id.as_str(), "refused_characters_replaced");
        assert!(said.contains(&words), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_names_of_the_widest_characters_fit() {
    let longest = "🦀".repeat(LONGEST);
    let world = World::new(|tenant| {
        tenant.user("ada").display_name(&longest);
        tenant
            .group("science")
            .display_name(&longest)
            .member("ada")
            .assigned_by_default();
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true")
    .with(
        "ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS",
        r#"{"team_member_budget": 1}"#,
    );

    world.settle().await;

    assert_eq!(world.team("science").await["team_alias"], longest.as_str());
    assert_eq!(world.user("ada").await["user_alias"], longest.as_str());
    assert_eq!(world.members("science").await, people(["ada"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_and_people_of_one_name_are_kept_apart() {
    let world = World::new(|tenant| {
        for key in ["first", "second"] {
            tenant.user(key).display_name("Same Name");
            tenant
                .group(key)
                .display_name("Same Group")
                .member(key)
                .assigned_by_default();
        }
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true");

    world.settle().await;

    for key in ["first", "second"] {
        assert_eq!(world.team(key).await["team_alias"], "Same Group");
        assert_eq!(world.members(key).await, [person(key)]);
        assert_eq!(world.organization_members(key).await, [person(key)]);
    }
    assert_eq!(world.count("LiteLLM_TeamTable").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_in_two_hundred_groups_is_in_all_their_teams() {
    let keys: Vec<String> = (0..200).map(|number| format!("group-{number}")).collect();
    let world = World::new(|tenant| {
        for key in &keys {
            tenant.group(key).member("ada").assigned_by_default();
        }
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true");

    let report = world.settle().await;

    assert_eq!(report.changes.team_memberships.added, 200);
    assert_eq!(report.changes.organization_memberships.added, 200);
    let teams = world.user("ada").await["teams"].clone();
    let mut teams: Vec<&str> = teams
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|team| team.as_str())
        .collect();
    teams.sort_unstable();
    let mut wanted: Vec<String> = keys.iter().map(|key| group(key)).collect();
    wanted.sort();
    assert_eq!(teams, wanted);
    for key in [&keys[0], &keys[199]] {
        assert_eq!(world.members(key).await, [person("ada")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_without_display_name_is_called_by_first_and_last_name() {
    let world = World::new(|tenant| {
        tenant
            .user("ada")
            .without_display_name()
            .names("Ada", "Lovelace");
        tenant.user("bob").display_name("   ").names("", "Builder");
        tenant.user("cyd").without_display_name();
        let id = person("dan");
        tenant.user("dan").display_name(&id).names("Dan", "Brown");
        tenant
            .group("science")
            .members(["ada", "bob", "cyd", "dan"])
            .assigned_by_default();
    })
    .await;

    world.settle().await;

    assert_eq!(world.user("ada").await["user_alias"], "Ada Lovelace");
    assert_eq!(world.user("bob").await["user_alias"], "Builder");
    assert_eq!(world.user("cyd").await["user_alias"], json!(null));
    assert_eq!(world.user("dan").await["user_alias"], "Dan Brown");
}

//! A large group of people with every kind of name, twice.

use entra_sync::model::report::Status;

use crate::support::World;
use crate::support::look::{group, person};

const MEMBERS: usize = 10_000;
const GROUPS: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_members_of_every_kind_are_synced_once() {
    let keys: Vec<String> = (0..MEMBERS)
        .map(|number| format!("member-{number}"))
        .collect();
    let world = World::new(|tenant| {
        for (number, key) in keys.iter().enumerate() {
            let user = tenant.user(key);
            match number % 8 {
                0 => {
                    user.display_name("Same Name");
                }
                1 => {
                    user.display_name("O'Brien \"Bob\" \\ %s; --");
                }
                2 => {
                    user.display_name(&"王🦀é".repeat(85));
                }
                3 => {
                    user.without_mail().without_display_name();
                }
                4 => {
                    user.guest(&format!("{key}@partner.example.com"));
                }
                5 => {
                    user.display_name("tab\tnewline\n\u{202e}turned");
                }
                6 => {
                    user.without_display_name().names("Ångström", "Þór");
                }
                _ => {
                    user.display_name("\0NUL");
                }
            }
        }
        let members = keys.iter().map(String::as_str);
        tenant
            .group("all")
            .members(members)
            .assigned("internal_user");
        for number in 1..GROUPS {
            let key = format!("group-{number}");
            tenant.group(&key).member("member-0").assigned_by_default();
        }
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true");

    let report = world.settle().await;

    assert_eq!(report.status, Status::Succeeded);
    let people = MEMBERS as u64;
    let memberships = people + GROUPS as u64 - 1;
    assert_eq!(report.changes.users.created, people);
    assert_eq!(report.changes.team_memberships.added, memberships);
    assert_eq!(report.changes.organization_memberships.added, memberships);
    assert_eq!(world.members("all").await.len(), MEMBERS);
    assert_eq!(world.managed("all").await.len(), MEMBERS);
    assert_eq!(world.organization_members("all").await.len(), MEMBERS);
    let first = world.user("member-0").await;
    assert_eq!(first["teams"].as_array().map(Vec::len), Some(GROUPS));
    assert_eq!(first["user_alias"], "Same Name");
    assert_eq!(world.user("member-7").await["user_alias"], "\u{fffd}NUL");
    assert_eq!(world.user("member-14").await["user_alias"], "Ångström Þór");

    // One more, one renamed: no more is written than that.
    world.entra.tenant(|tenant| {
        tenant.group("all").member("late");
        tenant.user("member-1").display_name("Renamed");
    });
    let report = world.settle().await;
    assert_eq!(
        report.changes.total(),
        4,
        "user, two memberships, name: {}",
        report.json()
    );
    let roster = world.team("all").await["members_with_roles"].clone();
    let last = roster.as_array().and_then(|roster| roster.last()).cloned();
    assert_eq!(last.expect("an entry")["user_id"], person("late"));
    assert_eq!(world.team("all").await["team_id"], group("all"));
}

//! A pass writes the rows that LiteLLM itself wrote for the same people,
//! groups and settings, column by column.
//!
//! The fixture is LiteLLM 1.109.1's own work (`tests/fixtures/README.md`). Ids
//! and times are another run's; its login went through the provider `generic`,
//! ours are Microsoft's.

use std::collections::BTreeMap;

use entra_sync::simulator::Tenant;
use serde_json::{Value, json};

use crate::support::World;
use crate::support::look::{group, person, text};
use crate::support::seed;

const TEAM: &str = "LiteLLM_TeamTable";
const USER: &str = "LiteLLM_UserTable";
const MEMBERSHIP: &str = "LiteLLM_TeamMembership";
const PARAMS: &str = "ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS";

/// One section of the fixture, its ids replaced by ours.
struct Section {
    content: Value,
    ids: BTreeMap<String, String>,
}

impl Section {
    /// The fixture's ids double as the tenant's keys.
    fn read(name: &str, groups: &[&str], people: &[&str]) -> Self {
        let fixture = include_str!("../fixtures/litellm-reference-rows.json");
        let mut fixture: Value = serde_json::from_str(fixture).expect("valid JSON");
        let groups = groups.iter().map(|key| ((*key).to_owned(), group(key)));
        let people = people.iter().map(|key| ((*key).to_owned(), person(key)));
        Self {
            content: fixture[name].take(),
            ids: groups.chain(people).collect(),
        }
    }

    fn params(&self) -> &Value {
        &self.content["settings"]["default_team_params"]
    }

    fn rows(&self, table: &str) -> Vec<Value> {
        let rows = self.content["rows"][table].as_array().expect("rows");
        rows.iter().map(|row| self.ours(row)).collect()
    }

    fn ours(&self, value: &Value) -> Value {
        match value {
            Value::String(text) if text == "generic" => json!("microsoft"),
            Value::String(text) => json!(self.ids.get(text).unwrap_or(text)),
            Value::Array(list) => list.iter().map(|value| self.ours(value)).collect(),
            Value::Object(map) => map
                .iter()
                .map(|(key, value)| (key.clone(), self.ours(value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            other => other.clone(),
        }
    }

    /// Compares all rows of a table; a column of `exempt` is not compared, for
    /// the reason given where it is named.
    async fn check(&self, world: &World, table: &str, keys: &[&str], exempt: &[&str]) {
        let theirs = self.rows(table);
        let ours = world.database.rows(table).await;
        assert_eq!(ours.len(), theirs.len(), "{table}: {ours:#?}");
        for theirs in theirs {
            let same = |row: &&Value| keys.iter().all(|key| row[*key] == theirs[*key]);
            let ours = ours.iter().find(same);
            same_columns(ours.expect("a row with the same key"), &theirs, exempt);
        }
    }
}

fn same_columns(ours: &Value, theirs: &Value, exempt: &[&str]) {
    let (ours, theirs) = (as_map(ours), as_map(theirs));
    let names = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(ours), names(theirs));
    for (column, wanted) in theirs {
        let present = &ours[column];
        match column.as_str() {
            _ if exempt.contains(&column.as_str()) => {}
            // Another moment; `budget_reset.json` proves the reckoning.
            "created_at" | "updated_at" | "budget_reset_at" => {
                assert_eq!(present.is_null(), wanted.is_null(), "{column}: {present}");
            }
            _ => assert_eq!(present, wanted, "{column}"),
        }
    }
}

fn as_map(row: &Value) -> &serde_json::Map<String, Value> {
    row.as_object().expect("a row")
}

/// A person as LiteLLM's login was told of her.
fn ada(tenant: &mut Tenant, key: &str, address: &str) {
    tenant
        .user(key)
        .without_display_name()
        .names("Ada", "Lovelace")
        .user_principal_name(address);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_without_default_params() {
    let section = Section::read(
        "team_without_default_params",
        &["grp-plain", "grp-noname"],
        &[],
    );
    let world = World::new(|tenant| {
        tenant
            .group("grp-plain")
            .display_name("Plain Group")
            .assigned_by_default();
        tenant
            .group("grp-noname")
            .without_display_name()
            .assigned_by_default();
    })
    .await;

    world.settle().await;

    section.check(&world, TEAM, &["team_id"], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_with_default_params() {
    let section = Section::read("team_with_default_params_dict", &["grp-dict"], &[]);
    let world = World::new(|tenant| {
        tenant
            .group("grp-dict")
            .display_name("Dict Group")
            .assigned_by_default();
    })
    .await
    .with(PARAMS, section.params());

    world.settle().await;

    section.check(&world, TEAM, &["team_id"], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_with_a_budget_of_each_duration() {
    let keys = ["grp-mo", "grp-24h", "grp-7d", "grp-1h"];
    let section = Section::read("team_with_default_params_budget_only", &keys, &[]);
    for (key, row) in keys.iter().zip(section.rows(TEAM)) {
        let world = World::new(|tenant| {
            let name = text(&row, "team_alias");
            tenant.group(key).display_name(&name).assigned_by_default();
        })
        .await
        .with(
            PARAMS,
            // The settings of the fixture are those of its last step.
            json!({ "max_budget": row["max_budget"], "budget_duration": row["budget_duration"] }),
        );

        world.settle().await;

        same_columns(&world.team(key).await, &row, &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_whose_members_share_a_budget() {
    let section = Section::read(
        "team_with_member_defaults",
        &["grp-memberbudget"],
        &["u-mb"],
    );
    let world = World::new(|tenant| {
        ada(tenant, "u-mb", "mb@example.com");
        tenant
            .group("grp-memberbudget")
            .display_name("Member Budget Group")
            .member("u-mb")
            .assigned_by_default();
    })
    .await
    .with(PARAMS, section.params());

    world.settle().await;

    // The budget's id ends in random digits, wherever it is named.
    let budget = &section.rows("LiteLLM_BudgetTable")[0];
    let rows = world.database.rows("LiteLLM_BudgetTable").await;
    assert_eq!(rows.len(), 1);
    same_columns(&rows[0], budget, &["budget_id"]);
    let id = text(&rows[0], "budget_id");
    let (start, digits) = id.split_at(id.len() - 32);
    assert_eq!(start, "team-Member-Budget-Group-budget-");
    assert!(
        digits.chars().all(|digit| digit.is_ascii_hexdigit()),
        "{id}"
    );
    section
        .check(&world, TEAM, &["team_id"], &["metadata"])
        .await;
    let metadata = world.team("grp-memberbudget").await["metadata"].clone();
    assert_eq!(
        metadata,
        json!({ "origin": "sso", "team_member_budget_id": id })
    );
    section.check(&world, USER, &["user_id"], &[]).await;
    section
        .check(&world, MEMBERSHIP, &["user_id", "team_id"], &["budget_id"])
        .await;
    assert_eq!(world.database.rows(MEMBERSHIP).await[0]["budget_id"], id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_exists_already_is_left_alone() {
    let section = Section::read("team_that_exists_already_is_left_alone", &["grp-same"], &[]);
    let world = World::new(|tenant| {
        tenant
            .group("grp-same")
            .display_name("Second Name")
            .assigned_by_default();
    })
    .await
    .with(PARAMS, section.params());
    let theirs = section.rows(TEAM).remove(0);
    seed::recorded(TEAM, theirs.clone())
        .insert(&world.database)
        .await;

    world.settle().await;

    assert_eq!(world.team("grp-same").await, theirs, "times included");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_user_in_two_teams() {
    let section = Section::read(
        "new_user_joins_existing_teams_only",
        &["grp-a", "grp-b"],
        &["u-1"],
    );
    let world = World::new(|tenant| {
        ada(tenant, "u-1", "Ada.Lovelace@example.com");
        tenant
            .group("grp-a")
            .display_name("Group A")
            .member("u-1")
            .assigned_by_default();
        tenant
            .group("grp-b")
            .display_name("Group B")
            .member("u-1")
            .assigned_by_default();
        tenant.group("grp-does-not-exist").member("u-1");
    })
    .await
    .with(PARAMS, section.params());

    world.settle().await;

    section.check(&world, TEAM, &["team_id"], &[]).await;
    section
        .check(&world, MEMBERSHIP, &["user_id", "team_id"], &[])
        .await;
    // LiteLLM lists teams in the order in which the login named them.
    section.check(&world, USER, &["user_id"], &["teams"]).await;
    assert_eq!(
        sorted_teams(&world.user("u-1").await),
        sorted_teams(&section.rows(USER)[0])
    );
}

fn sorted_teams(user: &Value) -> Vec<String> {
    let teams = user["teams"].as_array().expect("a list");
    let mut teams: Vec<String> = teams
        .iter()
        .filter_map(|team| Some(team.as_str()?.to_owned()))
        .collect();
    teams.sort();
    teams
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_whose_groups_address_and_role_change() {
    let section = Section::read(
        "user_logs_in_again_with_other_groups",
        &["grp-a", "grp-b"],
        &["u-1"],
    );
    let world = World::new(|tenant| {
        ada(tenant, "u-1", "ada@example.com");
        tenant
            .group("grp-a")
            .display_name("Group A")
            .member("u-1")
            .assigned_by_default();
        tenant
            .group("grp-b")
            .display_name("Group B")
            .assigned_by_default();
    })
    .await
    // LiteLLM's login takes nobody out of a team.
    .with("ENTRA_SYNC__DEPROVISION__MEMBERSHIP", "keep");
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant
            .user("u-1")
            .names("Ada", "King")
            .user_principal_name("ada.new@example.com")
            .assigned("internal_user");
        tenant.group("grp-a").without_member("u-1");
        tenant.group("grp-b").member("u-1");
    });

    world.settle().await;

    section.check(&world, TEAM, &["team_id"], &[]).await;
    section
        .check(&world, MEMBERSHIP, &["user_id", "team_id"], &[])
        .await;
    // LiteLLM's login fills an empty alias only; we follow the name that we
    // wrote (design 2.1, last row of the mapping).
    section
        .check(&world, USER, &["user_id"], &["user_alias"])
        .await;
    assert_eq!(world.user("u-1").await["user_alias"], "Ada King");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_users_with_and_without_a_role() {
    let people = ["u-role", "u-admin", "u-none"];
    let section = Section::read("new_user_with_role_from_sso", &[], &people);
    let world = World::new(|tenant| {
        for (key, role) in [("u-role", "internal_user"), ("u-admin", "proxy_admin")] {
            let address = format!("{}@example.com", &key[2..]);
            ada(tenant, key, "ignored@example.com");
            tenant.user(key).mail(&address).assigned(role);
        }
        tenant
            .user("u-none")
            .without_display_name()
            .without_mail()
            .assigned_by_default();
    })
    .await
    // A principal name is never missing; this login had no address at all.
    .with("MICROSOFT_USER_EMAIL_ATTRIBUTE", "mail");

    world.settle().await;

    section.check(&world, USER, &["user_id"], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_user_who_is_found_by_address() {
    let mut section = Section::read("existing_user_is_found_by_email", &["grp-a"], &[]);
    section
        .ids
        .insert("idp-object-id".to_owned(), person("known"));
    let world = World::new(|tenant| {
        ada(tenant, "known", "known@example.com");
        tenant
            .group("grp-a")
            .display_name("Group A")
            .member("known")
            .assigned_by_default();
    })
    .await;
    // As the fixture's first step made it.
    let mut before = section.rows(USER).remove(0);
    for (column, value) in [
        ("user_alias", json!(null)),
        ("sso_user_id", json!(null)),
        ("teams", json!([])),
        ("user_email", json!("Known@Example.com")),
    ] {
        before[column] = value;
    }
    seed::recorded(USER, before).insert(&world.database).await;

    world.settle().await;

    // An address that differs by its case only is equal to us, and a person's
    // spelling stays; LiteLLM's login lower-cases it.
    section
        .check(&world, USER, &["user_id"], &["user_email"])
        .await;
    section
        .check(&world, MEMBERSHIP, &["user_id", "team_id"], &[])
        .await;
    section
        .check(&world, TEAM, &["team_id"], &["members_with_roles"])
        .await;
    let roster = world.team("grp-a").await["members_with_roles"].clone();
    let entry =
        json!([{ "role": "user", "user_id": "pre-existing", "user_email": "Known@Example.com" }]);
    assert_eq!(roster, entry);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_in_the_organization_of_the_default_params() {
    let section = Section::read("team_in_an_organization", &["grp-org"], &["u-org"]);
    let world = World::new(|tenant| {
        ada(tenant, "u-org", "org@example.com");
        tenant
            .group("grp-org")
            .display_name("Org Group")
            .member("u-org")
            .assigned_by_default();
    })
    .await
    .with(PARAMS, section.params());
    for table in ["LiteLLM_BudgetTable", "LiteLLM_OrganizationTable"] {
        let row = section.rows(table).remove(0);
        seed::recorded(table, row).insert(&world.database).await;
    }

    world.settle().await;

    section.check(&world, TEAM, &["team_id"], &[]).await;
    section.check(&world, USER, &["user_id"], &[]).await;
    section
        .check(&world, MEMBERSHIP, &["user_id", "team_id"], &[])
        .await;
    for table in ["LiteLLM_BudgetTable", "LiteLLM_OrganizationTable"] {
        assert_eq!(
            world.database.rows(table).await,
            section.rows(table),
            "untouched"
        );
    }
    assert_eq!(world.count("LiteLLM_OrganizationMembership").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_in_an_organization_that_does_not_exist() {
    let section = Section::read("team_in_an_organization_that_does_not_exist", &[], &[]);
    let world = World::new(|tenant| {
        tenant
            .group("grp-lost")
            .display_name("Lost Group")
            .assigned_by_default();
    })
    .await
    .with(PARAMS, section.params());

    let report = world.pass().await;

    assert_eq!(world.count(TEAM).await, 0);
    assert_eq!(report.errors.len(), 1);
    assert_eq!(report.errors[0].id, group("grp-lost"));
    assert!(
        report.errors[0].message.contains("no-such-org"),
        "{:?}",
        report.errors
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_with_its_budget_and_its_member() {
    let section = Section::read("organization_rows_of_1.100.0", &[], &[]);
    let row = |table: &str| section.content[table][0].clone();
    let (organization, budget) = (row("LiteLLM_OrganizationTable"), row("LiteLLM_BudgetTable"));
    let world = World::new(|tenant| {
        let name = text(&organization, "organization_alias");
        tenant
            .group("org")
            .display_name(&name)
            .member("ada")
            .assigned_by_default();
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true")
    .with(
        PARAMS,
        json!({
            "models": organization["models"], "max_budget": budget["max_budget"],
            "tpm_limit": budget["tpm_limit"], "rpm_limit": budget["rpm_limit"],
            "budget_duration": budget["budget_duration"],
        }),
    );

    world.settle().await;

    // Metadata was given in the call of the fixture; nothing gives us any.
    let ours = world.organization("org").await;
    same_columns(
        &ours,
        &organization,
        &["organization_id", "budget_id", "metadata"],
    );
    assert_eq!(ours["metadata"], json!({}));
    // 1.100.0 left the first reset to a job; 1.109.1 reckons it at once
    // (litellm-contract 2b).
    let ours = world
        .row(
            "LiteLLM_BudgetTable",
            "budget_id",
            &text(&ours, "budget_id"),
        )
        .await;
    same_columns(&ours, &budget, &["budget_id", "budget_reset_at"]);
    let ours = world.database.rows("LiteLLM_OrganizationMembership").await;
    assert_eq!(ours.len(), 1);
    let theirs = row("LiteLLM_OrganizationMembership");
    same_columns(&ours[0], &theirs, &["user_id", "organization_id"]);
    assert_eq!(ours[0]["user_id"], person("ada"));
    assert_eq!(ours[0]["organization_id"], group("org"));
}

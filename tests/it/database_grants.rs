//! The catalogue after `deploy/sql/role.sql`, against what the settings ask for.

use std::collections::BTreeSet;

use entra_sync::config::{self, Overrides, Settings, Sources};
use entra_sync::litellm::{self, Purpose};
use entra_sync::model::report::Counts;
use entra_sync::sync::{Progress, UndoRequest};
use tokio_util::sync::CancellationToken;

use crate::database_role::{answers, grant_as};
use crate::support::database::connect;
use crate::support::look::{group, person};
use crate::support::{TestDatabase, World, seed};

#[tokio::test]
async fn nothing_is_granted_that_no_settings_ask_for_and_nothing_asked_for_is_missing() {
    let database = TestDatabase::create().await;
    for choice in 0..8_u8 {
        let answers = answers(choice);
        let variables = grant_as(&database, answers);
        let [removals, delete_teams, audit] = answers;
        let purposes: Vec<Purpose> = [
            (true, Purpose::Passes),
            (removals, Purpose::Removals),
            (delete_teams, Purpose::TeamDeletions),
            (audit, Purpose::AuditRows),
        ]
        .into_iter()
        .filter_map(|(on, purpose)| on.then_some(purpose))
        .collect();
        let asked = asked_for(&database, &purposes).await;
        let granted = granted(&database).await;
        let surplus: Vec<_> = granted.difference(&asked).collect();
        let lacking: Vec<_> = asked.difference(&granted).collect();
        assert!(
            surplus.is_empty() && lacking.is_empty(),
            "{variables:?}: granted in vain: {surplus:#?}, not granted: {lacking:#?}"
        );
    }
}

#[tokio::test]
async fn settings_that_take_nothing_ask_for_nothing_that_only_removals_need() {
    let database = TestDatabase::create().await;
    let asks = |settings: &Settings| {
        let rights = litellm::needed_rights(&settings.litellm, &settings.deprovision);
        let mut purposes: Vec<Purpose> = rights.iter().map(|right| right.purpose).collect();
        purposes.sort();
        purposes.dedup();
        purposes
    };
    let keep = [
        ("MEMBERSHIP", "keep"),
        ("UNASSIGNED_GROUP", "detach"),
        ("DISABLED_USER", "keep"),
        ("DELETED_USER", "keep"),
    ]
    .map(|(key, value)| (format!("ENTRA_SYNC__DEPROVISION__{key}"), value.to_owned()));
    let mut environment = keep.to_vec();
    assert_eq!(asks(&settings(&database, &environment)), [Purpose::Passes]);
    for (setting, value, purpose) in [
        ("DEPROVISION__MEMBERSHIP", "remove", Purpose::Removals),
        ("DEPROVISION__DELETED_USER", "deactivate", Purpose::Removals),
        ("DEPROVISION__UNASSIGNED_GROUP", "block", Purpose::Removals),
        ("LITELLM__STORE_AUDIT_LOGS", "true", Purpose::AuditRows),
    ] {
        environment.truncate(keep.len());
        environment.push((format!("ENTRA_SYNC__{setting}"), value.to_owned()));
        let asked = asks(&settings(&database, &environment));
        assert_eq!(asked, [Purpose::Passes, purpose], "{setting}");
    }
}

/// The widest settings: between them they ask for everything that any ask for.
async fn asked_for(database: &TestDatabase, purposes: &[Purpose]) -> BTreeSet<Grant> {
    let columns = columns(database).await;
    let mut asked = BTreeSet::new();
    for policy in ["detach", "block", "delete"] {
        let wide = [
            ("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true"),
            ("ENTRA_SYNC__LITELLM__STORE_AUDIT_LOGS", "true"),
            ("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", policy),
            (
                "ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS",
                r#"{"model_aliases": {"a": "b"}, "object_permission": {"mcp_servers": ["s"]},
                    "access_group_ids": ["g"], "team_member_budget": 1}"#,
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = settings(database, &wide);
        for right in litellm::needed_rights(&settings.litellm, &settings.deprovision) {
            if !purposes.contains(&right.purpose) {
                continue;
            }
            let grant = |column: &str| Grant {
                privilege: right.privilege.to_owned(),
                table: right.table.to_owned(),
                column: column.to_owned(),
            };
            match (right.privilege, right.columns) {
                ("DELETE" | "USAGE", None) => drop(asked.insert(grant(""))),
                (_, Some(some)) => asked.extend(some.split(',').map(grant)),
                (_, None) => {
                    let all = columns
                        .iter()
                        .filter(|(table, column)| table == right.table && column != "password");
                    asked.extend(all.map(|(_, column)| grant(column)));
                }
            }
        }
    }
    asked
}

/// A privilege on one column, or on a whole table where it knows no columns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    pub privilege: String,
    pub table: String,
    column: String,
}

/// What the catalogue says that the role was given in LiteLLM's schema.
pub async fn granted(database: &TestDatabase) -> BTreeSet<Grant> {
    let rows = database
        .admin()
        .query(
            "WITH acl AS ( \
                 SELECT c.oid, c.relname::text AS relation, c.relkind, (aclexplode(c.relacl)).* \
                 FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace) \
             SELECT privilege_type, relation, COALESCE(a.attname::text, '') FROM acl \
             LEFT JOIN pg_attribute a ON a.attrelid = acl.oid AND a.attnum > 0 \
                  AND NOT a.attisdropped AND privilege_type IN ('SELECT', 'INSERT', 'UPDATE') \
                  AND acl.relkind <> 'S' \
             WHERE grantee = 'entra_sync'::regrole \
             UNION \
             SELECT acl.privilege_type, acl.relation, acl.attname FROM ( \
                 SELECT c.relname::text AS relation, a.attname::text, (aclexplode(a.attacl)).* \
                 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
                 WHERE c.relnamespace = 'public'::regnamespace) acl \
             WHERE acl.grantee = 'entra_sync'::regrole",
            &[],
        )
        .await
        .expect("the grants");
    rows.iter()
        .map(|row| Grant {
            privilege: row.get(0),
            table: row.get(1),
            column: row.get(2),
        })
        .collect()
}

async fn columns(database: &TestDatabase) -> Vec<(String, String)> {
    let rows = database
        .admin()
        .query(
            "SELECT c.relname::text, a.attname::text FROM pg_class c \
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
             WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'",
            &[],
        )
        .await
        .expect("the columns");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn settings(database: &TestDatabase, environment: &[(String, String)]) -> Settings {
    let some_id = "11111111-1111-4111-8111-111111111111";
    let given = [
        ("MICROSOFT_TENANT", some_id),
        ("MICROSOFT_CLIENT_ID", some_id),
        ("MICROSOFT_CLIENT_SECRET", "not used"),
        ("MICROSOFT_SERVICE_PRINCIPAL_ID", some_id),
        ("DATABASE_URL", &database.url()),
    ];
    let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let sources = Sources {
        files: Vec::new(),
        environment: given
            .into_iter()
            .chain(environment.iter().cloned())
            .collect(),
        overrides: Overrides::default(),
        today: chrono::Utc::now().date_naive(),
    };
    match config::load(&sources) {
        Ok(loaded) => loaded.settings,
        Err(error) => panic!("{error}"),
    }
}

/// Three teams in use, under settings that take nothing but what `policies`
/// says, and a role that may do exactly what these settings ask for.
async fn world_under(policies: &[(&str, &str)]) -> World {
    let mut world = World::new(|tenant| {
        tenant.group("arts").member("ada").assigned_by_default();
        for group in ["sales", "science"] {
            tenant
                .group(group)
                .members(["ada", "bob", "cem"])
                .assigned_by_default();
        }
    })
    .await
    .with("ENTRA_SYNC__GUARD__MAX_REMOVAL_PERCENT", 100)
    .with("ENTRA_SYNC__GUARD__MIN_MANAGED", 1_000);
    for key in [
        "MEMBERSHIP",
        "UNASSIGNED_GROUP",
        "DISABLED_USER",
        "DELETED_USER",
    ] {
        world.set(&format!("ENTRA_SYNC__DEPROVISION__{key}"), "keep");
    }
    for (key, value) in policies {
        world.set(&format!("ENTRA_SYNC__{key}"), value);
    }
    let settings = world.settings();
    let rights = litellm::needed_rights(&settings.litellm, &settings.deprovision);
    let mut statements = "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM entra_sync; \
         REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM entra_sync;"
        .to_owned();
    let all = columns(&world.database).await;
    for right in rights {
        let of_users: Vec<&str> = all
            .iter()
            .filter(|(table, column)| table == right.table && column != "password")
            .map(|(_, column)| column.as_str())
            .collect();
        let columns = match (right.table, right.columns) {
            (_, Some(columns)) => format!(" ({columns})"),
            ("LiteLLM_UserTable", None) => format!(" ({})", of_users.join(", ")),
            _ => String::new(),
        };
        statements += &format!(
            "GRANT {}{columns} ON \"{}\" TO entra_sync;",
            right.privilege, right.table
        );
    }
    let owner = connect(&world.database.url_as("postgres")).await;
    owner.batch_execute(&statements).await.expect(&statements);
    world.settle().await;
    for user in ["ada", "bob"] {
        seed::key(user, &person(user))
            .with("team_id", group("science"))
            .insert(&world.database)
            .await;
    }
    world
}

/// A pass that takes all that the settings allow, then what undoes it.
async fn take_and_give_back(policies: &[(&str, &str)]) -> Counts {
    let world = world_under(policies).await;
    world.entra.tenant(|tenant| {
        tenant.group("sales").unassigned_entirely();
        tenant.group("science").without_member("bob");
        tenant.user("ada").disabled();
    });
    let taken = world.settle().await;
    let request = UndoRequest {
        of: taken.run_id,
        who: "carla".to_owned(),
    };
    let (stop, progress) = (CancellationToken::new(), Progress::unobserved());
    let source = world.source();
    let (undone, error) = source.undo(&request, &progress, &stop).await;
    assert!(error.is_none(), "{policies:?}: {error:?}");
    assert_eq!(undone.report.errors, [], "{policies:?}");
    taken.changes
}

#[tokio::test(flavor = "multi_thread")]
async fn each_policy_alone_works_with_what_it_asks_for_and_so_does_its_undoing() {
    const AUDIT: (&str, &str) = ("LITELLM__STORE_AUDIT_LOGS", "true");
    const LEAVE: (&str, &str) = ("DEPROVISION__MEMBERSHIP", "remove");

    let changes = take_and_give_back(&[LEAVE]).await;
    let (lost, keys) = (changes.team_memberships.removed, changes.keys.deleted);
    assert_eq!((lost, keys), (1, 1));

    let organizations = ("LITELLM__CREATE_ORGANIZATIONS", "true");
    let detach = ("DEPROVISION__UNASSIGNED_GROUP", "detach");
    let changes = take_and_give_back(&[LEAVE, AUDIT, organizations, detach]).await;
    assert_eq!(changes.team_memberships.removed, 4);
    assert_eq!(changes.organization_memberships.removed, 4);

    let delete = ("DEPROVISION__UNASSIGNED_GROUP", "delete");
    let changes = take_and_give_back(&[AUDIT, delete]).await;
    assert_eq!(changes.teams.deleted, 1);

    let block = ("DEPROVISION__UNASSIGNED_GROUP", "block");
    assert_eq!(take_and_give_back(&[block]).await.teams.blocked, 1);

    let deactivate = ("DEPROVISION__DISABLED_USER", "deactivate");
    let changes = take_and_give_back(&[deactivate]).await;
    let (people, keys) = (changes.users.deactivated, changes.keys.blocked);
    assert_eq!((people, keys), (1, 1));
}

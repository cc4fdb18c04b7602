//! The catalogue after `deploy/sql/role.sql`, against what the settings ask for.

use std::collections::BTreeSet;

use entra_sync::config::{self, Overrides, Settings, Sources};
use entra_sync::litellm::{self, Purpose};

use crate::database_role::{answers, grant_as};
use crate::support::TestDatabase;

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
struct Grant {
    privilege: String,
    table: String,
    column: String,
}

/// What the catalogue says that the role was given in LiteLLM's schema.
async fn granted(database: &TestDatabase) -> BTreeSet<Grant> {
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

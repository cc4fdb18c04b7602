//! LiteLLM's schema and ours side by side: nothing of ours is in LiteLLM's,
//! and what older LiteLLMs lack is not asked for.

use crate::support::World;
use crate::support::database::connect;
use crate::support::look::people;

async fn science() -> World {
    World::new(|tenant| {
        tenant
            .group("science")
            .members(["ada", "bob"])
            .assigned("internal_user");
        tenant.group("arts").member("cyd").assigned_by_default();
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true")
}

/// Everything the catalogue knows of a schema, a line each.
const CATALOGUE: &str = "
    WITH place AS (SELECT oid, nspname FROM pg_namespace WHERE nspname = $1),
    relations AS (SELECT c.* FROM pg_class c JOIN place ON c.relnamespace = place.oid)
    SELECT format('relation %s %s %s', relkind, relname, relacl) FROM relations
    UNION ALL
    SELECT format('column %s.%s %s %s %s', r.relname, a.attname,
                  format_type(a.atttypid, a.atttypmod), a.attnotnull,
                  pg_get_expr(d.adbin, d.adrelid))
    FROM pg_attribute a JOIN relations r ON r.oid = a.attrelid AND r.relkind IN ('r', 'v')
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT format('index %s', pg_get_indexdef(r.oid)) FROM relations r WHERE r.relkind = 'i'
    UNION ALL
    SELECT format('constraint %s %s %s', r.relname, k.conname, pg_get_constraintdef(k.oid))
    FROM pg_constraint k JOIN relations r ON r.oid = k.conrelid
    UNION ALL
    SELECT format('trigger %s', pg_get_triggerdef(t.oid))
    FROM pg_trigger t JOIN relations r ON r.oid = t.tgrelid
    UNION ALL
    SELECT format('policy %s %s', r.relname, p.polname)
    FROM pg_policy p JOIN relations r ON r.oid = p.polrelid
    UNION ALL
    SELECT format('rule %s %s', r.relname, w.rulename)
    FROM pg_rewrite w JOIN relations r ON r.oid = w.ev_class
    UNION ALL
    SELECT format('function %s %s', f.proname, pg_get_function_identity_arguments(f.oid))
    FROM pg_proc f JOIN place ON f.pronamespace = place.oid
    UNION ALL
    SELECT format('type %s %s', t.typtype, t.typname)
    FROM pg_type t JOIN place ON t.typnamespace = place.oid
    ORDER BY 1";

async fn catalogue(world: &World, schema: &str) -> Vec<String> {
    let client = connect(&world.database.url_as("postgres")).await;
    let rows = client.query(CATALOGUE, &[&schema]).await;
    let rows = rows.expect("the catalogue");
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_ours_is_in_litellms_schema_and_no_key_joins_the_two() {
    let world = science().await;
    let before = catalogue(&world, "public").await;
    for kind in ["relation r ", "column ", "index ", "constraint "] {
        let some = before.iter().any(|line| line.starts_with(kind));
        assert!(some, "no {kind}in {before:#?}");
    }

    world.settle().await;

    assert_eq!(before, catalogue(&world, "public").await);
    let client = connect(&world.database.url_as("postgres")).await;
    let keys = client
        .query(
            "SELECT a.nspname::text, b.nspname::text FROM pg_constraint k
             JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace a ON a.oid = c.relnamespace
             JOIN pg_class d ON d.oid = k.confrelid JOIN pg_namespace b ON b.oid = d.relnamespace
             WHERE k.contype = 'f'",
            &[],
        )
        .await
        .expect("the foreign keys");
    let keys: Vec<(String, String)> = keys.iter().map(|r| (r.get(0), r.get(1))).collect();
    let within = |schema: &str| keys.iter().any(|(a, b)| a == schema && b == schema);
    assert!(within("entra_sync") && within("public"), "{keys:?}");
    for (from, to) in &keys {
        assert_eq!(from, to, "a foreign key leaves its schema");
    }
    // Nor does anything else of ours lean on LiteLLM's relations.
    let leaning = client
        .query_one(
            "SELECT count(*) FROM pg_depend x
             JOIN pg_class c ON x.classid = 'pg_class'::regclass AND c.oid = x.objid
             JOIN pg_class d ON x.refclassid = 'pg_class'::regclass AND d.oid = x.refobjid
             WHERE c.relnamespace = 'entra_sync'::regnamespace
               AND d.relnamespace = 'public'::regnamespace",
            &[],
        )
        .await
        .expect("a count");
    assert_eq!(leaning.get::<_, i64>(0), 0);
}

/// Columns that came with later releases of LiteLLM, by table.
const LATER: &[(&str, &[&str])] = &[
    (
        "LiteLLM_BudgetTable",
        &[
            "allowed_models",
            "tpd_limit",
            "temp_budget_increase",
            "temp_budget_expiry",
        ],
    ),
    ("LiteLLM_OrganizationTable", &["object_permission_id"]),
    (
        "LiteLLM_TeamTable",
        &[
            "team_member_permissions",
            "object_permission_id",
            "router_settings",
            "policies",
            "allow_team_guardrail_config",
            "soft_budget",
            "access_group_ids",
            "budget_limits",
            "default_team_member_models",
            "tpd_limit",
        ],
    ),
    (
        "LiteLLM_UserTable",
        &[
            "password",
            "object_permission_id",
            "policies",
            "password_reset_required",
            "last_breach_check_at",
        ],
    ),
    ("LiteLLM_TeamMembership", &["total_spend"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_litellm_without_any_later_column_or_table_is_written_all_the_same() {
    let mut world = science().await.with(
        "ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS",
        r#"{"models": ["gpt-4o"], "max_budget": 5, "team_member_budget": 1}"#,
    );
    world.database = world.database.unexported();
    let there = catalogue(&world, "public").await;
    for (table, columns) in LATER {
        for column in *columns {
            let name = format!("column {table}.{column} ");
            // Otherwise this would prove nothing about it.
            if there.iter().any(|line| line.starts_with(&name)) {
                world
                    .sql(&format!(
                        "ALTER TABLE \"{table}\" DROP COLUMN \"{column}\" CASCADE"
                    ))
                    .await;
            } else {
                panic!("{table}.{column} is not in this LiteLLM");
            }
        }
    }
    world
        .sql("DROP TABLE \"LiteLLM_VerifiedSubject\" CASCADE")
        .await;

    let report = world.settle().await;

    assert_eq!(report.errors, []);
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    assert_eq!(world.organization_members("arts").await, people(["cyd"]));
    assert_eq!(world.user("ada").await["user_role"], "internal_user");
    // Changes of what is there need no later column either.
    world.entra.tenant(|tenant| {
        tenant
            .group("science")
            .display_name("New Science")
            .member("cyd");
        tenant.user("ada").display_name("Countess");
    });
    world.settle().await;
    assert_eq!(world.team("science").await["team_alias"], "New Science");
    assert_eq!(world.user("ada").await["user_alias"], "Countess");
}

//! A table that refuses one kind of statement, each table and each kind in
//! turn, in LiteLLM's schema and in ours; a disk that is full.
//!
//! Which tables and statements a pass uses is not listed here: a pass that
//! nothing disturbs shows it.

use std::collections::BTreeSet;

use entra_sync::model::report::Status;

use super::oracle::Standing;
use super::seasons::Seasons;
use crate::database_grants::granted;
use crate::support::World;
use crate::support::database::connect;

/// What a refusing table says.
#[derive(Clone, Copy)]
enum Trouble {
    Refusal,
    FullDisk,
}

impl Trouble {
    const fn raise(self) -> &'static str {
        match self {
            Self::Refusal => "RAISE EXCEPTION 'refused by the test'",
            Self::FullDisk => {
                "RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = \
                 'could not extend file \"base/5/1259\": No space left on device'"
            }
        }
    }
}

/// A table with its schema, quoted, and `INSERT`, `UPDATE` or `DELETE`.
type Use = (String, String);

/// What we may write and no pass of these seasons does.
const NOT_HERE: [(&str, &str, &str); 2] = [
    (
        "LiteLLM_VerificationToken",
        "INSERT",
        "only an undo gives keys back: undo/interrupted",
    ),
    (
        "LiteLLM_JWTKeyMapping",
        "INSERT",
        "only an undo gives keys back, with their mappings: undo/interrupted",
    ),
];

/// Every right to write that `role.sql` gives is used here, or named.
async fn are_complete(uses: &BTreeSet<Use>, world: &World) {
    let quoted = |table: &str| format!("public.\"{table}\"");
    let granted: BTreeSet<Use> = granted(&world.database)
        .await
        .into_iter()
        .filter(|grant| ["INSERT", "UPDATE", "DELETE"].contains(&grant.privilege.as_str()))
        .map(|grant| (quoted(&grant.table), grant.privilege))
        .collect();
    let mut covered: BTreeSet<Use> = uses
        .iter()
        .filter(|(table, _)| table.starts_with("public."))
        .cloned()
        .collect();
    for (table, operation, reason) in NOT_HERE {
        let new = covered.insert((quoted(table), operation.to_owned()));
        assert!(new, "{operation} of {table} is used after all: {reason}");
    }
    let missing: Vec<_> = granted.difference(&covered).collect();
    let surplus: Vec<_> = covered.difference(&granted).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "may be written and is not: {missing:#?}, is written without a right: {surplus:#?}"
    );
}

async fn run(world: &World, sql: &str) {
    let superuser = connect(&world.database.url_as("postgres")).await;
    superuser
        .batch_execute(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// What passes of two seasons write, by the tables' own account.
async fn uses(seasons: &mut Seasons) -> BTreeSet<Use> {
    run(
        &seasons.world,
        "CREATE TABLE public.uses (relation text, operation text, UNIQUE (relation, operation));
         CREATE FUNCTION public.note_use() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN
             IF session_user = 'entra_sync' THEN
                 INSERT INTO public.uses VALUES
                     (format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME), TG_OP) ON CONFLICT DO NOTHING;
             END IF;
             RETURN NULL;
         END $$;
         DO $$
         DECLARE relation regclass;
         BEGIN
             FOR relation IN SELECT c.oid FROM pg_class c
                 WHERE relkind = 'r' AND relname <> 'uses'
                   AND relnamespace IN ('public'::regnamespace, 'entra_sync'::regnamespace)
             LOOP
                 EXECUTE format('CREATE TRIGGER note_use AFTER INSERT OR UPDATE OR DELETE ON %s
                     FOR EACH ROW EXECUTE FUNCTION public.note_use()', relation);
             END LOOP;
         END $$",
    )
    .await;
    for _ in 0..2 {
        seasons.turn().await;
        seasons.world.pass().await;
    }
    let superuser = connect(&seasons.world.database.url_as("postgres")).await;
    let rows = superuser
        .query("SELECT relation, operation FROM public.uses", &[])
        .await
        .expect("the uses");
    run(
        &seasons.world,
        "DROP FUNCTION public.note_use() CASCADE; DROP TABLE public.uses",
    )
    .await;
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn refuse(world: &World, (table, operation): &Use, trouble: Trouble) {
    let raise = trouble.raise();
    let sql = format!(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN {raise}; END $$;
         CREATE TRIGGER refuse BEFORE {operation} ON {table}
             FOR EACH ROW EXECUTE FUNCTION public.refuse()"
    );
    run(world, &sql).await;
}

async fn relent(world: &World) {
    run(world, "DROP FUNCTION public.refuse() CASCADE").await;
}

/// Half of the uses.
#[derive(Clone, Copy)]
enum Half {
    First = 0,
    Second = 1,
}

/// Lets each of half the uses be refused once; of a full disk one of each table.
async fn each_is_refused(trouble: Trouble, half: Half) {
    let mut seasons = Seasons::begin().await;
    let mut uses: Vec<Use> = {
        let uses = uses(&mut seasons).await;
        are_complete(&uses, &seasons.world).await;
        uses.into_iter().collect()
    };
    if let Trouble::FullDisk = trouble {
        uses.dedup_by(|one, before| one.0 == before.0);
    }
    println!("{} uses", uses.len());
    for one in uses.iter().skip(half as usize).step_by(2) {
        let mut said = false;
        // A role is raised in one season and lowered in the next.
        for _ in 0..2 {
            seasons.turn().await;
            let before = Standing::of(&seasons.world).await;
            refuse(&seasons.world, one, trouble).await;
            let (report, error) = seasons.world.try_pass().await;
            relent(&seasons.world).await;
            let what = format!("{one:?}: {:?}", report.status);
            said = match trouble {
                Trouble::FullDisk => report.status == Status::Failed && error.is_some(),
                Trouble::Refusal => error.is_some() || !report.errors.is_empty(),
            };
            println!(
                "{what} {}",
                error.map(|e| e.to_string()).unwrap_or_default()
            );
            seasons.recovers(&before, &what).await;
            if said {
                break;
            }
        }
        assert!(said, "{one:?}: nothing was said");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_of_the_tables_refusing_in_turn_tear_nothing_and_are_said() {
    each_is_refused(Trouble::Refusal, Half::First).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_half_of_the_tables_refusing_in_turn_tear_nothing_either() {
    each_is_refused(Trouble::Refusal, Half::Second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_any_table_ends_the_pass_and_tears_nothing() {
    each_is_refused(Trouble::FullDisk, Half::First).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_it_under_any_of_the_other_tables() {
    each_is_refused(Trouble::FullDisk, Half::Second).await;
}

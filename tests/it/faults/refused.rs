//! A table that refuses one kind of statement, each table and each kind in
//! turn, in LiteLLM's schema and in ours; a disk that is full.
//!
//! Which tables and statements a pass uses is not listed here: a pass that
//! nothing disturbs shows it.

use std::collections::BTreeSet;

use entra_sync::model::report::Status;

use super::oracle::Standing;
use super::seasons::Seasons;
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
             INSERT INTO public.uses VALUES
                 (format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME), TG_OP) ON CONFLICT DO NOTHING;
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
        seasons.turn_without_keys();
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

/// Goes through the uses, every `step`th from `first`, and lets each be refused
/// once.
async fn each_is_refused(trouble: Trouble, first: usize, step: usize) {
    let mut seasons = Seasons::begin().await;
    let uses = uses(&mut seasons).await;
    let touched: BTreeSet<&str> = uses.iter().map(|(table, _)| table.as_str()).collect();
    println!("{} uses of {} tables", uses.len(), touched.len());
    assert!(uses.len() >= 35 && touched.len() >= 20, "{uses:?}");
    for one in uses.iter().skip(first).step_by(step) {
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
    each_is_refused(Trouble::Refusal, 0, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_half_of_the_tables_refusing_in_turn_tear_nothing_either() {
    each_is_refused(Trouble::Refusal, 1, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_any_table_ends_the_pass_and_tears_nothing() {
    each_is_refused(Trouble::FullDisk, 1, 3).await;
}

//! How long LiteLLM's sessions wait for ours: what PostgreSQL says, looked at
//! again and again, so that a busy machine is not taken for a held lock.
//!
//! A measuring device: it looks on the server, hundreds of times a second, and
//! the pause between two looks is the server's. Nobody waits for it to pass.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use crate::support::TestDatabase;
use crate::support::database::connect;
use crate::support::session::Session;
use crate::support::wait::wait_for;
use crate::support::{World, seed};

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Waits {
    pub looks: u64,
    /// Waits for a lock that a session of ours has.
    pub direct: Seen,
    /// Waits for somebody who waits for us, however far behind.
    pub behind: Seen,
    /// The longest time between two looks.
    pub blind: Duration,
}

impl Waits {
    pub fn longest(&self) -> Duration {
        self.direct.longest.max(self.behind.longest)
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    pub times: u64,
    pub longest: Duration,
}

impl Seen {
    fn add(&mut self, times: i64, longest: f64) {
        self.times += times.unsigned_abs();
        let longest = Duration::from_secs_f64(longest.max(0.0));
        self.longest = self.longest.max(longest);
    }
}

/// Looks for a while and adds up. A wait began when PostgreSQL says, not when we
/// looked; who waits behind others waits for us as long as all of them do.
const LOOK: &str = "CREATE FUNCTION pg_temp.look(since double precision, \
        OUT looks bigint, OUT direct bigint, OUT behind bigint, \
        OUT longest double precision, OUT longest_behind double precision, \
        OUT blind double precision, OUT until double precision) \
    LANGUAGE plpgsql AS $$ \
    DECLARE seen record; seconds CONSTANT text := 'epoch'; ends double precision; \
    BEGIN \
        looks := 0; direct := 0; behind := 0; longest := 0; longest_behind := 0; blind := 0; \
        until := since; \
        ends := date_part(seconds, clock_timestamp()) + 0.1; \
        WHILE until < ends LOOP \
            PERFORM pg_stat_clear_snapshot(); \
            WITH RECURSIVE waiting AS MATERIALIZED ( \
                SELECT a.pid, a.usename, pg_blocking_pids(a.pid) AS blockers, \
                       date_part(seconds, max(clock_timestamp() - l.waitstart)) AS waited \
                FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
                WHERE NOT l.granted AND l.waitstart IS NOT NULL \
                  AND a.datname = current_database() \
                GROUP BY a.pid, a.usename), \
            chain AS ( \
                SELECT w.pid AS first, w.waited, b.pid AS blocker, ARRAY[w.pid] AS path \
                FROM waiting w, unnest(w.blockers) AS b (pid) WHERE w.usename = 'litellm' \
                UNION ALL \
                SELECT c.first, least(c.waited, w.waited), b.pid, c.path || w.pid \
                FROM chain c JOIN waiting w ON w.pid = c.blocker, \
                     unnest(w.blockers) AS b (pid) WHERE NOT w.pid = ANY (c.path)) \
            SELECT count(*) FILTER (WHERE cardinality(c.path) = 1) AS direct, \
                   count(*) FILTER (WHERE cardinality(c.path) > 1) AS behind, \
                   max(c.waited) FILTER (WHERE cardinality(c.path) = 1) AS longest, \
                   max(c.waited) FILTER (WHERE cardinality(c.path) > 1) AS longest_behind \
            INTO seen FROM chain c JOIN pg_stat_activity o ON o.pid = c.blocker \
            WHERE o.usename = 'entra_sync'; \
            looks := looks + 1; \
            direct := direct + seen.direct; \
            behind := behind + seen.behind; \
            longest := greatest(longest, seen.longest); \
            longest_behind := greatest(longest_behind, seen.longest_behind); \
            blind := greatest(blind, date_part(seconds, clock_timestamp()) - until); \
            until := date_part(seconds, clock_timestamp()); \
            PERFORM pg_sleep(0.002); \
        END LOOP; \
    END $$";

/// Looks until it is told to stop.
pub async fn watch(database: &TestDatabase, stop: CancellationToken) -> Waits {
    let client = connect(&database.url_as("postgres")).await;
    client.batch_execute(LOOK).await.expect("a function");
    let mut waits = Waits::default();
    let now = "SELECT date_part('epoch', clock_timestamp())";
    let now = client.query_one(now, &[]).await.expect("the time");
    let mut until: f64 = now.get(0);
    while !stop.is_cancelled() {
        let row = client
            .query_one("SELECT * FROM pg_temp.look($1)", &[&until])
            .await
            .expect("who waits");
        waits.looks += row.get::<_, i64>("looks").unsigned_abs();
        waits.direct.add(row.get("direct"), row.get("longest"));
        waits
            .behind
            .add(row.get("behind"), row.get("longest_behind"));
        let blind = Duration::from_secs_f64(row.get::<_, f64>("blind").max(0.0));
        waits.blind = waits.blind.max(blind);
        until = row.get("until");
    }
    waits
}

/// What the calibration waits for, and what the watcher must then have seen.
const A_WHILE: Duration = Duration::from_millis(500);

/// Waits until so many of LiteLLM's sessions have waited for a while.
async fn have_waited(client: &Client, sessions: i64) {
    wait_for("LiteLLM's sessions to wait", || async {
        let row = client
            .query_one(
                "SELECT count(DISTINCT a.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
                 WHERE NOT l.granted AND a.usename = 'litellm' AND a.datname = current_database() \
                   AND extract(epoch FROM clock_timestamp() - l.waitstart)::float8 > $1",
                &[&A_WHILE.as_secs_f64()],
            )
            .await
            .expect("who waits");
        (row.get::<_, i64>(0) == sessions).then_some(())
    })
    .await;
}

/// Four sessions of LiteLLM: one at the row of `role`'s session, one behind it
/// in the queue for the row, one that has a team's lock and comes to the row
/// third, and one that wants that lock.
async fn four_wait_for(role: &str) -> Waits {
    const SPEND: &str = "UPDATE \"LiteLLM_UserTable\" SET spend = spend + 1 WHERE user_id = 'u'";
    const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtext('t'))";
    let world = World::new(|_| {}).await;
    let database = &world.database;
    seed::user("u").insert(database).await;
    let holder = Session::begin_as(database, role).await;
    holder
        .run("SELECT FROM \"LiteLLM_UserTable\" WHERE user_id = 'u' FOR NO KEY UPDATE")
        .await;
    let clerk = connect(&database.url_as("postgres")).await;
    let stop = CancellationToken::new();
    let waits = async |before: i64, sql: String| {
        have_waited(&clerk, before).await;
        let client = connect(&database.url_as("litellm")).await;
        client.batch_execute(&sql).await.expect("it has its turn");
    };
    let locked = format!("BEGIN; {LOCK}; {SPEND}; COMMIT");
    let (waits, (), (), (), (), ()) = tokio::join!(
        watch(database, stop.clone()),
        waits(0, SPEND.to_owned()),
        waits(1, SPEND.to_owned()),
        waits(2, locked),
        waits(3, LOCK.to_owned()),
        async {
            have_waited(&clerk, 4).await;
            stop.cancel();
            holder.rollback().await;
        },
    );
    let users = database.rows("LiteLLM_UserTable").await;
    assert_eq!(users[0]["spend"].as_f64(), Some(3.0), "all had their turn");
    waits
}

/// The device that the race is judged by sees what it should, and only that.
#[tokio::test(flavor = "multi_thread")]
async fn the_watcher_sees_who_waits_for_us_and_who_waits_behind_them() {
    let (ours, others) = tokio::join!(four_wait_for("entra_sync"), four_wait_for("litellm"));
    println!("ours {ours:?}; others {others:?}");
    assert!(ours.looks > 20, "{ours:?}");
    for seen in [ours.direct, ours.behind] {
        assert!(seen.times > 0 && seen.longest >= A_WHILE, "{ours:?}");
    }
    assert!(others.looks > 20, "{others:?}");
    assert_eq!(
        (others.direct.times, others.behind.times),
        (0, 0),
        "{others:?}"
    );
}

//! A program that is stopped while it takes away, in the middle of a
//! transaction or between two, and another that takes over: the first can
//! write nothing more, with PostgreSQL itself and through a pooler.

use std::time::{Duration, Instant};

use super::oracle::{Moment, Standing};
use super::seasons::Seasons;
use crate::support::binary::{Running, entra_sync};
use crate::support::gate::{Gate, Side};
use crate::support::pooler::Pooler;
use crate::support::tables;
use crate::support::wait::wait_for;

/// What a removal says after it has deleted the membership's row.
const REMOVING: &str = "kept.roster";

/// Where the first program is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// It has removed a membership and not committed it.
    InATransaction,
    /// It has committed one removal and not begun the next.
    BetweenTwo,
}

/// Waits until PostgreSQL sees the program where it is to be stopped.
async fn is_there(seasons: &Seasons, stop: Stop) {
    wait_for(&format!("{stop:?}"), || async {
        let moment = Moment::of(&seasons.world).await;
        let removed = moment.writes.contains("LiteLLM_TeamMembership");
        let there = match stop {
            Stop::InATransaction => removed && moment.in_transaction,
            Stop::BetweenTwo => !moment.in_transaction,
        };
        (there && moment.open_runs == 1).then_some(())
    })
    .await;
}

/// Stopped, and nobody lets it go on: whatever ends its transaction, it is not
/// the program.
fn is_stopped(program: &Running) -> bool {
    let line = std::fs::read_to_string(format!("/proc/{}/stat", program.id()));
    let line = line.expect("it is there");
    let state = line.rsplit(')').next().map(str::trim);
    state.is_some_and(|state| state.starts_with('T'))
}

async fn stop_and_take_over(seasons: &mut Seasons, gate: &Gate, stop: Stop) {
    seasons.turn().await;
    let before = Standing::of(&seasons.world).await;
    gate.stop_at_text(REMOVING, Side::After);
    let first = Running::start(seasons.world.environment(), &["sync"]);
    gate.stopped().await;
    if stop == Stop::BetweenTwo {
        gate.stop_at_text("COMMIT", Side::After);
        gate.let_through();
        gate.stopped().await;
    }
    // PostgreSQL may count from now on: the last that it was told, it has done.
    let begun = Instant::now();
    first.signal("STOP").await;
    is_there(seasons, stop).await;
    gate.go_on();
    if stop == Stop::InATransaction {
        assert!(Moment::of(&seasons.world).await.in_transaction);
        // PostgreSQL ends it, and with it the removal.
        seasons.is_quiet().await;
        let waited = begun.elapsed();
        println!("ended after {waited:?}");
        assert!(waited >= Duration::from_secs(3), "ended after {waited:?}");
    }
    assert!(is_stopped(&first), "{stop:?}");
    // What it would have taken, and given, is no longer all that Entra asks.
    seasons.turn_without_keys();
    seasons.free_the_lease().await;

    entra_sync(seasons.world.environment(), &["sync"])
        .await
        .exits_with(0);

    let what = format!("{stop:?}");
    let (world, wanted) = (&seasons.world, seasons.wanted());
    let settled = Standing::of(world).await;
    settled.is_settled(&wanted, &what);
    settled.follows(&before, &wanted, &what);
    let all = async || {
        let litellm = tables::litellm(&world.database).await;
        let mut ledger = tables::all(&world.database, "entra_sync").await;
        // The first says there how it ended.
        ledger.remove("run");
        (litellm, ledger)
    };
    let now = all().await;

    first.signal("CONT").await;

    let ended = first.ended().await.exits_with(1);
    let message = ended.message();
    assert!(message.contains("taken over"), "{stop:?}: {message}");
    assert!(now == all().await, "{stop:?}: it wrote");
    seasons.heals(&what).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_program_takes_nothing_after_another_took_over() {
    let mut seasons = Seasons::begin().await;
    seasons.world.set("ENTRA_SYNC__SCHEDULE__LEASE", "5s");
    let gate = Gate::before(&seasons.world.database.url()).await;
    seasons.world.set("DATABASE_URL", gate.url());
    for stop in [Stop::InATransaction, Stop::BetweenTwo] {
        stop_and_take_over(&mut seasons, &gate, stop).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_it_through_a_pooler_that_gives_each_transaction_another_session() {
    let mut seasons = Seasons::begin().await;
    seasons.world.set("ENTRA_SYNC__SCHEDULE__LEASE", "5s");
    let database = seasons.world.database.url();
    let pooler = Pooler::before(&database).await;
    let gate = Gate::before(&pooler.url(&database)).await;
    let url = format!("{}?pgbouncer=true&connection_limit=2", gate.url());
    seasons.world.set("DATABASE_URL", url);
    for stop in [Stop::InATransaction, Stop::BetweenTwo] {
        stop_and_take_over(&mut seasons, &gate, stop).await;
    }
}

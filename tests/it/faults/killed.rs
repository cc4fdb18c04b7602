//! A program that is killed at any message it sends, and connections that
//! break at any message.

use super::oracle::Standing;
use super::seasons::Seasons;
use crate::support::binary::Running;
use crate::support::dice::Dice;
use crate::support::gate::{Gate, Side};

const SIDES: [Side; 2] = [Side::Before, Side::After];

/// Seasons whose every message passes a gate, and how many a pass sends.
async fn behind_a_gate() -> (Seasons, Gate, u64) {
    let mut seasons = Seasons::begin().await;
    let gate = Gate::before(&seasons.world.database.url()).await;
    seasons.world.set("DATABASE_URL", gate.url());
    seasons.turn().await;
    gate.stop_nowhere();
    seasons.world.pass().await;
    let sent = gate.sent();
    (seasons, gate, sent)
}

/// Kills so many programs, each at a message that this seed names.
async fn kills(first_seed: u64, rounds: u64) {
    let (mut seasons, gate, sent) = behind_a_gate().await;
    let mut cut_short = 0;
    for seed in first_seed..first_seed + rounds {
        seasons.turn().await;
        let before = Standing::of(&seasons.world).await;
        let mut dice = Dice::new(seed);
        let (number, side) = (1 + dice.below(sent), *dice.one_of(&SIDES));
        gate.stop_at(number, side);
        let program = Running::start(seasons.world.environment(), &["sync"]);
        let code = tokio::select! {
            () = gate.stopped() => {
                program.signal("KILL").await;
                program.ended().await.code
            }
            () = program.over() => program.ended().await.code,
        };
        gate.cut();
        cut_short += u64::from(code == -1);
        let what = format!("seed {seed:#x}: {side:?} message {number} of {sent}, exit code {code}");
        println!("{what}");
        seasons.is_quiet().await;
        seasons.free_the_lease().await;
        seasons.recovers(&before, &what).await;
    }
    assert!(cut_short * 10 >= rounds * 9, "only {cut_short} were killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_any_message_of_a_pass_tear_nothing() {
    kills(0x5eed, 26).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_kills_at_any_message_of_a_pass_tear_nothing_either() {
    kills(0xdead, 26).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_cut_at_any_message_tear_nothing() {
    let (mut seasons, gate, sent) = behind_a_gate().await;
    for seed in 0xc07..0xc07 + 30 {
        seasons.turn().await;
        let before = Standing::of(&seasons.world).await;
        let mut dice = Dice::new(seed);
        let (number, side) = (1 + dice.below(sent), *dice.one_of(&SIDES));
        gate.stop_at(number, side);
        let world = &seasons.world;
        let ((report, error), ()) = tokio::join!(world.try_pass(), async {
            gate.stopped().await;
            gate.cut();
        });
        let status = report.status;
        let what = format!("seed {seed:#x}: {side:?} message {number} of {sent}, {status:?}");
        println!(
            "{what} {}",
            error.map(|e| e.to_string()).unwrap_or_default()
        );
        seasons.free_the_lease().await;
        seasons.recovers(&before, &what).await;
    }
}

//! A server that restarts in the middle of a pass, in order or as if the power
//! had failed.

use std::pin::pin;

use super::oracle::Standing;
use super::seasons::Seasons;
use crate::support::World;
use crate::support::dice::Dice;
use crate::support::gate::Side;
use crate::support::server::{Server, Shutdown};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_restarts_at_any_message_of_a_pass_tears_nothing() {
    let (mut server, database) = Server::start().await;
    let world = World::beside(database, |_| {}).await;
    let seasons = Seasons::begin_in(world).await;
    let (mut seasons, gate, sent) = seasons.behind_a_gate().await;
    let (mut hits, mut healed_by_itself) = (0, 0);
    for seed in 0x9057..0x9057 + 12_u64 {
        let shutdown = match seed % 2 {
            0 => Shutdown::Fast,
            _ => Shutdown::Immediate,
        };
        seasons.turn().await;
        let before = Standing::of(&seasons.world).await;
        let mut dice = Dice::new(seed);
        let number = 1 + dice.below(sent);
        gate.stop_at(number, *dice.one_of(&[Side::Before, Side::After]));
        let world = &seasons.world;
        let (report, error) = {
            let mut pass = pin!(world.try_pass());
            // One season's pass has more to say than another's.
            let ended = tokio::select! {
                ended = &mut pass => Some(ended),
                () = gate.stopped() => None,
            };
            if let Some(ended) = ended {
                gate.stop_nowhere();
                ended
            } else {
                hits += 1;
                let restart = async {
                    // The connections stay with the program: the server ends them.
                    server.signal(shutdown);
                    gate.go_on();
                    server.comes_back().await;
                };
                let (ended, ()) = tokio::join!(pass, restart);
                healed_by_itself += u64::from(ended.1.is_none());
                ended
            }
        };
        seasons.world.database.reconnect().await;
        let status = report.status;
        let what = format!("seed {seed:#x}: {shutdown:?} at {number} of {sent}, {status:?}");
        println!("{what} {:?} {error:?}", report.errors);
        seasons.free_the_lease().await;
        seasons.recovers(&before, &what).await;
    }
    assert!(hits > 6, "only {hits} passes met a restart");
    assert!(healed_by_itself > 0, "no pass waited for the server");
}

//! A program that is killed at any message it sends, and connections that
//! break at any message.

use std::collections::BTreeSet;
use std::pin::pin;

use super::oracle::{Moment, Standing};
use super::seasons::Seasons;
use crate::daemon_schedule::quiet;
use crate::support::binary::Running;
use crate::support::dice::Dice;
use crate::support::gate::{Gate, Side};

const SIDES: [Side; 2] = [Side::Before, Side::After];

/// Where a program is killed.
enum Place {
    /// At a message that chance names.
    Anywhere,
    /// After the first commit that follows such a message: most messages are
    /// inside transactions.
    AfterACommit,
    /// At the first message that holds this, before it takes effect.
    At(&'static str),
}

/// What kills have hit.
#[derive(Default)]
struct Hits {
    /// Of a pass that had begun and not ended.
    in_a_pass: usize,
    in_a_writing_transaction: usize,
    between_two: usize,
    /// What those transactions had written.
    tables: BTreeSet<String>,
}

impl Hits {
    fn count(&mut self, moment: Moment) {
        self.in_a_pass += 1;
        let litellm = |table: &String| table.starts_with("LiteLLM_");
        self.in_a_writing_transaction += usize::from(moment.writes.iter().any(litellm));
        self.between_two += usize::from(!moment.in_transaction);
        self.tables.extend(moment.writes);
    }
}

async fn reaches(gate: &Gate, place: &Place) {
    gate.stopped().await;
    if let Place::AfterACommit = place {
        gate.stop_at_text("COMMIT", Side::After);
        gate.let_through();
        gate.stopped().await;
    }
}

/// Kills one program, and looks at what it left.
async fn kill(
    (seasons, gate, sent): &mut (Seasons, Gate, u64),
    arguments: &[&str],
    place: Place,
    seed: u64,
) -> Option<Moment> {
    seasons.turn().await;
    let before = Standing::of(&seasons.world).await;
    let open_runs = Moment::of(&seasons.world).await.open_runs;
    let mut dice = Dice::new(seed);
    let (number, side) = (1 + dice.below(*sent), *dice.one_of(&SIDES));
    let named = match place {
        Place::Anywhere => {
            gate.stop_at(number, side);
            format!("{side:?} message {number} of {sent}")
        }
        Place::AfterACommit => {
            gate.stop_at(number, Side::Before);
            format!("the commit after message {number} of {sent}")
        }
        Place::At(text) => {
            gate.stop_at_text(text, Side::Before);
            format!("before {text}")
        }
    };
    let program = Running::start(seasons.world.environment(), arguments);
    let moment = tokio::select! {
        () = reaches(gate, &place) => Some(Moment::of(&seasons.world).await),
        () = program.over() => None,
        // A daemon stays.
        () = program.says("pass ended", 1) => None,
    };
    program.signal("KILL").await;
    let code = program.ended().await.code;
    gate.cut();
    let moment = moment.filter(|moment| code == -1 && moment.open_runs > open_runs);
    let what = format!("seed {seed:#x}: {named}, exit code {code}, {moment:?}");
    println!("{what}");
    seasons.is_quiet().await;
    seasons.free_the_lease().await;
    seasons.recovers(&before, &what).await;
    moment
}

/// Kills programs at messages that these seeds name, until enough have been hit
/// in the middle of a pass.
async fn kills(arguments: &[&str], first_seed: u64) {
    const ENOUGH: usize = 25;
    let mut world = Seasons::begin().await.behind_a_gate().await;
    quiet(&mut world.0.world);
    let mut hits = Hits::default();
    for seed in first_seed..first_seed + 45 {
        let missing = [hits.in_a_writing_transaction, hits.between_two].contains(&0);
        if hits.in_a_pass >= ENOUGH && !missing {
            break;
        }
        let place = match seed % 3 {
            0 => Place::AfterACommit,
            _ => Place::Anywhere,
        };
        let moment = kill(&mut world, arguments, place, seed).await;
        moment.into_iter().for_each(|moment| hits.count(moment));
    }
    let counts = (hits.in_a_writing_transaction, hits.between_two);
    println!(
        "{} in a pass, {counts:?} of {:?}",
        hits.in_a_pass, hits.tables
    );
    assert!(
        hits.in_a_pass >= ENOUGH,
        "only {} hit a pass",
        hits.in_a_pass
    );
    assert!(counts.0 > 0 && counts.1 > 0, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_any_message_of_a_pass_tear_nothing() {
    kills(&["sync"], 0x5eed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_a_daemon_at_any_message_of_its_pass_tear_nothing_either() {
    kills(&["run"], 0xdead).await;
}

/// Chance may pass by what a pass does seldom.
#[tokio::test(flavor = "multi_thread")]
async fn kills_in_the_middle_of_each_kind_of_removal_and_of_organizations_tear_nothing() {
    let mut world = Seasons::begin().await.behind_a_gate().await;
    let aims = [
        ("kept.roster", "LiteLLM_TeamMembership"),
        (
            "UPDATE \"LiteLLM_UserTable\" SET teams = array_remove",
            "LiteLLM_DeletedTeamTable",
        ),
        ("INSERT INTO entra_sync.taken", "LiteLLM_VerificationToken"),
        (
            "INSERT INTO entra_sync.owned_organization ",
            "LiteLLM_OrganizationTable",
        ),
        (
            "DELETE FROM entra_sync.owned_organization_member",
            "LiteLLM_OrganizationMembership",
        ),
    ];
    for (seed, (text, written)) in (0..).zip(aims) {
        let moment = kill(&mut world, &["sync"], Place::At(text), seed).await;
        let moment = moment.unwrap_or_else(|| panic!("no pass says {text}"));
        assert!(moment.writes.contains(written), "{text}: {moment:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_cut_at_any_message_tear_nothing() {
    let (mut seasons, gate, sent) = Seasons::begin().await.behind_a_gate().await;
    let mut hits = 0;
    for seed in 0xc07..0xc07 + 22 {
        seasons.turn().await;
        let before = Standing::of(&seasons.world).await;
        let mut dice = Dice::new(seed);
        let (number, side) = (1 + dice.below(sent), *dice.one_of(&SIDES));
        gate.stop_at(number, side);
        let world = &seasons.world;
        let mut pass = pin!(world.try_pass());
        // One season's pass has more to say than another's, and a slow machine's
        // renews the lease.
        let (report, error) = tokio::select! {
            ended = &mut pass => ended,
            () = gate.stopped() => {
                hits += 1;
                gate.cut();
                pass.await
            }
        };
        gate.stop_nowhere();
        let status = report.status;
        let what = format!("seed {seed:#x}: {side:?} message {number} of {sent}, {status:?}");
        println!(
            "{what} {}",
            error.map(|e| e.to_string()).unwrap_or_default()
        );
        seasons.free_the_lease().await;
        seasons.recovers(&before, &what).await;
    }
    assert!(hits >= 15, "only {hits} hit a pass");
}

//! `approve` and `reject`: what operators say about held removals, with the
//! real program.

use entra_sync::simulator::{AccountEnabled, Effect, Fault, group_id};
use serde_json::Value;

use crate::daemon_schedule::{pass_by, quiet};
use crate::guard::{EACH, approve, come_back, crowd, leave};
use crate::support::World;
use crate::support::binary::{Ended, Running, entra_sync};
use crate::support::look::group;
use crate::support::seed;
use crate::support::wait::wait_for;

/// Seven of thirty are more than a fifth.
const MANY: usize = 7;

async fn sync(world: &World) -> Ended {
    entra_sync(world.environment(), &["sync", "--format", "json"]).await
}

async fn held_world() -> (World, String) {
    let mut world = World::new(crowd).await;
    world.set("USER", "carla");
    world.settle().await;
    leave(&world, "science", MANY);
    let report = sync(&world).await.exits_with(3).json();
    assert_eq!(report["status"], "held");
    assert_eq!(report["held"]["removals"], MANY);
    assert!(report["held"]["reason"].is_string());
    let digest = report["held"]["digest"].as_str().expect("a digest");
    (world, digest.to_owned())
}

/// From now on Entra refuses to show this group's members.
fn unreadable(world: &World, group: &str) {
    let members = format!("/groups/{}/members*", group_id(group));
    world.entra.fault(Fault::status(403).on(members).always());
}

fn account(world: &World, user: &str, account: AccountEnabled) {
    world.entra.tenant(|tenant| {
        tenant.user(user).account(account);
    });
}

async fn plan_of(world: &World, digest: &str) -> Value {
    world.row("entra_sync.held_plan", "digest", digest).await
}

#[tokio::test(flavor = "multi_thread")]
async fn held_goes_before_partial_in_exit_code_and_status() {
    let (world, digest) = held_world().await;
    let sales = group_id("sales");
    world.entra.fault(
        Fault::status(403)
            .on(format!("/groups/{sales}/members*"))
            .always(),
    );
    let report = sync(&world).await.exits_with(3).json();
    assert_eq!(report["status"], "held");
    assert_eq!(report["held"]["digest"], digest.as_str());
    assert_eq!(report["errors"][0]["id"], sales.to_string());
    let plan = entra_sync(world.environment(), &["plan", "--format", "json"])
        .await
        .json();
    assert_eq!(plan["held"]["digest"], digest.as_str());
    let hold = |item: &&Value| item["action"] == "hold";
    let items = plan["items"].as_array().expect("items");
    assert_eq!(items.iter().filter(hold).count(), MANY);
    world.entra.clear_faults();
    come_back(&world, "science", MANY);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_digest_is_an_error_that_names_it() {
    let (world, digest) = held_world().await;
    for command in ["approve", "reject"] {
        let ended = entra_sync(world.environment(), &[command, "cafe0123"])
            .await
            .exits_with(1);
        assert!(ended.message().contains("cafe0123"), "{ended:?}");
        // What an unset variable of a shell gives.
        entra_sync(world.environment(), &[command, ""])
            .await
            .exits_with(64);
    }
    assert_eq!(plan_of(&world, &digest).await["status"], "held");
    assert_eq!(world.members("science").await.len(), EACH);
}

/// Whoever decided, and where.
fn assert_is_carla(who: &serde_json::Value) {
    let who = who.as_str().expect("a name");
    assert!(who.starts_with("carla@"), "{who}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_applied_once_by_the_next_complete_pass() {
    let (world, digest) = held_world().await;
    let by_name = ["reject", &digest, "--by", "grace"];
    entra_sync(world.environment(), &by_name)
        .await
        .exits_with(0);
    let who = plan_of(&world, &digest).await["decided_by"].clone();
    assert!(
        who.as_str().is_some_and(|who| who.starts_with("grace@")),
        "{who}"
    );
    entra_sync(world.environment(), &["approve", &digest[..12]])
        .await
        .exits_with(0);
    let plan = plan_of(&world, &digest).await;
    assert_eq!(plan["status"], "approved");
    assert_is_carla(&plan["decided_by"]);
    assert!(plan["decided_at"].is_string(), "{plan}");

    // A filtered pass looks at a part only.
    let science = group_id("science").to_string();
    entra_sync(world.environment(), &["sync", "--group", &science])
        .await
        .exits_with(3);
    assert_eq!(world.members("science").await.len(), EACH);
    // One that cannot read the group does not know.
    unreadable(&world, "science");
    sync(&world).await.exits_with(4);
    assert_eq!(world.members("science").await.len(), EACH);
    assert_eq!(plan_of(&world, &digest).await["status"], "approved");
    world.entra.clear_faults();

    // Another group has no part in it.
    unreadable(&world, "sales");
    let report = sync(&world).await.exits_with(4).json();
    world.entra.clear_faults();
    assert_eq!(report["changes"]["team_memberships"]["removed"], MANY);
    assert_eq!(plan_of(&world, &digest).await["status"], "closed");
    let run = report["run_id"].as_str().expect("a run");
    let run = world.row("entra_sync.run", "run_id", run).await;
    assert_eq!(run["unapproved_removals"], 0);
    world.settle().await;

    // The same people a second time: nobody has approved that.
    come_back(&world, "science", MANY);
    world.settle().await;
    leave(&world, "science", MANY);
    let report = sync(&world).await.exits_with(3).json();
    assert_eq!(report["held"]["digest"], digest.as_str());
    assert_eq!(world.members("science").await.len(), EACH);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_covers_only_what_is_still_planned_and_what_is_new_is_guarded() {
    let (world, digest) = held_world().await;
    entra_sync(world.environment(), &["approve", &digest])
        .await
        .exits_with(0);
    come_back(&world, "science", 2);
    leave(&world, "sales", MANY);
    let report = sync(&world).await.exits_with(3).json();
    assert_eq!(report["changes"]["team_memberships"]["removed"], MANY - 2);
    assert_eq!(report["held"]["removals"], MANY);
    assert_eq!(world.members("science").await.len(), EACH - MANY + 2);
    assert_eq!(world.members("sales").await.len(), EACH);
    come_back(&world, "sales", MANY);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_comes_while_a_pass_runs_is_left_to_the_next() {
    let (world, digest) = held_world().await;
    let late = Effect::Latency {
        milliseconds: 600_000,
    };
    // The second look begins when the decisions have been read.
    world.entra.fault(Fault::new(late).on("/users"));
    let running = Running::start(world.environment(), &["sync"]);
    wait_for("the second look", || async {
        (world.entra.waiting_faults() == 0).then_some(())
    })
    .await;
    entra_sync(world.environment(), &["approve", &digest])
        .await
        .exits_with(0);
    world.entra.answer_now();
    running.ended().await.exits_with(3);
    assert_eq!(plan_of(&world, &digest).await["status"], "approved");
    assert_eq!(world.members("science").await.len(), EACH);
    let report = world.settle().await;
    assert_eq!(report.changes.team_memberships.removed, MANY as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_rejected_stays_silently_until_the_set_changes() {
    let (world, digest) = held_world().await;
    entra_sync(world.environment(), &["reject", &digest])
        .await
        .exits_with(0);
    let report = sync(&world).await.exits_with(0).json();
    assert_eq!(report["status"], "unchanged");
    assert!(report["held"].is_null());
    let plan = entra_sync(world.environment(), &["plan", "--check"])
        .await
        .exits_with(0)
        .stdout;
    assert!(
        plan.starts_with("Nothing to change now; what is marked with ? stays"),
        "{plan}"
    );
    let end = format!(
        "planned  nothing\nheld     {MANY} removals, rejected before; `entra-sync status` says by whom\n"
    );
    assert!(plan.ends_with(&end), "{plan}");

    // A pass that could not read the group does not forget it.
    world.entra.fault(
        Fault::status(403)
            .on(format!("/groups/{}/members*", group_id("science")))
            .always(),
    );
    sync(&world).await.exits_with(4);
    world.entra.clear_faults();
    assert_eq!(plan_of(&world, &digest).await["status"], "rejected");
    // Fewer would pass the guard, but were rejected.
    come_back(&world, "science", 4);
    let report = sync(&world).await.exits_with(3).json();
    assert_eq!(report["changes"]["team_memberships"]["removed"], 0);
    assert_eq!(report["held"]["removals"], MANY - 4);
    assert_eq!(world.members("science").await.len(), EACH);

    come_back(&world, "science", MANY);
    world.settle().await;
    let plans = world.database.rows("entra_sync.held_plan").await;
    assert!(
        plans.iter().all(|plan| plan["status"] == "closed"),
        "{plans:?}"
    );
}

/// The last word counts, whatever was said of a larger set before.
#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_a_rejected_set_can_be_approved() {
    let (world, digest) = held_world().await;
    entra_sync(world.environment(), &["reject", &digest])
        .await
        .exits_with(0);
    come_back(&world, "science", 4);
    let report = sync(&world).await.exits_with(3).json();
    let rest = report["held"]["digest"].as_str().expect("a digest");
    entra_sync(world.environment(), &["approve", rest])
        .await
        .exits_with(0);
    let report = sync(&world).await.exits_with(0).json();
    assert_eq!(report["changes"]["team_memberships"]["removed"], MANY - 4);
    let report = sync(&world).await.exits_with(0).json();
    assert_eq!(report["status"], "unchanged");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_pass_for_one_group_holds_can_be_approved() {
    let mut world = World::new(crowd).await;
    world.set("USER", "carla");
    world.settle().await;
    leave(&world, "science", MANY);
    let science = group_id("science").to_string();
    let filtered = ["sync", "--format", "json", "--group", &science];
    let report = entra_sync(world.environment(), &filtered)
        .await
        .exits_with(3)
        .json();
    let digest = report["held"]["digest"].as_str().expect("a digest");
    entra_sync(world.environment(), &["approve", digest])
        .await
        .exits_with(0);
    let report = sync(&world).await.exits_with(0).json();
    assert_eq!(report["changes"]["team_memberships"]["removed"], MANY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_is_held_again_is_a_new_question() {
    let (world, digest) = held_world().await;
    entra_sync(world.environment(), &["approve", &digest])
        .await
        .exits_with(0);
    world.settle().await;
    come_back(&world, "science", MANY);
    world.settle().await;
    world
        .ledger_sql("UPDATE entra_sync.run SET started_at = started_at - interval '25 hours'")
        .await;
    leave(&world, "science", MANY);
    let report = sync(&world).await.exits_with(3).json();
    assert_eq!(report["held"]["digest"], digest.as_str());
    let plan = plan_of(&world, &digest).await;
    assert_eq!(plan["status"], "held");
    assert!(plan["decided_by"].is_null(), "{plan}");
    assert!(plan["decided_at"].is_null(), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_alerts_once_for_a_held_set_and_says_when_it_is_over() {
    let mut world = World::new(crowd).await;
    world.settle().await;
    leave(&world, "science", MANY);
    quiet(&mut world);
    let daemon = Running::start(world.environment(), &["run"]);
    daemon.says("removals are held:", 1).await;
    daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 1).await, "held");
    daemon.signal("TERM").await;
    let log = daemon.ended().await.exits_with(0).stderr;
    assert_eq!(log.matches("removals are held:").count(), 1, "{log}");
    // Another process knows that it has been said.
    let daemon = Running::start(world.environment(), &["run"]);
    assert_eq!(pass_by(&world, "start", 2).await, "held");
    come_back(&world, "science", MANY);
    daemon.signal("USR1").await;
    pass_by(&world, "signal", 2).await;
    daemon.says("no removals are held any more", 1).await;
    daemon.signal("TERM").await;
    let log = daemon.ended().await.exits_with(0).stderr;
    assert!(!log.contains("removals are held:"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_about_a_held_set_ends_its_alert() {
    for decision in ["approve", "reject"] {
        let (mut world, digest) = held_world().await;
        entra_sync(world.environment(), &[decision, &digest])
            .await
            .exits_with(0);
        quiet(&mut world);
        let daemon = Running::start(world.environment(), &["run"]);
        daemon.says("no removals are held any more", 1).await;
        daemon.signal("TERM").await;
        daemon.ended().await.exits_with(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_history_show_what_is_held_and_who_decided() {
    let (world, digest) = held_world().await;
    let says = async |arguments: &[&str]| {
        entra_sync(world.environment(), arguments)
            .await
            .exits_with(0)
            .stdout
    };
    let status = async || {
        entra_sync(world.environment(), &["status", "--format", "json"])
            .await
            .json()["held_sets"]
            .clone()
    };
    let text = says(&["status"]).await;
    let line = format!("held     {MANY} removals, digest {digest}: ");
    assert!(text.contains(&line), "{text}");
    assert!(says(&["history"]).await.contains("  held "), "{text}");
    let shown = says(&["show", "last"]).await;
    let line = format!("held {MANY} removals, digest {digest}: ");
    assert!(shown.contains(&line), "{shown}");
    let plan = says(&["plan"]).await;
    let line = format!(
        "; decide with `entra-sync approve {0}` or `reject {0}`\n",
        &digest[..12]
    );
    assert!(plan.ends_with(&line), "{plan}");
    assert_eq!(status().await[0]["status"], "held");

    entra_sync(world.environment(), &["reject", &digest])
        .await
        .exits_with(0);
    let text = says(&["status"]).await;
    let line = text
        .lines()
        .find(|line| line.starts_with("rejected"))
        .expect("the set");
    assert!(
        line.contains("; carla@") && line.contains(" at 20"),
        "{line}"
    );
    let set = status().await[0].clone();
    assert_is_carla(&set["decided_by"]);
    assert!(set["decided_at"].is_string(), "{set}");

    come_back(&world, "science", MANY);
    world.settle().await;
    let text = says(&["status"]).await;
    assert!(!text.contains(&digest), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_approved_by_mistake_can_be_rejected_before_the_pass() {
    let (world, digest) = held_world().await;
    let decide = async |command: &str| {
        entra_sync(world.environment(), &[command, &digest])
            .await
            .exits_with(0);
    };
    decide("approve").await;
    decide("reject").await;
    let report = sync(&world).await.exits_with(0).json();
    assert_eq!(report["status"], "unchanged");
    assert_eq!(world.members("science").await.len(), EACH);
    assert_eq!(plan_of(&world, &digest).await["status"], "rejected");
    decide("approve").await;
    let report = sync(&world).await.exits_with(0).json();
    assert_eq!(report["changes"]["team_memberships"]["removed"], MANY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_is_about_the_item_whatever_the_reason() {
    let world = World::new(crowd)
        .await
        .with("ENTRA_SYNC__GUARD__MAX_REMOVALS", 0);
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.user("science-0").disabled();
    });
    let report = sync(&world).await.exits_with(3).json();
    let digest = report["held"]["digest"].as_str().expect("a digest");
    entra_sync(world.environment(), &["reject", digest])
        .await
        .exits_with(0);
    world.entra.tenant(|tenant| {
        tenant.user("science-0").soft_deleted();
    });
    let plan = world.plan().await;
    let items: Vec<_> = plan.plan.items().collect();
    assert_eq!(items.len(), 1, "{items:?}");
    assert_eq!(items[0].action, "hold");
    assert_eq!(items[0].reason, "deleted in Entra, restorable");
    let report = sync(&world).await.exits_with(0).json();
    assert_eq!(report["status"], "unchanged");
    assert!(report["held"].is_null(), "{report}");
    assert_eq!(plan_of(&world, digest).await["status"], "rejected");
}

/// What was said of two is over for the one who came back, and not for the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_ends_for_each_item_by_itself() {
    let mut world = World::new(crowd)
        .await
        .with("ENTRA_SYNC__GUARD__MAX_REMOVALS", 0);
    world.settle().await;
    let (ann, bob) = ("science-0", "science-1");
    account(&world, ann, AccountEnabled::Disabled);
    account(&world, bob, AccountEnabled::Disabled);
    let digest = async |removals: usize| {
        let report = sync(&world).await.exits_with(3).json();
        assert_eq!(report["held"]["removals"], removals, "{report}");
        report["held"]["digest"]
            .as_str()
            .expect("a digest")
            .to_owned()
    };
    let reject = async |digest: &str| {
        entra_sync(world.environment(), &["reject", digest])
            .await
            .exits_with(0);
    };
    let both = digest(2).await;
    reject(&both).await;
    account(&world, ann, AccountEnabled::Enabled);
    reject(&digest(1).await).await;
    sync(&world).await.exits_with(0);

    // Later, and for another reason: a question like any other.
    account(&world, ann, AccountEnabled::Disabled);
    assert_eq!(digest(2).await, both);
    assert_eq!(plan_of(&world, &both).await["status"], "held");
    world.set("ENTRA_SYNC__GUARD__MAX_REMOVALS", 500);
    let report = sync(&world).await.exits_with(0).json();
    assert_eq!(report["changes"]["users"]["deactivated"], 1, "{report}");
    let row = world.user(bob).await;
    assert!(row["metadata"].get("scim_active").is_none(), "{row}");
}

/// As long as it may take until somebody grants the permission.
#[tokio::test(flavor = "multi_thread")]
async fn decisions_end_while_an_unrelated_group_is_unreadable() {
    let mut world = World::new(crowd)
        .await
        .with("ENTRA_SYNC__GUARD__MAX_REMOVALS", 0);
    world.settle().await;
    let ann = "science-0";
    account(&world, ann, AccountEnabled::Disabled);
    leave(&world, "science", MANY);
    let held = sync(&world).await.exits_with(3).json()["held"].clone();
    unreadable(&world, "sales");
    let decide = async |command: &str, digest: &Value| {
        let digest = digest.as_str().expect("a digest");
        entra_sync(world.environment(), &[command, digest])
            .await
            .exits_with(0);
    };
    decide("reject", &held["digest"]).await;
    account(&world, ann, AccountEnabled::Enabled);
    come_back(&world, "science", MANY);
    sync(&world).await.exits_with(4);
    assert_eq!(world.count("entra_sync.decided_removal").await, 0);

    account(&world, ann, AccountEnabled::Disabled);
    leave(&world, "science", MANY);
    let again = sync(&world).await.exits_with(3).json()["held"].clone();
    assert_eq!(again["digest"], held["digest"]);
    // An approval is used: for what came back since, too.
    decide("approve", &again["digest"]).await;
    come_back(&world, "science", MANY);
    let report = sync(&world).await.exits_with(4).json();
    assert_eq!(report["changes"]["users"]["deactivated"], 1, "{report}");
    leave(&world, "science", MANY);
    world.set("ENTRA_SYNC__GUARD__MAX_REMOVALS", 500);
    world.entra.clear_faults();
    let report = sync(&world).await.exits_with(3).json();
    assert_eq!(report["held"]["removals"], MANY, "{report}");
    assert_eq!(world.members("science").await.len(), EACH);
}

/// Whoever approved two did not approve nine.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_of_a_team_as_large_as_it_was() {
    let world = World::new(crowd)
        .await
        .with("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", "delete")
        .with("ENTRA_SYNC__GUARD__MAX_REMOVALS", EACH);
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("science").unassigned_entirely();
    });
    let question = async || {
        let report = sync(&world).await.exits_with(3).json();
        report["held"]["digest"]
            .as_str()
            .expect("a digest")
            .to_owned()
    };
    let digest = question().await;
    approve(&world, &digest).await;
    seed::user("by-hand").insert(&world.database).await;
    seed::join(&world.database, "by-hand", &group("science")).await;
    assert_eq!(question().await, digest);
    assert_eq!(world.members("science").await.len(), EACH + 1);
    approve(&world, &digest).await;
    let report = sync(&world).await.exits_with(0).json();
    assert_eq!(report["changes"]["teams"]["deleted"], 1, "{report}");
}

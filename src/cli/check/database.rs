//! What `check` asks of the database: LiteLLM's tables, our rights to them,
//! our own schema, seats and the clock.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::finding::{Finding, Verdict};
use crate::config::Settings;
use crate::db::{self, Database, Limits};
use crate::ledger::{self, Standing};
use crate::litellm::{self, Purpose};
use crate::model::policy::{
    DeprovisionSettings, GonePersonPolicy, Limit, MembershipPolicy, UnassignedGroupPolicy,
};

/// The remedy for every missing right.
const ROLE: &str =
    "run deploy/sql/role.sql (`entra-sync role-sql` prints it) as the owner of LiteLLM's tables";
/// Clocks that differ by more confuse whoever compares LiteLLM's times.
const SKEW: Duration = Duration::from_secs(5);

/// Looks at everything; each look is a transaction of its own, so that one that
/// fails takes no other with it.
pub(super) async fn check(database: &Database, settings: &Settings) -> Vec<Finding> {
    let clock = match clock(database).await {
        Ok(clock) => clock,
        Err(error) => return vec![unreachable(&error)],
    };
    let reached = format!("reached as {}", database.place());
    let mut findings = vec![Finding::pass("database", reached)];
    findings.extend(schema(database, settings).await);
    findings.extend(rights(database, settings).await);
    findings.extend(own_schema(database, settings).await);
    findings.extend(seats(database, settings).await);
    findings.push(clock);
    findings
}

/// Why there is no connection.
pub(super) fn unreachable(error: &db::Error) -> Finding {
    const NAME: &str = "database";
    match error {
        db::Error::Connect { cause } => Finding::fail(NAME, cause.to_string(), cause.remedy()),
        other => Finding::told(NAME, Verdict::Fail, &other.to_string()),
    }
}

/// Failures of statements name their cause only.
fn broken(name: &'static str, error: &db::Error) -> Finding {
    Finding::fail(name, error.to_string(), ROLE)
}

async fn schema(database: &Database, settings: &Settings) -> Vec<Finding> {
    const NAME: &str = "LiteLLM schema";
    let schema = &settings.litellm.database.schema;
    let looked = async {
        let mut transaction = database.begin(Limits::READ).await?;
        let capabilities = litellm::probe(&mut transaction, schema).await?;
        transaction.rollback().await?;
        litellm::hold_defaults(&capabilities, &settings.litellm.policy)?;
        Ok(capabilities)
    };
    let capabilities = match looked.await {
        Ok(capabilities) => capabilities,
        Err(litellm::Error::Database(error)) => return vec![broken(NAME, &error)],
        Err(error) => return vec![Finding::told(NAME, Verdict::Fail, &error.to_string())],
    };
    let mut findings = vec![Finding::pass(
        NAME,
        format!(
            "all tables and columns that a pass needs are in schema {schema}, and no migration runs"
        ),
    )];
    let wanted = settings.litellm.store_audit_logs;
    if let Some(sentence) = litellm::hindered_audit(wanted, &capabilities) {
        findings.push(Finding::told("audit log", Verdict::Warn, &sentence));
    }
    findings
}

async fn rights(database: &Database, settings: &Settings) -> Vec<Finding> {
    const NAME: &str = "database rights";
    let needed = litellm::needed_rights(&settings.litellm, &settings.deprovision);
    let looked = async {
        let mut transaction = database.begin(Limits::READ).await?;
        let schema = &settings.litellm.database.schema;
        let missing = litellm::missing_rights(&mut transaction, schema, &needed).await?;
        transaction.rollback().await?;
        Ok::<_, litellm::Error>(missing)
    };
    let missing = match looked.await {
        Ok(missing) => missing,
        Err(error) => return vec![Finding::told(NAME, Verdict::Fail, &error.to_string())],
    };
    let of = |purpose| {
        let rights: Vec<String> = missing
            .iter()
            .filter(|right| right.purpose == purpose)
            .map(ToString::to_string)
            .collect();
        rights.join(", ")
    };
    let passes = of(Purpose::Passes);
    let mut findings = Vec::new();
    findings.push(if passes.is_empty() {
        Finding::pass(
            NAME,
            "the role may do all that these settings ask of a pass",
        )
    } else {
        Finding::fail(NAME, format!("the role lacks {passes}"), ROLE)
    });
    let keeping = keeping(&settings.deprovision);
    for (purpose, what, variable, setting) in [
        (Purpose::Removals, "removals", "removals", keeping.as_str()),
        (
            Purpose::TeamDeletions,
            "deleting teams",
            "delete_teams",
            "set deprovision.unassigned_group to another policy",
        ),
        (
            Purpose::AuditRows,
            "audit rows",
            "audit",
            "set litellm.store_audit_logs to false",
        ),
    ] {
        let lacking = of(purpose);
        if !lacking.is_empty() {
            findings.push(Finding::fail(
                NAME,
                format!("for {what} the role lacks {lacking}"),
                &format!("{ROLE} with -v {variable}=on, or {setting}"),
            ));
        }
    }
    findings
}

/// Which settings would do without the rights that removals take.
fn keeping(policies: &DeprovisionSettings) -> String {
    let taking = [
        ("membership", policies.membership != MembershipPolicy::Keep),
        (
            "unassigned_group",
            policies.unassigned_group != UnassignedGroupPolicy::Keep,
        ),
        (
            "disabled_user",
            policies.disabled_user != GonePersonPolicy::Keep,
        ),
        (
            "deleted_user",
            policies.deleted_user != GonePersonPolicy::Keep,
        ),
    ];
    let taking: Vec<String> = taking
        .iter()
        .filter(|(_, takes)| *takes)
        .map(|(key, _)| format!("deprovision.{key}"))
        .collect();
    format!("set {} to keep", taking.join(", "))
}

async fn own_schema(database: &Database, settings: &Settings) -> Vec<Finding> {
    const NAME: &str = "ledger";
    let looked = async {
        let mut transaction = database.begin(Limits::READ).await?;
        let standing = ledger::standing(&mut transaction).await?;
        transaction.rollback().await?;
        Ok::<_, ledger::Error>(standing)
    };
    let standing = match looked.await {
        Ok(standing) => standing,
        Err(error) => return vec![Finding::told(NAME, Verdict::Fail, &error.to_string())],
    };
    let finding = match &standing {
        Standing::Creatable => Finding::pass(
            NAME,
            "schema entra_sync is not there yet; the first pass makes it",
        ),
        Standing::NotCreatable => Finding::fail(
            NAME,
            "schema entra_sync is not there, and the role may not make it",
            ROLE,
        ),
        Standing::Forbidden(rights) => {
            Finding::fail(NAME, format!("the role lacks {}", rights.join(", ")), ROLE)
        }
        Standing::Behind(versions) => Finding::pass(
            NAME,
            format!(
                "the next pass brings schema entra_sync up to date ({})",
                versions.join(", ")
            ),
        ),
        Standing::Newest => Finding::pass(NAME, "schema entra_sync is at the newest version"),
        Standing::Newer(versions) => Finding::warn(
            NAME,
            format!(
                "a newer entra-sync has changed schema entra_sync ({})",
                versions.join(", ")
            ),
            "upgrade this one",
        ),
    };
    let mut findings = vec![finding];
    if matches!(standing, Standing::Newest | Standing::Newer(_)) {
        findings.push(source(database, settings).await);
    }
    findings
}

async fn source(database: &Database, settings: &Settings) -> Finding {
    const NAME: &str = "source";
    let looked = async {
        let mut transaction = database.begin(Limits::READ).await?;
        let source = ledger::find_source(&mut transaction, settings.described()).await?;
        transaction.rollback().await?;
        Ok::<_, ledger::Error>(source)
    };
    match looked.await {
        Ok(Some(_)) => Finding::pass(NAME, "the ledger was written for these settings"),
        Ok(None) => Finding::pass(NAME, "the ledger is empty; the first pass begins it"),
        Err(error) => Finding::told(NAME, Verdict::Fail, &error.to_string()),
    }
}

async fn seats(database: &Database, settings: &Settings) -> Vec<Finding> {
    let looked = async {
        let mut transaction = database.begin(Limits::READ).await?;
        let extent = litellm::extent(&mut transaction).await?;
        transaction.rollback().await?;
        Ok::<_, litellm::Error>(extent)
    };
    // That rows cannot be counted has been told under schema or rights.
    let Ok(extent) = looked.await else {
        return Vec::new();
    };
    let policy = &settings.litellm.policy;
    vec![
        room(
            "seats",
            "users",
            extent.billable_users,
            policy.seats,
            "set litellm.seats to what your licence admits, or give LITELLM_LICENSE",
        ),
        room(
            "teams",
            "teams",
            extent.teams,
            policy.teams,
            "ask for a LiteLLM licence with more teams",
        ),
    ]
}

fn room(name: &'static str, what: &str, there: u64, limit: Limit, remedy: &str) -> Finding {
    match limit {
        Limit::Unlimited => Finding::pass(name, format!("{there} {what}, no limit")),
        Limit::AtMost(most) if there < most => {
            Finding::pass(name, format!("{there} of {most} {what}"))
        }
        Limit::AtMost(most) => Finding::warn(
            name,
            format!("{there} of {most} {what}, so no more are created"),
            remedy,
        ),
    }
}

async fn clock(database: &Database) -> db::Result<Finding> {
    const NAME: &str = "clock";
    let mut transaction = database.begin(Limits::READ).await?;
    let before = Utc::now();
    let theirs: DateTime<Utc> = db::now(&mut transaction).await?;
    let after = Utc::now();
    transaction.rollback().await?;
    // Somewhere between the two the server looked at its clock.
    let skew = if theirs < before {
        before - theirs
    } else if theirs > after {
        theirs - after
    } else {
        chrono::Duration::zero()
    };
    let milliseconds = skew.num_milliseconds();
    Ok(if skew.to_std().unwrap_or_default() <= SKEW {
        Finding::pass(NAME, format!("{milliseconds} ms apart from the database's"))
    } else {
        Finding::warn(
            NAME,
            format!("{} s apart from the database's", skew.num_seconds()),
            "synchronize both machines' clocks (NTP)",
        )
    })
}

//! `entra-sync explain USER [TEAM]`: why a person is, or is not, in a team.
//!
//! Invariant: reads as `plan` does; changes nothing, runs no DDL, takes no
//! lease.

use std::io::{self, Write};
use std::sync::Arc;

use serde_json::json;

use super::arguments::ExplainArguments;
use super::{Exit, Format, output, watch};
use crate::config::Loaded;
use crate::db::Limits;
use crate::ledger::{self, changes};
use crate::model::ids::{GroupId, UserId};
use crate::model::policy::Scope;
use crate::model::report::{Mode, Trigger};
use crate::plan::explain::{self, Explanation, Match};
use crate::plan::{World, printable, render};
use crate::sync::{Progress, Request, Source};

/// Explains and prints.
pub(super) async fn run(
    command: &ExplainArguments,
    format: Format,
    loaded: Loaded,
) -> anyhow::Result<Exit> {
    let source = Source::new(Arc::new(loaded.settings))?;
    let request = Request {
        trigger: Trigger::Cli,
        mode: Mode::Full,
        scope: Scope::default(),
    };
    let (progress, watched) = Progress::new();
    let planned = tokio::select! {
        planned = source.plan(&request, &progress) => planned?,
        never = watch::show(watched) => match never {},
    };
    let world = World {
        directory: &planned.directory,
        target: &planned.target,
        owned: &planned.owned,
        policy: &source.settings().litellm.policy,
        scope: &request.scope,
    };
    let found = explain::find_people(world, &command.user);
    let [who] = found.as_slice() else {
        return not_one(&command.user, &found, format);
    };
    let groups = match &command.team {
        None => Vec::new(),
        Some(team) => {
            let groups = explain::find_groups(world, team);
            if groups.is_empty() {
                eprintln!(
                    "entra-sync: no assigned or managed group is {}",
                    printable(team)
                );
                return Ok(Exit::Failed);
            }
            groups
        }
    };
    let told = explain::explain(world, &planned.plan, who.person, &groups);
    let listed: Vec<GroupId> = told.teams.iter().map(|team| team.group).collect();
    let user = told.user.as_ref().map(|row| &row.id);
    let last = last_changes(&source, user, &listed).await?;
    match format {
        Format::Json => {
            let mut value = serde_json::to_value(&told)?;
            value["last_changes"] = json!(last);
            output::json(&value)?;
        }
        Format::Text => output::text(|out| text(&told, &last, out))?,
    }
    Ok(Exit::Ok)
}

/// Nobody, or several people.
fn not_one(word: &str, found: &[Match], format: Format) -> anyhow::Result<Exit> {
    if format == Format::Json {
        output::json(&json!({ "matches": found }))?;
    }
    let word = printable(word);
    if found.is_empty() {
        eprintln!(
            "entra-sync: nobody in the assigned groups, and nobody in the ledger, is {word}: give \
             an object id, user principal name, e-mail or display name"
        );
        return Ok(Exit::Failed);
    }
    eprintln!("entra-sync: {word} may be any of these: give the object id");
    for one in found {
        let name = one.name.as_deref().unwrap_or("-");
        let email = one.email.as_deref().unwrap_or("-");
        eprintln!("  {} {} {}", one.person, printable(name), printable(email));
    }
    Ok(Exit::Failed)
}

async fn last_changes(
    source: &Source,
    user: Option<&UserId>,
    groups: &[GroupId],
) -> anyhow::Result<Vec<changes::LastChange>> {
    let Some(user) = user else {
        return Ok(Vec::new());
    };
    if !ledger::exists(source.database()).await? {
        return Ok(Vec::new());
    }
    let entra = &source.settings().entra;
    let mut transaction = source.database().begin(Limits::READ).await?;
    let id =
        ledger::find_source(&mut transaction, &entra.tenant, entra.service_principal_id).await?;
    let last = match id {
        Some(id) => changes::last_of_user(&mut transaction, id, user, groups).await?,
        None => Vec::new(),
    };
    transaction.commit().await?;
    Ok(last)
}

fn text(told: &Explanation, last: &[changes::LastChange], out: &mut impl Write) -> io::Result<()> {
    let or_nothing = |text: &Option<String>| {
        let text = text.as_deref().unwrap_or("-");
        printable(text).into_owned()
    };
    writeln!(
        out,
        "person  {} {} {}, {} in Entra",
        told.who.person,
        or_nothing(&told.who.name),
        or_nothing(&told.who.email),
        told.account.replace('_', " ")
    )?;
    match &told.user {
        None => writeln!(out, "user    no row in LiteLLM, and none is planned")?,
        Some(row) => writeln!(
            out,
            "user    {}, found by {}, role {}, {}",
            printable(row.id.as_str()),
            row.found_by.replace('_', " "),
            or_nothing(&row.role),
            row.ledger
        )?,
    }
    for role in &told.app_roles {
        let value = or_nothing(&role.value);
        match role.group {
            None => writeln!(out, "role    {value}, assigned directly")?,
            Some(group) => writeln!(out, "role    {value}, through group {group}")?,
        }
    }
    for item in &told.planned {
        render::line(item, out)?;
    }
    for team in &told.teams {
        writeln!(
            out,
            "team    {} {}: wanted {} ({}), membership {}",
            team.group,
            or_nothing(&team.name),
            team.wanted,
            team.why,
            team.membership
        )?;
        for item in &team.planned {
            write!(out, "        ")?;
            render::line(item, out)?;
        }
    }
    for change in last {
        writeln!(
            out,
            "last    {} {} {} {} ({}), run {}",
            change.at.format("%Y-%m-%dT%H:%M:%SZ"),
            change.action,
            change.kind,
            printable(&change.id),
            change.reason,
            change.run_id
        )?;
    }
    for skipped in &told.skipped {
        writeln!(out, ". left out: {}", skipped.reason)?;
    }
    for error in &told.errors {
        writeln!(out, "! {}", printable(&error.message))?;
    }
    Ok(())
}

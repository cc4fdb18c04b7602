//! `entra-sync explain USER [TEAM]`: why a person is, or is not, in a team.
//!
//! Invariant: reads as `plan` does; changes nothing, runs no DDL, takes no
//! lease. A word that may mean several people is answered with all of them and
//! 1, never with a guess.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use serde_json::{Value, json};

use super::arguments::ExplainArguments;
use super::sources::Misuse;
use super::{Exit, Format, output, watch};
use crate::config::Settings;
use crate::db::Limits;
use crate::ledger::{self, changes};
use crate::model::ids::{GroupId, UserId};
use crate::model::policy::Scope;
use crate::model::report::{Kind, Mode, ObjectError, Trigger};
use crate::plan::explain::{self, Explanation, Match};
use crate::plan::{World, printable, render};
use crate::sync::{Progress, Request, Source};

/// Explains and prints.
pub(super) async fn run(
    command: &ExplainArguments,
    format: Format,
    mut chosen: Vec<Settings>,
) -> anyhow::Result<Exit> {
    // One person may mean something else to each of them.
    if chosen.len() > 1 {
        return Err(Misuse::which("`explain`", &chosen).into());
    }
    let settings = chosen.pop().context("the settings have no source")?;
    let source = Source::new(Arc::new(settings))?;
    let (matches, error) = match look(command, &source).await {
        Ok(Answer::Told(told, last)) => {
            match format {
                Format::Json => {
                    let mut value = serde_json::to_value(&told)?;
                    value["last_changes"] = json!(last);
                    value["matches"] = json!([told.who]);
                    output::json(&value)?;
                }
                Format::Text => output::text(|out| text(&told, &last, out))?,
            }
            return Ok(Exit::Ok);
        }
        Ok(Answer::NotOne(found)) => not_one(&command.user, found),
        Ok(Answer::NoTeam(who, team)) => {
            let message = format!("no assigned or managed group is {}", printable(team));
            (vec![who], (Kind::Group, team.to_owned(), anyhow!(message)))
        }
        Err(error) => {
            let id = source.settings().entra.service_principal_id.to_string();
            (Vec::new(), (Kind::Source, id, error))
        }
    };
    let (kind, id, error) = error;
    match format {
        // Programs get their object however it ends.
        Format::Json => {
            let message = format!("{error:#}");
            output::json(&nothing_told(&matches, &ObjectError { kind, id, message }))?;
        }
        Format::Text if matches.len() > 1 => output::text(|out| candidates(&matches, out))?,
        Format::Text => {}
    }
    Err(error)
}

/// What a question came to.
enum Answer<'c> {
    Told(Box<Explanation>, Vec<changes::LastChange>),
    /// Nobody, or several people.
    NotOne(Vec<Match>),
    /// No group is called so.
    NoTeam(Match, &'c str),
}

async fn look<'c>(command: &'c ExplainArguments, source: &Source) -> anyhow::Result<Answer<'c>> {
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
    let mut found = explain::find_people(world, &command.user);
    let who = match (found.pop(), found.is_empty()) {
        (Some(who), true) => who,
        (last, _) => {
            found.extend(last);
            return Ok(Answer::NotOne(found));
        }
    };
    let groups = match &command.team {
        None => Vec::new(),
        Some(team) => explain::find_groups(world, team),
    };
    if let (Some(team), true) = (&command.team, groups.is_empty()) {
        return Ok(Answer::NoTeam(who, team));
    }
    let told = explain::explain(world, &planned.plan, who.person, &groups);
    // Of all teams those too that nobody would list: somebody was taken out there.
    let only = command.team.is_some().then_some(groups.as_slice());
    let user = told.user.as_ref().map(|row| &row.id);
    let last = last_changes(source, user, only).await?;
    Ok(Answer::Told(Box::new(told), last))
}

/// What is said of nobody and of several people.
fn not_one(word: &str, found: Vec<Match>) -> (Vec<Match>, (Kind, String, anyhow::Error)) {
    let shown = printable(word);
    let error = if found.is_empty() {
        anyhow!(
            "nobody in the assigned groups, and nobody in the ledger, is {shown}: give an object \
             id, user principal name, e-mail or display name (a user whom only LiteLLM knows is \
             left alone)"
        )
    } else {
        let count = found.len();
        anyhow!("{shown} may be any of {count} people: give the object id of one")
    };
    (found, (Kind::User, word.to_owned(), error))
}

fn candidates(found: &[Match], out: &mut impl Write) -> io::Result<()> {
    for one in found {
        let name = one.name.as_deref().unwrap_or("-");
        let email = one.email.as_deref().unwrap_or("-");
        writeln!(
            out,
            "{} {} {}",
            one.person,
            printable(name),
            printable(email)
        )?;
    }
    Ok(())
}

/// The object of an answer, with nothing in it but whom the word may mean and
/// why there is no answer.
fn nothing_told(matches: &[Match], error: &ObjectError) -> Value {
    json!({
        "person": null,
        "name": null,
        "email": null,
        "account": null,
        "user": null,
        "app_roles": [],
        "teams": [],
        "planned": [],
        "skipped": [],
        "errors": [error],
        "last_changes": [],
        "matches": matches,
    })
}

async fn last_changes(
    source: &Source,
    user: Option<&UserId>,
    groups: Option<&[GroupId]>,
) -> anyhow::Result<Vec<changes::LastChange>> {
    let Some(user) = user else {
        return Ok(Vec::new());
    };
    if !ledger::readable(source.database()).await? {
        return Ok(Vec::new());
    }
    let mut transaction = source.database().begin(Limits::READ).await?;
    let id = ledger::find_source(&mut transaction, source.settings().described()).await?;
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
            "user    {}, {}, role {}, {}",
            printable(row.id.as_str()),
            found(row.found_by),
            or_nothing(&row.role),
            row.ledger
        )?,
    }
    for role in &told.app_roles {
        let value = or_nothing(&role.value);
        match role.group {
            None => write!(out, "role    {value}, assigned directly")?,
            Some(group) => write!(out, "role    {value}, through group {group}")?,
        }
        match role.counts {
            "yes" => writeln!(out)?,
            why => writeln!(out, "; {}: counts as none", role_fault(why))?,
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

/// How a row is found, in words.
fn found(by: &str) -> Cow<'_, str> {
    match by {
        "not_there_yet" => "not there yet".into(),
        "gone" => "deleted in LiteLLM".into(),
        by => format!("found by {}", by.replace('_', " ")).into(),
    }
}

/// Why an app role counts as none, in words.
fn role_fault(counts: &str) -> &str {
    match counts {
        "refused" => "LiteLLM refuses it for users",
        "removed" => "the application has it no more",
        "foreign" => "no role of LiteLLM's",
        counts => counts,
    }
}

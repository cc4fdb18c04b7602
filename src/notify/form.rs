//! The bodies of posts: our own object, Slack's message, Teams' card.
//!
//! Invariant: Slack's and Teams' texts stand where no markup is read
//! (`plain_text`, `TextRun`), so that nothing in them becomes a link, a mention
//! or a form of its own.

use serde_json::{Value, json};
use url::Url;

use super::message::{Message, moment};
use crate::config::WebhookForm;

/// The version of our own object. Keys may be added to one; what is there keeps
/// its name and meaning.
const VERSION: u32 = 1;

/// Longer values are cut: a line of Slack's or Teams' has room for no more.
const LONGEST: usize = 500;

/// A form that has been decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Slack,
    Teams,
}

impl Form {
    /// As it is set, or as the URL's host tells.
    pub(super) fn of(set: WebhookForm, url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        let within = |domains: &[&str]| {
            domains.iter().any(|domain| {
                host.strip_suffix(domain)
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })
        };
        match set {
            WebhookForm::Json => Self::Json,
            WebhookForm::Slack => Self::Slack,
            WebhookForm::Teams => Self::Teams,
            WebhookForm::Auto if within(&["hooks.slack.com", "hooks.slack-gov.com"]) => Self::Slack,
            WebhookForm::Auto
                if within(&["webhook.office.com", "logic.azure.com", "powerplatform.com"]) =>
            {
                Self::Teams
            }
            WebhookForm::Auto => Self::Json,
        }
    }

    pub(super) fn body(self, message: &Message) -> Value {
        match self {
            Self::Json => object(message),
            Self::Slack => slack(message),
            Self::Teams => teams(message),
        }
    }
}

fn object(message: &Message) -> Value {
    json!({
        "version": VERSION,
        "kind": message.subject.as_str(),
        "source": message.source,
        "tenant": message.tenant,
        "run_id": message.run,
        "at": moment(message.at),
        "summary": message.summary,
        "details": message.details,
        "remedy": message.remedy,
    })
}

fn headline(message: &Message) -> String {
    cut(&format!("entra-sync: {}", message.summary))
}

/// Everything but the headline, as names and values.
fn facts(message: &Message) -> Vec<(String, String)> {
    let mut facts = vec![
        ("kind".to_owned(), message.subject.as_str().to_owned()),
        ("source".to_owned(), message.source.clone()),
        ("tenant".to_owned(), message.tenant.clone()),
    ];
    if let Some(run) = &message.run {
        facts.push(("run".to_owned(), run.clone()));
    }
    facts.push(("at".to_owned(), moment(message.at)));
    facts.extend(message.details.iter().map(|(name, value)| {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        (name.replace('_', " "), cut(&value))
    }));
    if let Some(remedy) = &message.remedy {
        facts.push(("to do".to_owned(), cut(remedy)));
    }
    facts
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Slack reads these three as markup in every text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// `text` is what a notification on a phone shows; the blocks are what is read.
fn slack(message: &Message) -> Value {
    let plain = |text: &str| json!({"type": "plain_text", "text": text, "emoji": false});
    let headline = escaped(&headline(message));
    let lines: Vec<String> = facts(message)
        .into_iter()
        .map(|(name, value)| escaped(&format!("{name}: {value}")))
        .collect();
    json!({
        "text": headline,
        "mrkdwn": false,
        "blocks": [
            {"type": "section", "text": plain(&headline)},
            {"type": "section", "text": plain(&lines.join("\n"))},
        ],
    })
}

/// What the workflow "when a webhook request is received" posts as it is.
fn teams(message: &Message) -> Value {
    let line = |runs: Value| json!({"type": "RichTextBlock", "inlines": runs});
    let mut body = vec![line(json!([
        {"type": "TextRun", "text": headline(message), "weight": "Bolder", "size": "Medium"},
    ]))];
    body.extend(facts(message).into_iter().map(|(name, value)| {
        line(json!([
            {"type": "TextRun", "text": format!("{name}: "), "isSubtle": true},
            {"type": "TextRun", "text": value},
        ]))
    }));
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": {"width": "Full"},
                "body": body,
            },
        }],
    })
}

#[cfg(test)]
mod tests;

//! What goes wrong, on demand.
//!
//! A fault is a rule: which requests, how often, and what happens to them.
//! Rules wait in a queue; every rule that fits a request takes effect, and is
//! used up one time. The first effect that replaces the answer wins.
//!
//! Invariant: without a rule nothing goes wrong.

use serde::{Deserialize, Serialize};

use super::delta::WordOrder;

/// `Retry-After`, in the forms that are met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// Whole seconds.
    Seconds(u64),
    /// An HTTP date so many seconds ahead (or back).
    DateIn(i64),
    /// Any text: a fraction, or nonsense.
    Text(String),
}

impl RetryAfter {
    pub(super) fn header(&self) -> String {
        match self {
            Self::Seconds(seconds) => seconds.to_string(),
            Self::DateIn(seconds) => (chrono::Utc::now() + chrono::TimeDelta::seconds(*seconds))
                .format("%a, %d %b %Y %H:%M:%S GMT")
                .to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// How a link to the next page is bent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkTampering {
    /// Another host, the same scheme and port.
    Host(String),
    /// Another scheme.
    Scheme(String),
    /// Another port.
    Port(u16),
    /// A user name before the host.
    UserInfo(String),
    /// Another path.
    Path(String),
    /// Another scheme, host and port, for example that of a second simulator
    /// which tells whether a token arrived there.
    Origin(String),
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// An error status with Graph's error body.
    Status {
        /// The status.
        status: u16,
        /// `error.code`; by default what Graph says with that status.
        #[serde(default)]
        code: Option<String>,
        /// The header, if any.
        #[serde(default)]
        retry_after: Option<RetryAfter>,
    },
    /// An error body under status 200.
    ErrorWithStatus200 {
        /// `error.code`.
        code: String,
    },
    /// 502 with a gateway's HTML page.
    HtmlBadGateway,
    /// Any answer at all.
    Raw {
        /// The status.
        status: u16,
        /// `Content-Type`.
        content_type: String,
        /// The body.
        body: String,
    },
    /// The connection is cut and nothing is answered.
    CutBeforeAnswer,
    /// The connection is cut in the middle of the body.
    CutMidBody,
    /// The body is half of the JSON, and HTTP is content with it.
    TruncatedJson,
    /// No `value` in a collection.
    MissingValue,
    /// No rows, but a link; the rows come with the next page.
    EmptyPage,
    /// No rows and no link, whatever is in the collection. A delta round ends
    /// so, and what it had to tell is lost.
    EmptyList,
    /// The page's link is left out, as if it were the last; of a delta query,
    /// whichever link it had.
    MissingLink,
    /// The link leads to the page itself.
    LoopingLink,
    /// The link leads elsewhere.
    Link(LinkTampering),
    /// Every row of the page twice.
    DuplicateRows,
    /// The page begins further on: some rows are never seen.
    ShiftedPage {
        /// How many rows further on.
        rows: usize,
    },
    /// 400 `Directory_ExpiredPageToken`.
    ExpiredPageToken,
    /// `$top` is ignored: pages have the default size.
    TopIgnored,
    /// Pages have so many rows at most, whatever `$top` asks for.
    ShortPages {
        /// How many.
        rows: usize,
    },
    /// The object or relation looks like this.
    NotFound,
    /// A list of direct members is as it was so many changes of the group ago,
    /// while delta queries have them all.
    StaleMembers {
        /// How many changes ago.
        changes: usize,
    },
    /// The delta round has not heard of any change since its link was given;
    /// a later round tells them.
    WithheldChanges,
    /// The delta round tells so many earlier changes again: of each object
    /// asked for by id, or of all when nobody is.
    ReplayedChanges {
        /// How many.
        changes: usize,
    },
    /// The delta round tells each change of a member, also those that were
    /// taken back.
    EveryWord {
        /// In which order.
        order: WordOrder,
    },
    /// The page of a first delta round tells removals of objects that the
    /// reader has never seen.
    PastRemovals,
    /// The delta page lacks a property, although it is tracked and set.
    OmittedProperty {
        /// Which one.
        name: String,
    },
    /// The item is left out of a `$batch` answer.
    MissingBatchItem,
    /// The answer comes later.
    Latency {
        /// How much later.
        milliseconds: u64,
    },
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What happens.
    effect: Effect,
    /// Paths, with or without `/v1.0`; `*` is any text. All, if missing.
    #[serde(default)]
    path: Option<String>,
    /// Only this page of a collection; 1 is the first.
    #[serde(default)]
    page: Option<u32>,
    /// So many fitting requests are spared first.
    #[serde(default)]
    skip: u64,
    /// How often; without end if missing.
    #[serde(default)]
    times: Option<u64>,
}

impl Fault {
    /// A rule that fits the next request, once.
    #[must_use]
    pub fn new(effect: Effect) -> Self {
        Self {
            effect,
            path: None,
            page: None,
            skip: 0,
            times: Some(1),
        }
    }

    /// An error status, once.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::new(Effect::Status {
            status,
            code: None,
            retry_after: None,
        })
    }

    /// 429 with this `Retry-After`, once.
    #[must_use]
    pub fn throttled(retry_after: RetryAfter) -> Self {
        let retry_after = Some(retry_after);
        Self::new(Effect::Status {
            status: 429,
            code: None,
            retry_after,
        })
    }

    /// Only these paths, with or without `/v1.0`; `*` is any text.
    #[must_use]
    pub fn on(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Only this page of a collection; 1 is the first.
    #[must_use]
    pub fn page(mut self, number: u32) -> Self {
        self.page = Some(number);
        self
    }

    /// Spares so many fitting requests first.
    #[must_use]
    pub fn after(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// How often.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Without end.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }

    fn fits(&self, path: &str, page: u32) -> bool {
        let bare = path.strip_prefix("/v1.0").unwrap_or(path);
        let path_fits = self
            .path
            .as_deref()
            .is_none_or(|pattern| glob(pattern, path) || glob(pattern, bare));
        path_fits && self.page.is_none_or(|wanted| wanted == page)
    }
}

/// The rules that are still to take effect.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn waiting(&self) -> &[Fault] {
        &self.0
    }

    /// What happens to this request; the rules that fit are used up one time.
    pub(super) fn take(&mut self, path: &str, page: u32) -> Vec<Effect> {
        let mut effects = Vec::new();
        for fault in &mut self.0 {
            if !fault.fits(path, page) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            fault.times = fault.times.map(|times| times.saturating_sub(1));
            effects.push(fault.effect.clone());
        }
        self.0.retain(|fault| fault.times != Some(0));
        effects
    }
}

/// Whether a text fits a pattern in which `*` is any text.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => match text.strip_prefix(start) {
            None => false,
            Some(_) if rest.is_empty() => true,
            Some(tail) => tail
                .char_indices()
                .map(|(at, _)| at)
                .chain([tail.len()])
                .any(|at| tail.get(at..).is_some_and(|tail| glob(rest, tail))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_fits_by_path_page_and_turn_and_is_then_used_up() {
        let mut faults = Faults::default();
        faults.add(
            Fault::status(503)
                .on("/groups/*/members")
                .page(2)
                .after(1)
                .times(2),
        );
        let mut hit = |path, page| !faults.take(path, page).is_empty();
        assert!(!hit("/v1.0/groups/a/members", 1));
        assert!(!hit("/v1.0/groups/a/owners", 2));
        assert!(!hit("/v1.0/groups/a/members", 2), "spared");
        assert!(hit("/v1.0/groups/a/members", 2));
        assert!(hit("/v1.0/groups/b/members", 2));
        assert!(!hit("/v1.0/groups/b/members", 2), "used up");
        assert!(faults.waiting().is_empty());
    }

    #[test]
    fn a_star_is_any_text() {
        assert!(glob("/groups/*", "/groups/a/members"));
        assert!(glob("*/members*", "/groups/a/members/microsoft.graph.user"));
        assert!(!glob("/groups/*/members", "/groups/a/members/x"));
    }

    #[test]
    fn a_rule_is_written_as_json() {
        let text = r#"{"effect":{"status":{"status":429,"retry_after":{"text":"2.128"}}},
                       "path":"/users*","times":1}"#;
        let fault: Fault = serde_json::from_str(text).unwrap();
        let wanted = Fault::throttled(RetryAfter::Text("2.128".into())).on("/users*");
        assert_eq!(fault, wanted);
        let fault: Fault = serde_json::from_str(r#"{"effect":"cut_mid_body"}"#).unwrap();
        assert_eq!(fault, Fault::new(Effect::CutMidBody).always());
    }
}

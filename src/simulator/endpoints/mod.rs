//! The endpoints: a request, the tenant and the token's permissions give an
//! answer.
//!
//! Invariant: pure; neither a connection nor a clock is needed here, so that
//! an item of a `$batch` is answered exactly like a request of its own.

mod applications;
mod batch;
mod by_ids;
mod delta;
mod groups;
mod users;

use http::{Method, StatusCode};

use super::delta::Validity;
use super::fault::Effect;
use super::page::{Mark, Page, next_link};
use super::permission::Rights;
use super::query::Query;
use super::refusal::Refusal;
use super::render::{Row, Typed, Writer, odata_type};
use super::route::{Name, Relation, Route};
use super::tenant::Tenant;

pub(super) use batch::{BatchItem, batch_answer, read_batch};

/// A request, as far as an endpoint looks at it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'r> {
    pub(super) tenant: &'r Tenant,
    pub(super) rights: &'r Rights,
    pub(super) method: &'r Method,
    /// The path as it came, with `/v1.0`.
    pub(super) path: &'r str,
    pub(super) raw_query: &'r str,
    pub(super) consistency_level: Option<&'r str>,
    pub(super) prefer: Option<&'r str>,
    pub(super) body: &'r [u8],
    /// Scheme, host and port of this simulator.
    pub(super) root: &'r str,
    /// Page tokens of another epoch have expired.
    pub(super) epoch: u32,
    /// Which delta links are good.
    pub(super) validity: Validity,
    pub(super) effects: &'r [Effect],
}

/// A collection's page options.
const PAGE: &[&str] = &["$select", "$top", "$count", "$skiptoken"];
/// The same with `$filter`.
const FILTERED_PAGE: &[&str] = &["$select", "$top", "$count", "$skiptoken", "$filter"];
/// A single object's options.
const OBJECT: &[&str] = &["$select"];

/// Answers a request to this route; `$batch` itself is not for here.
pub(super) fn answer(ask: &Ask<'_>, route: &Route) -> Result<Vec<u8>, Refusal> {
    let wanted = if *route == Route::GetByIds {
        Method::POST
    } else {
        Method::GET
    };
    if *ask.method != wanted {
        return Err(Refusal::wrong_method(ask.method));
    }
    if ask
        .consistency_level
        .is_some_and(|level| !level.eq_ignore_ascii_case("eventual"))
    {
        return Err(Refusal::bad_request(
            "Invalid value for the ConsistencyLevel header.",
        ));
    }
    match route {
        Route::ServicePrincipals => applications::list(ask),
        Route::ServicePrincipal(name) => applications::one(ask, name),
        Route::AppRoleAssignedTo(name) => applications::assigned_to(ask, name),
        Route::Groups => groups::list(ask),
        Route::GroupsDelta => delta::of_groups(ask),
        Route::Group(id) => groups::one(ask, *id),
        Route::Members(id, relation, cast) => groups::members(ask, *id, *relation, *cast),
        Route::Users => users::list(ask),
        Route::UsersDelta => delta::of_users(ask),
        Route::User(name) => users::one(ask, name),
        Route::DeletedUsers => users::deleted(ask),
        Route::DeletedGroups => groups::deleted(ask),
        Route::DeletedItem(id) => users::deleted_item(ask, *id),
        Route::GetByIds => by_ids::answer(ask),
        Route::Subscriptions | Route::Subscription(_) => Err(Refusal::bad_request(
            "Subscriptions are not for a $batch here.",
        )),
        Route::Batch => Err(Refusal::bad_request("A $batch cannot hold a $batch.")),
    }
}

/// What a good answer costs: the base, less one for `$select` and one for a
/// small page, at least one.
pub(super) fn cost(route: &Route, raw_query: &str) -> u32 {
    let mut discount = 0;
    for (key, value) in url::form_urlencoded::parse(raw_query.as_bytes()) {
        let small = key == "$top" && value.parse().is_ok_and(|top: u32| top < 20);
        discount += u32::from(key == "$select" || small);
    }
    route.base_cost().saturating_sub(discount).max(1)
}

impl<'r> Ask<'r> {
    fn query(&self, allowed: &[&str]) -> Result<Query, Refusal> {
        Query::parse(self.raw_query, allowed)
    }

    fn require(&self, permitted: bool) -> Result<(), Refusal> {
        if permitted {
            Ok(())
        } else {
            Err(Refusal::denied())
        }
    }

    fn eventual(&self) -> bool {
        self.consistency_level.is_some()
    }

    fn mark(&self, query: &Query) -> Result<Mark, Refusal> {
        if self.effects.contains(&Effect::ExpiredPageToken) {
            return Err(Refusal::expired_page_token());
        }
        match &query.skip_token {
            Some(token) => Mark::read(token, self.path, self.epoch),
            None => Ok(Mark::FIRST),
        }
    }

    fn writer<'q>(&'q self, query: &'q Query, typed: Typed) -> Writer<'q> {
        Writer {
            tenant: self.tenant,
            rights: self.rights,
            select: query.select.as_deref(),
            typed,
        }
    }

    /// `…/$metadata#users(id,mail)`.
    fn context(&self, set: &str, query: &Query) -> String {
        let root = self.root;
        match &query.select {
            Some(_) => format!("{root}/v1.0/$metadata#{set}({})", query.select_text()),
            None => format!("{root}/v1.0/$metadata#{set}"),
        }
    }

    /// One object with its context.
    fn object(&self, set: &str, query: &Query, row: Row<'_>, typed: Typed) -> Vec<u8> {
        let context = format!("{}/$entity", self.context(set, query));
        let mut body = format!("{{\"@odata.context\":{}", json_text(&context)).into_bytes();
        if let (Typed::Yes, Some(name)) = (typed, odata_type(&row)) {
            body.extend_from_slice(format!(",\"@odata.type\":\"{name}\"").as_bytes());
        }
        let text = self.writer(query, typed).text(&row);
        if !text.is_empty() {
            body.push(b',');
        }
        body.extend_from_slice(&text);
        body.push(b'}');
        body
    }

    /// One page of a collection. `rows` gives the rows from a position on.
    fn collection<'t, I>(
        &self,
        set: &str,
        query: &Query,
        typed: Typed,
        rows: impl Fn(usize) -> I,
    ) -> Result<Vec<u8>, Refusal>
    where
        I: Iterator<Item = (usize, Row<'t>)>,
    {
        let mark = self.mark(query)?;
        let position = usize::try_from(mark.position).unwrap_or(usize::MAX);
        let page = Page::take(rows(position), mark, query, self.effects);
        let context = json_text(&self.context(set, query));
        let mut body = Vec::with_capacity(256 + page.rows.len() * 300);
        body.extend_from_slice(format!("{{\"@odata.context\":{context}").as_bytes());
        if self.eventual() && query.count == Some(true) && mark.number == 1 {
            let count = rows(0).count();
            body.extend_from_slice(format!(",\"@odata.count\":{count}").as_bytes());
        }
        let looping = self.effects.contains(&Effect::LoopingLink).then_some(mark);
        if let Some(next) = page.next.or(looping) {
            let link = next_link(
                self.root,
                self.path,
                self.raw_query,
                next,
                self.epoch,
                self.effects,
            );
            let link = json_text(&link);
            body.extend_from_slice(format!(",\"@odata.nextLink\":{link}").as_bytes());
        }
        if !self.effects.contains(&Effect::MissingValue) {
            body.extend_from_slice(b",\"value\":[");
            self.writer(query, typed).rows(&page.rows, &mut body);
            body.push(b']');
        }
        body.push(b'}');
        Ok(body)
    }
}

/// A text in quotes, escaped.
fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Status of a good answer.
pub(super) const OK: StatusCode = StatusCode::OK;

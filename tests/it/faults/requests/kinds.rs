//! What can be wrong with one answer of Graph's, and what comes of it.

use entra_sync::simulator::{Effect, Fault, LinkTampering};

use super::Asked;

/// One kind of fault.
pub struct Kind {
    pub name: &'static str,
    pub effect: Effect,
    often: Often,
    comes_to: Outcome,
}

#[derive(Clone, Copy, PartialEq)]
enum Often {
    Once,
    /// From that request on.
    Always,
}

/// What a pass that meets it must come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// Everything is done that there is to do, as if nothing had happened.
    Everything,
    /// It is said that something could not be read.
    Said,
    /// Nobody can tell from the answer that it is wrong.
    Silence,
}

use Often::{Always, Once};
use Outcome::{Everything, Said, Silence};

fn status(status: u16) -> Effect {
    Effect::Status {
        status,
        code: None,
        retry_after: None,
    }
}

fn page_of_html(status: u16) -> Effect {
    Effect::Raw {
        status,
        content_type: "text/html".to_owned(),
        body: "<html><body>a proxy's own page</body></html>".to_owned(),
    }
}

pub fn kinds() -> Vec<Kind> {
    of([
        ("503 for good", status(503), Always, Said),
        ("500 once", status(500), Once, Said),
        ("403 for good", status(403), Always, Said),
        ("404 in Graph's words", Effect::NotFound, Once, Said),
        ("404 of a gateway", page_of_html(404), Always, Said),
        ("502 of a gateway", Effect::HtmlBadGateway, Once, Said),
        ("HTML with 200", page_of_html(200), Once, Said),
        (
            "an error with 200",
            Effect::ErrorWithStatus200 {
                code: "UnknownError".to_owned(),
            },
            Once,
            Said,
        ),
        ("no answer", Effect::CutBeforeAnswer, Always, Said),
        ("half an answer", Effect::CutMidBody, Once, Said),
        ("half the JSON", Effect::TruncatedJson, Once, Said),
        ("no rows' name", Effect::MissingValue, Once, Said),
        ("a circle", Effect::LoopingLink, Once, Said),
        (
            "a foreign host",
            Effect::Link(LinkTampering::Host("graph.example.com".to_owned())),
            Once,
            Said,
        ),
        ("no item", Effect::MissingBatchItem, Once, Said),
        ("401 for good", status(401), Always, Said),
        ("401 once", status(401), Once, Everything),
        ("a lost page", Effect::ExpiredPageToken, Once, Everything),
        ("an empty page", Effect::EmptyPage, Once, Everything),
        ("every row twice", Effect::DuplicateRows, Once, Everything),
        ("an empty list", Effect::EmptyList, Once, Silence),
        ("a missing link", Effect::MissingLink, Once, Silence),
        (
            "a missing row",
            Effect::ShiftedPage { rows: 1 },
            Once,
            Silence,
        ),
    ])
}

/// What can be wrong with a link from which changes are told.
pub fn links() -> Vec<Kind> {
    of([
        ("a link that is gone", status(410), Once, Everything),
        ("no links any more", status(501), Always, Everything),
    ])
}

fn of(kinds: impl IntoIterator<Item = (&'static str, Effect, Often, Outcome)>) -> Vec<Kind> {
    let kinds = kinds.into_iter();
    kinds
        .map(|(name, effect, often, comes_to)| Kind {
            name,
            effect,
            often,
            comes_to,
        })
        .collect()
}

impl Kind {
    /// Whether nobody can tell from the answer that it is wrong.
    pub fn is_silent(&self) -> bool {
        self.comes_to == Silence
    }

    /// Whether this request can be answered so.
    pub fn fits(&self, asked: &Asked) -> bool {
        match self.effect {
            // Two readings in which Graph says that somebody is no more are
            // believed; and the token endpoint has no such words.
            Effect::NotFound => !asked.is_look_up && !asked.is_token(),
            Effect::Status { status: 401, .. } => !asked.is_token(),
            Effect::Status {
                status: 410 | 501, ..
            } => asked.endpoint.ends_with("/delta"),
            Effect::MissingBatchItem => asked.is_item,
            Effect::MissingValue
            | Effect::LoopingLink
            | Effect::ExpiredPageToken
            | Effect::EmptyPage
            | Effect::DuplicateRows
            | Effect::EmptyList
            | Effect::ShiftedPage { .. } => asked.is_list(),
            Effect::Link(_) | Effect::MissingLink => asked.is_list() && asked.has_next,
            _ => true,
        }
    }

    /// What a pass in which this happens to this request must come to.
    pub fn comes_to(&self, asked: &Asked) -> Outcome {
        let effect = &self.effect;
        let forbids = matches!(
            effect,
            Effect::NotFound | Effect::Status { status: 403, .. } | Effect::Raw { status: 404, .. }
        );
        // The service itself fails then, or somebody leads astray.
        let is_grave = matches!(
            effect,
            Effect::Status { .. }
                | Effect::HtmlBadGateway
                | Effect::CutBeforeAnswer
                | Effect::CutMidBody
                | Effect::Link(_)
        );
        let goes_round_envelope = asked.is_envelope() && forbids;
        let goes_round_list = asked.is_list_of_the_assigned() && self.often == Once && !is_grave;
        match self.comes_to {
            Said if goes_round_envelope || goes_round_list => Everything,
            outcome => outcome,
        }
    }

    /// The rule that brings it upon this request.
    pub fn fault(&self, asked: &Asked) -> Fault {
        let fault = Fault::new(self.effect.clone())
            .on(&asked.path)
            .page(asked.page)
            .after(asked.turn);
        match self.often {
            Once => fault,
            Always => fault.always(),
        }
    }
}

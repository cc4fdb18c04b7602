//! `$batch`: each item is answered, charged and written down like a request of
//! its own.
//!
//! Invariant: the envelope's status says nothing of the items.

use http::{HeaderMap, Method, StatusCode};
use uuid::Uuid;

use super::{Incoming, Shared, graph};
use crate::simulator::endpoints::{self, BatchItem};
use crate::simulator::fault::Effect;
use crate::simulator::journal::RequestIds;
use crate::simulator::page::Mark;
use crate::simulator::permission::Rights;
use crate::simulator::refusal::Refusal;
use crate::simulator::reply::{Reply, replaced};
use crate::simulator::route::Route;

/// Answers an envelope.
pub(super) fn answer(
    shared: &Shared,
    incoming: &Incoming,
    rights: &Rights,
) -> Result<Reply, Refusal> {
    if incoming.method != Method::POST {
        return Err(Refusal::wrong_method(&incoming.method));
    }
    let mut failed: Vec<String> = Vec::new();
    let mut answers = Vec::new();
    let mut late = 0;
    for item in endpoints::read_batch(&incoming.body)? {
        let (effects, mut reply) = one(shared, incoming, rights, &item, &failed);
        if !reply.status.is_success() {
            failed.push(item.id.to_ascii_lowercase());
        }
        // The envelope waits for the slowest of its items.
        late = late.max(super::late(&effects));
        // What would break off a request of its own cannot break an item off.
        if effects.contains(&Effect::CutMidBody) || effects.contains(&Effect::TruncatedJson) {
            reply.body.truncate(reply.body.len() / 2);
        }
        let lost = [Effect::MissingBatchItem, Effect::CutBeforeAnswer];
        if !lost.iter().any(|lost| effects.contains(lost)) {
            let units = reply.resource_units.to_string();
            reply.headers.insert("x-ms-resource-unit", units);
            answers.push(endpoints::batch_answer(
                &item.id,
                reply.status,
                reply.headers,
                &reply.body,
            ));
        }
    }
    // The order of the answers means nothing; a reader must go by id.
    answers.reverse();
    let body = serde_json::json!({ "responses": answers })
        .to_string()
        .into_bytes();
    let mut reply = Reply::new(StatusCode::OK, "application/json", body);
    reply.late = late;
    Ok(reply)
}

fn one(
    shared: &Shared,
    envelope: &Incoming,
    rights: &Rights,
    item: &BatchItem,
    failed: &[String],
) -> (Vec<Effect>, Reply) {
    let (path, query) = item.url.split_once('?').unwrap_or((&item.url, ""));
    let mut headers = HeaderMap::new();
    for name in ["consistencylevel", "prefer"] {
        if let Some(value) = item.header(name).and_then(|text| text.parse().ok()) {
            headers.insert(name, value);
        }
    }
    let incoming = Incoming {
        method: item
            .method
            .to_ascii_uppercase()
            .parse()
            .unwrap_or(Method::OPTIONS),
        path: format!("/v1.0{path}"),
        query: query.to_owned(),
        page: Mark::number_of(query),
        headers,
        body: item
            .body
            .as_ref()
            .map(|body| body.to_string().into_bytes())
            .unwrap_or_default(),
        ids: RequestIds {
            request: Uuid::new_v4(),
            client: envelope.ids.client.clone(),
        },
    };
    let effects = shared.faults().take(&incoming.path, incoming.page);
    let route = Route::parse(path);
    let endpoint = route.as_ref().map_or("unknown", Route::label);
    let blocked = item
        .depends_on
        .iter()
        .any(|id| failed.contains(&id.to_ascii_lowercase()));
    let answered = if blocked {
        let status = StatusCode::FAILED_DEPENDENCY;
        Err(Refusal::new(
            status,
            "FailedDependency",
            "A request it depends on has failed.",
        ))
    } else if let Some(reply) = replaced(&effects, &incoming.ids) {
        Ok(reply)
    } else {
        route.and_then(|route| graph(shared, &incoming, rights, &route, &effects))
    };
    let reply = answered.unwrap_or_else(|refusal| Reply::refusal(&refusal, &incoming.ids));
    let status = reply.status.as_u16();
    let mut logged = incoming.log(endpoint, status, reply.resource_units, effects.clone());
    logged.authorized = true;
    shared.requests().add(logged);
    (effects, reply)
}

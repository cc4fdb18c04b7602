//! The token endpoint's place in the server.

use http::Method;

use super::{Incoming, Shared};
use crate::simulator::fault::Effect;
use crate::simulator::refusal::Refusal;
use crate::simulator::reply::{Reply, replaced};
use crate::simulator::token::{self, TokenAsk};

/// The tenant in `/{tenant}/oauth2/v2.0/token`.
pub(super) fn path(path: &str) -> Option<&str> {
    let tenant = path.strip_prefix('/')?.strip_suffix("/oauth2/v2.0/token")?;
    (!tenant.contains('/')).then_some(tenant)
}

pub(super) fn reply(
    shared: &Shared,
    incoming: &Incoming,
    tenant: &str,
    effects: &[Effect],
) -> Reply {
    if let Some(reply) = replaced(effects, &incoming.ids) {
        return reply;
    }
    if incoming.method != Method::POST {
        return Reply::refusal(&Refusal::wrong_method(&incoming.method), &incoming.ids);
    }
    let ask = TokenAsk {
        tenant,
        content_type: incoming.header("content-type"),
        authorization: incoming.header("authorization"),
        body: &incoming.body,
        root: &shared.root,
    };
    let (status, body) = token::answer(&ask, &shared.tenant().credentials, &shared.tokens);
    Reply::new(
        status,
        "application/json; charset=utf-8",
        body.to_string().into_bytes(),
    )
}

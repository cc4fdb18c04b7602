//! `directoryObjects/getByIds`.

use serde::Deserialize;
use uuid::Uuid;

use super::{Ask, OBJECT, Refusal, Row, Typed};
use crate::simulator::properties::{ANY_OBJECT, check_select};

/// Ids in one request.
const MAX_IDS: usize = 1000;

#[derive(Deserialize)]
struct Wanted {
    ids: Vec<String>,
    #[serde(default)]
    types: Option<Vec<String>>,
}

pub(super) fn answer(ask: &Ask<'_>) -> Result<Vec<u8>, Refusal> {
    // The only application permission that is documented for it.
    ask.require(ask.rights.read_any_object())?;
    let mut query = ask.query(OBJECT)?;
    query.top = Some(MAX_IDS);
    check_select(query.select.as_deref(), ANY_OBJECT)?;
    let wanted: Wanted = serde_json::from_slice(ask.body)
        .map_err(|_| Refusal::bad_request("The request body is not a valid getByIds request."))?;
    if wanted.ids.len() > MAX_IDS {
        return Err(Refusal::bad_request(format!(
            "Too many identifiers: at most {MAX_IDS} are allowed."
        )));
    }
    let mut rows = Vec::with_capacity(wanted.ids.len());
    for text in &wanted.ids {
        let id = Uuid::try_parse(text).map_err(|_| Refusal::not_a_guid(text))?;
        rows.extend(find(ask, id).filter(|row| {
            wanted.types.as_deref().is_none_or(|types| {
                let name = super::odata_type(row).unwrap_or_default();
                let short = name.trim_start_matches("#microsoft.graph.");
                types
                    .iter()
                    .any(|kind| kind.eq_ignore_ascii_case(short) || kind == "directoryObject")
            })
        }));
    }
    ask.collection("directoryObjects", &query, Typed::Yes, |from| {
        rows.iter().copied().enumerate().skip(from)
    })
}

/// Unknown and deleted ids are simply absent from the answer.
fn find<'t>(ask: &Ask<'t>, id: Uuid) -> Option<Row<'t>> {
    let tenant = ask.tenant;
    let other = || {
        let place = tenant.other_places.get(&id)?;
        tenant.others.get(*place as usize).map(Row::Other)
    };
    let group = || tenant.live_group(id).map(Row::Group);
    tenant
        .users
        .live(id)
        .map(Row::User)
        .or_else(group)
        .or_else(other)
}

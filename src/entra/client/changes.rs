//! Delta queries: what they ask for, and from when on.
//!
//! Invariant: what is tracked is said in the first request of a link and baked
//! into it; [`tracked`] changes whenever that does.

use graph_rs_sdk::ODataQuery;
use graph_rs_sdk::http::Method;
use url::Url;

use super::{Client, person_properties};
use crate::config::AttributeNames;
use crate::model::ids::GroupId;

/// What delta queries track of groups.
const GROUP_CHANGES: &str = "id,displayName,visibility,members";

/// From when on changes are asked for.
#[derive(Debug, Clone, Copy)]
pub(in crate::entra) enum Since {
    /// From now on: nothing is told, only a link given.
    Now,
    /// From the beginning: all that is there is told.
    Ever,
}

impl Since {
    fn said_in(self, mut url: Url) -> Url {
        if let Self::Now = self {
            url.query_pairs_mut().append_pair("$deltatoken", "latest");
        }
        url
    }
}

impl Client {
    /// Changes of these groups, [`BUCKET_SIZE`] at most, and who joined and
    /// left them. `visibility` is tracked because a group may begin to hide its
    /// members.
    ///
    /// [`BUCKET_SIZE`]: crate::model::links::BUCKET_SIZE
    pub(in crate::entra) fn group_changes<'g>(
        &self,
        ids: impl IntoIterator<Item = &'g GroupId>,
        since: Since,
    ) -> Url {
        let terms: Vec<String> = ids.into_iter().map(|id| format!("id eq '{id}'")).collect();
        let url = self
            .graph
            .custom(Method::GET, None)
            .extend_path(&["groups", "delta"])
            .select(&[GROUP_CHANGES])
            .filter(&[&terms.join(" or ")])
            .url();
        since.said_in(url)
    }

    /// Changes of everybody in the tenant.
    pub(in crate::entra) fn people_changes(&self, since: Since) -> Url {
        let url = self
            .graph
            .custom(Method::GET, None)
            .extend_path(&["users", "delta"])
            .select(&[&self.person_properties])
            .url();
        since.said_in(url)
    }
}

/// What delta queries for groups and for people track: it is baked into their
/// links.
pub(in crate::entra) fn tracked(names: &AttributeNames) -> String {
    format!("{GROUP_CHANGES};{}", person_properties(names))
}

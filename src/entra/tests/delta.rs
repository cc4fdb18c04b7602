//! Links, rounds and pages of delta queries, as the stub tells them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::stub::{Reply, Seen, Stub, assigned_group, group_id, person_id};
use crate::entra::{Error, Heard, Progress, Reader};
use crate::model::ids::GroupId;
use crate::model::known::{News, Word};
use crate::model::links::{Bucket, DeltaLink, Links};

pub(super) const GROUPS: &str = "/v1.0/groups/delta";
pub(super) const PEOPLE: &str = "/v1.0/users/delta";

/// The last page of a round.
pub(super) fn last(items: &[Value], link: &str) -> Reply {
    Reply::json(200, &json!({ "value": items, "@odata.deltaLink": link }))
}

/// A tenant with these buckets, whose links have nothing to tell: that of
/// bucket 3 is `?page=b3`, and leads to `?page=b3-next`.
pub(super) async fn quiet(buckets: &[(u32, std::ops::Range<u32>)]) -> (Stub, Links) {
    let stub = Stub::start().await;
    let groups: Vec<Value> = buckets
        .iter()
        .flat_map(|(_, groups)| groups.clone())
        .map(|number| assigned_group(group_id(number)))
        .collect();
    stub.assign(&groups);
    let links = links(&stub, buckets);
    for (number, _) in buckets {
        tells(&stub, *number, &[]);
    }
    stub.set(
        &format!("{PEOPLE}?page=p"),
        [last(&[], &stub.link(PEOPLE, "p-next"))],
    );
    (stub, links)
}

pub(super) fn links(stub: &Stub, buckets: &[(u32, std::ops::Range<u32>)]) -> Links {
    let groups: BTreeMap<u32, Bucket> = buckets
        .iter()
        .map(|(number, groups)| {
            let link = DeltaLink::new(stub.link(GROUPS, &format!("b{number}")));
            let groups = ids(groups.clone());
            (*number, Bucket { groups, link })
        })
        .collect();
    let people = DeltaLink::new(stub.link(PEOPLE, "p"));
    Links { groups, people }
}

/// One page, all that this bucket has to tell; the next round tells nothing.
pub(super) fn tells(stub: &Stub, bucket: u32, items: &[Value]) {
    let next = stub.link(GROUPS, &format!("b{bucket}-next"));
    stub.set(&key(bucket), [last(items, &next)]);
    stub.set(&format!("{}-next", key(bucket)), [last(&[], &next)]);
}

/// Where the stub answers a bucket's link.
pub(super) fn key(bucket: u32) -> String {
    format!("{GROUPS}?page=b{bucket}")
}

pub(super) async fn news(stub: &Stub, links: &Links) -> Result<Heard, Error> {
    hear(&stub.reader(), links).await
}

pub(super) async fn hear(reader: &Reader, links: &Links) -> Result<Heard, Error> {
    reader.news(links, &Progress::unobserved()).await
}

pub(super) fn ids(numbers: impl IntoIterator<Item = u32>) -> BTreeSet<GroupId> {
    numbers.into_iter().map(group_id).collect()
}

/// An item that names members: who joined, and who left.
pub(super) fn item(group: u32, joined: &[u32], left: &[u32]) -> Value {
    let entry = |number: &u32| json!({ "@odata.type": "#microsoft.graph.user", "id": person_id(*number).to_string() });
    let removed = |number: &u32| {
        let mut entry = entry(number);
        entry["@removed"] = json!({ "reason": "deleted" });
        entry
    };
    let entries: Vec<Value> = joined
        .iter()
        .map(entry)
        .chain(left.iter().map(removed))
        .collect();
    json!({ "id": group_id(group).to_string(), "displayName": "x", "members@delta": entries })
}

/// What was said of members, by the numbers of group and person.
pub(super) fn words(news: &News) -> Vec<(u32, u32, Word)> {
    let number = |text: String| text.rsplit('-').next().unwrap().parse().unwrap();
    news.groups
        .iter()
        .flat_map(|(group, told)| {
            let members = told.members.iter();
            members.map(|(person, word)| {
                (number(group.to_string()), number(person.to_string()), *word)
            })
        })
        .collect()
}

/// Numbers of the groups that each bucket follows, and the end of its link.
pub(super) fn layout(links: &Links) -> Vec<(u32, usize, String)> {
    let page = |link: &DeltaLink| {
        let (_, page) = link.as_str().rsplit_once("page=").unwrap();
        page.to_owned()
    };
    links
        .groups
        .iter()
        .map(|(number, bucket)| (*number, bucket.groups.len(), page(&bucket.link)))
        .collect()
}

/// First calls of `groups/delta`, with their filters.
pub(super) fn first_calls(stub: &Stub) -> Vec<Seen> {
    stub.seen_at(GROUPS)
}

pub(super) fn filtered(seen: &Seen) -> BTreeSet<GroupId> {
    let filter = &seen.query["$filter"];
    let ids: BTreeSet<GroupId> = filter
        .split(" or ")
        .map(|term| term.strip_prefix("id eq '").unwrap())
        .map(|term| term.strip_suffix('\'').unwrap().parse().unwrap())
        .collect();
    assert!(ids.len() <= 50, "{filter}");
    ids
}

/// Requests to Graph, without those for tokens.
pub(super) fn requests(stub: &Stub) -> Vec<String> {
    let mut keys: Vec<String> = stub.seen().into_iter().map(|seen| seen.key).collect();
    keys.retain(|key| key != super::stub::TOKEN);
    keys
}

//! Pages of delta queries, changed in ways that nobody thought of.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::config::AttributeNames;
use crate::entra::delta::groups::{Groups, GroupsNews};
use crate::entra::delta::page::Onward;
use crate::entra::delta::people::{People, last_words};
use crate::entra::delta::round::Gather;
use crate::fuzz::fuzz;
use crate::model::known::{PersonNews, Word};

const WORDS: &[&str] = &[
    "\"value\":[],",
    "\"@odata.nextLink\":\"https://graph.microsoft.com/v1.0/x\",",
    "\"@odata.deltaLink\":null,",
    "\"@removed\":null,",
    "\"@removed\":{\"reason\":\"changed\"},",
    "\"members@delta\":[],",
    "\"members@delta\":null,",
    "\"@odata.type\":\"#microsoft.graph.group\",",
    "\"id\":\"b0000000-0000-4000-8000-000000000001\",",
    "\"visibility\":\"HiddenMembership\",",
    "\"accountEnabled\":false,",
];

/// The items of a page and its two links; `None` where there is nothing to
/// compare with.
fn plain(body: &[u8]) -> Option<(Vec<Value>, [Option<String>; 2])> {
    let Ok(Value::Object(page)) = serde_json::from_slice::<Value>(body) else {
        return None;
    };
    let link = |key| page.get(key).and_then(Value::as_str).map(str::to_owned);
    let links = [link("@odata.nextLink"), link("@odata.deltaLink")];
    let items = page["value"].as_array().expect("no list").clone();
    items.iter().all(Value::is_object).then_some((items, links))
}

/// A page leads to one place: the one it names.
fn same_way(onward: &Onward, links: &[Option<String>; 2]) {
    match onward {
        Onward::Page(link) => assert_eq!(links, &[Some(link.clone()), None]),
        Onward::Round(link) => assert_eq!(links, &[None, Some(link.clone())]),
    }
}

fn id(item: &Value) -> String {
    item["id"].as_str().expect("no id").to_lowercase()
}

#[test]
fn a_page_of_group_changes_tells_of_its_groups_and_members_only() {
    let seeds: &[&[u8]] = &[include_bytes!("fuzz/groups.json")];
    fuzz(seeds, WORDS, |body| {
        let mut news = GroupsNews::new();
        let Ok(onward) = Groups.page(&mut news, body) else {
            assert!(news.is_empty());
            return;
        };
        let Some((items, links)) = plain(body) else {
            return;
        };
        same_way(&onward, &links);
        let mut told: BTreeMap<String, Vec<(String, Word)>> = BTreeMap::new();
        for item in &items {
            let members = told.entry(id(item)).or_default();
            for entry in item["members@delta"].as_array().into_iter().flatten() {
                if !entry.is_object() {
                    return;
                }
                let word = match entry["@removed"] {
                    Value::Null => Word::Joined,
                    _ => Word::Left,
                };
                members.push((id(entry), word));
            }
        }
        let groups: Vec<String> = news.keys().map(ToString::to_string).collect();
        assert_eq!(groups, told.keys().cloned().collect::<Vec<_>>());
        for (group, news) in &news {
            let said = &told[&group.to_string()];
            for (person, word) in &news.members {
                let said = |word| said.contains(&(person.to_string(), word));
                match word {
                    Word::Both => assert!(said(Word::Joined) && said(Word::Left)),
                    word => assert!(said(*word), "{person} {word:?}"),
                }
            }
        }
    });
}

#[test]
fn a_page_of_changes_of_people_deletes_nobody_whom_it_does_not_say_is_removed() {
    let seeds: &[&[u8]] = &[include_bytes!("fuzz/people.json")];
    let names = AttributeNames::default();
    fuzz(seeds, WORDS, |body| {
        let mut told = HashMap::new();
        let Ok(onward) = (People { names: &names }).page(&mut told, body) else {
            assert!(told.is_empty());
            return;
        };
        let Some((items, links)) = plain(body) else {
            return;
        };
        same_way(&onward, &links);
        let ids: BTreeSet<String> = items.iter().map(id).collect();
        let words = last_words(told);
        assert_eq!(
            words
                .keys()
                .map(ToString::to_string)
                .collect::<BTreeSet<_>>(),
            ids
        );
        for (person, news) in words {
            let mut own = items.iter().filter(|item| id(item) == person.to_string());
            if matches!(news, PersonNews::Deleted) {
                assert!(own.all(|item| item.get("@removed").is_some()));
            }
        }
    });
}

//! What a round told of groups: items of one group come in any number, on any
//! page, between those of others (trap 1).
//!
//! Invariant: merging does not depend on the order of the items, because their
//! order proves nothing; what contradicts itself is said to do so. Replayed
//! items change nothing (trap 31).

use std::collections::BTreeMap;

use super::page::{GroupItem, MemberEntry, Onward, group_items};
use super::round::Gather;
use crate::entra::fault::Defect;
use crate::model::ids::{GroupId, PersonId};
use crate::model::known::{GroupNews, ObjectNews, Word};

/// Groups as a round told of them.
pub(super) type GroupsNews = BTreeMap<GroupId, GroupNews>;

/// Gathers pages of `groups/delta`.
pub(super) struct Groups;

impl Gather for Groups {
    type Crop = GroupsNews;

    fn page(&self, news: &mut GroupsNews, body: &[u8]) -> Result<Onward, Defect> {
        let (items, onward) = group_items(body)?;
        // All of the page is read before any of it counts.
        let items: Vec<(GroupId, GroupNews)> =
            items.into_iter().map(one_item).collect::<Result<_, _>>()?;
        for (id, told) in items {
            merge(news.entry(id).or_default(), told);
        }
        Ok(onward)
    }
}

fn one_item(item: GroupItem<'_>) -> Result<(GroupId, GroupNews), Defect> {
    let id = item.id.parse().map_err(|_| Defect::Missing("id"))?;
    let hides = |text: &String| text.eq_ignore_ascii_case("HiddenMembership");
    let object = if item.removed.is_some() {
        ObjectNews::Deleted
    } else if item.visibility.as_ref().is_some_and(hides) {
        // What is not said of its members may be withheld.
        ObjectNews::Unclear
    } else {
        ObjectNews::Here(item.display_name)
    };
    let mut news = GroupNews {
        object,
        members: BTreeMap::new(),
    };
    for entry in item.members.into_iter().flatten() {
        if let Some((person, word)) = person_told(&entry)? {
            say(&mut news.members, person, word);
        }
    }
    Ok((id, news))
}

/// `None` for members that are no people.
fn person_told(entry: &MemberEntry<'_>) -> Result<Option<(PersonId, Word)>, Defect> {
    let word = match entry.removed {
        Some(_) => Word::Left,
        None => Word::Joined,
    };
    let is_user = match (&entry.kind, word) {
        (Some(kind), _) => kind.eq_ignore_ascii_case("#microsoft.graph.user"),
        // Of whom only the id is left. If it was no person, nobody knows it.
        (None, Word::Left) => true,
        (None, _) => return Err(Defect::Missing("@odata.type")),
    };
    if !is_user {
        return Ok(None);
    }
    let person = entry.id.parse().map_err(|_| Defect::Missing("id"))?;
    Ok(Some((person, word)))
}

fn say(members: &mut BTreeMap<PersonId, Word>, person: PersonId, word: Word) {
    members
        .entry(person)
        .and_modify(|said| {
            if *said != word {
                *said = Word::Both;
            }
        })
        .or_insert(word);
}

/// Adds what was told elsewhere of the same group, before or after.
pub(super) fn merge(news: &mut GroupNews, told: GroupNews) {
    let said = std::mem::take(&mut news.object);
    news.object = match (said, told.object) {
        (ObjectNews::Nothing, object) | (object, ObjectNews::Nothing) => object,
        (ObjectNews::Deleted, ObjectNews::Deleted) => ObjectNews::Deleted,
        // A further item continues the members and need not repeat the name.
        (ObjectNews::Here(None), ObjectNews::Here(name))
        | (ObjectNews::Here(name), ObjectNews::Here(None)) => ObjectNews::Here(name),
        (ObjectNews::Here(one), ObjectNews::Here(other)) if one == other => ObjectNews::Here(one),
        _ => ObjectNews::Unclear,
    };
    for (person, word) in told.members {
        say(&mut news.members, person, word);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn group(number: u32) -> GroupId {
        format!("a0000000-0000-0000-0000-{number:012}")
            .parse()
            .unwrap()
    }

    fn person(number: u32) -> PersonId {
        format!("b0000000-0000-0000-0000-{number:012}")
            .parse()
            .unwrap()
    }

    fn joined(number: u32) -> Value {
        json!({ "@odata.type": "#microsoft.graph.user", "id": person(number).to_string() })
    }

    fn left(number: u32) -> Value {
        let mut entry = joined(number);
        entry["@removed"] = json!({ "reason": "deleted" });
        entry
    }

    fn item(number: u32, rest: Value) -> Value {
        let mut item = rest;
        item["id"] = json!(group(number).to_string());
        item
    }

    fn page(items: &[Value]) -> Vec<u8> {
        let page = json!({ "value": items, "@odata.deltaLink": "x" });
        page.to_string().into_bytes()
    }

    /// What pages with these items come to, one after the other.
    fn told(pages: &[&[Value]]) -> GroupsNews {
        let mut news = GroupsNews::new();
        for items in pages {
            Groups.page(&mut news, &page(items)).unwrap();
        }
        news
    }

    fn refused(item: Value) -> Defect {
        let mut news = GroupsNews::new();
        let good = json!({ "id": group(9).to_string(), "displayName": "x" });
        let defect = Groups.page(&mut news, &page(&[good, item])).unwrap_err();
        assert!(news.is_empty(), "a page that is refused leaves no trace");
        defect
    }

    fn words(news: &GroupsNews, number: u32) -> Vec<(PersonId, Word)> {
        let members = &news[&group(number)].members;
        members.iter().map(|(id, word)| (*id, *word)).collect()
    }

    fn permutations(items: &[Value]) -> Vec<Vec<Value>> {
        if items.is_empty() {
            return vec![Vec::new()];
        }
        (0..items.len())
            .flat_map(|at| {
                let mut rest = items.to_vec();
                let first = rest.remove(at);
                permutations(&rest).into_iter().map(move |mut tail| {
                    tail.insert(0, first.clone());
                    tail
                })
            })
            .collect()
    }

    #[test]
    fn a_group_told_in_pieces_between_others_comes_to_the_same_in_any_order() {
        let items = [
            item(
                1,
                json!({ "displayName": "One", "members@delta": [joined(1), left(2)] }),
            ),
            item(
                2,
                json!({ "displayName": "Two", "members@delta": [joined(1)] }),
            ),
            item(1, json!({ "members@delta": [joined(3)] })),
            item(2, json!({ "members@delta": [left(1), joined(4)] })),
            item(1, json!({ "members@delta": [left(4)] })),
        ];
        let whole = told(&[&items]);
        assert_eq!(
            whole[&group(1)].object,
            ObjectNews::Here(Some(Some("One".into())))
        );
        assert_eq!(
            words(&whole, 1),
            [
                (person(1), Word::Joined),
                (person(2), Word::Left),
                (person(3), Word::Joined),
                (person(4), Word::Left),
            ]
        );
        assert_eq!(
            words(&whole, 2),
            [(person(1), Word::Both), (person(4), Word::Joined)]
        );
        for order in permutations(&items) {
            assert_eq!(told(&[&order]), whole);
            let (head, tail) = order.split_at(2);
            assert_eq!(told(&[head, &[], tail]), whole, "on several pages");
        }
        assert_eq!(told(&[&items, &items]), whole, "told again");
    }

    #[test]
    fn both_words_on_a_member_stay_both_whatever_follows() {
        for entries in [
            json!([joined(1), left(1)]),
            json!([left(1), joined(1)]),
            json!([left(1), joined(1), left(1)]),
        ] {
            let news = told(&[&[item(1, json!({ "members@delta": entries }))]]);
            assert_eq!(words(&news, 1), [(person(1), Word::Both)]);
        }
        let entries = json!([left(1), left(1)]);
        let news = told(&[&[item(1, json!({ "members@delta": entries }))]]);
        assert_eq!(words(&news, 1), [(person(1), Word::Left)]);
    }

    #[test]
    fn the_state_of_a_group_is_told_or_called_unclear() {
        let named = |name: Value| item(1, json!({ "displayName": name }));
        let gone = item(1, json!({ "@removed": { "reason": "changed" } }));
        let hidden = item(
            1,
            json!({ "displayName": "A", "visibility": "hiddenmembership" }),
        );
        let bare = item(1, json!({}));
        let here = |name: Option<&str>| ObjectNews::Here(Some(name.map(str::to_owned)));
        for (items, wanted) in [
            (vec![named(json!("A"))], here(Some("A"))),
            (vec![named(json!(null))], here(None)),
            (vec![bare.clone()], ObjectNews::Here(None)),
            (vec![bare, named(json!("A"))], here(Some("A"))),
            (
                vec![named(json!("A")), named(json!("B"))],
                ObjectNews::Unclear,
            ),
            (vec![gone.clone(), gone.clone()], ObjectNews::Deleted),
            (vec![gone, named(json!("A"))], ObjectNews::Unclear),
            (vec![hidden, named(json!("A"))], ObjectNews::Unclear),
        ] {
            for order in permutations(&items) {
                assert_eq!(told(&[&order])[&group(1)].object, wanted, "{order:?}");
            }
        }
    }

    #[test]
    fn only_users_are_people_and_only_the_removed_may_lack_a_type() {
        let other = |kind: &str| json!({ "@odata.type": kind, "id": "anything" });
        let untyped = json!({ "id": person(2).to_string(), "@removed": { "reason": "changed" } });
        let entries = json!([
            joined(1),
            other("#microsoft.graph.group"),
            other("#microsoft.graph.device"),
            other("#microsoft.graph.somethingNew"),
            untyped,
        ]);
        let news = told(&[&[item(1, json!({ "members@delta": entries }))]]);
        assert_eq!(
            words(&news, 1),
            [(person(1), Word::Joined), (person(2), Word::Left)]
        );
        let typeless = json!([{ "id": person(1).to_string() }]);
        let defect = refused(item(1, json!({ "members@delta": typeless })));
        assert_eq!(defect, Defect::Missing("@odata.type"));
        let nameless = json!([{ "@odata.type": "#microsoft.graph.user", "id": "x" }]);
        let defect = refused(item(1, json!({ "members@delta": nameless })));
        assert_eq!(defect, Defect::Missing("id"));
        assert_eq!(refused(json!({ "id": "x" })), Defect::Missing("id"));
    }

    #[test]
    fn a_page_leads_to_one_place_and_has_items() {
        let read = |page: Value| {
            let body = page.to_string().into_bytes();
            Groups.page(&mut GroupsNews::new(), &body)
        };
        let next = json!({ "value": [], "@odata.nextLink": "a" });
        assert_eq!(read(next), Ok(Onward::Page("a".into())));
        let last = json!({ "value": [], "@odata.deltaLink": "b" });
        assert_eq!(read(last), Ok(Onward::Round("b".into())));
        let both = json!({ "value": [], "@odata.nextLink": "a", "@odata.deltaLink": "b" });
        assert_eq!(read(both), Err(Defect::TwoLinks));
        let neither = Defect::Missing("@odata.deltaLink");
        assert_eq!(read(json!({ "value": [] })), Err(neither));
        let empty = json!({ "@odata.deltaLink": "b" });
        assert_eq!(read(empty), Err(Defect::Missing("value")));
        let error = json!({ "value": [], "@odata.deltaLink": "b", "error": { "code": "x" } });
        assert!(matches!(read(error), Err(Defect::ErrorInside { .. })));
    }
}

//! Where people are who seem to be gone: what counts as an absence, and how
//! much does not.

use serde_json::{Value, json};

use super::stub::{Reply, Stub, ids, person, person_id, person_path, quick};
use crate::config::EntraSettings;
use crate::entra::{Progress, Reader};
use crate::model::directory::{Account, ReadingCost};
use crate::model::evidence::{Evidence, Questions, Whereabouts};

const PEOPLE: &str = "/v1.0/users";
const PRESENT: Whereabouts = Whereabouts::Present(Account::Enabled);
const DISABLED: Whereabouts = Whereabouts::Present(Account::Disabled);

/// A directory in which nobody is, and somebody who looks for people.
struct Search {
    stub: Stub,
    reader: Reader,
}

impl Search {
    async fn start() -> Self {
        let stub = Stub::start().await;
        stub.set(PEOPLE, [Reply::page(&[])]);
        let reader = stub.reader();
        Self { stub, reader }
    }

    async fn look(&self, numbers: impl IntoIterator<Item = u32>) -> (Evidence, ReadingCost) {
        let asked = Questions {
            people: ids(numbers),
            ..Questions::default()
        };
        let progress = Progress::unobserved();
        self.reader.second_look(&asked, &progress).await
    }

    /// Looks for person 1.
    async fn find(&self) -> Whereabouts {
        let (mut evidence, _) = self.look([1]).await;
        evidence.people.remove(&person_id(1)).unwrap()
    }

    fn set<const N: usize>(&self, path: &str, replies: [Reply; N]) -> &Self {
        self.stub.set(path, replies);
        self
    }

    fn asked(&self, path: &str) -> usize {
        self.stub.seen_at(path).len()
    }
}

/// Person 1 among the people.
fn alone() -> String {
    person_path(person_id(1))
}

/// Person 1 among the deleted items.
fn deleted() -> String {
    format!("/v1.0/directory/deletedItems/{}", person_id(1))
}

fn absent() -> Reply {
    Reply::error(404, "Request_ResourceNotFound")
}

fn denied() -> Reply {
    Reply::error(403, "Authorization_RequestDenied")
}

fn without(mut person: Value, property: &str) -> Value {
    person.as_object_mut().unwrap().remove(property);
    person
}

fn with(mut person: Value, property: &str, value: Value) -> Value {
    person[property] = value;
    person
}

fn words(found: &Whereabouts) -> &str {
    match found {
        Whereabouts::Unknown(words) => words,
        other => panic!("known: {other:?}"),
    }
}

#[tokio::test]
async fn people_are_looked_up_fifteen_at_a_time_with_what_is_needed_of_them() {
    let search = Search::start().await;
    let everybody: Vec<Value> = (0..40).map(person).collect();
    search.set(PEOPLE, [Reply::page(&everybody)]);
    let (evidence, cost) = search.look(0..40).await;
    assert_eq!(evidence.people.len(), 40);
    assert!(evidence.people.values().all(|found| *found == PRESENT));
    assert!(evidence.assignments.is_none() && evidence.groups.is_empty());
    let seen = search.stub.seen_at(PEOPLE);
    let mut asked: Vec<usize> = seen
        .iter()
        .map(|seen| seen.query["$filter"].matches("','").count() + 1)
        .collect();
    asked.sort_unstable();
    assert_eq!(asked, [10, 15, 15]);
    for seen in &seen {
        assert!(seen.query["$filter"].starts_with("id in ('b0000000-"));
        assert_eq!(seen.query["$select"], "id,userPrincipalName,accountEnabled");
    }
    let expected = ReadingCost {
        requests: 3,
        resource_units: 3,
        retries: 0,
    };
    assert_eq!(cost, expected);
}

#[tokio::test]
async fn nothing_is_sent_when_nothing_is_asked() {
    let search = Search::start().await;
    let (evidence, cost) = search.look([]).await;
    assert!(evidence.people.is_empty());
    assert_eq!(cost, ReadingCost::default());
    assert!(search.stub.seen().is_empty());
}

#[tokio::test]
async fn only_a_shown_false_is_a_disabled_account() {
    let search = Search::start().await;
    let disabled = |number| with(person(number), "accountEnabled", json!(false));
    let rows = [
        disabled(1),
        with(person(2), "accountEnabled", json!(null)),
        without(person(3), "accountEnabled"),
        // What is shown where the name is withheld is not to be believed.
        with(disabled(4), "userPrincipalName", json!(null)),
    ];
    search.set(PEOPLE, [Reply::page(&rows)]);
    let (evidence, _) = search.look(1..5).await;
    let found: Vec<Whereabouts> = evidence.people.into_values().collect();
    assert_eq!(found, [DISABLED, PRESENT, PRESENT, PRESENT]);
}

#[tokio::test]
async fn an_answer_over_several_pages_is_read_to_its_end() {
    let search = Search::start().await;
    let pages = [2, 3].map(|page| (page, format!("{PEOPLE}?page={page}")));
    let [second, third] =
        pages.map(|(page, key)| (search.stub.link(PEOPLE, &page.to_string()), key));
    search
        .set(PEOPLE, [Reply::page_then(&[], &second.0)])
        .set(
            &second.1,
            [Reply::page_then(&[person(1), person(1)], &third.0)],
        )
        // Somebody nobody asked for is nobody's answer.
        .set(&third.1, [Reply::page(&[person(2), person(77)])]);
    let (evidence, cost) = search.look([1, 2]).await;
    let found: Vec<_> = evidence.people.keys().copied().collect();
    assert_eq!(found, ids([1, 2]));
    assert_eq!(cost.requests, 3, "nobody is asked for again");
}

#[tokio::test]
async fn whom_an_answer_lacks_is_asked_for_alone() {
    let search = Search::start().await;
    let disabled = with(person(1), "accountEnabled", json!(false));
    search
        .set(PEOPLE, [Reply::page(&[person(2)])])
        .set(&alone(), [Reply::json(200, &disabled)]);
    let (evidence, cost) = search.look([1, 2]).await;
    assert_eq!(evidence.people[&person_id(1)], DISABLED);
    assert_eq!(cost.requests, 2);
    assert_eq!(search.asked(&person_path(person_id(2))), 0);
    assert_eq!(search.asked(&deleted()), 0);
}

#[tokio::test]
async fn soft_deleted_is_whom_the_deleted_items_show() {
    let search = Search::start().await;
    let id = person_id(1).to_string();
    let item = json!({ "@odata.type": "#microsoft.graph.user", "id": id });
    search.set(&deleted(), [Reply::json(200, &item)]);
    assert_eq!(search.find().await, Whereabouts::SoftDeleted);
    assert_eq!((search.asked(&alone()), search.asked(&deleted())), (1, 1));
}

#[tokio::test]
async fn purged_is_who_is_in_neither_by_graphs_own_words() {
    let search = Search::start().await;
    // Graph is not uniform in case, and nests its codes.
    let nested = json!({ "error": { "code": "request_resourceNotFound",
        "innerError": { "code": "ObjectGone", "date": "2026-03-01" } } });
    search
        .set(&alone(), [Reply::json(404, &nested)])
        .set(&deleted(), [absent()]);
    assert_eq!(search.find().await, Whereabouts::Purged);
    assert_eq!((search.asked(&alone()), search.asked(&deleted())), (2, 1));
}

#[tokio::test]
async fn whoever_is_restored_between_the_two_answers_is_there() {
    let search = Search::start().await;
    let restored = Reply::json(200, &person(1));
    search
        .set(&alone(), [absent(), restored])
        .set(&deleted(), [absent()]);
    assert_eq!(search.find().await, PRESENT);
}

#[tokio::test]
async fn the_last_word_about_somebody_must_be_graphs_own_as_well() {
    let search = Search::start().await;
    search
        .set(&alone(), [absent(), denied()])
        .set(&deleted(), [absent()]);
    assert!(words(&search.find().await).contains("User.Read.All"));
}

#[tokio::test]
async fn a_404_that_is_not_graphs_own_is_no_absence() {
    let search = Search::start().await;
    let foreign = [
        Reply::text(404, ""),
        Reply::text(404, "<html>not found</html>"),
        Reply::json(404, &json!({ "statusCode": 404, "message": "not found" })),
        Reply::error(404, "ResourceNotFound"),
        Reply::error(404, "UnknownError"),
    ];
    for reply in foreign {
        for path in [alone(), deleted()] {
            search.set(&alone(), [absent()]).set(&path, [reply.clone()]);
            let found = search.find().await;
            assert!(words(&found).contains("gateway in between"), "{found:?}");
            assert!(!words(&found).contains("secret words"), "{found:?}");
            search.set(&path, [absent()]);
        }
    }
}

#[tokio::test]
async fn a_404_on_the_list_of_people_says_nothing_about_anybody() {
    let search = Search::start().await;
    search.set(PEOPLE, [absent()]);
    let found = search.find().await;
    assert!(words(&found).contains("/users"), "{found:?}");
    assert_eq!(search.asked(&alone()), 0);
}

#[tokio::test]
async fn a_missing_permission_is_named_wherever_it_shows() {
    let search = Search::start().await;
    for path in [deleted(), alone(), PEOPLE.to_owned()] {
        search.set(&path, [denied()]);
        let found = search.find().await;
        let words = words(&found);
        assert!(
            words.contains("grant the application permission User.Read.All"),
            "{path}: {words}"
        );
        assert!(!words.contains('\n') && words.starts_with("could not be looked up"));
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_leaves_a_person_unknown() {
    let search = Search::start().await;
    let cut = "it ends in the middle";
    let replies = [
        (Reply::text(500, ""), "status 500"),
        (Reply::text(200, r#"{"id":"b0000000-0000"#), cut),
        (Reply::text(200, ""), cut),
        (Reply::text(200, "[]"), "its shape is unexpected"),
        (Reply::text(200, "<html>sign in</html>"), "an HTML page"),
        (Reply::text(200, "{}"), "it has no `id`"),
        (absent_inside(), "`Request_ResourceNotFound` as a success"),
        (Reply::json(200, &person(2)), "it has no `id`"),
        (Reply::json(200, &person(1)).broken(), "cannot be reached"),
    ];
    for (reply, expected) in replies {
        for path in [alone(), deleted()] {
            let before = search.asked(&path);
            search.set(&path, [reply.clone()]);
            let found = search.find().await;
            assert!(words(&found).contains(expected), "{path}: {found:?}");
            assert_eq!(search.asked(&path) - before, 3, "until it is hopeless");
            search.set(&path, [absent()]);
        }
    }
}

fn absent_inside() -> Reply {
    Reply::error(200, "Request_ResourceNotFound")
}

#[tokio::test]
async fn a_portion_that_fails_leaves_the_others_known_and_asks_for_nobody_alone() {
    let stub = Stub::start().await;
    let one_at_a_time = EntraSettings {
        concurrency: 1,
        ..stub.settings()
    };
    let reader = Reader::with_pace(&one_at_a_time, quick()).unwrap();
    let everybody = Reply::page(&(0..45).map(person).collect::<Vec<_>>());
    let cut = || Reply::text(200, r#"{"value":[{"id":"#);
    let replies = [
        everybody.clone(),
        cut(),
        absent_inside(),
        cut(),
        // The last portion is cut once only.
        cut(),
        everybody,
    ];
    stub.set(PEOPLE, replies);
    let asked = Questions {
        people: ids(0..45),
        ..Questions::default()
    };
    let (progress, watched) = Progress::new();
    let (evidence, cost) = reader.second_look(&asked, &progress).await;
    for (number, (id, found)) in (0..).zip(&evidence.people) {
        assert_eq!(*id, person_id(number));
        if (15..30).contains(&number) {
            assert!(words(found).contains("/users"), "{found:?}");
        } else {
            assert_eq!(*found, PRESENT, "{number}");
        }
    }
    assert_eq!((cost.requests, cost.retries), (6, 3));
    let watched = *watched.borrow();
    assert_eq!((watched.usage.requests, watched.usage.retries), (6, 3));
}

#[tokio::test]
async fn a_row_without_an_id_makes_its_portion_unknown() {
    let search = Search::start().await;
    let rows = [person(1), without(person(2), "id")];
    search.set(PEOPLE, [Reply::page(&rows)]);
    let (evidence, _) = search.look([1, 2]).await;
    assert_eq!(evidence.people.len(), 2);
    for found in evidence.people.values() {
        assert!(words(found).contains("it has no `id`"), "{found:?}");
    }
}

#[tokio::test]
async fn what_ends_a_reading_ends_the_look_and_nobody_is_gone() {
    let search = Search::start().await;
    let foreign = "https://elsewhere.test/v1.0/users?page=2";
    search.set(PEOPLE, [Reply::page_then(&[person(1)], foreign)]);
    let (evidence, _) = search.look([1, 2]).await;
    assert_eq!(evidence.people.len(), 2);
    for found in evidence.people.values() {
        assert!(words(found).contains("entra.graph_endpoint"), "{found:?}");
    }

    search.set(PEOPLE, [Reply::text(503, "")]);
    let (evidence, _) = search.look(0..3000).await;
    assert_eq!(evidence.people.len(), 3000);
    for found in evidence.people.values() {
        assert!(words(found).contains("503"), "{found:?}");
    }
    let seen = search.stub.seen().len();
    assert!(
        seen < 100,
        "an outage is not asked through to its end: {seen}"
    );
}

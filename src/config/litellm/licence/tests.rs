use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::*;

fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 21).unwrap()
}

fn signed(data: &Value) -> String {
    let mut bytes = data.to_string().into_bytes();
    bytes.extend_from_slice(b".\x00\xffsignature. with dots");
    BASE64_STANDARD.encode(bytes)
}

fn read(text: &str) -> Licence {
    Licence::read(Some(text), today())
}

#[test]
fn a_signed_licence_says_how_many_users_and_teams() {
    let text = signed(&json!({
        "expiration_date": "2027-01-31", "user_id": "acme", "allowed_features": ["*"],
        "max_users": 250, "max_teams": 40,
    }));
    let licence = read(&text);
    assert_eq!(
        licence,
        Licence::Valid(Terms {
            max_users: Some(250),
            max_teams: Some(40),
            expires: NaiveDate::from_ymd_opt(2027, 1, 31).unwrap(),
            features: vec!["*".into()],
        })
    );
    assert_eq!(read(&format!("{text}\n")), licence, "a final line break");
    assert_eq!(read(text.trim_end_matches('=')), licence, "no padding");
    let ceilings = ceilings(Seats::Auto, &licence);
    assert_eq!(ceilings.users, Limit::AtMost(250));
    assert_eq!(ceilings.teams, Limit::AtMost(40));
    assert_eq!(ceilings.notice, None);
}

#[test]
fn a_licence_without_limits_admits_any_number() {
    let licence = read(&signed(
        &json!({"expiration_date": "2027-01-31", "max_users": "many"}),
    ));
    let ceilings = ceilings(Seats::Auto, &licence);
    assert_eq!(
        (ceilings.users, ceilings.teams),
        (Limit::Unlimited, Limit::Unlimited)
    );
}

#[test]
fn a_licence_no_longer_holds_on_the_day_it_expires() {
    let expiring = |date: &str| read(&signed(&json!({"expiration_date": date})));
    assert!(expiring("2026-11-22").grants_premium());
    assert_eq!(
        expiring("2026-11-21"),
        Licence::Unreadable {
            reason: "expired on 2026-11-21".into()
        }
    );
}

#[test]
fn without_a_licence_five_users_are_admitted_and_the_remedy_is_said() {
    for text in [None, Some(""), Some("  \n")] {
        assert_eq!(Licence::read(text, today()), Licence::Absent);
    }
    let free = ceilings(Seats::Auto, &Licence::Absent);
    assert_eq!(free.users, Limit::AtMost(5));
    assert_eq!(free.teams, Limit::Unlimited);
    assert!(free.notice.unwrap().contains("litellm.seats"));
    assert_eq!(
        ceilings(Seats::AtMost(30), &Licence::Absent),
        Ceilings {
            users: Limit::AtMost(30),
            teams: Limit::Unlimited,
            notice: None
        }
    );
}

#[test]
fn a_licence_that_only_the_vendor_can_check_counts_as_none_and_is_never_printed() {
    let licence = read("sk-opaque-license-0123456789");
    assert!(!licence.grants_premium());
    let ceilings = ceilings(Seats::Auto, &licence);
    assert_eq!(ceilings.users, Limit::AtMost(5));
    let notice = ceilings.notice.unwrap();
    assert!(notice.contains("checks it online"), "{notice}");
    assert!(!notice.contains("opaque"), "{notice}");
}

#[test]
fn damaged_licences_are_unreadable() {
    for (data, reason) in [
        (json!({"max_users": 1}), "has no expiration_date"),
        (
            json!({"expiration_date": "31-01-2027"}),
            "has no expiration_date",
        ),
        (json!(["expiration_date"]), "is not of the signed kind"),
        // LiteLLM splits at the first dot, so this one is cut too early.
        (
            json!({"expiration_date": "2027-01-31", "user_id": "a.b"}),
            "is not of the signed kind",
        ),
    ] {
        let Licence::Unreadable { reason: ours } = read(&signed(&data)) else {
            panic!("{data}");
        };
        assert!(ours.starts_with(reason), "{data}: {ours}");
    }
    let unsigned = BASE64_STANDARD.encode(r#"{"expiration_date":"2027-01-31"}."#);
    assert_eq!(
        read(&unsigned),
        Licence::Unreadable {
            reason: "carries no signature".into()
        }
    );
}

#[test]
fn seats_are_auto_unlimited_or_a_number() {
    for (value, seats) in [
        (json!(null), Seats::Auto),
        (json!("auto"), Seats::Auto),
        (json!("Unlimited"), Seats::Unlimited),
        (json!(0), Seats::AtMost(0)),
        (json!("25"), Seats::AtMost(25)),
    ] {
        assert_eq!(Seats::parse(&value), Ok(seats), "{value}");
    }
    for value in [json!(-1), json!(2.5), json!("lots"), json!(true), json!([])] {
        assert!(Seats::parse(&value).is_err(), "{value}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in ".{0,200}", bytes: Vec<u8>) {
        read(&text);
        read(&BASE64_STANDARD.encode(bytes));
    }
}

//! What a person is called, by the rules of LiteLLM's own Microsoft login, so
//! that what we write is what a login would have written.
//!
//! Source: litellm-contract 2c ("Identity from Microsoft", `_get_sso_user_alias`)
//! and graph-contract 2 (silent degradation). Pure.

use std::borrow::Cow;
use std::sync::Arc;

use super::wire_person::WirePerson;
use crate::model::directory::{Account, Attributes, PersonAttributes};
use crate::model::ids::PersonId;

/// Resolves what Graph showed of a person.
pub(super) fn resolve(id: PersonId, shown: &WirePerson<'_>) -> Attributes {
    // Every user has a principal name; a null one means that the permission
    // to read people is missing, and then all the others are null as well.
    if given(shown.principal_name.as_ref()).is_none() {
        return Attributes::Unknown;
    }
    let subject: Arc<str> = match given(shown.subject.as_ref()) {
        Some(subject) => subject.into(),
        None => id.to_string().into(),
    };
    let email = given(shown.email.as_ref())
        .or(given(shown.mail.as_ref()))
        .map(|email| email.to_lowercase().into_boxed_str());
    let also_known_as = also_known_as(shown, email.as_deref());
    let alias = alias(shown, &subject);
    Attributes::Known(Box::new(PersonAttributes {
        subject,
        email,
        also_known_as,
        alias,
        account: match shown.account_enabled {
            Some(false) => Account::Disabled,
            Some(true) | None => Account::Enabled,
        },
    }))
}

/// The addresses that the settings do not make the e-mail.
fn also_known_as(shown: &WirePerson<'_>, email: Option<&str>) -> Box<[Box<str>]> {
    let mut others: Vec<Box<str>> = [&shown.principal_name, &shown.mail]
        .into_iter()
        .filter_map(|text| given(text.as_ref()))
        .map(|text| text.to_lowercase().into_boxed_str())
        .filter(|text| Some(&**text) != email)
        .collect();
    others.dedup();
    others.into_boxed_slice()
}

/// The trimmed display name unless that is the id; else first and last name,
/// each trimmed.
fn alias(shown: &WirePerson<'_>, subject: &str) -> Option<Box<str>> {
    let display_name = shown.display_name.as_deref().unwrap_or_default().trim();
    if !display_name.is_empty() && display_name != subject.trim() {
        return Some(display_name.into());
    }
    let parts: Vec<&str> = [&shown.first_name, &shown.last_name]
        .into_iter()
        .filter_map(|part| part.as_deref().map(str::trim))
        .filter(|part| !part.is_empty())
        .collect();
    (!parts.is_empty()).then(|| parts.join(" ").into_boxed_str())
}

/// A text that is there; Python takes an empty one for none.
fn given<'t>(text: Option<&'t Cow<'_, str>>) -> Option<&'t str> {
    text.map(AsRef::as_ref).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AttributeNames;
    use crate::entra::wire_person::one_person;

    const ID: &str = "6f9619ff-8b86-d011-b42d-00cf4fc964ff";

    fn read(json: &str, names: &AttributeNames) -> Attributes {
        resolve(
            ID.parse().unwrap(),
            &one_person(json.as_bytes(), names).unwrap(),
        )
    }

    fn known(json: &str) -> PersonAttributes {
        known_by(json, &AttributeNames::default())
    }

    fn known_by(json: &str, names: &AttributeNames) -> PersonAttributes {
        match read(json, names) {
            Attributes::Known(attributes) => *attributes,
            Attributes::Unknown => panic!("unknown"),
        }
    }

    #[test]
    fn a_null_or_absent_principal_name_makes_everything_unknown() {
        for json in [
            format!(r#"{{"id":"{ID}","userPrincipalName":null,"accountEnabled":false}}"#),
            format!(r#"{{"id":"{ID}","displayName":"Anna","mail":"a@b.c"}}"#),
            format!(r#"{{"id":"{ID}","userPrincipalName":""}}"#),
        ] {
            assert!(matches!(
                read(&json, &AttributeNames::default()),
                Attributes::Unknown
            ));
        }
    }

    #[test]
    fn the_other_addresses_are_kept_for_looking_people_up() {
        let other = |rest: &str| known(&format!(r#"{{"id":"{ID}",{rest}}}"#)).also_known_as;
        let none: [Box<str>; 0] = [];
        assert_eq!(*other(r#""userPrincipalName":"A@x","mail":"a@X""#), none);
        assert_eq!(*other(r#""userPrincipalName":"a@x","mail":null"#), none);
        let by_mail = AttributeNames {
            email: "mail".into(),
            ..AttributeNames::default()
        };
        let json = format!(r#"{{"id":"{ID}","userPrincipalName":"U@x","mail":"m@x"}}"#);
        let only = |address: &str| -> [Box<str>; 1] { [address.into()] };
        assert_eq!(*known(&json).also_known_as, only("m@x"));
        assert_eq!(*known_by(&json, &by_mail).also_known_as, only("u@x"));
    }

    #[test]
    fn only_false_disables_an_account() {
        let account = |value: &str| {
            known(&format!(
                r#"{{"id":"{ID}","userPrincipalName":"a"{value}}}"#
            ))
            .account
        };
        assert_eq!(account(""), Account::Enabled);
        assert_eq!(account(r#","accountEnabled":null"#), Account::Enabled);
        assert_eq!(account(r#","accountEnabled":true"#), Account::Enabled);
        assert_eq!(account(r#","accountEnabled":false"#), Account::Disabled);
    }

    #[test]
    fn the_email_is_the_named_attribute_else_mail_in_lower_case_and_untrimmed() {
        let email = |rest: &str| known(&format!(r#"{{"id":"{ID}",{rest}}}"#)).email;
        assert_eq!(
            email(r#""userPrincipalName":"Änna@X.Org ","mail":"m@x.org""#).as_deref(),
            Some("änna@x.org ")
        );
        let names = AttributeNames {
            email: "otherMail".into(),
            ..AttributeNames::default()
        };
        let by_mail = |other: &str| {
            known_by(
                &format!(r#"{{"id":"{ID}","userPrincipalName":"u","mail":"M@x",{other}}}"#),
                &names,
            )
            .email
        };
        assert_eq!(by_mail(r#""otherMail":"O@x""#).as_deref(), Some("o@x"));
        assert_eq!(by_mail(r#""otherMail":"""#).as_deref(), Some("m@x"));
        assert_eq!(by_mail(r#""otherMail":null"#).as_deref(), Some("m@x"));
        assert_eq!(by_mail(r#""otherMail":["O@x"]"#).as_deref(), Some("m@x"));
        assert_eq!(
            known_by(
                &format!(r#"{{"id":"{ID}","userPrincipalName":"u","mail":""}}"#),
                &names
            )
            .email,
            None
        );
    }

    #[test]
    fn the_alias_is_the_display_name_unless_that_is_the_id() {
        let alias = |rest: &str| {
            known(&format!(
                r#"{{"id":"{ID}","userPrincipalName":"u",{rest}}}"#
            ))
            .alias
        };
        assert_eq!(
            alias(r#""displayName":"  Anna A. ""#).as_deref(),
            Some("Anna A.")
        );
        let full = r#""givenName":"Anna","surname":"Arg""#;
        assert_eq!(
            alias(&format!(r#""displayName":"{ID}",{full}"#)).as_deref(),
            Some("Anna Arg")
        );
        assert_eq!(
            alias(&format!(r#""displayName":"  ",{full}"#)).as_deref(),
            Some("Anna Arg")
        );
        assert_eq!(
            alias(r#""displayName":null,"givenName":"","surname":"Arg""#).as_deref(),
            Some("Arg")
        );
        assert_eq!(alias(r#""displayName":"","givenName":null"#), None);
    }

    #[test]
    fn the_subject_is_the_named_attribute_else_the_object_id() {
        let names = AttributeNames {
            id: "employeeId".into(),
            ..AttributeNames::default()
        };
        let subject = |rest: &str| {
            known_by(
                &format!(r#"{{"id":"{ID}","userPrincipalName":"u"{rest}}}"#),
                &names,
            )
            .subject
        };
        assert_eq!(&*subject(r#","employeeId":"E-7""#), "E-7");
        assert_eq!(&*subject(r#","employeeId":7"#), "7");
        assert_eq!(&*subject(r#","employeeId":null"#), ID);
        assert_eq!(&*subject(""), ID);
    }
}

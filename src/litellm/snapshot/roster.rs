//! Reads `members_with_roles` without building a tree of it: a roster may hold
//! a hundred thousand entries.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::target::TeamRole;

/// One entry, borrowed from the text it was read from.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Entry<'a> {
    #[serde(borrow, default)]
    pub(super) user_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
}

impl Entry<'_> {
    /// Everything that is not plainly `user` is treated as an administrator's
    /// decision.
    pub(super) fn role(&self) -> TeamRole {
        match self.role.as_deref() {
            Some("user") => TeamRole::User,
            _ => TeamRole::Admin,
        }
    }
}

/// Hands every entry of a roster to `take`. The column's default `{}` is an
/// empty list; a JSON string that holds the list, which LiteLLM's readers
/// accept, is read as the list.
///
/// # Errors
/// What is wrong, when it is no roster.
pub(super) fn read(json: &str, take: &mut impl FnMut(&Entry<'_>)) -> Result<(), serde_json::Error> {
    if json.trim_start().starts_with('"') {
        let inner: String = serde_json::from_str(json)?;
        return read_list(&inner, take);
    }
    read_list(json, take)
}

fn read_list(json: &str, take: &mut impl FnMut(&Entry<'_>)) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    Roster(take).deserialize(&mut deserializer)?;
    deserializer.end()
}

struct Roster<'t, T>(&'t mut T);

impl<'de, T: FnMut(&Entry<'_>)> DeserializeSeed<'de> for Roster<'_, T> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: FnMut(&Entry<'_>)> Visitor<'de> for Roster<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of members")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(entry) = entries.next_element::<Entry<'_>>()? {
            (self.0)(&entry);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        match map.next_entry::<IgnoredAny, IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(A::Error::custom("an object with fields, not a list")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(json: &str) -> Result<Vec<(Option<String>, TeamRole)>, serde_json::Error> {
        let mut users = Vec::new();
        read(json, &mut |entry| {
            users.push((entry.user_id.as_deref().map(str::to_owned), entry.role()));
        })?;
        Ok(users)
    }

    #[test]
    fn entries_are_read_whatever_else_they_hold() {
        let roster = r#"[{"role":"user","user_id":"a","user_email":null,"x":[1]},
            {"role":"admin","user_id":null,"user_email":"b@example.com"}]"#;
        assert_eq!(
            users(roster).unwrap(),
            [
                (Some("a".to_owned()), TeamRole::User),
                (None, TeamRole::Admin)
            ]
        );
    }

    #[test]
    fn the_columns_default_is_an_empty_roster() {
        assert!(users("{}").unwrap().is_empty());
        assert!(users("[]").unwrap().is_empty());
    }

    #[test]
    fn a_list_inside_a_string_is_read() {
        let json = r#""[{\"role\":\"user\",\"user_id\":\"a\\u00e9\"}]""#;
        assert_eq!(
            users(json).unwrap(),
            [(Some("aé".to_owned()), TeamRole::User)]
        );
    }

    #[test]
    fn what_is_no_roster_is_an_error() {
        assert!(users(r#"{"a":1}"#).is_err());
        assert!(users("[1]").is_err());
        assert!(users("7").is_err());
    }

    mod fuzz {
        use serde_json::Value;

        use super::users;
        use crate::fuzz::fuzz;

        #[test]
        fn any_text_in_the_column_is_a_roster_of_its_own_entries_or_an_error() {
            let seeds: &[&[u8]] = &[
            br#"[{"role":"user","user_id":"a","user_email":null},{"role":"admin","user_id":null}]"#,
            br#""[{\"role\":\"user\",\"user_id\":\"a\\u00e9\"}]""#,
            b"{}",
        ];
            fuzz(seeds, &["\"user\"", "\"role\":", "\\\""], |bytes| {
                let text = String::from_utf8_lossy(bytes);
                let Ok(read) = users(&text) else {
                    return;
                };
                let Ok(mut plain) = serde_json::from_str::<Value>(&text) else {
                    return;
                };
                if let Value::String(inner) = &plain {
                    plain = serde_json::from_str(inner).unwrap_or_default();
                }
                let entries = plain.as_array().cloned().unwrap_or_default();
                if entries.iter().all(Value::is_object) && !plain.is_null() {
                    let ids = entries.iter().map(|entry| entry["user_id"].as_str());
                    let read = read.iter().map(|(id, _)| id.as_deref());
                    assert!(ids.eq(read));
                }
            });
        }
    }
}

//! Object ids that follow from keys, so that tests can name objects without
//! asking for their ids.
//!
//! Invariant: one kind and key always give the same GUID; a key that already is
//! a GUID stands for itself.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::model::ids::{AppRoleId, GroupId, PersonId};

/// The kinds of objects; the same key names different objects in each.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Group,
    Person,
    Device,
    ServicePrincipal,
    Contact,
    Role,
    Application,
    Tenant,
}

/// The GUID that a key of this kind stands for.
pub(super) fn of(kind: Kind, key: &str) -> Uuid {
    match Uuid::try_parse(key) {
        Ok(id) if key.len() == 36 => id,
        _ => {
            let digest = Sha256::digest(format!("{kind:?}\n{key}"));
            let mut bytes = [0; 16];
            for (to, from) in bytes.iter_mut().zip(digest) {
                *to = from;
            }
            uuid::Builder::from_random_bytes(bytes).into_uuid()
        }
    }
}

/// The object id of the group that a tenant was built with under this key.
#[must_use]
pub fn group_id(key: &str) -> GroupId {
    GroupId::new(of(Kind::Group, key))
}

/// The object id of the user that a tenant was built with under this key.
#[must_use]
pub fn person_id(key: &str) -> PersonId {
    PersonId::new(of(Kind::Person, key))
}

/// The id of the app role that a tenant was built with under this value.
#[must_use]
pub fn app_role_id(value: &str) -> AppRoleId {
    AppRoleId::new(of(Kind::Role, value))
}

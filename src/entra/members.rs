//! The members of one group.
//!
//! Invariant: a list is given only if it was read to its end; people are told
//! from other objects here, by `@odata.type`, because the server's own filter
//! reads an index that lags (graph-contract 4). An item without a type is a
//! defect: it must not pass for "no person".

use super::call::{Call, Permission};
use super::error::Error;
use super::fault::Defect;
use super::line::Questions;
use super::objects::{GroupObject, Visibility};
use super::paging::Harvest;
use super::people::Register;
use super::wire_person::{WirePerson, people_page};
use crate::config::{AttributeNames, Membership};
use crate::model::complete::Complete;
use crate::model::directory::{Group, Unread};
use crate::model::ids::{GroupId, PersonId};

/// How a group is to be expanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expansion {
    pub(super) membership: Membership,
    /// Whether somebody receives a role through the group.
    pub(super) role: RoleThroughGroup,
}

/// Whether a group carries an enabled role, which only direct members receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RoleThroughGroup {
    Carried,
    None,
}

/// Reads one group's members.
///
/// # Errors
/// Only what ends the whole reading; other failures become the group's own.
pub(super) async fn read_group(
    questions: Questions<'_>,
    names: &AttributeNames,
    register: &Register,
    id: GroupId,
    object: GroupObject,
    expansion: Expansion,
) -> Result<Group, Error> {
    let Expansion { membership, role } = expansion;
    let visibility = object.visibility;
    let harvest = Members { names, register };
    let read = async |call| {
        let url = match call {
            Call::TransitiveMembers => questions.client().transitive_members(id),
            _ => questions.client().members(id),
        };
        match questions.collect(call, &url, &harvest).await {
            Ok(list) if list.get().rows == 0 && visibility == Visibility::Hidden => {
                Ok(Err(Unread::HiddenMembership))
            }
            Ok(list) => Ok(Ok(list)),
            Err(error) => questions
                .unread(with_hidden_permission(error, visibility))
                .map(Err),
        }
    };
    let listed = match membership {
        Membership::Direct => read(Call::Members).await?,
        Membership::Transitive => read(Call::TransitiveMembers).await?,
    };
    let direct = match (membership, role, &listed) {
        (Membership::Transitive, RoleThroughGroup::Carried, Ok(_)) => {
            Some(read(Call::Members).await?)
        }
        _ => None,
    };
    let display_name = object.display_name;
    let other_members = listed.as_ref().map_or(0, |list| list.get().others);
    Ok(match (listed, direct) {
        // Without the direct list everybody below would receive the role.
        (Err(unread), _) | (Ok(_), Some(Err(unread))) => Group {
            display_name,
            members: Err(unread),
            direct_members: None,
            other_members,
        },
        (Ok(list), direct) => Group {
            display_name,
            members: Ok(sorted(list)),
            direct_members: direct.and_then(Result::ok).map(sorted),
            other_members,
        },
    })
}

/// A group that hides its members needs a permission of its own.
fn with_hidden_permission(error: Error, visibility: Visibility) -> Error {
    match (error, visibility) {
        (Error::PermissionMissing { call, trace, .. }, Visibility::Hidden) => {
            Error::PermissionMissing {
                call,
                permission: Permission::MemberReadHidden,
                trace,
            }
        }
        (error, _) => error,
    }
}

fn sorted(list: Complete<MemberList>) -> Complete<Vec<PersonId>> {
    list.map(|list| {
        let mut people = list.people;
        people.sort_unstable();
        people.dedup();
        people.shrink_to_fit();
        people
    })
}

/// Gathers ids and hands the people to the register.
pub(super) struct Members<'r> {
    pub(super) names: &'r AttributeNames,
    pub(super) register: &'r Register,
}

#[derive(Default)]
pub(super) struct MemberList {
    pub(super) people: Vec<PersonId>,
    pub(super) others: u64,
    pub(super) rows: usize,
}

impl Harvest for Members<'_> {
    type Crop = MemberList;

    fn page(&self, list: &mut MemberList, body: &[u8]) -> Result<Option<String>, Defect> {
        let (items, next) = people_page(body, self.names)?;
        let mut people: Vec<(PersonId, &WirePerson<'_>)> = Vec::with_capacity(items.len());
        for item in &items {
            let kind = item.kind.as_deref().ok_or(Defect::Missing("@odata.type"))?;
            if kind.eq_ignore_ascii_case("#microsoft.graph.user") {
                let id = item.id.as_deref().and_then(|text| text.parse().ok());
                people.push((id.ok_or(Defect::Missing("id"))?, item));
            }
        }
        list.rows += items.len();
        list.others += (items.len() - people.len()) as u64;
        list.people.extend(people.iter().map(|(id, _)| *id));
        self.register.note(people);
        Ok(next)
    }
}

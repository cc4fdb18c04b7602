//! Users, and deleted items.

use uuid::Uuid;

use super::applications::unsupported_clause;
use super::groups::asked_ids;
use super::{Ask, FILTERED_PAGE, Name, OBJECT, Refusal, Row, Typed};
use crate::simulator::properties::{ANY_OBJECT, ObjectType, check_select};
use crate::simulator::query::Clause;
use crate::simulator::tenant::{Presence, User, place_of};

pub(super) fn list(ask: &Ask<'_>) -> Result<Vec<u8>, Refusal> {
    page(ask, |user| user.presence.is_live())
}

pub(super) fn deleted(ask: &Ask<'_>) -> Result<Vec<u8>, Refusal> {
    page(ask, |user| {
        matches!(user.presence, Presence::SoftDeleted(_))
    })
}

fn page(ask: &Ask<'_>, wanted: impl Fn(&User) -> bool) -> Result<Vec<u8>, Refusal> {
    ask.require(ask.rights.read_users())?;
    let query = ask.query(FILTERED_PAGE)?;
    check_select(query.select.as_deref(), &[ObjectType::User])?;
    let clauses = query.filter.as_deref();
    for clause in clauses.unwrap_or_default() {
        if property(clause.property()).is_none() {
            return Err(unsupported_clause(clause.property(), "User"));
        }
    }
    let users = &ask.tenant.users;
    let wanted = &wanted;
    let by_id = clauses.and_then(asked_ids);
    ask.collection(
        "users",
        &query,
        Typed::No,
        |from| -> Box<dyn Iterator<Item = _>> {
            match &by_id {
                Some(ids) => Box::new(ids.iter().enumerate().skip(from).filter_map(|(at, id)| {
                    let place = users.place(*id)?;
                    users.get(place).filter(|user| wanted(user))?;
                    Some((at, Row::User(place)))
                })),
                None => Box::new((from..users.len()).filter_map(move |at| {
                    let place = place_of(at);
                    let user = users.get(place)?;
                    (wanted(user) && fits(user, clauses)).then_some((at, Row::User(place)))
                })),
            }
        },
    )
}

/// How a filter reads a property; few can be asked for.
fn property(name: &str) -> Option<fn(&User) -> Option<String>> {
    fn text(value: &Option<Box<str>>) -> Option<String> {
        value.as_deref().map(str::to_owned)
    }
    Some(match name {
        "id" => |user| Some(user.id.to_string()),
        "userPrincipalName" => |user| Some(user.user_principal_name.to_string()),
        "mail" => |user| text(&user.mail),
        "displayName" => |user| text(&user.display_name),
        "givenName" => |user| text(&user.given_name),
        "surname" => |user| text(&user.surname),
        _ => return None,
    })
}

fn fits(user: &User, clauses: Option<&[Clause]>) -> bool {
    clauses.is_none_or(|clauses| {
        clauses.iter().any(|clause| {
            let value = property(clause.property()).and_then(|read| read(user));
            value.is_some_and(|value| clause.fits(&value))
        })
    })
}

pub(super) fn one(ask: &Ask<'_>, name: &Name) -> Result<Vec<u8>, Refusal> {
    ask.require(ask.rights.read_users())?;
    let query = ask.query(OBJECT)?;
    check_select(query.select.as_deref(), &[ObjectType::User])?;
    let users = &ask.tenant.users;
    let (found, text) = match name {
        Name::Id(id) => (users.live(*id), id.to_string()),
        Name::Alternate(upn) => {
            let same = |user: &&User| {
                user.presence.is_live() && user.user_principal_name.eq_ignore_ascii_case(upn)
            };
            (
                users.iter().find(same).and_then(|user| users.live(user.id)),
                upn.clone(),
            )
        }
    };
    let place = found.ok_or_else(|| Refusal::not_found(&text))?;
    Ok(ask.object("users", &query, Row::User(place), Typed::No))
}

pub(super) fn deleted_item(ask: &Ask<'_>, id: Uuid) -> Result<Vec<u8>, Refusal> {
    let rights = ask.rights;
    ask.require(rights.read_users() || rights.read_groups())?;
    let query = ask.query(OBJECT)?;
    check_select(query.select.as_deref(), ANY_OBJECT)?;
    let soft = |presence: Presence| matches!(presence, Presence::SoftDeleted(_));
    let tenant = ask.tenant;
    let user = tenant.users.place(id).filter(|place| {
        tenant
            .users
            .get(*place)
            .is_some_and(|user| soft(user.presence))
    });
    let group = tenant
        .group_places
        .get(&id)
        .and_then(|place| tenant.groups.get(*place as usize));
    let row = match (user, group.filter(|group| soft(group.presence))) {
        (Some(place), _) => {
            ask.require(rights.read_users())?;
            Row::User(place)
        }
        (None, Some(group)) => {
            ask.require(rights.read_groups())?;
            Row::Group(group)
        }
        (None, None) => return Err(Refusal::not_found(&id.to_string())),
    };
    Ok(ask.object("directoryObjects", &query, row, Typed::Yes))
}

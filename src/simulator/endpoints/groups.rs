//! Groups and their members.

use std::borrow::Cow;
use std::collections::HashSet;

use uuid::Uuid;

use super::applications::unsupported_clause;
use super::{Ask, FILTERED_PAGE, OBJECT, PAGE, Refusal, Relation, Row, Typed};
use crate::simulator::fault::Effect;
use crate::simulator::properties::{ANY_OBJECT, ObjectType, check_select};
use crate::simulator::query::Clause;
use crate::simulator::route::Cast;
use crate::simulator::tenant::{
    Group, Member, OtherKind, Presence, ServicePrincipalMembers, Tenant, Visibility,
};

pub(super) fn list(ask: &Ask<'_>) -> Result<Vec<u8>, Refusal> {
    ask.require(ask.rights.read_groups())?;
    let query = ask.query(FILTERED_PAGE)?;
    check_select(query.select.as_deref(), &[ObjectType::Group])?;
    let clauses = query.filter.as_deref();
    for clause in clauses.unwrap_or_default() {
        if !["id", "displayName"].contains(&clause.property()) {
            return Err(unsupported_clause(clause.property(), "Group"));
        }
    }
    let groups = &ask.tenant.groups;
    let by_id = clauses.and_then(asked_ids);
    ask.collection(
        "groups",
        &query,
        Typed::No,
        |from| -> Box<dyn Iterator<Item = _>> {
            let live = |group: &&Group| group.presence.is_live();
            match (&by_id, clauses) {
                (Some(ids), _) => {
                    Box::new(ids.iter().enumerate().skip(from).filter_map(|(at, id)| {
                        ask.tenant
                            .live_group(*id)
                            .map(|group| (at, Row::Group(group)))
                    }))
                }
                (None, clauses) => Box::new(
                    groups
                        .iter()
                        .enumerate()
                        .skip(from)
                        .filter(move |(_, group)| live(group) && fits(group, clauses))
                        .map(|(at, group)| (at, Row::Group(group))),
                ),
            }
        },
    )
}

/// The ids of a filter that asks for ids only, each once.
pub(super) fn asked_ids(clauses: &[Clause]) -> Option<Vec<Uuid>> {
    let mut ids = Vec::new();
    for clause in clauses {
        match clause {
            Clause::AnyOf(property, values) if property == "id" => {
                ids.extend(
                    values
                        .iter()
                        .filter_map(|value| Uuid::try_parse(value).ok()),
                );
            }
            _ => return None,
        }
    }
    let mut seen = HashSet::new();
    ids.retain(|id| seen.insert(*id));
    Some(ids)
}

fn fits(group: &Group, clauses: Option<&[Clause]>) -> bool {
    clauses.is_none_or(|clauses| {
        clauses.iter().any(|clause| match clause.property() {
            "id" => clause.fits(&group.id.to_string()),
            _ => group
                .display_name
                .as_deref()
                .is_some_and(|name| clause.fits(name)),
        })
    })
}

pub(super) fn one(ask: &Ask<'_>, id: Uuid) -> Result<Vec<u8>, Refusal> {
    ask.require(ask.rights.read_groups())?;
    let query = ask.query(OBJECT)?;
    check_select(query.select.as_deref(), &[ObjectType::Group])?;
    let group = live(ask.tenant, id)?;
    Ok(ask.object("groups", &query, Row::Group(group), Typed::No))
}

fn live(tenant: &Tenant, id: Uuid) -> Result<&Group, Refusal> {
    tenant
        .live_group(id)
        .ok_or_else(|| Refusal::not_found(&id.to_string()))
}

pub(super) fn members(
    ask: &Ask<'_>,
    id: Uuid,
    relation: Relation,
    cast: Cast,
) -> Result<Vec<u8>, Refusal> {
    ask.require(ask.rights.read_groups())?;
    let query = ask.query(PAGE)?;
    let (set, types, typed) = match cast {
        Cast::Users => ("users", &[ObjectType::User][..], Typed::No),
        Cast::Untyped => ("directoryObjects", ANY_OBJECT, Typed::Yes),
    };
    if cast == Cast::Users && !(ask.eventual() && query.count == Some(true)) {
        return Err(Refusal::unsupported(
            "The specified cast needs the header ConsistencyLevel: eventual and $count=true, on \
             every page.",
        ));
    }
    check_select(query.select.as_deref(), types)?;
    let tenant = ask.tenant;
    let group = live(tenant, id)?;
    let hidden = group.visibility == Visibility::HiddenMembership;
    let list: Cow<'_, [Member]> = match relation {
        _ if hidden && !ask.rights.read_hidden_membership() => Cow::Borrowed(&[]),
        Relation::Direct => direct(ask, group),
        Relation::Transitive => transitive(tenant, group).into(),
    };
    ask.collection(set, &query, typed, |from| {
        list.iter()
            .enumerate()
            .skip(from)
            .filter_map(|(at, member)| {
                let row = shown(tenant, *member)?;
                (cast == Cast::Untyped || matches!(row, Row::User(_))).then_some((at, row))
            })
    })
}

/// The direct members as a replica knows them, which may be late.
fn direct<'t>(ask: &Ask<'t>, group: &'t Group) -> Cow<'t, [Member]> {
    let stale = ask.effects.iter().find_map(|effect| match effect {
        Effect::StaleMembers { changes } => Some(*changes),
        _ => None,
    });
    match (stale, ask.tenant.group_places.get(&group.id)) {
        (Some(changes), Some(place)) => {
            let log = &ask.tenant.history.groups;
            log.members_before(*place, &group.members, changes)
        }
        _ => Cow::Borrowed(&group.members),
    }
}

/// The member as a row, unless Graph leaves it out.
pub(super) fn shown(tenant: &Tenant, member: Member) -> Option<Row<'_>> {
    match member {
        Member::User(place) => {
            let user = tenant.users.get(place)?;
            user.presence.is_live().then_some(Row::User(place))
        }
        Member::Group(place) => {
            let group = tenant.groups.get(place as usize)?;
            group.presence.is_live().then_some(Row::Group(group))
        }
        Member::Other(place) => {
            let other = tenant.others.get(place as usize)?;
            let omitted = other.kind == OtherKind::ServicePrincipal
                && tenant.service_principal_members == ServicePrincipalMembers::Omitted;
            (!omitted).then_some(Row::Other(other))
        }
    }
}

/// Direct and nested members, each once; nested groups themselves are among
/// them. Groups may be nested in circles.
fn transitive(tenant: &Tenant, group: &Group) -> Vec<Member> {
    let mut seen: HashSet<Member> = group.members.iter().copied().collect();
    let mut all: Vec<Member> = Vec::with_capacity(seen.len());
    all.extend(&group.members);
    let mut at = 0;
    while let Some(member) = all.get(at).copied() {
        at += 1;
        let Member::Group(place) = member else {
            continue;
        };
        if let Some(nested) = tenant.groups.get(place as usize)
            && nested.presence.is_live()
        {
            all.extend(
                nested
                    .members
                    .iter()
                    .copied()
                    .filter(|member| seen.insert(*member)),
            );
        }
    }
    all
}

pub(super) fn deleted(ask: &Ask<'_>) -> Result<Vec<u8>, Refusal> {
    ask.require(ask.rights.read_groups())?;
    let query = ask.query(PAGE)?;
    check_select(query.select.as_deref(), &[ObjectType::Group])?;
    ask.collection("groups", &query, Typed::No, |from| {
        let groups = ask.tenant.groups.iter().enumerate().skip(from);
        groups
            .filter(|(_, group)| matches!(group.presence, Presence::SoftDeleted(_)))
            .map(|(at, group)| (at, Row::Group(group)))
    })
}

//! Paths of Graph v1.0, as far as this simulator has them.
//!
//! Invariant: a path that is not one of these is refused with Graph's
//! "Resource not found for the segment".

use uuid::Uuid;

use super::refusal::Refusal;

/// How a service principal or a user is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// By object id.
    Id(Uuid),
    /// By the alternate key: `appId` or user principal name.
    Alternate(String),
}

/// `members` or `transitiveMembers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Direct,
    Transitive,
}

/// With or without `/microsoft.graph.user`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cast {
    Untyped,
    Users,
}

/// One endpoint with its ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    ServicePrincipals,
    ServicePrincipal(Name),
    AppRoleAssignedTo(Name),
    Groups,
    GroupsDelta,
    Group(Uuid),
    Members(Uuid, Relation, Cast),
    Users,
    UsersDelta,
    User(Name),
    DeletedUsers,
    DeletedGroups,
    DeletedItem(Uuid),
    GetByIds,
    Subscriptions,
    Subscription(Uuid),
    Batch,
}

impl Route {
    /// Reads a path below `/v1.0`.
    pub(super) fn parse(path: &str) -> Result<Self, Refusal> {
        let decoded: Vec<String> = path
            .trim_matches('/')
            .split('/')
            .map(percent_decode)
            .collect();
        let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["servicePrincipals"] => Ok(Self::ServicePrincipals),
            ["users"] => Ok(Self::Users),
            ["groups"] => Ok(Self::Groups),
            ["groups", "delta" | "delta()" | "microsoft.graph.delta()"] => Ok(Self::GroupsDelta),
            ["users", "delta" | "delta()" | "microsoft.graph.delta()"] => Ok(Self::UsersDelta),
            ["$batch"] => Ok(Self::Batch),
            ["subscriptions"] => Ok(Self::Subscriptions),
            ["subscriptions", id] => Ok(Self::Subscription(guid(id)?)),
            ["directoryObjects", "getByIds" | "microsoft.graph.getByIds"] => Ok(Self::GetByIds),
            ["servicePrincipals", id] => Ok(Self::ServicePrincipal(guid_name(id)?)),
            ["servicePrincipals", id, "appRoleAssignedTo"] => {
                Ok(Self::AppRoleAssignedTo(guid_name(id)?))
            }
            [keyed] if keyed.starts_with("servicePrincipals(") => {
                Ok(Self::ServicePrincipal(app_id(keyed)?))
            }
            [keyed, "appRoleAssignedTo"] if keyed.starts_with("servicePrincipals(") => {
                Ok(Self::AppRoleAssignedTo(app_id(keyed)?))
            }
            ["groups", id] => Ok(Self::Group(guid(id)?)),
            ["groups", id, relation] => Ok(Self::Members(
                guid(id)?,
                parse_relation(relation)?,
                Cast::Untyped,
            )),
            ["groups", id, relation, "microsoft.graph.user"] => Ok(Self::Members(
                guid(id)?,
                parse_relation(relation)?,
                Cast::Users,
            )),
            ["users", id] => Ok(Self::User(match guid(id) {
                Ok(id) => Name::Id(id),
                Err(_) if id.contains('@') => Name::Alternate((*id).to_owned()),
                Err(refusal) => return Err(refusal),
            })),
            ["directory", "deletedItems", "microsoft.graph.user"] => Ok(Self::DeletedUsers),
            ["directory", "deletedItems", "microsoft.graph.group"] => Ok(Self::DeletedGroups),
            ["directory", "deletedItems", id] => Ok(Self::DeletedItem(guid(id)?)),
            other => Err(Refusal::no_segment(
                other.last().copied().unwrap_or_default(),
            )),
        }
    }

    /// The endpoint's name in the journal.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::ServicePrincipals => "servicePrincipals",
            Self::ServicePrincipal(_) => "servicePrincipals/{id}",
            Self::AppRoleAssignedTo(_) => "servicePrincipals/{id}/appRoleAssignedTo",
            Self::Groups => "groups",
            Self::GroupsDelta => "groups/delta",
            Self::Group(_) => "groups/{id}",
            Self::Members(_, Relation::Direct, Cast::Untyped) => "groups/{id}/members",
            Self::Members(_, Relation::Direct, Cast::Users) => {
                "groups/{id}/members/microsoft.graph.user"
            }
            Self::Members(_, Relation::Transitive, Cast::Untyped) => {
                "groups/{id}/transitiveMembers"
            }
            Self::Members(_, Relation::Transitive, Cast::Users) => {
                "groups/{id}/transitiveMembers/microsoft.graph.user"
            }
            Self::Users => "users",
            Self::UsersDelta => "users/delta",
            Self::User(_) => "users/{id}",
            Self::DeletedUsers => "directory/deletedItems/microsoft.graph.user",
            Self::DeletedGroups => "directory/deletedItems/microsoft.graph.group",
            Self::DeletedItem(_) => "directory/deletedItems/{id}",
            Self::GetByIds => "directoryObjects/getByIds",
            Self::Subscriptions => "subscriptions",
            Self::Subscription(_) => "subscriptions/{id}",
            Self::Batch => "$batch",
        }
    }

    /// Resource units of the request (graph-contract 8.1), before the discount
    /// for `$select` and for small pages.
    pub(super) fn base_cost(&self) -> u32 {
        match self {
            Self::Members(_, Relation::Direct, _) => 3,
            Self::Members(_, Relation::Transitive, _) | Self::GetByIds => 5,
            Self::Users => 2,
            _ => 1,
        }
    }
}

fn guid(text: &str) -> Result<Uuid, Refusal> {
    match Uuid::try_parse(text) {
        Ok(id) if text.len() == 36 => Ok(id),
        _ => Err(Refusal::not_a_guid(text)),
    }
}

fn guid_name(text: &str) -> Result<Name, Refusal> {
    guid(text).map(Name::Id)
}

/// `servicePrincipals(appId='…')`.
fn app_id(segment: &str) -> Result<Name, Refusal> {
    let key = segment
        .strip_prefix("servicePrincipals(appId='")
        .and_then(|rest| rest.strip_suffix("')"))
        .ok_or_else(|| Refusal::no_segment(segment))?;
    guid(key).map(|id| Name::Alternate(id.to_string()))
}

fn parse_relation(segment: &str) -> Result<Relation, Refusal> {
    match segment {
        "members" => Ok(Relation::Direct),
        "transitiveMembers" => Ok(Relation::Transitive),
        other => Err(Refusal::no_segment(other)),
    }
}

/// Decodes `%41`; a `+` in a path is a plus.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (byte, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(decoded)) => {
                bytes.push(decoded);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_with_their_ids_checked() {
        let id = "6f9619ff-8b86-d011-b42d-00cf4fc964ff";
        let cast = format!("/groups/{id}/members/microsoft.graph.user");
        assert_eq!(
            Route::parse(&cast).unwrap().label(),
            "groups/{id}/members/microsoft.graph.user"
        );
        let keyed = format!("/servicePrincipals(appId=%27{id}%27)/appRoleAssignedTo");
        assert!(matches!(
            Route::parse(&keyed),
            Ok(Route::AppRoleAssignedTo(Name::Alternate(_)))
        ));
        assert_eq!(Route::parse("/%24batch").unwrap(), Route::Batch);
        assert_eq!(
            Route::parse("/groups/x/members").unwrap_err().code,
            "Request_BadRequest"
        );
        let short = format!("/groups/{id}/members/graph.user");
        assert!(
            Route::parse(&short)
                .unwrap_err()
                .message
                .contains("graph.user")
        );
    }
}

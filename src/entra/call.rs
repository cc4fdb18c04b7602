//! The questions this room asks of Graph, their permissions and their prices.
//!
//! Sources: graph-contract 2 (permissions) and 8.1 (resource units).
//! Must not: know how a request is sent.

use std::fmt;

/// One kind of request. Its `Display` is the path with ids left out, which is
/// all that logs and errors may say about a request's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Call {
    /// The token endpoint.
    Token,
    /// Where Azure gives tokens of managed identities.
    ManagedIdentity,
    /// `/servicePrincipals/{id}`.
    ServicePrincipal,
    /// `/servicePrincipals/{id}/appRoleAssignedTo`.
    Assignments,
    /// `/groups?$filter=id in (…)`.
    Groups,
    /// `/groups/{id}/members`.
    Members,
    /// `/groups/{id}/transitiveMembers`.
    TransitiveMembers,
    /// `/users?$filter=id in (…)`.
    People,
    /// `/users/{id}`.
    Person,
    /// `/directory/deletedItems/microsoft.graph.user`.
    DeletedPeople,
    /// `/directory/deletedItems/{id}`.
    DeletedItem,
    /// `/groups/delta`.
    GroupChanges,
    /// `/users/delta`.
    PeopleChanges,
    /// `/subscriptions`, to be told of groups.
    SubscribeToGroups,
    /// `/subscriptions`, to be told of people.
    SubscribeToPeople,
    /// `/subscriptions/{id}`.
    Subscription,
    /// `/$batch`: the envelope; its items are calls of their own.
    Batch,
}

impl Call {
    /// The least privileged application permission that answers the call.
    #[must_use]
    pub const fn permission(self) -> Permission {
        match self {
            Self::Token | Self::ManagedIdentity | Self::ServicePrincipal | Self::Assignments => {
                Permission::ApplicationReadAll
            }
            Self::Groups | Self::Members | Self::TransitiveMembers | Self::GroupChanges => {
                Permission::GroupMemberReadAll
            }
            Self::SubscribeToGroups => Permission::GroupReadAll,
            Self::Subscription => Permission::OfSubscription,
            // Only look-ups of people come in batches.
            Self::People
            | Self::Person
            | Self::DeletedPeople
            | Self::DeletedItem
            | Self::PeopleChanges
            | Self::SubscribeToPeople
            | Self::Batch => Permission::UserReadAll,
        }
    }

    /// Around one request, for traces: where it goes and what comes of it,
    /// without an id.
    pub(super) fn span(self, method: &'static str) -> tracing::Span {
        tracing::trace_span!(
            "request",
            otel.name = %format_args!("{method} {self}"),
            otel.kind = "client",
            http.request.method = method,
            url.template = %self,
            http.response.status_code = tracing::field::Empty,
        )
    }

    /// What one answer costs in resource units when it does not say so itself.
    /// All our questions carry `$select`, which takes one unit off; subscriptions
    /// are in no table.
    pub(super) const fn resource_units(self) -> u64 {
        match self {
            Self::Token | Self::ManagedIdentity | Self::Batch => 0,
            Self::Members => 2,
            Self::TransitiveMembers => 4,
            Self::ServicePrincipal
            | Self::Assignments
            | Self::Groups
            | Self::People
            | Self::Person
            | Self::DeletedPeople
            | Self::DeletedItem
            | Self::GroupChanges
            | Self::PeopleChanges
            | Self::SubscribeToGroups
            | Self::SubscribeToPeople
            | Self::Subscription => 1,
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "the token endpoint",
            Self::ManagedIdentity => "the endpoint for managed identities",
            Self::ServicePrincipal => "/servicePrincipals/{id}",
            Self::Assignments => "/servicePrincipals/{id}/appRoleAssignedTo",
            Self::Groups => "/groups",
            Self::Members => "/groups/{id}/members",
            Self::TransitiveMembers => "/groups/{id}/transitiveMembers",
            Self::People => "/users",
            Self::Person => "/users/{id}",
            Self::DeletedPeople => "/directory/deletedItems/microsoft.graph.user",
            Self::DeletedItem => "/directory/deletedItems/{id}",
            Self::GroupChanges => "/groups/delta",
            Self::PeopleChanges => "/users/delta",
            Self::SubscribeToGroups | Self::SubscribeToPeople => "/subscriptions",
            Self::Subscription => "/subscriptions/{id}",
            Self::Batch => "/$batch",
        })
    }
}

/// A Microsoft Graph application permission (an app role of Graph itself).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// `Application.Read.All`: the service principal and its assignments.
    ApplicationReadAll,
    /// `GroupMember.Read.All`: group objects and their members.
    GroupMemberReadAll,
    /// `Group.Read.All`: being told of changes of groups.
    GroupReadAll,
    /// `User.Read.All`: names, addresses and state of people.
    UserReadAll,
    /// `Member.Read.Hidden`: members of groups that hide them.
    MemberReadHidden,
    /// What the subscription itself needed, which its id does not say.
    OfSubscription,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApplicationReadAll => "Application.Read.All",
            Self::GroupMemberReadAll => "GroupMember.Read.All",
            Self::GroupReadAll => "Group.Read.All",
            Self::UserReadAll => "User.Read.All",
            Self::MemberReadHidden => "Member.Read.Hidden",
            Self::OfSubscription => "Group.Read.All (for groups) or User.Read.All (for people)",
        })
    }
}

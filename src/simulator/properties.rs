//! Which properties Graph's types have, and which it shows unasked.
//!
//! Invariant: a name that is in none of the lists cannot be selected.

use super::refusal::Refusal;

/// A type, for the question which properties may be selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectType {
    User,
    Group,
    Device,
    ServicePrincipal,
    Contact,
    Assignment,
}

/// Everything that an untyped collection of directory objects may hold.
pub(super) const ANY_OBJECT: &[ObjectType] = &[
    ObjectType::User,
    ObjectType::Group,
    ObjectType::Device,
    ObjectType::ServicePrincipal,
    ObjectType::Contact,
];

/// Without `$select`. Neither `accountEnabled` nor `userType` is among them.
pub(super) const USER_DEFAULTS: &[&str] = &[
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
    "id",
];

const USER_MORE: &[&str] = &[
    "aboutMe",
    "accountEnabled",
    "ageGroup",
    "assignedLicenses",
    "assignedPlans",
    "authorizationInfo",
    "birthday",
    "city",
    "companyName",
    "consentProvidedForMinor",
    "country",
    "createdDateTime",
    "creationType",
    "customSecurityAttributes",
    "deletedDateTime",
    "department",
    "employeeHireDate",
    "employeeId",
    "employeeLeaveDateTime",
    "employeeOrgData",
    "employeeType",
    "externalUserState",
    "externalUserStateChangeDateTime",
    "faxNumber",
    "hireDate",
    "identities",
    "imAddresses",
    "interests",
    "isManagementRestricted",
    "isResourceAccount",
    "lastPasswordChangeDateTime",
    "legalAgeGroupClassification",
    "licenseAssignmentStates",
    "mailboxSettings",
    "mailNickname",
    "mySite",
    "onPremisesDistinguishedName",
    "onPremisesDomainName",
    "onPremisesExtensionAttributes",
    "onPremisesImmutableId",
    "onPremisesLastSyncDateTime",
    "onPremisesProvisioningErrors",
    "onPremisesSamAccountName",
    "onPremisesSecurityIdentifier",
    "onPremisesSyncEnabled",
    "onPremisesUserPrincipalName",
    "otherMails",
    "passwordPolicies",
    "passwordProfile",
    "pastProjects",
    "postalCode",
    "preferredDataLocation",
    "preferredName",
    "provisionedPlans",
    "proxyAddresses",
    "refreshTokensValidFromDateTime",
    "responsibilities",
    "schools",
    "securityIdentifier",
    "serviceProvisioningErrors",
    "showInAddressList",
    "signInSessionsValidFromDateTime",
    "skills",
    "state",
    "streetAddress",
    "usageLocation",
    "userType",
];

/// Without `$select`, shortened to what a reader of names can meet.
pub(super) const GROUP_DEFAULTS: &[&str] = &[
    "id",
    "deletedDateTime",
    "classification",
    "createdDateTime",
    "description",
    "displayName",
    "groupTypes",
    "mail",
    "mailEnabled",
    "mailNickname",
    "membershipRule",
    "onPremisesSyncEnabled",
    "proxyAddresses",
    "renewedDateTime",
    "securityEnabled",
    "securityIdentifier",
    "visibility",
];

const GROUP_MORE: &[&str] = &[
    "assignedLabels",
    "expirationDateTime",
    "isAssignableToRole",
    "membershipRuleProcessingState",
    "onPremisesDomainName",
    "onPremisesSamAccountName",
    "onPremisesSecurityIdentifier",
    "preferredDataLocation",
    "preferredLanguage",
    "resourceProvisioningOptions",
    "theme",
    "uniqueName",
];

/// Devices, other service principals and contacts are shown with these only.
pub(super) const OTHER_DEFAULTS: &[&str] = &["id", "displayName"];

const OTHER_MORE: &[&str] = &[
    "accountEnabled",
    "appId",
    "deletedDateTime",
    "deviceId",
    "mail",
];

/// The service principal without `$select`.
pub(super) const SERVICE_PRINCIPAL_DEFAULTS: &[&str] = &[
    "id",
    "deletedDateTime",
    "accountEnabled",
    "alternativeNames",
    "appDisplayName",
    "appId",
    "appOwnerOrganizationId",
    "appRoleAssignmentRequired",
    "displayName",
    "servicePrincipalNames",
    "servicePrincipalType",
    "signInAudience",
    "tags",
    "appRoles",
    "oauth2PermissionScopes",
];

/// One row of `appRoleAssignedTo`.
pub(super) const ASSIGNMENT_DEFAULTS: &[&str] = &[
    "id",
    "deletedDateTime",
    "appRoleId",
    "createdDateTime",
    "principalDisplayName",
    "principalId",
    "principalType",
    "resourceDisplayName",
    "resourceId",
];

impl ObjectType {
    /// The type's name, as error messages spell it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::User => "microsoft.graph.user",
            Self::Group => "microsoft.graph.group",
            Self::Device => "microsoft.graph.device",
            Self::ServicePrincipal => "microsoft.graph.servicePrincipal",
            Self::Contact => "microsoft.graph.orgContact",
            Self::Assignment => "microsoft.graph.appRoleAssignment",
        }
    }

    /// Whether objects of this type have the property.
    pub(super) fn has(self, name: &str) -> bool {
        match self {
            Self::User => {
                USER_DEFAULTS.contains(&name)
                    || USER_MORE.contains(&name)
                    || name.starts_with("extension_")
            }
            Self::Group => GROUP_DEFAULTS.contains(&name) || GROUP_MORE.contains(&name),
            Self::Device | Self::Contact => {
                OTHER_DEFAULTS.contains(&name) || OTHER_MORE.contains(&name)
            }
            Self::ServicePrincipal => SERVICE_PRINCIPAL_DEFAULTS.contains(&name),
            Self::Assignment => ASSIGNMENT_DEFAULTS.contains(&name),
        }
    }
}

/// Refuses a `$select` with a name that none of the types has.
pub(super) fn check_select(select: Option<&[String]>, types: &[ObjectType]) -> Result<(), Refusal> {
    for name in select.unwrap_or_default() {
        if !types.iter().any(|object| object.has(name)) {
            let object = match types {
                [only] => only.name(),
                _ => "microsoft.graph.directoryObject",
            };
            return Err(Refusal::bad_request(format!(
                "Could not find a property named '{name}' on type '{object}'."
            )));
        }
    }
    Ok(())
}

//! The Enterprise Application: its roles, and who is assigned to it.
//!
//! Invariant: an answer that leaves something out is an error, never "no
//! roles" or "nobody assigned". Source: graph-contract 3.

use std::collections::BTreeMap;

use super::call::Call;
use super::client::PageSize;
use super::error::Error;
use super::fault::Defect;
use super::line::Questions;
use super::paging::Harvest;
use super::wire::{WireAssignment, WireServicePrincipal, page};
use crate::model::complete::Complete;
use crate::model::directory::{AppRole, AppRoleState, Assignment, Principal};
use crate::model::ids::{AppRoleId, ServicePrincipalId};

/// What the service principal says about itself.
pub(super) struct Application {
    pub(super) roles: BTreeMap<AppRoleId, AppRole>,
    /// `accountEnabled`; null is not disabled.
    pub(super) is_disabled: bool,
}

/// Reads the service principal.
///
/// # Errors
/// [`Error::ServicePrincipalNotFound`] explains which id is meant.
pub(super) async fn application(
    questions: Questions<'_>,
    id: ServicePrincipalId,
) -> Result<Application, Error> {
    let url = questions.client().service_principal(id);
    questions
        .ask(Call::ServicePrincipal, &url, |body| {
            let shown: WireServicePrincipal = serde_json::from_slice(body)?;
            if shown.id.parse() != Ok(id) {
                return Err(Defect::Missing("id"));
            }
            let mut roles = BTreeMap::new();
            for role in shown.roles {
                let id = role
                    .id
                    .parse()
                    .map_err(|_| Defect::Missing("appRoles.id"))?;
                let state = match role.is_enabled {
                    Some(false) => AppRoleState::Disabled,
                    Some(true) | None => AppRoleState::Enabled,
                };
                let value = role.value;
                roles.insert(id, AppRole { value, state });
            }
            Ok(Application {
                roles,
                is_disabled: shown.account_enabled == Some(false),
            })
        })
        .await
        .map_err(|error| match error {
            Error::NotFound { trace, .. } => Error::ServicePrincipalNotFound { id, trace },
            other => other,
        })
}

/// Reads every assignment, sorted and without repetition.
///
/// Old reports have it that a list cut at its page size named no next page.
/// A list that is exactly that long is therefore read again in other portions,
/// and what either reading shows counts.
///
/// # Errors
/// As [`application`].
pub(super) async fn assignments(
    questions: Questions<'_>,
    id: ServicePrincipalId,
) -> Result<Complete<Vec<Assignment>>, Error> {
    let read = async |size| {
        let url = questions.client().assignments(id, size);
        questions
            .collect(Call::Assignments, &url, &Assignments)
            .await
            .map_err(|error| match error {
                Error::NotFound { trace, .. } => Error::ServicePrincipalNotFound { id, trace },
                other => other,
            })
    };
    let listed = read(PageSize::Largest).await?;
    let rows = listed.get().rows;
    let suspect = listed.get().pages == 1 && (rows == 100 || rows == 999);
    let second = if suspect {
        Some(read(PageSize::Control).await?)
    } else {
        None
    };
    if let Some(second) = &second
        && second.get().rows != rows
    {
        tracing::warn!(
            rows,
            control_rows = second.get().rows,
            "the assignment list was cut at its page size; both readings are used"
        );
    }
    Ok(listed.map(|list| {
        let mut all = list.assignments;
        all.extend(
            second
                .into_iter()
                .flat_map(|second| second.get().assignments.clone()),
        );
        all.sort_unstable();
        all.dedup();
        all
    }))
}

/// The rows of `appRoleAssignedTo` that name a group or a person.
pub(super) struct Assignments;

#[derive(Default)]
pub(super) struct AssignmentList {
    pub(super) assignments: Vec<Assignment>,
    rows: usize,
    pages: usize,
}

impl Harvest for Assignments {
    type Crop = AssignmentList;

    fn page(&self, list: &mut AssignmentList, body: &[u8]) -> Result<Option<String>, Defect> {
        let (rows, next) = page::<WireAssignment>(body)?;
        let count = rows.len();
        let known: Vec<Option<Assignment>> =
            rows.iter().map(assignment).collect::<Result<_, _>>()?;
        list.assignments.extend(known.into_iter().flatten());
        list.rows += count;
        list.pages += 1;
        Ok(next)
    }
}

/// `None` for service principals and whatever Graph may add.
fn assignment(row: &WireAssignment) -> Result<Option<Assignment>, Defect> {
    let no_id = |_| Defect::Missing("principalId");
    let kind = row.principal_type.as_str();
    let principal = if kind.eq_ignore_ascii_case("Group") {
        Principal::Group(row.principal_id.parse().map_err(no_id)?)
    } else if kind.eq_ignore_ascii_case("User") {
        Principal::Person(row.principal_id.parse().map_err(no_id)?)
    } else {
        return Ok(None);
    };
    let role = row
        .app_role_id
        .parse()
        .map_err(|_| Defect::Missing("appRoleId"))?;
    Ok(Some(Assignment { principal, role }))
}

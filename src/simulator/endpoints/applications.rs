//! Service principals and who is assigned to them.

use super::{Ask, FILTERED_PAGE, Name, OBJECT, Refusal, Row, Typed};
use crate::simulator::properties::{ObjectType, check_select};
use crate::simulator::query::Clause;
use crate::simulator::tenant::Application;

fn find<'t>(ask: &Ask<'t>, name: &Name) -> Result<&'t Application, Refusal> {
    let application = &ask.tenant.application;
    let (known, text) = match name {
        Name::Id(id) => (*id == application.id, id.to_string()),
        Name::Alternate(app_id) => (*app_id == application.app_id.to_string(), app_id.clone()),
    };
    if known {
        Ok(application)
    } else {
        Err(Refusal::not_found(&text))
    }
}

pub(super) fn list(ask: &Ask<'_>) -> Result<Vec<u8>, Refusal> {
    ask.require(ask.rights.read_applications())?;
    let query = ask.query(FILTERED_PAGE)?;
    check_select(query.select.as_deref(), &[ObjectType::ServicePrincipal])?;
    let application = &ask.tenant.application;
    let fits = |clause: &Clause| match clause.property() {
        "id" => Ok(clause.fits(&application.id.to_string())),
        "appId" => Ok(clause.fits(&application.app_id.to_string())),
        "displayName" => Ok(clause.fits(&application.display_name)),
        other => Err(unsupported_clause(other, "ServicePrincipal")),
    };
    let mut shown = query.filter.is_none();
    for clause in query.filter.iter().flatten() {
        shown |= fits(clause)?;
    }
    ask.collection("servicePrincipals", &query, Typed::No, |from| {
        let row = (shown && from == 0).then_some((0, Row::ServicePrincipal(application)));
        row.into_iter()
    })
}

pub(super) fn one(ask: &Ask<'_>, name: &Name) -> Result<Vec<u8>, Refusal> {
    ask.require(ask.rights.read_applications())?;
    let query = ask.query(OBJECT)?;
    check_select(query.select.as_deref(), &[ObjectType::ServicePrincipal])?;
    let application = find(ask, name)?;
    Ok(ask.object(
        "servicePrincipals",
        &query,
        Row::ServicePrincipal(application),
        Typed::No,
    ))
}

pub(super) fn assigned_to(ask: &Ask<'_>, name: &Name) -> Result<Vec<u8>, Refusal> {
    ask.require(ask.rights.read_applications())?;
    let query = ask.query(FILTERED_PAGE)?;
    check_select(query.select.as_deref(), &[ObjectType::Assignment])?;
    let application = find(ask, name)?;
    for clause in query.filter.iter().flatten() {
        // Documented are these two; the principal's type cannot be asked for.
        if !["resourceId", "principalDisplayName"].contains(&clause.property()) {
            return Err(unsupported_clause(clause.property(), "AppRoleAssignment"));
        }
    }
    let fits = |name: &str| {
        query.filter.as_ref().is_none_or(|clauses| {
            clauses.iter().any(|clause| match clause.property() {
                "resourceId" => clause.fits(&application.id.to_string()),
                _ => clause.fits(name),
            })
        })
    };
    ask.collection("appRoleAssignments", &query, Typed::No, |from| {
        let rows = application.assignments.iter().enumerate().skip(from);
        rows.filter(|(_, row)| ask.tenant.shows(row))
            .filter(|(_, row)| fits(row.name.as_deref().unwrap_or_default()))
            .map(|(number, row)| (number, Row::Assignment(number, row)))
    })
}

/// A property that a filter cannot ask for.
pub(super) fn unsupported_clause(property: &str, resource: &str) -> Refusal {
    Refusal::unsupported(format!(
        "Unsupported or invalid query filter clause specified for property '{property}' of \
         resource '{resource}'."
    ))
}

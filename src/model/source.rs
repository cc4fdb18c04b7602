//! A source as settings describe it: one tenant and Enterprise Application.

use super::ids::{ServicePrincipalId, SourceName};

/// Who a source is, and what it is called.
#[derive(Debug, Clone, Copy)]
pub struct Described<'a> {
    /// What people call it.
    pub name: &'a SourceName,
    /// Tenant id or verified domain.
    pub tenant: &'a str,
    /// The Enterprise Application.
    pub service_principal: ServicePrincipalId,
}

impl Described<'_> {
    /// Who it is, whatever it is called: the same wherever the same application
    /// of the same tenant is meant.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.tenant.to_lowercase(), self.service_principal)
    }
}

//! What we own in LiteLLM and what we last wrote there.
//!
//! Invariant: a row here says that we wrote the thing, or that it was there
//! and Entra wanted it. Nothing else may ever be taken away.

mod due;
mod load;
mod record;

pub use due::{await_default_teams, settle_default_teams};
pub use load::{Extent, extent, load};
pub use record::{
    Membership, record_organization_members, record_organizations, record_team_members,
    record_teams, record_users,
};

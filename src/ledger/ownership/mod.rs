//! What we own in LiteLLM and what we last wrote there.
//!
//! Invariant: a row here says that we wrote the thing, or that it was there
//! and Entra wanted it. Nothing else may ever be taken away.

mod count;
mod due;
mod elsewhere;
mod load;
mod load_for;
mod mark;
mod record;

pub use count::{Extent, counts, extent};
pub use due::{await_default_teams, settle_default_teams};
pub use elsewhere::{
    note_unwanted, organization_members_held_elsewhere, team_members_held_elsewhere, tell_named,
    users_wanted_elsewhere,
};
pub use load::load;
pub use load_for::{holders, load_for, ours_among};
pub use mark::{
    ForgottenTeam, ManagedMember, forget_blocks, forget_deactivations, forget_roles, forget_team,
    forget_teams, mark_blocked, mark_deactivated, mark_role,
};
pub use record::{
    Membership, forget_organization_members, forget_team_members, record_organization_members,
    record_organizations, record_team_members, record_teams, record_users,
};

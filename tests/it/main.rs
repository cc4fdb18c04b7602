//! The integration tests: one binary, one file per behaviour, each test with a
//! LiteLLM database of its own. `scripts/test` provides the PostgreSQL.

mod database_role;
mod first_pass;
mod litellm_schema;
mod support;
mod taking_members_away;
mod taking_teams_away;
mod taking_users_access;

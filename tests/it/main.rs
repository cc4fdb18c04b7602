//! The integration tests: one binary, one file per behaviour, each test with a
//! LiteLLM database of its own. `scripts/test` provides the PostgreSQL.

mod database_role;
mod existing_teams;
mod first_pass;
mod litellm_schema;
mod matching;
mod matching_by_email;
mod organization_models;
mod organizations;
mod roles;
mod support;

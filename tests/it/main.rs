//! The integration tests: one binary, one file per behaviour, each test with a
//! LiteLLM database of its own. `scripts/test` provides the PostgreSQL.

mod bad_objects;
mod database_role;
mod existing_teams;
mod filters_and_scopes;
mod first_pass;
mod following;
mod interruptions;
mod litellm_schema;
mod many_members;
mod matching;
mod matching_by_email;
mod meeting_a_login;
mod names;
mod organization_models;
mod organizations;
mod people_as_they_are;
mod reference_rows;
mod roles;
mod seats;
mod support;
mod team_defaults;
mod user_defaults;

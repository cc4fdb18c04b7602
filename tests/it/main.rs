//! The integration tests: one binary, one file per behaviour, each test with a
//! LiteLLM database of its own. `scripts/test` provides the PostgreSQL.

mod check_database;
mod check_entra;
mod cli_exit_codes;
mod cli_failures;
mod cli_failures_database;
mod cli_flags;
mod cli_lease;
mod cli_ledger;
mod cli_secrets;
mod cli_shapes;
mod daemon_outages;
mod daemon_schedule;
mod daemon_signals;
mod database_role;
mod first_pass;
mod litellm_schema;
mod pooler;
mod support;

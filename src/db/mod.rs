//! Connections to LiteLLM's database.

pub mod connect_error;
pub mod tls;

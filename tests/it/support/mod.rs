//! What every integration test stands on: a LiteLLM database of its own, rows
//! as LiteLLM would have written them, and waiting without sleeping.

pub mod database;
pub mod export;
pub mod hands;
pub mod psql;
pub mod seed;
pub mod tables;
pub mod wait;
pub mod world;

pub use database::TestDatabase;
pub use hands::Hands;
pub use tables::Tables;
pub use world::World;

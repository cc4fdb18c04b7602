//! What every integration test stands on: a LiteLLM database of its own, rows
//! as LiteLLM would have written them, and waiting without sleeping.

pub mod aws;
pub mod binary;
pub mod certificates;
pub mod crowd;
pub mod database;
pub mod deeds;
pub mod dice;
pub mod doorman;
pub mod export;
pub mod file;
pub mod gate;
pub mod hands;
pub mod look;
pub mod nook;
pub mod pooler;
pub mod port;
pub mod proxy;
pub mod psql;
pub mod receiver;
pub mod seed;
pub mod server;
pub mod session;
pub mod tables;
pub mod wait;
pub mod world;

pub use database::TestDatabase;
pub use deeds::Tables;
pub use hands::Hands;
pub use world::World;

//! What the integration tests have for running the program, and no database.

#[expect(dead_code, reason = "the integration tests use all of it")]
#[path = "../it/support/binary.rs"]
pub mod binary;
#[path = "../it/support/nook.rs"]
pub mod nook;
#[expect(dead_code, reason = "the integration tests use all of it")]
#[path = "../it/support/wait.rs"]
pub mod wait;

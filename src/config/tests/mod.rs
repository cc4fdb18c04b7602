//! Loading as a whole: which source wins, what is said, and what never is.

mod aws;
mod contradictions;
mod credentials;
mod defaults;
mod entries;
mod fuzz;
mod messages;
mod no_effect;
mod secrets;
mod sources;
mod support;

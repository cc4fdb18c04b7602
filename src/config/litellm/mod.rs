//! LiteLLM's own parameters, read as LiteLLM reads them.
//!
//! Invariant: what leaves this room LiteLLM would have accepted too, and every
//! key of it has an effect. What LiteLLM would refuse at every creation, or
//! silently ignore, stops the program by name here. Must not: open a
//! connection, or know where a setting came from beyond the file it stood in.

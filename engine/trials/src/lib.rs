//! Tries the packet engine: what fuzzers and the suite feed with any octets, and what the programs beside it share.

#![forbid(unsafe_code)]

pub mod associations;
pub mod hex;
pub mod mutation;
pub mod targets;

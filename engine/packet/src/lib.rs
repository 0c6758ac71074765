//! The pure core of Culvert's packet engine: what a user-space XFRM decides about packets (RFC 4301, RFC 4303).
//!
//! No clock (instants are arguments), no sockets, no threads of its own, no unsafe code. The types are Send and Sync where
//! threads share them. A packet's way out: `Headers::parse`, `FlowCache::outbound`, `esp::seal`. A packet's way in: `esp::spi`,
//! `Snapshot::inbound`, `esp::open`, `outer::judge_inner`, `FlowCache::accept`.

#![forbid(unsafe_code)]

pub mod acquire;
pub mod algorithm;
pub mod bundle;
pub mod checksum;
mod cipher;
pub mod coalesce;
pub mod counters;
pub mod database;
pub mod error;
pub mod esp;
pub mod flow;
pub mod fragment;
pub mod gif;
pub mod headers;
pub mod icmp;
mod index;
mod integrity;
pub mod ip;
pub mod lifetime;
pub mod limits;
mod nonces;
mod options;
pub mod outer;
mod policy_list;
pub mod published;
pub mod reason;
pub mod replay;
pub mod sa;
pub mod sad;
mod secpath;
pub mod secret;
pub mod segment;
pub mod selector;
pub mod snapshot;
pub mod spd;
pub mod tcp;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod vectors;
pub mod virtio;

//! The pure core of Culvert's packet engine: what a user-space XFRM decides about packets (RFC 4301, 4302, 4303).
//!
//! No clock (instants are arguments), no sockets, no threads of its own, no unsafe code. The types are Send and Sync where
//! threads share them. A packet's way out: `Headers::parse`, `FlowCache::outbound`, `esp::seal`. A packet's way in: `esp::spi`,
//! `Snapshot::inbound`, `esp::open`, `outer::judge_inner`, `FlowCache::accept`.
//!
//! That is the way of the common case, one ESP tunnel. All else is made of whole IP packets: `protect::seal` and
//! `protect::open` for each SA of a bundle, `gif::Link`, `fragment::Fragments` and `icmp`.

#![forbid(unsafe_code)]

pub mod acquire;
pub mod ah;
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
mod hash;
pub mod headers;
pub mod icmp;
mod index;
mod integrity;
pub mod ip;
pub mod lifetime;
pub mod limits;
pub mod migration;
mod nonces;
mod options;
pub mod outer;
mod policy_list;
pub mod protect;
pub mod published;
pub mod reason;
pub mod reassembly;
pub mod replay;
pub mod sa;
pub mod sad;
mod secpath;
pub mod secret;
pub mod segment;
pub mod selector;
pub mod silence;
pub mod snapshot;
pub mod spd;
pub mod tcp;
#[cfg(test)]
mod testing;
mod transport;
mod tunnel;
#[cfg(test)]
mod vectors;
pub mod virtio;

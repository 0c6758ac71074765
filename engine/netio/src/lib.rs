//! Devices and sockets of the engine: what the kernel gives us, behind small traits, with twins in memory.
//!
//! This is the only crate of the workspace that holds `unsafe` code; each block says why it is sound.

pub mod device;
pub mod header_included;
pub mod host;
pub mod icmp;
pub mod memory;
mod message;
pub mod mmsg;
pub mod poll;
pub mod process;
pub mod raw;
mod rebuild;
pub mod routes;
pub mod seqpacket;
mod socket;
mod syscall;
pub mod tun;
pub mod udp;

pub use device::{Datagrams, ReceiveBatch, Received, Transmit, TunDevice};

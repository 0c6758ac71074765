//! The two packet threads: TUN to sockets, sockets to TUN.

mod arrival;
pub mod inbound;
mod links;
mod local;
pub mod outbound;
mod paths;
mod rests;
mod seal;
mod sender;
#[cfg(test)]
mod tests;
mod too_big;
mod way_in;
mod way_out;

pub use way_in::{KEEPALIVE, NON_ESP_MARKER};

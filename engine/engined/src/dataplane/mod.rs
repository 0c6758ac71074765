//! The two packet threads: TUN to sockets, sockets to TUN.

pub mod inbound;
pub mod outbound;
mod sender;
#[cfg(test)]
mod tests;

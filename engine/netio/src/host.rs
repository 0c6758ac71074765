//! What the host gives while the engine runs: raw sockets that not every gateway needs.

use std::io;
use std::sync::Arc;

use crate::device::Datagrams;
use crate::raw::RawSocket;
use crate::socket::Family;

/// A giver of sockets.
pub trait Host: Send + Sync {
    /// Opens a raw socket for a protocol.
    ///
    /// # Errors
    /// What the host says, `EAFNOSUPPORT` without the family.
    fn raw(&self, family: Family, protocol: u8) -> io::Result<Arc<dyn Datagrams>>;
}

/// The kernel.
#[derive(Clone, Copy, Debug)]
pub struct KernelHost {
    /// The mark of every socket.
    pub mark: u32,
}

impl Host for KernelHost {
    fn raw(&self, family: Family, protocol: u8) -> io::Result<Arc<dyn Datagrams>> {
        Ok(Arc::new(RawSocket::open(family, protocol, self.mark)?))
    }
}

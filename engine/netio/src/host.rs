//! What the host gives while the engine runs: tunnel devices and raw sockets that not every gateway needs.

use std::io;
use std::sync::Arc;

use crate::device::{Datagrams, TunDevice};
use crate::raw::RawSocket;
use crate::socket::Family;
use crate::tun::{Offloads, Tun};

/// A giver of devices.
pub trait Host: Send + Sync {
    /// Opens the tunnel device `name`, which is made if it is not there and outlives the engine until it is forgotten.
    ///
    /// # Errors
    /// What the host says.
    fn tunnel(&self, name: &str) -> io::Result<Arc<dyn TunDevice>>;

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
    fn tunnel(&self, name: &str) -> io::Result<Arc<dyn TunDevice>> {
        Ok(Arc::new(Tun::open(name, Offloads::ALL)?))
    }

    fn raw(&self, family: Family, protocol: u8) -> io::Result<Arc<dyn Datagrams>> {
        Ok(Arc::new(RawSocket::open(family, protocol, self.mark)?))
    }
}

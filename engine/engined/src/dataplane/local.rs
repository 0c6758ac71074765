//! Which addresses are this host's own: what is for others is forwarded.

use std::collections::HashMap;
use std::net::IpAddr;

use netio::routes::Routes;

/// How long the host's answer counts.
const KEPT_NANOSECONDS: u64 = 1_000_000_000;
/// Addresses that are remembered; more make it ask more often.
const MAX_ADDRESSES: usize = 4_096;

/// What one thread remembers.
#[derive(Default)]
pub struct LocalAddresses {
    known: HashMap<IpAddr, (bool, u64)>,
}

impl LocalAddresses {
    /// Whether packets to an address end here. Where the host does not say, they do not.
    pub fn has(&mut self, routes: &dyn Routes, address: IpAddr, now_ns: u64) -> bool {
        if let Some((local, until_ns)) = self.known.get(&address) {
            if now_ns < *until_ns {
                return *local;
            }
        }
        if self.known.len() >= MAX_ADDRESSES {
            self.known.clear();
        }
        let local = routes.is_local(address).unwrap_or(false);
        self.known
            .insert(address, (local, now_ns + KEPT_NANOSECONDS));
        local
    }
}

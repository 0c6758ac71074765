//! What the ways to the peers carry, as far as routers and the host said so: the largest packet, outer header included.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits::MAX_PATH_MTUS;

/// What is learnt is forgotten after ten minutes (RFC 1191 section 6.3, RFC 8201 section 4): the way may have grown.
const KEPT_NANOSECONDS: u64 = 600_000_000_000;
/// What every way over IPv4 carries: the smallest MTU that is believed.
const FLOOR_V4: u32 = 576;
/// The same over IPv6 (RFC 8200 section 5).
const FLOOR_V6: u32 = 1_280;

#[derive(Clone, Copy)]
struct Entry {
    mtu: u32,
    until_ns: u64,
}

/// MTUs by the address of the peer. Packet threads learn and look up, the control thread lets them grow old.
#[derive(Default)]
pub struct PathMtus {
    entries: Mutex<BTreeMap<IpAddr, Entry>>,
    generation: AtomicU64,
}

impl PathMtus {
    /// Notes that packets to `remote` may have at most `mtu` octets, or the least that every way carries. What is larger than
    /// known is not believed; what is as large makes it last longer. Answers the new number if there is one.
    pub fn learn(&self, remote: IpAddr, mtu: u32, now_ns: u64) -> Option<u32> {
        let mtu = mtu.max(if remote.is_ipv4() { FLOOR_V4 } else { FLOOR_V6 });
        let mut entries = self.entries();
        let known = entries.get(&remote).map(|entry| entry.mtu);
        let full = entries.len() >= MAX_PATH_MTUS && known.is_none();
        if full || known.is_some_and(|known| mtu > known) {
            return None;
        }
        let until_ns = now_ns.saturating_add(KEPT_NANOSECONDS);
        entries.insert(remote, Entry { mtu, until_ns });
        if known == Some(mtu) {
            return None;
        }
        self.generation.fetch_add(1, SeqCst);
        Some(mtu)
    }

    /// What is known of the way to a peer.
    pub fn get(&self, remote: IpAddr) -> Option<u32> {
        self.entries().get(&remote).map(|entry| entry.mtu)
    }

    /// All that is known, by address.
    pub fn list(&self) -> Vec<(IpAddr, u32)> {
        let entries = self.entries();
        entries
            .iter()
            .map(|(remote, entry)| (*remote, entry.mtu))
            .collect()
    }

    /// Forgets what is old and answers whose it was.
    pub fn expire(&self, now_ns: u64) -> Vec<IpAddr> {
        let mut entries = self.entries();
        let old: Vec<IpAddr> = entries
            .iter()
            .filter(|(_, entry)| now_ns >= entry.until_ns)
            .map(|(remote, _)| *remote)
            .collect();
        old.iter().for_each(|remote| {
            entries.remove(remote);
        });
        self.generation.fetch_add(old.len() as u64, SeqCst);
        old
    }

    /// Counts changes: a thread that has looked something up may keep it until this changes.
    pub fn generation(&self) -> u64 {
        self.generation.load(SeqCst)
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<IpAddr, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));

    #[test]
    fn an_mtu_shrinks_has_a_floor_and_is_forgotten() {
        let mtus = PathMtus::default();
        assert_eq!(mtus.learn(PEER, 1_400, 0), Some(1_400));
        assert_eq!(mtus.learn(PEER, 1_450, 1), None);
        assert_eq!(mtus.learn(PEER, 1_400, 5), None);
        assert_eq!((mtus.get(PEER), mtus.generation()), (Some(1_400), 1));
        assert!(mtus.expire(KEPT_NANOSECONDS).is_empty());
        assert_eq!(mtus.learn(PEER, 68, 5), Some(576));
        assert_eq!(mtus.expire(5 + KEPT_NANOSECONDS), [PEER]);
        assert!(mtus.list().is_empty());
        let v6 = "2001:db8::1".parse().unwrap();
        assert_eq!(mtus.learn(v6, 600, 0), Some(1_280));
    }

    #[test]
    fn the_table_is_bounded() {
        let mtus = PathMtus::default();
        for number in 0..MAX_PATH_MTUS as u32 + 5 {
            mtus.learn(IpAddr::from(number.to_be_bytes()), 1_400, 0);
        }
        assert_eq!(mtus.list().len(), MAX_PATH_MTUS);
        assert_eq!(mtus.learn(IpAddr::from([0; 4]), 1_300, 0), Some(1_300));
    }
}

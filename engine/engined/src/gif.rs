//! The links of gif(4): each a TUN of its own for packets in packets (RFC 2003, 2473, 4213), made and changed over the control
//! socket, and read by the packet threads.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netio::TunDevice;
use netio::tun::{Offloads, Tun};

use crate::limits::MAX_GIFS;
use crate::refusal::Refusal;

/// Octets of an interface's name, the zero at its end left out (`IFNAMSIZ`).
const NAME_OCTETS: usize = 15;

/// What GIF_SET says of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gif {
    /// The interface.
    pub name: String,
    /// Our end of the outer header.
    pub local: IpAddr,
    /// The other end.
    pub remote: IpAddr,
    /// LINK1: ECN is copied out and in (RFC 6040).
    pub ecn_friendly: bool,
    /// LINK2: inner sources are taken as they come.
    pub no_ingress_filter: bool,
}

impl Gif {
    fn check(&self) -> Result<(), Refusal> {
        let refused = |sentence| Err(Refusal::new(libc::EINVAL, sentence));
        let odd = |character: char| !character.is_ascii_graphic() || "/:%".contains(character);
        if self.name.is_empty() || self.name.len() > NAME_OCTETS || self.name.contains(odd) {
            return refused("the link's name is not one of an interface");
        }
        if self.name.chars().all(|character| character == '.') {
            return refused("the link's name is not one of an interface");
        }
        if self.local.is_ipv4() != self.remote.is_ipv4() {
            return refused("LOCAL and REMOTE are of different families");
        }
        let plain = |address: IpAddr| !address.is_unspecified() && !address.is_multicast();
        if !plain(self.local) || !plain(self.remote) || self.local == self.remote {
            return refused("LOCAL and REMOTE are two hosts");
        }
        Ok(())
    }
}

/// A link that is there.
pub struct GifLink {
    /// What was said of it.
    pub gif: Gif,
    /// Its interface. A change of the link leaves it as it is.
    pub device: Arc<dyn TunDevice>,
}

/// Who makes the interfaces of links.
pub trait GifHost: Send + Sync {
    /// Makes the interface, or takes over one that was left.
    ///
    /// # Errors
    /// What the host says.
    fn open(&self, name: &str) -> io::Result<Arc<dyn TunDevice>>;

    /// Lets the interface go when its last descriptor closes.
    ///
    /// # Errors
    /// What the host says.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// The host's own TUNs.
#[derive(Default)]
pub struct Tuns(Mutex<BTreeMap<String, Arc<Tun>>>);

impl GifHost for Tuns {
    fn open(&self, name: &str) -> io::Result<Arc<dyn TunDevice>> {
        let tun = Arc::new(Tun::open(name, Offloads::ALL)?);
        lock(&self.0).insert(name.to_owned(), Arc::clone(&tun));
        Ok(tun)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        lock(&self.0)
            .remove(name)
            .map_or(Ok(()), |tun| tun.forget())
    }
}

/// All links. The control thread writes, packet threads look at the generation and take the list anew when it has changed.
pub struct GifTable {
    host: Box<dyn GifHost>,
    links: Mutex<BTreeMap<String, Arc<GifLink>>>,
    generation: AtomicU64,
}

impl GifTable {
    /// An empty one.
    pub fn new(host: Box<dyn GifHost>) -> Self {
        Self {
            host,
            links: Mutex::default(),
            generation: AtomicU64::new(0),
        }
    }

    /// Makes a link, or changes the one of this name.
    ///
    /// # Errors
    /// `EINVAL` for what cannot be, `EEXIST` where another link has the two ends, `ENOBUFS`, or what the host says.
    pub fn set(&self, gif: Gif) -> Result<(), Refusal> {
        gif.check()?;
        let mut links = lock(&self.links);
        let has_ends = |link: &&Arc<GifLink>| {
            (link.gif.local, link.gif.remote) == (gif.local, gif.remote)
                && link.gif.name != gif.name
        };
        if let Some(other) = links.values().find(has_ends) {
            let name = &other.gif.name;
            return Err(Refusal::about(
                libc::EEXIST,
                format!("{name} has these two ends already"),
            ));
        }
        let device = match links.get(&gif.name) {
            Some(known) => Arc::clone(&known.device),
            None if links.len() >= MAX_GIFS => {
                return Err(Refusal::new(libc::ENOBUFS, "too many links"));
            }
            None => self.open(&gif.name)?,
        };
        links.insert(gif.name.clone(), Arc::new(GifLink { gif, device }));
        self.generation.fetch_add(1, SeqCst);
        Ok(())
    }

    fn open(&self, name: &str) -> Result<Arc<dyn TunDevice>, Refusal> {
        self.host.open(name).map_err(|error| {
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            Refusal::about(errno, format!("the host did not make {name}: {error}"))
        })
    }

    /// Makes the interface of a link anew. None: the link was removed meanwhile, and so shall its interface be.
    pub fn mend(&self, link: &GifLink) -> Option<io::Result<()>> {
        let links = lock(&self.links);
        let there = &links.get(&link.gif.name)?.device;
        Arc::ptr_eq(there, &link.device).then(|| there.reopen())
    }

    /// Removes a link and its interface, which may be gone already.
    ///
    /// # Errors
    /// `ENOENT`, or what the host says.
    pub fn delete(&self, name: &str) -> Result<(), Refusal> {
        let removed = lock(&self.links).remove(name);
        self.generation.fetch_add(1, SeqCst);
        if removed.is_none() {
            return Err(Refusal::new(libc::ENOENT, "there is no such link"));
        }
        match self.host.remove(name) {
            Err(error) if error.raw_os_error() != Some(libc::EBADFD) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                let sentence = format!("the host did not remove {name}: {error}");
                Err(Refusal::about(errno, sentence))
            }
            _ => Ok(()),
        }
    }

    /// Removes them all; what the host says to it is not asked.
    pub fn clear(&self) {
        for link in self.links() {
            let _ = self.delete(&link.gif.name);
        }
    }

    /// Counts changes.
    pub fn generation(&self) -> u64 {
        self.generation.load(SeqCst)
    }

    /// The links by name.
    pub fn links(&self) -> Vec<Arc<GifLink>> {
        lock(&self.links).values().cloned().collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub mod memory {
    //! Links in memory.

    use netio::memory::MemoryTun;

    use super::*;

    /// Makes devices in memory, and keeps them by name.
    #[derive(Clone, Default)]
    pub struct MemoryGifs(pub Arc<Mutex<BTreeMap<String, Arc<MemoryTun>>>>);

    impl GifHost for MemoryGifs {
        fn open(&self, name: &str) -> io::Result<Arc<dyn TunDevice>> {
            let tun = Arc::new(MemoryTun::new()?);
            lock(&self.0).insert(name.to_owned(), Arc::clone(&tun));
            Ok(tun)
        }

        fn remove(&self, name: &str) -> io::Result<()> {
            lock(&self.0).remove(name);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::memory::MemoryGifs;
    use super::*;

    fn gif(name: &str, last: u8) -> Gif {
        Gif {
            name: name.into(),
            local: [203, 0, 113, 1].into(),
            remote: [198, 51, 100, last].into(),
            ecn_friendly: false,
            no_ingress_filter: false,
        }
    }

    #[test]
    fn a_link_is_made_changed_and_removed_with_one_device() {
        let host = MemoryGifs::default();
        let table = GifTable::new(Box::new(host.clone()));
        table.set(gif("gif0", 1)).unwrap();
        let made = table.links().remove(0);
        table.set(gif("gif0", 2)).unwrap();
        let changed = table.links().remove(0);
        assert_eq!(changed.gif.remote, IpAddr::from([198, 51, 100, 2]));
        assert!(Arc::ptr_eq(&made.device, &changed.device));
        assert_eq!(table.generation(), 2);
        table.delete("gif0").unwrap();
        assert_eq!(table.delete("gif0").unwrap_err().errno, libc::ENOENT);
        assert!(table.links().is_empty() && lock(&host.0).is_empty());
    }

    /// Somebody deleted the interface, and somebody else the link: none of the two comes back.
    #[test]
    fn a_link_whose_interface_is_gone_is_removed_and_not_mended() {
        struct Gone(MemoryGifs);
        impl GifHost for Gone {
            fn open(&self, name: &str) -> io::Result<Arc<dyn TunDevice>> {
                self.0.open(name)
            }
            fn remove(&self, _: &str) -> io::Result<()> {
                Err(io::Error::from_raw_os_error(libc::EBADFD))
            }
        }
        let table = GifTable::new(Box::new(Gone(MemoryGifs::default())));
        table.set(gif("gif0", 1)).unwrap();
        let link = table.links().remove(0);
        assert!(table.mend(&link).is_some());
        table.delete("gif0").unwrap();
        assert!(table.mend(&link).is_none());
        table.set(gif("gif0", 1)).unwrap();
        assert!(table.mend(&link).is_none());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let table = GifTable::new(Box::new(MemoryGifs::default()));
        table.set(gif("gif0", 1)).unwrap();
        assert_eq!(table.set(gif("gif1", 1)).unwrap_err().errno, libc::EEXIST);
        for name in ["", "..", "a/b", "a b", "sixteen-octets--", "ü"] {
            assert_eq!(table.set(gif(name, 3)).unwrap_err().errno, libc::EINVAL);
        }
        let of_two_families = Gif {
            remote: "2001:db8::1".parse().unwrap(),
            ..gif("gif2", 1)
        };
        assert!(table.set(of_two_families).is_err());
        (1..MAX_GIFS).for_each(|number| {
            let mut gif = gif(&format!("gif{number}"), 0);
            gif.remote = IpAddr::from([10, 0, (number >> 8) as u8, number as u8]);
            table.set(gif).unwrap();
        });
        assert_eq!(table.set(gif("more", 9)).unwrap_err().errno, libc::ENOBUFS);
    }
}

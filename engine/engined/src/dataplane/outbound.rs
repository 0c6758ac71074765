//! The thread of the way out. A packet's stations, and the files in their order:
//!
//! 1. read from the TUN or a link's device with its virtio-net header (here), cut apart if it is many in one;
//! 2. parsed, looked up: dropped, held for an SA to come, sent in clear, or (`way_out`)
//! 3. sealed, straight into the sender's arena where one ESP tunnel does it all (`seal`), unless it does not fit the path
//!    (`too_big`);
//! 4. sent with its batch (`sender`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use netio::{TunDevice, poll};
use packet::published::Reader;
use packet::snapshot::Snapshot;
use packet::virtio::VIRTIO_HEADER;

use super::links::Links;
use super::rests::Rests;
use super::way_out::WayOut;
use crate::gif::GifLink;
use crate::log::{self, Level};
use crate::shared::Shared;

/// Reads of a device before the batch is sent: enough to fill the host's largest batch with small packets.
const BATCH_READS: usize = 64;
/// The virtio-net header and the largest packet.
const READ_OCTETS: usize = VIRTIO_HEADER + 65_536;
/// How long a device that cannot be made anew is left alone.
const BROKEN_MS: u32 = 1_000;
/// The same after it was made anew: should it break again at once, no thread may run hot over it.
const MENDED_MS: u32 = 10;

/// The thread of the way out.
pub struct OutboundThread {
    shared: Arc<Shared>,
    reader: Reader,
    links: Links,
    rests: Rests,
    way: WayOut,
    buffer: Vec<u8>,
    snapshot_number: u64,
}

impl OutboundThread {
    /// The thread before it runs.
    pub fn new(shared: Arc<Shared>) -> Self {
        let reader = shared.published.reader();
        Self {
            way: WayOut::new(Arc::clone(&shared)),
            shared,
            reader,
            links: Links::default(),
            rests: Rests::default(),
            buffer: vec![0; READ_OCTETS],
            snapshot_number: 0,
        }
    }

    /// Moves packets until the engine stops.
    pub fn run(mut self) {
        while !self.shared.stopping() {
            // A panic is a bug of ours; it may cost a batch, never the engine.
            if catch_unwind(AssertUnwindSafe(|| self.turn())).is_err() {
                log::write(
                    Level::Error,
                    "A packet on the way out met a bug and its batch is lost.",
                    &[],
                );
                self.recover();
            }
        }
    }

    /// What the bug may have left half done is made anew; packets that wait for an SA wait on.
    fn recover(&mut self) {
        self.reader.leave();
        self.way.recover();
        self.buffer = vec![0; READ_OCTETS];
    }

    /// Waits for packets or a wake, and handles one batch of each device that has some.
    pub fn turn(&mut self) {
        self.links.follow(&self.shared.gifs);
        let ready = self.wait();
        let snapshot = self.reader.enter();
        self.way.begin();
        if snapshot.number() != self.snapshot_number {
            self.snapshot_number = snapshot.number();
            self.way.release_held(&snapshot);
        }
        self.way.expire_held();
        let mut ready = ready.into_iter();
        let outcome = match ready.next() {
            Some(false) => Ok(()),
            _ => self.read_tun(&snapshot),
        };
        let links = self.links.all().zip(ready).filter(|(_, ready)| *ready);
        let links: Vec<_> = links.map(|(link, _)| Arc::clone(link)).collect();
        for link in links {
            self.read_link(&snapshot, &link);
        }
        self.way.flush();
        self.reader.leave();
        if let Err(error) = outcome {
            self.mend_tun(&error);
        }
    }

    /// Which devices have packets: the TUN first, then the links in their order. Those that rest have none.
    fn wait(&mut self) -> Vec<bool> {
        let patience_ms = self.patience_ms();
        let rest = |device: &Arc<dyn TunDevice>| self.rests.has(device);
        let devices: Vec<&Arc<dyn TunDevice>> = std::iter::once(&self.shared.devices.tun)
            .chain(self.links.all().map(|link| &link.device))
            .collect();
        let polled: Vec<Option<BorrowedFd<'_>>> = devices
            .iter()
            .map(|device| device.descriptor().filter(|_| !rest(device)))
            .collect();
        let mut descriptors = vec![self.shared.outbound_wake.as_fd()];
        descriptors.extend(polled.iter().flatten());
        let ready = poll::wait_readable(&descriptors, patience_ms);
        let Ok(ready) = ready else {
            return Vec::new();
        };
        if ready[0] {
            self.shared.outbound_wake.clear();
        }
        let mut ready = ready[1..].iter();
        let of_device = |(device, polled): (&&Arc<dyn TunDevice>, &Option<_>)| match polled {
            Some(_) => ready.next() == Some(&true),
            None => !rest(device),
        };
        devices.iter().zip(&polled).map(of_device).collect()
    }

    /// How long nothing needs to happen: no packet has waited long enough, and no device has rested.
    fn patience_ms(&mut self) -> Option<u32> {
        let rest_ms = self.rests.end(self.shared.clock.nanoseconds());
        rest_ms.into_iter().chain(self.way.patience_ms()).min()
    }

    fn read_tun(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let tun = Arc::clone(&self.shared.devices.tun);
        self.read_batch(&*tun, |way, octets| way.read_tun(snapshot, octets))
    }

    fn read_link(&mut self, snapshot: &Snapshot, link: &Arc<GifLink>) {
        let read = self.read_batch(&*link.device, |way, octets| {
            way.read_link(snapshot, link, octets);
        });
        if let Err(error) = read {
            self.mend_link(link, &error);
        }
    }

    fn read_batch(
        &mut self,
        device: &dyn TunDevice,
        mut handle: impl FnMut(&mut WayOut, &[u8]),
    ) -> io::Result<()> {
        for _ in 0..BATCH_READS {
            match device.read(&mut self.buffer) {
                Ok(octets) => handle(&mut self.way, &self.buffer[..octets]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// An interface that somebody deleted is made anew; who steers packets to it sees it come.
    fn mend_tun(&mut self, error: &io::Error) {
        let tun = Arc::clone(&self.shared.devices.tun);
        self.rest(&tun, "tunnel", tun.reopen(), error);
    }

    /// The same for a link. One that was just removed is not missed.
    fn mend_link(&mut self, link: &GifLink, error: &io::Error) {
        if let Some(reopened) = self.shared.gifs.mend(link) {
            self.rest(&link.device, &link.gif.name, reopened, error);
        }
    }

    /// Meanwhile the others go on: a device that cannot be made anew, because its name is another's now, rests alone.
    fn rest(
        &mut self,
        device: &Arc<dyn TunDevice>,
        name: &str,
        reopened: io::Result<()>,
        error: &io::Error,
    ) {
        let (level, sentence, rest_ms, error) = match &reopened {
            Ok(()) => (
                Level::Warn,
                "A device was gone and is made anew.",
                MENDED_MS,
                error,
            ),
            Err(error) => (Level::Error, "A device is gone.", BROKEN_MS, error),
        };
        log::write(level, sentence, &[("device", &name), ("error", error)]);
        let now_ns = self.shared.clock.nanoseconds();
        self.rests.begin(device, now_ns, rest_ms);
    }
}

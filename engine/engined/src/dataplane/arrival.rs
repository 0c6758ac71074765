//! The end of the way in: judged once, and out by the TUN or a link's device.

use std::io::IoSlice;
use std::sync::Arc;

use netio::TunDevice;
use packet::bundle::Step;
use packet::coalesce::Coalescer;
use packet::ip::{Headers, protocol};
use packet::reason::Drop;
use packet::snapshot::Snapshot;
use packet::virtio::VirtioHeader;

use super::links::link_of;
use super::way_in::WayIn;
use crate::gif::GifLink;
use crate::shared::Shared;

/// What leaves in this batch and may yet be joined: for the TUN, and for each link by its number.
#[derive(Default)]
pub struct Exits {
    tun: Coalescer,
    links: Vec<Coalescer>,
}

impl WayIn {
    /// A packet that came out of SAs: it must be what the policies expect of them (RFC 4301 section 5.2).
    pub fn arrive(
        &mut self,
        snapshot: &Snapshot,
        path: &[Step],
        packet: &mut [u8],
        headers: Headers,
    ) -> Result<(), Drop> {
        self.accept(snapshot, path, &headers)
            .inspect_err(|reason| count(path, *reason))?;
        let number = match headers.protocol {
            protocol::IPV4 | protocol::IPV6 => self.links.of_ends(&headers),
            _ => None,
        };
        match number.map(|(number, link)| (number, Arc::clone(link))) {
            Some((number, link)) => self
                .leave_link(number, &link, packet)
                .inspect_err(|reason| count(path, *reason)),
            None => {
                self.leave(packet, &headers);
                Ok(())
            }
        }
    }

    /// A packet of protocol 4 or 41 that came in clear. The policies must allow just that: a link is no way round them.
    pub fn bare(&mut self, snapshot: &Snapshot, packet: &mut [u8]) -> Result<(), Drop> {
        let headers = Headers::parse(packet)?;
        let (number, link) = self.links.of_ends(&headers).ok_or(Drop::NoGif)?;
        let link = Arc::clone(link);
        self.accept(snapshot, &[], &headers)?;
        self.leave_link(number, &link, &mut packet[..headers.length])
    }

    fn accept(
        &mut self,
        snapshot: &Snapshot,
        path: &[Step],
        headers: &Headers,
    ) -> Result<(), Drop> {
        let forwarded = snapshot.judges_forwarded() && {
            let routes = &*self.shared.devices.routes;
            !self.locals.has(routes, headers.destination, self.now_ns)
        };
        let now_s = self.now_s();
        self.flows.accept(snapshot, path, headers, forwarded, now_s)
    }

    fn leave(&mut self, packet: &[u8], headers: &Headers) {
        let shared = &self.shared;
        self.exits.tun.push(packet, headers, &mut |header, packet| {
            write(shared, &*shared.devices.tun, header, packet);
        });
    }

    fn leave_link(&mut self, number: usize, link: &GifLink, packet: &mut [u8]) -> Result<(), Drop> {
        let range = link_of(&link.gif).ok_or(Drop::NoGif)?.decapsulate(packet)?;
        let inner = &packet[range];
        let headers = Headers::parse(inner)?;
        let shared = &self.shared;
        let exits = &mut self.exits.links;
        if exits.len() <= number {
            exits.resize_with(number + 1, Coalescer::new);
        }
        exits[number].push(inner, &headers, &mut |header, packet| {
            write(shared, &*link.device, header, packet);
        });
        Ok(())
    }

    /// Nothing waits from one batch to the next.
    pub fn finish(&mut self) {
        let shared = &self.shared;
        self.exits.tun.flush(&mut |header, packet| {
            write(shared, &*shared.devices.tun, header, packet);
        });
        for (exit, link) in self.exits.links.iter_mut().zip(self.links.all()) {
            exit.flush(&mut |header, packet| write(shared, &*link.device, header, packet));
        }
    }
}

/// The innermost SA counts what its packet was dropped for.
fn count(path: &[Step], reason: Drop) {
    if let Some(step) = path.last() {
        step.sa.drops().add(reason);
    }
}

fn write(shared: &Shared, device: &dyn TunDevice, header: &VirtioHeader, packet: &[u8]) {
    let header = header.to_octets();
    let parts = [IoSlice::new(&header), IoSlice::new(packet)];
    if device.write(&parts).is_err() {
        shared.inbound_drops.add(Drop::TunWriteFailed);
    }
}

//! Protecting packets: one ESP tunnel straight into the sender's arena, everything else step by step over whole packets.

use std::net::IpAddr;

use packet::bundle::{Bundle, Step};
use packet::checksum;
use packet::esp::Content;
use packet::fragment::Fragments;
use packet::headers::{DontFragment, Front};
use packet::ip::{Headers, protocol};
use packet::protect::{self, Choice};
use packet::reason::Drop;
use packet::sa::{Encap, Mode, Sa};
use packet::segment::Segments;
use packet::{esp, outer};

use super::too_big::Cut;
use super::way_out::{Origin, WayOut};

const UDP_HEADER: usize = 8;

impl WayOut {
    /// Applies the SAs of a bundle to packets and sends what they become.
    pub fn protect(&mut self, bundle: &Bundle, segments: &Segments<'_>, origin: Origin) {
        let destination = last_destination(bundle.steps(), segments.headers());
        let mtu = self.paths.mtu(&self.shared, destination, self.now_ns);
        if let Some(sa) = bundle.single_tunnel() {
            let room = protect::capacity(bundle.steps(), 0, mtu);
            if segments.length(0) <= room {
                return self.seal_directly(sa, segments, room);
            }
        }
        let mut packet = self.take_buffer();
        for number in 0..segments.count() {
            packet.resize(segments.length(number), 0);
            segments.write(number, &mut packet);
            let outcome = self.protect_one(bundle, &packet, mtu, origin);
            self.count(outcome);
        }
        self.give_buffer(packet);
    }

    /// Each packet is written to where its ciphertext will stand, and sealed there. `room`: octets that fit the path.
    fn seal_directly(&mut self, sa: &Sa, segments: &Segments<'_>, room: usize) {
        let (now_s, headers) = (self.now_s(), segments.headers());
        let traffic_class = outer::tos(sa, headers.tos);
        let content = Content {
            next_header: outer::next_header(headers),
            pad_to: room.min(sa.params().tfc_padding as usize),
        };
        let offset = esp::payload_offset(sa);
        for number in 0..segments.count() {
            let octets = segments.length(number);
            self.make_room(octets.max(content.pad_to));
            let sealed = self.sender.collect(sa, traffic_class, |room| {
                segments.write(number, &mut room[offset..]);
                esp::seal_in_place(sa, room, octets, content, now_s)
            });
            self.count(sealed);
        }
    }

    /// A packet that fits, or is cut where it may be, or is refused.
    fn protect_one(
        &mut self,
        bundle: &Bundle,
        packet: &[u8],
        mtu: usize,
        origin: Origin,
    ) -> Result<(), Drop> {
        let steps = bundle.steps();
        // A fragment has no such front: in transport mode sealing refuses it, in tunnel mode its headers do not matter.
        let front = Front::unfragmentable(packet).map_or(0, |front| front.end);
        let room = protect::capacity(steps, front, mtu);
        if packet.len() <= room {
            return self.seal_whole(steps, packet, DontFragment::Copy, mtu);
        }
        match Cut::of(bundle, packet, origin) {
            Cut::Inside => self.seal_fragments(steps, packet, room, mtu),
            Cut::Outside => self.seal_whole(steps, packet, DontFragment::Clear, mtu),
            Cut::Refused => self.refuse(packet, room),
        }
    }

    /// Cuts a packet before it is sealed.
    fn seal_fragments(
        &mut self,
        steps: &[Step],
        packet: &[u8],
        room: usize,
        mtu: usize,
    ) -> Result<(), Drop> {
        let fragments = Fragments::new(packet, room, self.identification())?;
        let mut fragment = self.take_buffer();
        let outcome = (0..fragments.count()).try_for_each(|number| {
            fragments.write(number, &mut fragment);
            self.seal_whole(steps, &fragment, DontFragment::Copy, mtu)
        });
        self.give_buffer(fragment);
        outcome
    }

    /// Applies one SA after the other, each to the whole packet that the one before made.
    fn seal_whole(
        &mut self,
        steps: &[Step],
        packet: &[u8],
        dont_fragment: DontFragment,
        mtu: usize,
    ) -> Result<(), Drop> {
        let (mut made, mut next) = (self.take_buffer(), self.take_buffer());
        made.extend(packet);
        let outcome = (0..steps.len())
            .try_for_each(|number| {
                let choice = Choice {
                    identification: self.identification() as u16,
                    dont_fragment,
                    pad_at_most: protect::capacity(&steps[number..], 0, mtu),
                };
                self.seal_step(&steps[number], &made, &choice, &mut next)?;
                std::mem::swap(&mut made, &mut next);
                Ok(())
            })
            .and_then(|()| {
                let source = Headers::parse(&made)?.source;
                self.send_whole(&made, mtu, source)
            });
        self.give_buffer(made);
        self.give_buffer(next);
        outcome
    }

    fn seal_step(
        &mut self,
        step: &Step,
        packet: &[u8],
        choice: &Choice,
        out: &mut Vec<u8>,
    ) -> Result<(), Drop> {
        let at = protect::seal(step, packet, choice, out, self.now_s())?;
        match step.sa.params().encap {
            Some(encap) => put_in_udp(out, at, encap),
            None => Ok(()),
        }
    }

    /// Sends a whole packet, in fragments if it is larger than the path takes. `local`: as `Sender::collect_whole`.
    ///
    /// Errors: `TooBig` for one that must not be fragmented.
    pub fn send_whole(&mut self, packet: &[u8], mtu: usize, local: IpAddr) -> Result<(), Drop> {
        let headers = Headers::parse(packet)?;
        if headers.length <= mtu {
            self.make_room(headers.length);
            self.sender.collect_whole(packet, local, &headers);
            return Ok(());
        }
        let fragments = Fragments::new(packet, mtu, self.identification())?;
        let mut fragment = self.take_buffer();
        for number in 0..fragments.count() {
            fragments.write(number, &mut fragment);
            self.make_room(fragment.len());
            let headers = Headers::parse(&fragment)?;
            self.sender.collect_whole(&fragment, local, &headers);
        }
        self.give_buffer(fragment);
        Ok(())
    }

    /// Sends what was collected if a packet of so many octets may not fit behind it.
    fn make_room(&mut self, octets: usize) {
        if self.sender.is_full_for(octets) {
            self.flush();
        }
    }
}

/// The destination of the outermost header when all steps are done.
fn last_destination(steps: &[Step], headers: &Headers) -> IpAddr {
    let tunnel = steps.iter().rev().find(|step| step.mode == Mode::Tunnel);
    tunnel.map_or(headers.destination, |step| step.sa.params().destination)
}

/// Puts a UDP header in front of the ESP that begins at `at` (RFC 3948 section 2.1). IPv4 goes without a checksum, IPv6 must not.
fn put_in_udp(packet: &mut Vec<u8>, at: usize, encap: Encap) -> Result<(), Drop> {
    let front = Front::before_upper(packet)?;
    let length = u16::try_from(packet.len() - at + UDP_HEADER).map_err(|_| Drop::TooBig)?;
    let mut header = [0; UDP_HEADER];
    header[..2].copy_from_slice(&encap.source_port.to_be_bytes());
    header[2..4].copy_from_slice(&encap.destination_port.to_be_bytes());
    header[4..6].copy_from_slice(&length.to_be_bytes());
    packet.splice(at..at, header);
    front.amend(packet, protocol::UDP)?;
    if packet[0] >> 4 == 6 {
        let start = checksum::pseudo_header(packet, protocol::UDP, length.into());
        let value = match !checksum::fold(checksum::sum(start, &packet[at..])) {
            0 => 0xffff,
            value => value,
        };
        packet[at + 6..at + 8].copy_from_slice(&value.to_be_bytes());
    }
    Ok(())
}

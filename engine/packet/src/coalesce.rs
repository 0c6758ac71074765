//! Joining consecutive TCP segments of a flow into one packet for a TUN with segmentation offload: the way back of `segment`.

use std::net::IpAddr;

use crate::checksum;
use crate::ip::{Fragment, Headers, IPV4_HEADER, IPV6_HEADER, protocol, u16_at};
use crate::limits::{MAX_COALESCED_FLOWS, MAX_PACKET_OCTETS};
use crate::tcp;
use crate::virtio::{GSO_TCPV4, GSO_TCPV6, NEEDS_CHECKSUM, VirtioHeader};

type Flow = (IpAddr, IpAddr, Option<(u16, u16)>);

/// What may be joined: a TCP segment with payload, right checksums, and no flag but ACK and PSH.
struct Segment<'a> {
    packet: &'a [u8],
    headers: Headers,
    /// Octets of all headers.
    header: usize,
}

impl<'a> Segment<'a> {
    fn judge(packet: &'a [u8], headers: &Headers) -> Option<Segment<'a>> {
        let plain = if headers.is_ipv4() {
            IPV4_HEADER
        } else {
            IPV6_HEADER
        };
        if headers.protocol != protocol::TCP
            || headers.fragment != Fragment::Whole
            || headers.transport != plain
        {
            return None;
        }
        let upper = &packet[plain..];
        let header = plain + tcp::header_length(upper)?;
        let joinable = packet.len() > header
            && tcp::flags(upper) & !tcp::PSH == tcp::ACK
            && upper[12] & 15 == 0;
        let sum = checksum::pseudo_header(packet, protocol::TCP, upper.len());
        let right = checksum::fold(checksum::sum(sum, upper)) == 0xffff
            && (!headers.is_ipv4() || checksum::checksum(&packet[..IPV4_HEADER]) == 0);
        (joinable && right).then_some(Segment {
            packet,
            headers: *headers,
            header,
        })
    }

    fn upper(&self) -> &'a [u8] {
        &self.packet[self.headers.transport..]
    }

    fn payload(&self) -> &'a [u8] {
        &self.packet[self.header..]
    }
}

/// A packet that grows.
#[derive(Debug)]
struct Slot {
    flow: Flow,
    packet: Vec<u8>,
    transport: usize,
    header: usize,
    /// Octets of payload of each segment but the last.
    size: usize,
    segments: usize,
    /// A short segment or PSH ends it.
    closed: bool,
}

impl Slot {
    /// Whether a segment is the exact continuation.
    fn continues(&self, segment: &Segment<'_>) -> bool {
        let mine = &self.packet[self.transport..self.header];
        let next = tcp::sequence(mine).wrapping_add((self.packet.len() - self.header) as u32);
        !self.closed
            && self.header == segment.header
            && segment.payload().len() <= self.size
            && self.packet.len() + segment.payload().len() <= MAX_PACKET_OCTETS
            && tcp::sequence(segment.upper()) == next
            && same_tcp(mine, &segment.upper()[..mine.len()])
            && self.same_ip(segment)
    }

    /// Headers of IP equal but for length and checksum; identification counts up, or stays where DF makes it meaningless
    /// (RFC 6864 section 4.1).
    fn same_ip(&self, segment: &Segment<'_>) -> bool {
        let (mine, other) = (&self.packet[..], segment.packet);
        if !segment.headers.is_ipv4() {
            return mine[..4] == other[..4] && mine[6..8] == other[6..8];
        }
        let (first, this) = (u16_at(mine, 4), u16_at(other, 4));
        let counted = this == first.wrapping_add(self.segments as u16);
        let meaningless = mine[6] & 0x40 != 0 && this == first;
        mine[..2] == other[..2] && mine[6..9] == other[6..9] && (counted || meaningless)
    }

    fn begin(&mut self, flow: Flow, segment: &Segment<'_>) {
        self.packet.clear();
        self.packet.extend_from_slice(segment.packet);
        self.flow = flow;
        self.transport = segment.headers.transport;
        self.header = segment.header;
        self.size = segment.payload().len();
        self.segments = 1;
        self.closed = tcp::flags(segment.upper()) & tcp::PSH != 0;
    }

    fn join(&mut self, segment: &Segment<'_>) {
        self.packet.extend_from_slice(segment.payload());
        self.segments += 1;
        let flags = tcp::flags(segment.upper());
        self.closed = flags & tcp::PSH != 0 || segment.payload().len() < self.size;
        tcp::set_flags(&mut self.packet[self.transport..], flags);
    }

    /// Write lengths and the partial checksum, and hand the packet out.
    fn emit(&mut self, emit: &mut dyn FnMut(&VirtioHeader, &[u8])) {
        match self.segments {
            0 => return,
            1 => emit(&VirtioHeader::NONE, &self.packet),
            _ => emit(&self.finish(), &self.packet),
        }
        self.segments = 0;
    }

    fn finish(&mut self) -> VirtioHeader {
        let ipv4 = self.packet[0] >> 4 == 4;
        let length = self.packet.len() as u16;
        if ipv4 {
            self.packet[2..4].copy_from_slice(&length.to_be_bytes());
            checksum::write_ipv4(&mut self.packet, IPV4_HEADER);
        } else {
            self.packet[4..6].copy_from_slice(&(length - IPV6_HEADER as u16).to_be_bytes());
        }
        let upper = self.packet.len() - self.transport;
        let partial = checksum::fold(checksum::pseudo_header(&self.packet, protocol::TCP, upper));
        let place = self.transport + tcp::CHECKSUM;
        self.packet[place..place + 2].copy_from_slice(&partial.to_be_bytes());
        VirtioHeader {
            flags: NEEDS_CHECKSUM,
            gso_type: if ipv4 { GSO_TCPV4 } else { GSO_TCPV6 },
            header_length: self.header as u16,
            gso_size: self.size as u16,
            checksum_start: self.transport as u16,
            checksum_offset: tcp::CHECKSUM as u16,
        }
    }
}

/// Ports, acknowledgement, window, urgent pointer and options equal; sequence number, flags and checksum apart.
fn same_tcp(mine: &[u8], other: &[u8]) -> bool {
    mine[..4] == other[..4]
        && mine[8..13] == other[8..13]
        && mine[14..tcp::CHECKSUM] == other[14..tcp::CHECKSUM]
        && mine[tcp::CHECKSUM + 2..] == other[tcp::CHECKSUM + 2..]
}

/// Joins the segments of one batch. Packets of a flow come out in the order in which they came in.
#[derive(Debug, Default)]
pub struct Coalescer {
    slots: Vec<Slot>,
    /// The place that makes room next.
    oldest: usize,
}

impl Coalescer {
    /// An empty one. It keeps its buffers from batch to batch.
    pub fn new() -> Coalescer {
        Coalescer::default()
    }

    /// Take a packet of exactly `headers.length` octets. `emit` gets what is complete: at once, or later.
    pub fn push(
        &mut self,
        packet: &[u8],
        headers: &Headers,
        emit: &mut dyn FnMut(&VirtioHeader, &[u8]),
    ) {
        if headers.protocol != protocol::TCP {
            return emit(&VirtioHeader::NONE, packet);
        }
        let flow = (headers.source, headers.destination, headers.ports);
        let known = self
            .slots
            .iter_mut()
            .find(|slot| slot.segments > 0 && slot.flow == flow);
        match (Segment::judge(packet, headers), known) {
            (Some(segment), Some(slot)) if slot.continues(&segment) => slot.join(&segment),
            (Some(segment), Some(slot)) => {
                slot.emit(emit);
                slot.begin(flow, &segment);
            }
            (Some(segment), None) => self.free_slot(flow, emit).begin(flow, &segment),
            (None, known) => {
                if let Some(slot) = known {
                    slot.emit(emit);
                }
                emit(&VirtioHeader::NONE, packet);
            }
        }
    }

    /// Hand out all that waits: at the end of the batch.
    pub fn flush(&mut self, emit: &mut dyn FnMut(&VirtioHeader, &[u8])) {
        for slot in &mut self.slots {
            slot.emit(emit);
        }
    }

    fn free_slot(&mut self, flow: Flow, emit: &mut dyn FnMut(&VirtioHeader, &[u8])) -> &mut Slot {
        let free = self.slots.iter().position(|slot| slot.segments == 0);
        let place = match free {
            Some(place) => place,
            None if self.slots.len() < MAX_COALESCED_FLOWS => {
                let packet = Vec::with_capacity(MAX_PACKET_OCTETS);
                self.slots.push(Slot {
                    flow,
                    packet,
                    transport: 0,
                    header: 0,
                    size: 0,
                    segments: 0,
                    closed: false,
                });
                self.slots.len() - 1
            }
            None => {
                self.oldest = (self.oldest + 1) % self.slots.len();
                self.slots[self.oldest].emit(emit);
                self.oldest
            }
        };
        &mut self.slots[place]
    }
}

#[cfg(test)]
mod tests;

//! Putting fragments together that the host gave us to send: transport mode protects whole packets only (RFC 4303 section
//! 3.3.4), and only a whole packet shows its ports to every selector. What arrives, the host puts together itself.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::headers::{Extensions, Front};
use crate::ip::{Headers, protocol, u16_at, u32_at};
use crate::limits::{
    MAX_FRAGMENTS_PER_PACKET, MAX_PACKET_OCTETS, MAX_REASSEMBLIES, REASSEMBLY_NANOSECONDS,
};
use crate::reason::Drop;

const FRAGMENT_HEADER: usize = 8;
const MORE_IPV4: u16 = 0x2000;
const OFFSET_IPV4: u16 = 0x1fff;
const PROTOCOL_AT_IPV6: usize = 6;

/// What fragments of one packet have in common (RFC 791 section 3.2, RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    identification: u32,
}

/// A fragment taken apart.
struct Part<'a> {
    key: Key,
    offset: usize,
    last: bool,
    /// The headers that come once, as the whole packet begins with them but for its lengths.
    headers: Vec<u8>,
    front: Front,
    /// What stands behind the headers of the whole packet.
    next_header: u8,
    payload: &'a [u8],
}

impl<'a> Part<'a> {
    fn of(packet: &'a [u8], headers: &Headers) -> Result<Part<'a>, Drop> {
        let packet = &packet[..headers.length];
        match headers.is_ipv4() {
            true => Ok(Part::ipv4(packet, headers)),
            false => Part::ipv6(packet, headers),
        }
    }

    fn ipv4(packet: &'a [u8], headers: &Headers) -> Part<'a> {
        let field = u16_at(packet, 6);
        let end = headers.transport;
        let mut first = packet[..end].to_vec();
        first[6..8].fill(0);
        Part {
            key: Key {
                source: headers.source,
                destination: headers.destination,
                protocol: headers.protocol,
                identification: u16_at(packet, 4).into(),
            },
            offset: usize::from(field & OFFSET_IPV4) * 8,
            last: field & MORE_IPV4 == 0,
            front: Front {
                end,
                next_header_at: 9,
                length: packet.len(),
            },
            headers: first,
            next_header: headers.protocol,
            payload: &packet[end..],
        }
    }

    fn ipv6(packet: &'a [u8], headers: &Headers) -> Result<Part<'a>, Drop> {
        let mut next_header_at = PROTOCOL_AT_IPV6;
        for extension in Extensions::of(packet) {
            let extension = extension?;
            if extension.protocol != protocol::FRAGMENT {
                next_header_at = extension.start;
                continue;
            }
            let (start, end) = (extension.start, extension.end);
            let field = u16_at(packet, start + 2);
            return Ok(Part {
                key: Key {
                    source: headers.source,
                    destination: headers.destination,
                    // IPv6 tells packets apart by the identification alone.
                    protocol: 0,
                    identification: u32_at(packet, start + 4),
                },
                offset: usize::from(field & !7),
                last: field & 1 == 0,
                front: Front {
                    end: end - FRAGMENT_HEADER,
                    next_header_at,
                    length: packet.len(),
                },
                headers: packet[..start].to_vec(),
                next_header: packet[start],
                payload: &packet[end..],
            });
        }
        Err(Drop::Fragment)
    }

    fn end(&self) -> usize {
        self.offset + self.payload.len()
    }

    /// A packet cannot be longer than its length field can say, and all but the last fragment have whole units of 8 octets.
    fn check(&self) -> Result<(), Drop> {
        let fits = self.headers.len() + self.end() <= MAX_PACKET_OCTETS;
        let whole_units = self.last || (self.payload.len() % 8 == 0 && !self.payload.is_empty());
        match fits && whole_units {
            true => Ok(()),
            false => Err(Drop::Malformed),
        }
    }
}

/// A packet that is not whole yet.
#[derive(Debug)]
struct Unfinished {
    key: Key,
    since_ns: u64,
    /// Of the first fragment: headers, where they end, what follows.
    first: Option<(Vec<u8>, Front, u8)>,
    /// Where it ends, known from the last fragment.
    end: Option<usize>,
    /// Offset and octets, in the order of the offsets, none over another.
    parts: Vec<(usize, Vec<u8>)>,
}

impl Unfinished {
    fn new(key: Key, since_ns: u64) -> Unfinished {
        Unfinished {
            key,
            since_ns,
            first: None,
            end: None,
            parts: Vec::new(),
        }
    }

    /// Errors: `Fragment` for what overlaps (RFC 5722), contradicts the end, or is one too many.
    fn add(&mut self, part: &Part<'_>) -> Result<(), Drop> {
        let place = self
            .parts
            .partition_point(|(offset, _)| *offset < part.offset);
        let before = place.checked_sub(1).map(|before| &self.parts[before]);
        let overlaps = before.is_some_and(|(offset, octets)| offset + octets.len() > part.offset)
            || self
                .parts
                .get(place)
                .is_some_and(|(offset, _)| *offset < part.end());
        let beyond = self.end.is_some_and(|end| part.end() > end || part.last);
        let reached = self
            .parts
            .last()
            .map_or(0, |(offset, octets)| offset + octets.len());
        let too_early = part.last && part.end() < reached;
        if overlaps || beyond || too_early || self.parts.len() >= MAX_FRAGMENTS_PER_PACKET {
            return Err(Drop::Fragment);
        }
        if part.last {
            self.end = Some(part.end());
        }
        if part.offset == 0 {
            self.first = Some((part.headers.clone(), part.front, part.next_header));
        }
        self.parts
            .insert(place, (part.offset, part.payload.to_vec()));
        Ok(())
    }

    /// The whole packet, if nothing is missing.
    fn whole(&self) -> Option<Result<Vec<u8>, Drop>> {
        let (headers, front, next_header) = self.first.as_ref()?;
        let received: usize = self.parts.iter().map(|(_, octets)| octets.len()).sum();
        if self.end? != received {
            return None;
        }
        let mut packet = headers.clone();
        self.parts
            .iter()
            .for_each(|(_, octets)| packet.extend(octets));
        Some(front.amend(&mut packet, *next_header).map(|()| packet))
    }
}

/// Packets that are not whole yet; the oldest give way.
#[derive(Debug, Default)]
pub struct Reassembler {
    unfinished: VecDeque<Unfinished>,
}

impl Reassembler {
    /// An empty one.
    pub fn new() -> Reassembler {
        Reassembler::default()
    }

    /// Add a fragment. Answers the packet when it is whole; None while parts are missing.
    ///
    /// Errors: `Fragment` for one that does not go with the others, and all of them are gone then; `Malformed`.
    pub fn add(
        &mut self,
        packet: &[u8],
        headers: &Headers,
        now_ns: u64,
    ) -> Result<Option<Vec<u8>>, Drop> {
        let part = Part::of(packet, headers)?;
        part.check()?;
        let number = self.number_of(part.key, now_ns);
        let added = self.unfinished[number].add(&part);
        if added.is_err() {
            self.unfinished.remove(number);
        }
        added?;
        let whole = self.unfinished[number].whole();
        if whole.is_some() {
            self.unfinished.remove(number);
        }
        whole.transpose()
    }

    fn number_of(&mut self, key: Key, now_ns: u64) -> usize {
        let known = self.unfinished.iter().position(|one| one.key == key);
        known.unwrap_or_else(|| {
            if self.unfinished.len() >= MAX_REASSEMBLIES {
                self.unfinished.pop_front();
            }
            self.unfinished.push_back(Unfinished::new(key, now_ns));
            self.unfinished.len() - 1
        })
    }

    /// Forget what has waited too long; answers of how many packets (`Fragment`).
    pub fn expire(&mut self, now_ns: u64) -> usize {
        let before = self.unfinished.len();
        self.unfinished
            .retain(|one| now_ns.saturating_sub(one.since_ns) < REASSEMBLY_NANOSECONDS);
        before - self.unfinished.len()
    }
}

#[cfg(test)]
mod tests;

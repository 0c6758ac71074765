//! One SA applied to a whole IP packet, or taken off one: ESP or AH, transport or tunnel (RFC 4301 sections 5.1 and 5.2). A
//! bundle is this, once for each step. The common case, one ESP tunnel whose outer header the host writes, does without it.

use std::ops::Range;
use std::sync::Arc;

use crate::bundle::Step;
use crate::esp::{self, Content, Opened, counted};
use crate::headers::{DontFragment, Front, Pair};
use crate::ip::Headers;
use crate::limits::MAX_PACKET_OCTETS;
use crate::reason::Drop;
use crate::sa::{Mode, Protocol, Sa};
use crate::{ah, transport, tunnel};

const UDP_HEADER: usize = 8;

/// What is chosen for each packet that leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Of an IPv4 header that has none. AH covers it, so that 0, which a raw socket would replace, is taken as 1.
    pub identification: u16,
    /// For a tunnel's outer IPv4 header; an SA with `FLAG_NOPMTUDISC` has none.
    pub dont_fragment: DontFragment,
    /// Traffic flow confidentiality fills a tunnel's inner packet to the SA's `tfc_padding`, but no further than this, which
    /// is what still fits the path (`capacity`). 0: not at all.
    pub pad_at_most: usize,
}

/// A packet in the making: headers, what follows them, and its number.
pub(crate) struct Parts<'a> {
    /// How far the headers go.
    pub(crate) front: Front,
    /// What is protected.
    pub(crate) payload: &'a [u8],
    /// What the protected octets are, and how far they are to be filled.
    pub(crate) content: Content,
}

/// A packet that was taken out of an SA.
#[derive(Clone, Debug)]
pub struct Unwrapped {
    /// The SA and the mode, for the way in.
    pub step: Step,
    /// Where the packet lies in the octets that were opened.
    pub range: Range<usize>,
    /// Its headers.
    pub headers: Headers,
    /// The sequence number in full.
    pub sequence: u64,
}

/// Make `out` the whole packet that protects a whole packet, which ends at its own length. Answers where in it ESP or AH begins.
///
/// `now_s`: for the time of first use. Drops are counted in the SA. Errors: `Truncated`, `Malformed`, `Fragment` (a fragment in
/// transport mode), `TooBig`, `AhUnpredictable`, `SaExpired`, `SequenceExhausted`.
pub fn seal(
    step: &Step,
    packet: &[u8],
    choice: &Choice,
    out: &mut Vec<u8>,
    now_s: u64,
) -> Result<usize, Drop> {
    let begun = match step.mode {
        Mode::Tunnel => tunnel::begin(&step.sa, packet, choice, out),
        _ => transport::begin(packet, choice, out),
    };
    let parts = counted(&step.sa, begun)?;
    match step.sa.params().protocol {
        Protocol::Esp => seal_esp(&step.sa, &parts, out, now_s)?,
        Protocol::Ah => ah::seal(&step.sa, &parts, out, now_s)?,
    }
    Ok(parts.front.end)
}

fn seal_esp(sa: &Sa, parts: &Parts<'_>, out: &mut Vec<u8>, now_s: u64) -> Result<(), Drop> {
    let start = parts.front.end;
    let payload = parts.content.payload_octets(sa, parts.payload.len());
    let total = start + esp::sealed_length(sa, payload);
    if total > MAX_PACKET_OCTETS {
        return counted(sa, Err(Drop::TooBig));
    }
    out.resize(total, 0);
    parts.front.amend(out, Protocol::Esp.number())?;
    esp::seal(sa, parts.payload, parts.content, &mut out[start..], now_s).map(drop)
}

/// Authenticate a whole packet whose upper layer is the SA's protocol, and take the SA off it in place.
///
/// `in_udp`: it came in UDP, so that in transport mode a NAT may have changed addresses under a checksum (RFC 3948 section
/// 3.1.2); the caller has put an IP header in the place of the UDP header. `now_s`: for the time of first use.
///
/// Drops are counted in the SA. Errors: those of `esp::open`; `Malformed`, `Fragment`, `ClearModeMismatch` for another protocol
/// than the SA's, `AhUnpredictable`, `WrongNextHeader`, `InnerMalformed`, `EcnMismatch`. After an error the octets mean nothing.
pub fn open(sa: &Arc<Sa>, packet: &mut [u8], in_udp: bool, now_s: u64) -> Result<Unwrapped, Drop> {
    let front = counted(sa, judge_front(sa, packet))?;
    let packet = &mut packet[..front.length];
    let opened = match sa.params().protocol {
        Protocol::Esp => {
            let opened = esp::open(sa, &mut packet[front.end..], now_s)?;
            shifted(opened, front.end)
        }
        Protocol::Ah => ah::open(sa, packet, &front, now_s)?,
    };
    let step = Step::opened(sa, opened.next_header);
    let taken = match step.mode {
        Mode::Tunnel => tunnel::finish(sa, packet, &opened),
        _ => transport::finish(packet, &front, &opened, in_udp),
    };
    let (range, headers) = counted(sa, taken)?;
    Ok(Unwrapped {
        step,
        range,
        headers,
        sequence: opened.sequence,
    })
}

fn judge_front(sa: &Sa, packet: &[u8]) -> Result<Front, Drop> {
    let front = Front::before_upper(packet)?;
    match front.protocol(packet) == sa.params().protocol.number() {
        true => Ok(front),
        false => Err(Drop::ClearModeMismatch),
    }
}

fn shifted(opened: Opened, by: usize) -> Opened {
    Opened {
        payload: opened.payload.start + by..opened.payload.end + by,
        ..opened
    }
}

/// The longest packet that these steps make into one of at most `mtu` octets, headers of both included; 0: there is none.
///
/// `front`: octets of the packet's own headers that transport mode keeps in front (`Front::unfragmentable`). UDP
/// encapsulation by any of the steps is counted.
pub fn capacity(steps: &[Step], front: usize, mtu: usize) -> usize {
    let mut room = mtu;
    for (number, step) in steps.iter().enumerate().rev() {
        let front = front_of(steps, number, front);
        let udp = step.sa.params().encap.map_or(0, |_| UDP_HEADER);
        let left = room.saturating_sub(front + udp);
        let inner = match step.sa.params().protocol {
            Protocol::Esp => esp::inner_capacity(&step.sa, left),
            Protocol::Ah => left.saturating_sub(ah::header_octets(&step.sa)),
        };
        room = match step.mode {
            _ if inner == 0 => return 0,
            Mode::Tunnel => inner,
            _ => front + inner,
        };
    }
    room
}

/// Octets before ESP or AH of a step: a tunnel's outer header, or in transport mode that of the tunnel within or the packet's.
fn front_of(steps: &[Step], number: usize, front: usize) -> usize {
    let tunnel = steps[..=number]
        .iter()
        .rev()
        .find(|step| step.mode == Mode::Tunnel);
    tunnel
        .and_then(|step| outer_pair(&step.sa))
        .map_or(front, |pair| pair.header_octets())
}

/// The ends of a tunnel. None: of different families, which no SA has.
pub(crate) fn outer_pair(sa: &Sa) -> Option<Pair> {
    Pair::new(sa.params().source, sa.params().destination)
}

#[cfg(test)]
mod tests;

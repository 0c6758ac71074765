//! Packets that do not fit their path: what may be cut is cut, of the rest the sender is told (RFC 4301 section 8, RFC 2473 section
//! 7).

use std::net::SocketAddr;

use netio::Transmit;
use packet::bundle::Bundle;
use packet::fragment::{MIN_MTU_IPV4, MIN_MTU_IPV6};
use packet::headers::must_not_be_fragmented;
use packet::icmp;
use packet::ip::Headers;
use packet::reason::Drop;
use packet::sa::Mode;

use super::way_out::{Origin, WayOut};

/// ICMP errors that may follow at once: one for each of as many flows that meet a new limit together.
const BURST: u64 = 64;
/// The time in which one more may be sent: a hundred a second in the long run.
const INTERVAL_NS: u64 = 10_000_000;

/// Where a packet is cut that becomes too big for its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Before it is sealed: the other gateway need not put anything together.
    Inside,
    /// After: the other gateway's host puts it together before it is opened.
    Outside,
    /// Nowhere.
    Refused,
}

impl Cut {
    /// `packet`: whole headers, as they were judged.
    pub fn of(bundle: &Bundle, packet: &[u8], origin: Origin) -> Self {
        let is_v6 = packet[0] >> 4 == 6;
        if origin != Origin::Tun || (is_v6 && packet.len() <= MIN_MTU_IPV6) {
            // A link's packets are ours to cut, but its other end takes whole ones only; and what came in fragments was put
            // together because the other end wants it whole. Of IPv6 any size up to this one has to pass (RFC 8200 section 5).
            return Self::Outside;
        }
        if is_v6 || must_not_be_fragmented(packet) {
            return Self::Refused;
        }
        let in_tunnel = bundle
            .steps()
            .first()
            .is_some_and(|step| step.mode == Mode::Tunnel);
        match in_tunnel && !asks_for_ports(bundle) {
            true => Self::Inside,
            false => Self::Outside,
        }
    }
}

/// Fragments behind the first show no ports: the other end could not tell that they belong.
fn asks_for_ports(bundle: &Bundle) -> bool {
    let selector = &bundle.policy().params.selector;
    (selector.source_port.mask, selector.destination_port.mask) != (0, 0)
}

/// How many more senders may be told.
pub struct Allowance {
    left: u64,
    since_ns: u64,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            left: BURST,
            since_ns: 0,
        }
    }
}

impl Allowance {
    /// Takes one, if there is one.
    fn take(&mut self, now_ns: u64) -> bool {
        let earned = now_ns.saturating_sub(self.since_ns) / INTERVAL_NS;
        self.left = self.left.saturating_add(earned).min(BURST);
        self.since_ns += earned * INTERVAL_NS;
        let may = self.left > 0;
        self.left -= u64::from(may);
        may
    }
}

impl WayOut {
    /// Tells a packet's sender how many octets fit, and drops it.
    ///
    /// Errors: `TooBig`, always.
    pub fn refuse(&mut self, packet: &[u8], room: usize) -> Result<(), Drop> {
        if self.told.take(self.now_ns) {
            let least = match packet[0] >> 4 {
                6 => MIN_MTU_IPV6,
                _ => MIN_MTU_IPV4,
            };
            self.tell(packet, room.max(least) as u32);
        }
        Err(Drop::TooBig)
    }

    /// The error leaves as the host's own would: steered and fenced like any packet, and so never in clear to a host behind
    /// another tunnel. One that cannot be sent is not missed: the next packet calls for another.
    fn tell(&mut self, packet: &[u8], room: u32) {
        let Ok(headers) = Headers::parse(packet) else {
            return;
        };
        let devices = &self.shared.devices;
        let (Ok(source), Some(socket)) = (
            devices.routes.source(headers.source),
            devices.errors.of(headers.source),
        ) else {
            return;
        };
        let mut error = Vec::new();
        if icmp::too_big(source, packet, room, &mut error) {
            let _ = socket.send(&[Transmit {
                local: None,
                remote: SocketAddr::new(headers.source, 0),
                traffic_class: 0,
                segment_octets: None,
                octets: &error,
            }]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_are_told_in_measure() {
        let mut allowance = Allowance::default();
        let now_ns = 5_000_000_000;
        let told = (0..1_000).filter(|_| allowance.take(now_ns)).count();
        assert_eq!(told as u64, BURST);
        assert!(!allowance.take(now_ns + INTERVAL_NS / 2));
        assert!(allowance.take(now_ns + INTERVAL_NS));
        assert!(!allowance.take(now_ns + INTERVAL_NS));
    }
}

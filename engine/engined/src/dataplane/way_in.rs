//! What becomes of a datagram that arrives: told apart, and ESP and AH taken off it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use netio::Received;
use packet::bundle::Step;
use packet::esp::Opened;
use packet::flow::FlowCache;
use packet::headers::{HOP_LIMIT, Outer, Pair};
use packet::icmp::{self, TooBig};
use packet::ip::{Fragment, Headers, protocol};
use packet::protect;
use packet::reason::Drop;
use packet::sa::{Mode, Protocol, Sa};
use packet::snapshot::Snapshot;
use packet::{ah, esp, outer};

use super::arrival::Exits;
use super::links::Links;
use super::local::LocalAddresses;
use crate::limits::MAX_IKE_OCTETS;
use crate::samples::Sample;
use crate::shared::{IKE_PORT, IkeMessage, NAT_T_PORT, Notice, Shared};
use crate::strays::{Stray, StrayRates};

/// Octets of an IKE header (RFC 7296 section 3.1); what is shorter is nothing.
const IKE_HEADER_OCTETS: usize = 28;
/// What stands before IKE on port 4500 (RFC 3948 section 2.2): an SPI that is none.
pub const NON_ESP_MARKER: [u8; 4] = [0; 4];
/// The one octet that keeps a NAT's mapping alive (RFC 3948 section 2.3).
pub const KEEPALIVE: u8 = 0xff;
/// SAs that one packet may come out of: as many as a policy can ask for.
const MAX_NESTED: usize = 6;

/// What comes by a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UDP 500.
    Ike,
    /// UDP 4500.
    NatT,
    /// A whole packet of protocol 50 or 51.
    Secured,
    /// A whole packet of protocol 4 or 41.
    Bare,
    /// A whole packet of ICMP that says that something is wrong.
    Icmp,
}

/// What all packets of the way in share.
pub struct WayIn {
    pub shared: Arc<Shared>,
    pub flows: FlowCache,
    pub exits: Exits,
    pub links: Links,
    pub locals: LocalAddresses,
    whole: Vec<u8>,
    strays: StrayRates,
    pub now_ns: u64,
}

impl WayIn {
    /// Nothing is known.
    pub fn new(shared: Arc<Shared>) -> Self {
        let now_ns = shared.clock.nanoseconds();
        Self {
            now_ns,
            strays: StrayRates::new(now_ns),
            shared,
            flows: FlowCache::new(),
            exits: Exits::default(),
            links: Links::default(),
            locals: LocalAddresses::default(),
            whole: Vec::new(),
        }
    }

    /// After a bug: what may be half done is made anew.
    pub fn recover(&mut self) {
        self.flows = FlowCache::new();
        self.exits = Exits::default();
    }

    /// A batch begins.
    pub fn begin(&mut self) {
        self.now_ns = self.shared.clock.nanoseconds();
    }

    /// The clock in seconds.
    pub fn now_s(&self) -> u64 {
        self.now_ns / 1_000_000_000
    }

    /// Takes the links anew; says whether they had changed.
    pub fn follow_links(&mut self) -> bool {
        self.links.follow(&self.shared.gifs)
    }

    /// Whether there are links.
    pub fn has_links(&self) -> bool {
        self.links.all().next().is_some()
    }

    /// One datagram, or a run that the host joined: each of its datagrams is judged alone.
    pub fn handle(
        &mut self,
        snapshot: &Snapshot,
        kind: Kind,
        received: &Received,
        octets: &mut [u8],
    ) {
        if octets.is_empty() {
            let ike = matches!(kind, Kind::Ike | Kind::NatT);
            return self.count(Err(if ike {
                Drop::IkeTooShort
            } else {
                Drop::Truncated
            }));
        }
        for datagram in octets.chunks_mut(received.segment_octets.max(1)) {
            let outcome = match kind {
                Kind::Ike => self.ike(IKE_PORT, received, datagram),
                Kind::NatT => self.nat_t(snapshot, received, datagram),
                Kind::Secured => self.secured(snapshot, datagram),
                Kind::Bare => self.bare(snapshot, datagram),
                Kind::Icmp => self.icmp(snapshot, datagram),
            };
            if let Err(reason) = outcome {
                self.sample(kind, received, reason, datagram);
            }
            self.count(outcome);
        }
    }

    fn sample(&self, kind: Kind, received: &Received, reason: Drop, datagram: &[u8]) {
        let local = |port| SocketAddr::new(received.local, port);
        let of_datagram =
            |port| Sample::of_datagram(reason, local(port), received.remote, datagram);
        self.shared.sample(self.now_ns, || match kind {
            _ if reason == Drop::Keepalive => None,
            Kind::Ike => Some(of_datagram(IKE_PORT)),
            Kind::NatT => Some(of_datagram(NAT_T_PORT)),
            Kind::Secured | Kind::Bare | Kind::Icmp => Sample::of_packet(reason, true, datagram),
        });
    }

    fn count(&self, outcome: Result<(), Drop>) {
        if let Err(reason) = outcome {
            self.shared.inbound_drops.add(reason);
            if reason == Drop::SaExpired {
                self.shared.notify(Notice::Limit);
            }
        }
    }

    /// RFC 3948 section 2: a keepalive, IKE behind a marker, or ESP.
    fn nat_t(
        &mut self,
        snapshot: &Snapshot,
        received: &Received,
        datagram: &mut [u8],
    ) -> Result<(), Drop> {
        match datagram {
            [KEEPALIVE] => Err(Drop::Keepalive),
            [0, 0, 0, 0, message @ ..] => self.ike(NAT_T_PORT, received, message),
            [_, _, _, _, ..] => self.esp_in_udp(snapshot, received, datagram),
            _ => Err(Drop::IkeTooShort),
        }
    }

    fn ike(&self, port: u16, received: &Received, message: &[u8]) -> Result<(), Drop> {
        if message.len() < IKE_HEADER_OCTETS {
            return Err(Drop::IkeTooShort);
        }
        if message.len() > MAX_IKE_OCTETS {
            return Err(Drop::TooBig);
        }
        let message = IkeMessage {
            local: SocketAddr::new(received.local, port),
            remote: received.remote,
            octets: message.to_vec(),
        };
        if self.shared.notify(Notice::Ike(message)) {
            Ok(())
        } else {
            Err(Drop::IkeQueueFull)
        }
    }

    /// ESP in UDP. In transport mode what it carries gets a header of its own back.
    fn esp_in_udp(
        &mut self,
        snapshot: &Snapshot,
        received: &Received,
        datagram: &mut [u8],
    ) -> Result<(), Drop> {
        let spi = esp::spi(datagram).ok_or(Drop::Truncated)?;
        let sa = find(snapshot, received.local, spi, Protocol::Esp).inspect_err(|_| {
            let local = SocketAddr::new(received.local, NAT_T_PORT);
            self.stray(local, received.remote, Protocol::Esp, spi);
        })?;
        if sa.params().mode == Mode::Tunnel {
            let opened = esp::open(&sa, datagram, self.now_s())?;
            self.judge_mapping(&sa, received.remote, opened.sequence);
            return self.tunnelled(snapshot, &sa, datagram, opened, received.traffic_class);
        }
        let mut whole = std::mem::take(&mut self.whole);
        let outcome = restore(received, datagram, &mut whole).and_then(|()| {
            let opened = protect::open(&sa, &mut whole, true, self.now_s())?;
            self.judge_mapping(&sa, received.remote, opened.sequence);
            let path = vec![opened.step];
            self.opened(snapshot, path, &mut whole[opened.range], opened.headers)
        });
        self.whole = whole;
        outcome
    }

    /// A whole packet of ESP or AH.
    fn secured(&mut self, snapshot: &Snapshot, packet: &mut [u8]) -> Result<(), Drop> {
        let headers = Headers::parse(packet)?;
        let upper = &packet[headers.transport..headers.length];
        let (protocol, spi) = protocol_and_spi(&headers, upper).ok_or(Drop::Truncated)?;
        let sa = find(snapshot, headers.destination, spi, protocol).inspect_err(|_| {
            let (local, remote) = (headers.destination, headers.source);
            self.stray(
                SocketAddr::new(local, 0),
                SocketAddr::new(remote, 0),
                protocol,
                spi,
            );
        })?;
        if protocol == Protocol::Esp && sa.params().mode == Mode::Tunnel {
            let upper = &mut packet[headers.transport..headers.length];
            let opened = esp::open(&sa, upper, self.now_s())?;
            return self.tunnelled(snapshot, &sa, upper, opened, headers.tos);
        }
        let opened = protect::open(&sa, packet, false, self.now_s())?;
        let path = vec![opened.step];
        self.opened(snapshot, path, &mut packet[opened.range], opened.headers)
    }

    /// A packet for an SA that is not here: told, unless too many are.
    fn stray(&mut self, local: SocketAddr, remote: SocketAddr, protocol: Protocol, spi: u32) {
        if self.strays.allow(remote.ip(), self.now_ns) {
            let stray = Stray {
                local,
                remote,
                protocol,
                spi,
            };
            self.shared.notify(Notice::Stray(stray));
        }
    }

    /// The common case: an opened packet of ESP in tunnel mode, without its outer header.
    fn tunnelled(
        &mut self,
        snapshot: &Snapshot,
        sa: &Arc<Sa>,
        packet: &mut [u8],
        opened: Opened,
        traffic_class: u8,
    ) -> Result<(), Drop> {
        let inner = &mut packet[opened.payload];
        let headers = outer::judge_inner(inner, opened.next_header)
            .and_then(|headers| {
                outer::apply_tos(sa, inner, traffic_class)?;
                Ok(headers)
            })
            .inspect_err(|reason| sa.drops().add(*reason))?;
        let step = Step::opened(sa, opened.next_header);
        if matches!(headers.protocol, protocol::ESP | protocol::AH) {
            return self.opened(snapshot, vec![step], &mut inner[..headers.length], headers);
        }
        self.arrive(snapshot, &[step], &mut inner[..headers.length], headers)
    }

    /// What came out of an SA, and may itself be for another of ours.
    fn opened(
        &mut self,
        snapshot: &Snapshot,
        mut path: Vec<Step>,
        mut packet: &mut [u8],
        mut headers: Headers,
    ) -> Result<(), Drop> {
        while let Some(sa) = nested(snapshot, packet, &headers) {
            if path.len() == MAX_NESTED {
                return Err(Drop::NestedTooDeep);
            }
            let opened = protect::open(&sa, packet, false, self.now_s())?;
            packet = &mut packet[opened.range];
            (path, headers) = (push(path, opened.step), opened.headers);
        }
        self.arrive(snapshot, &path, packet, headers)
    }

    /// An authentic packet, the newest so far, from elsewhere than the SA says: a NAT has chosen anew.
    fn judge_mapping(&self, sa: &Arc<Sa>, remote: SocketAddr, sequence: u64) {
        let params = sa.params();
        let Some(encap) = params.encap else {
            return;
        };
        let as_known = (remote.ip(), remote.port()) == (params.source, encap.source_port);
        // Without a window the newest packet may be an old one, sent again by whoever saw it.
        let is_newest = params.replay_window > 0 && sequence == sa.newest_received();
        if as_known || params.source.is_unspecified() || !is_newest {
            return;
        }
        if sa.tell_mapping(self.now_s()) {
            self.shared.notify(Notice::Mapping(Arc::clone(sa), remote));
        }
    }

    /// A router says that a packet does not fit. It is believed who quotes a packet of an SA of ours: anybody can send such a
    /// message, few can know an SPI (RFC 4301 section 8.2.1).
    fn icmp(&self, snapshot: &Snapshot, packet: &[u8]) -> Result<(), Drop> {
        let Some(TooBig { mtu, quote, .. }) = icmp::read_too_big(packet) else {
            return Ok(());
        };
        let sa = Protocol::from_number(quote.protocol)
            .and_then(|protocol| snapshot.outbound_sa(quote.destination, quote.spi, protocol))
            .ok_or(Drop::IcmpUnbelieved)?;
        if sa.params().source != quote.source || mtu as usize >= quote.length {
            return Err(Drop::IcmpUnbelieved);
        }
        self.shared.learn_path_mtu(quote.destination, mtu);
        Ok(())
    }
}

fn push(mut path: Vec<Step>, step: Step) -> Vec<Step> {
    path.push(step);
    path
}

fn find(
    snapshot: &Snapshot,
    destination: IpAddr,
    spi: u32,
    protocol: Protocol,
) -> Result<Arc<Sa>, Drop> {
    let sa = snapshot.inbound(destination, spi, protocol);
    sa.map(Arc::clone).ok_or(Drop::UnknownSpi)
}

/// The SA of ours that a packet within another is for, if there is one. What is for somebody else's just goes on.
fn nested(snapshot: &Snapshot, packet: &[u8], headers: &Headers) -> Option<Arc<Sa>> {
    if headers.fragment != Fragment::Whole {
        return None;
    }
    let upper = &packet[headers.transport..headers.length];
    let (protocol, spi) = protocol_and_spi(headers, upper)?;
    find(snapshot, headers.destination, spi, protocol).ok()
}

fn protocol_and_spi(headers: &Headers, upper: &[u8]) -> Option<(Protocol, u32)> {
    let protocol = Protocol::from_number(headers.protocol)?;
    let spi = match protocol {
        Protocol::Esp => esp::spi(upper),
        Protocol::Ah => ah::spi(upper),
    };
    Some((protocol, spi?))
}

/// Makes `whole` the packet that a datagram would be without UDP. What the host does not tell, the hop limit, is made up.
fn restore(received: &Received, datagram: &[u8], whole: &mut Vec<u8>) -> Result<(), Drop> {
    let header = Outer {
        pair: Pair::new(received.remote.ip(), received.local).ok_or(Drop::Malformed)?,
        tos: received.traffic_class,
        hop_limit: HOP_LIMIT,
        dont_fragment: false,
        identification: 0,
    };
    header.begin(protocol::ESP, datagram.len(), whole)?;
    whole.extend_from_slice(datagram);
    Ok(())
}

//! Messages about security associations: NEWSA, UPDSA, DELSA, GETSA, ALLOCSPI.

use std::net::IpAddr;

use packet::algorithm::Transform;
use packet::sa::{Direction, Encap, Lifetimes, Mode, Progress, Protocol, SaParams};
use packet::sad::SpiRequest;
use packet::selector::Selector;

use super::aevent::parse_carried;
use super::algorithms::parse_transform;
use super::attribute::{ENCAP, LEGACY, MODE_ANY, SA_DIR, SA_EXTRA_FLAGS, SELECTORS, TFCPAD};
use super::replay::Replay;
use super::structures::{
    SELECTOR_OCTETS, parse_lifetimes, parse_protocol, parse_selector, refuse_foreign,
};
use crate::netlink::Attributes;
use crate::octets::{Cursor, address};
use crate::refusal::Refusal;

/// `UDP_ENCAP_ESPINUDP`.
pub const ESP_IN_UDP: u16 = 2;
const MODE_TRANSPORT: u8 = 0;
const MODE_TUNNEL: u8 = 1;

/// What NEWSA or UPDSA says.
#[derive(Debug)]
pub struct SaMessage {
    info: SaInfo,
    extra_flags: u32,
    direction: Option<Direction>,
    encap: Option<Encap>,
    replay: Replay,
    carried: Option<(u64, u64)>,
    tfc_padding: u32,
    legacy: bool,
    selectors: Vec<Selector>,
    transform: Option<Transform>,
}

/// `struct xfrm_usersa_info`.
#[derive(Debug)]
struct SaInfo {
    selector: Option<Selector>,
    destination: IpAddr,
    spi: u32,
    source: IpAddr,
    lifetimes: Lifetimes,
    reqid: u32,
    protocol: Protocol,
    mode: Mode,
    replay_window: u8,
    flags: u8,
}

impl SaInfo {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Refusal> {
        let selector = parse_selector(cursor)?;
        let (destination, spi, protocol) = (cursor.array()?, cursor.be32()?, cursor.u8()?);
        cursor.skip(3)?;
        let source = cursor.array()?;
        let lifetimes = parse_lifetimes(cursor)?;
        cursor.skip(32 + 12 + 4)?;
        let (reqid, number, mode, replay_window, flags) = (
            cursor.u32()?,
            cursor.u16()?,
            cursor.u8()?,
            cursor.u8()?,
            cursor.u8()?,
        );
        cursor.skip(7)?;
        let (destination, source) = (address(destination, number)?, address(source, number)?);
        let (protocol, mode) = (parse_protocol(protocol)?, parse_mode(mode)?);
        Ok(Self {
            selector,
            destination,
            spi,
            source,
            lifetimes,
            reqid,
            protocol,
            mode,
            replay_window,
            flags,
        })
    }
}

/// Reads a mode's number.
pub fn parse_mode(number: u8) -> Result<Mode, Refusal> {
    match number {
        MODE_TRANSPORT => Ok(Mode::Transport),
        MODE_TUNNEL => Ok(Mode::Tunnel),
        _ => Err(Refusal::about(
            libc::EOPNOTSUPP,
            format!("mode {number} is neither transport nor tunnel"),
        )),
    }
}

/// A mode's number.
pub fn mode_number(mode: Mode) -> u8 {
    match mode {
        Mode::Transport | Mode::Any => MODE_TRANSPORT,
        Mode::Tunnel => MODE_TUNNEL,
    }
}

impl SaMessage {
    /// Reads the payload of NEWSA or UPDSA.
    ///
    /// # Errors
    /// What is wrong or not supported, by name.
    pub fn parse(payload: &[u8]) -> Result<Self, Refusal> {
        let mut cursor = Cursor::new(payload);
        let mut info = SaInfo::parse(&mut cursor)?;
        let attributes = Attributes::parse(cursor.rest())?;
        refuse_foreign(&attributes)?;
        if attributes.get(MODE_ANY).is_some() {
            info.mode = Mode::Any;
        }
        let word = |kind| {
            attributes
                .get(kind)
                .map_or(Ok(0), |value| Cursor::new(value).u32())
        };
        Ok(Self {
            direction: attributes.get(SA_DIR).map(parse_direction).transpose()?,
            extra_flags: word(SA_EXTRA_FLAGS)?,
            encap: attributes.get(ENCAP).map(parse_encap).transpose()?,
            replay: Replay::parse(&attributes, info.replay_window.into())?,
            carried: parse_carried(&attributes)?,
            tfc_padding: word(TFCPAD)?,
            legacy: attributes.get(LEGACY).is_some(),
            selectors: parse_selectors(info.selector, attributes.get(SELECTORS))?,
            transform: parse_transform(&attributes)?,
            info,
        })
    }

    /// What the message names.
    pub fn id(&self) -> packet::sa::SaId {
        packet::sa::SaId {
            destination: self.info.destination,
            spi: self.info.spi,
            protocol: self.info.protocol,
        }
    }

    /// Where the SA stands, if it was at work elsewhere.
    pub fn progress(&self) -> Option<&Progress> {
        self.replay.progress.as_ref()
    }

    /// The octets and packets that it has carried elsewhere.
    pub fn carried(&self) -> Option<(u64, u64)> {
        self.carried
    }

    /// The values for the database. `known` is the transform of the valid SA that is updated: its keys stay, whatever the
    /// message says.
    ///
    /// # Errors
    /// `EINVAL` when there is no algorithm at all.
    pub fn into_params(self, known: Option<Transform>) -> Result<SaParams, Refusal> {
        let transform = known
            .or(self.transform)
            .ok_or(Refusal::new(libc::EINVAL, "the algorithm is missing"))?;
        Ok(SaParams {
            source: self.info.source,
            destination: self.info.destination,
            spi: self.info.spi,
            protocol: self.info.protocol,
            reqid: self.info.reqid,
            mode: self.info.mode,
            transform,
            direction: self.direction,
            encap: self.encap,
            replay_window: self
                .replay
                .window_packets
                .unwrap_or(self.info.replay_window.into()),
            flags: self.info.flags,
            extra_flags: self.extra_flags,
            tfc_padding: self.tfc_padding,
            legacy: self.legacy,
            lifetimes: self.info.lifetimes,
            selectors: self.selectors,
        })
    }
}

fn parse_direction(value: &[u8]) -> Result<Direction, Refusal> {
    match Cursor::new(value).u8()? {
        1 => Ok(Direction::In),
        2 => Ok(Direction::Out),
        _ => Err(Refusal::new(
            libc::EINVAL,
            "an SA's direction is 1 (in) or 2 (out)",
        )),
    }
}

/// Reads `struct xfrm_encap_tmpl`; the original address in it is not looked at.
pub fn parse_encap(value: &[u8]) -> Result<Encap, Refusal> {
    let mut cursor = Cursor::new(value);
    if cursor.u16()? != ESP_IN_UDP {
        return Err(Refusal::new(
            libc::EOPNOTSUPP,
            "the only encapsulation is UDP_ENCAP_ESPINUDP (2)",
        ));
    }
    Ok(Encap {
        source_port: cursor.be16()?,
        destination_port: cursor.be16()?,
    })
}

fn parse_selectors(
    single: Option<Selector>,
    many: Option<&[u8]>,
) -> Result<Vec<Selector>, Refusal> {
    let Some(many) = many else {
        return Ok(single.into_iter().collect());
    };
    if single.is_some() || many.len() % SELECTOR_OCTETS != 0 {
        return Err(Refusal::new(
            libc::EINVAL,
            "CULVERTA_SELECTORS is an array of selectors, and sel is then empty",
        ));
    }
    let parse = |octets| {
        parse_selector(&mut Cursor::new(octets))?.ok_or(Refusal::new(
            libc::EINVAL,
            "a selector of CULVERTA_SELECTORS is empty",
        ))
    };
    many.chunks_exact(SELECTOR_OCTETS).map(parse).collect()
}

/// Reads the payload of ALLOCSPI.
///
/// # Errors
/// What is wrong or not supported, by name.
pub fn parse_spi_request(payload: &[u8]) -> Result<SpiRequest, Refusal> {
    let mut cursor = Cursor::new(payload);
    let info = SaInfo::parse(&mut cursor)?;
    let (min, max) = (cursor.u32()?, cursor.u32()?);
    Ok(SpiRequest {
        source: info.source,
        destination: info.destination,
        protocol: info.protocol,
        reqid: info.reqid,
        mode: info.mode,
        min,
        max,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::xfrm::sa_state::{put_entry, put_entry_info};
    use packet::algorithm::Aead;
    use packet::database::Database;
    use packet::sad::SaEntry;
    use packet::secret::Secret;
    use packet::selector::Prefix;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn selector(last: u8) -> Selector {
        let prefix = |third| Prefix::new(IpAddr::from([192, 168, third, last]), 32).unwrap();
        Selector::new(prefix(1), prefix(2)).unwrap()
    }

    fn params(selectors: Vec<Selector>) -> SaParams {
        SaParams {
            source: IpAddr::from([203, 0, 113, 1]),
            destination: IpAddr::from([198, 51, 100, 1]),
            spi: 0x1234_5678,
            protocol: Protocol::Esp,
            reqid: 7,
            mode: Mode::Tunnel,
            transform: Transform::Aead {
                algorithm: Aead::AesGcm,
                icv_octets: 16,
                key: Secret::new(&[9; 36]),
            },
            direction: Some(Direction::Out),
            encap: Some(Encap {
                source_port: 4500,
                destination_port: 40_000,
            }),
            replay_window: 1_024,
            flags: 128,
            extra_flags: 1,
            tfc_padding: 0,
            legacy: false,
            lifetimes: Lifetimes {
                hard_add_s: 3_600,
                ..Lifetimes::NONE
            },
            selectors,
        }
    }

    #[test]
    fn what_is_dumped_is_what_was_added() {
        for selectors in [vec![], vec![selector(1)], vec![selector(1), selector(2)]] {
            let mut database = Database::new();
            let added = params(selectors);
            let sa = database.add_sa(added.clone(), 1).unwrap();
            let mut body = Vec::new();
            put_entry(
                &mut body,
                &SaEntry::Valid(Arc::clone(&sa)),
                true,
                &Clock::start(),
            );
            let read = SaMessage::parse(&body).unwrap().into_params(None).unwrap();
            assert_eq!(format!("{read:?}"), format!("{added:?}"));
        }
    }

    #[test]
    fn an_info_has_the_kernels_size_and_offsets() {
        let mut database = Database::new();
        let sa = database.add_sa(params(vec![]), 1).unwrap();
        let mut body = Vec::new();
        put_entry_info(&mut body, &SaEntry::Valid(sa), &Clock::start());
        assert_eq!(body.len(), 224);
        assert_eq!(body[56..60], [198, 51, 100, 1]);
        assert_eq!(body[72..77], [0x12, 0x34, 0x56, 0x78, 50]);
        assert_eq!(body[208..212], 7u32.to_ne_bytes());
        assert_eq!(body[212..217], [2, 0, 1, 0, 128]);
    }

    proptest! {
        #[test]
        fn any_octets_are_an_sa_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = SaMessage::parse(&octets);
            let _ = parse_spi_request(&octets);
        }

        #[test]
        fn a_damaged_message_never_panics(at in 0usize..500, value: u8) {
            let mut database = Database::new();
            let sa = database.add_sa(params(vec![selector(1), selector(2)]), 1).unwrap();
            let mut body = Vec::new();
            put_entry(&mut body, &SaEntry::Valid(sa), true, &Clock::start());
            let at = at % body.len();
            body[at] = value;
            if let Ok(params) = SaMessage::parse(&body).and_then(|message| message.into_params(None)) {
                let _ = Database::new().add_sa(params, 1);
            }
        }
    }
}

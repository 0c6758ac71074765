//! NEWAE and GETAE: where an SA stands, told and set (`struct xfrm_aevent_id`).

use packet::sa::{Sa, SaId};

use super::attribute::LTIME_VAL;
use super::replay::put_replay;
use super::structures::{parse_sa_id, put_sa_id, put_usage};
use crate::clock::Clock;
use crate::netlink::{Attributes, put_attribute};
use crate::octets::{Cursor, Put};
use crate::refusal::Refusal;

/// What either message begins with.
#[derive(Debug)]
pub struct AeventId {
    /// The SA.
    pub id: SaId,
    /// `XFRM_AE_*`: given back as they came.
    pub flags: u32,
}

impl AeventId {
    /// Reads the structure.
    ///
    /// # Errors
    /// What is wrong, by name.
    pub fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Refusal> {
        let id = parse_sa_id(cursor)?;
        // Padding of the name, and the source, which names nothing; behind the flags comes a reqid, which does not either.
        cursor.skip(1 + 16)?;
        let flags = cursor.u32()?;
        cursor.skip(4)?;
        Ok(Self { id, flags })
    }
}

/// Appends the payload of NEWAE about an SA.
pub fn put_aevent(body: &mut Vec<u8>, sa: &Sa, flags: u32, clock: &Clock) {
    put_sa_id(body, sa.id());
    body.put_address(sa.params().source);
    body.put_u32(flags);
    body.put_u32(sa.params().reqid);
    put_replay(body, sa);
    let mut usage = Vec::new();
    put_usage(&mut usage, &sa.usage(), sa.added_s(), clock);
    put_attribute(body, LTIME_VAL, &usage);
}

/// Reads octets and packets of `XFRMA_LTIME_VAL`, if it is there; the times in it are of the host's clock and stay.
///
/// # Errors
/// A structure that is too short.
pub fn parse_carried(attributes: &Attributes<'_>) -> Result<Option<(u64, u64)>, Refusal> {
    let Some(value) = attributes.get(LTIME_VAL) else {
        return Ok(None);
    };
    let mut cursor = Cursor::new(value);
    Ok(Some((cursor.u64()?, cursor.u64()?)))
}

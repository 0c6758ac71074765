//! Numbers about the databases: NEWSADINFO and NEWSPDINFO.

use packet::limits::{MAX_POLICIES, MAX_SAS};
use packet::sad::Sad;
use packet::spd::{PolicyDirection, Spd};

use crate::netlink::put_attribute;
use crate::octets::Put;

/// `XFRMA_SAD_CNT` and `XFRMA_SPD_INFO`.
const COUNT: u16 = 1;
/// `XFRMA_SAD_HINFO` and `XFRMA_SPD_HINFO`.
const HASH_INFO: u16 = 2;

/// Appends the payload of NEWSADINFO. There are no hash buckets; their numbers are those of the SAs, and of how many there may be.
pub fn put_sad_info(body: &mut Vec<u8>, flags: u32, sad: &Sad) {
    let count = sad.count() as u32;
    body.put_u32(flags);
    put_attribute(body, COUNT, &count.to_ne_bytes());
    put_attribute(body, HASH_INFO, &words(&[count, MAX_SAS as u32]));
}

/// Appends the payload of NEWSPDINFO; likewise. There are no policies of sockets.
pub fn put_spd_info(body: &mut Vec<u8>, flags: u32, spd: &Spd) {
    use PolicyDirection::{Fwd, In, Out};
    let [inward, out, forward] = [In, Out, Fwd].map(|direction| spd.count(direction) as u32);
    body.put_u32(flags);
    put_attribute(body, COUNT, &words(&[inward, out, forward, 0, 0, 0]));
    let all = inward + out + forward;
    put_attribute(body, HASH_INFO, &words(&[all, MAX_POLICIES as u32]));
}

fn words(values: &[u32]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(values.len() * 4);
    values.iter().for_each(|value| octets.put_u32(*value));
    octets
}

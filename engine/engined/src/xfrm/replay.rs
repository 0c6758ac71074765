//! Sequence numbers and replay windows: `XFRMA_REPLAY_VAL` and `XFRMA_REPLAY_ESN_VAL`.

use packet::sa::{Progress, Sa};

use super::attribute::{REPLAY_ESN_VAL, REPLAY_VAL};
use crate::netlink::{Attributes, put_attribute};
use crate::octets::{Cursor, Put};
use crate::refusal::Refusal;

/// Octets of `struct xfrm_replay_state_esn` without its bitmap.
const ESN_OCTETS: usize = 24;
/// Packets of the bitmap of `struct xfrm_replay_state`: what goes over needs the other structure.
const SMALL_WINDOW_PACKETS: u32 = 32;

/// What a message says of window and numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// The width of the window, where the attribute says one.
    pub window_packets: Option<u32>,
    /// Where the SA stands; none where it has yet to begin.
    pub progress: Option<Progress>,
}

impl Replay {
    /// Reads either attribute; with both, that for extended numbers counts. `window_packets`: what else is known of the width,
    /// which `XFRMA_REPLAY_VAL` does not say.
    ///
    /// # Errors
    /// `EINVAL` for a bitmap that is too small for the window.
    pub fn parse(attributes: &Attributes<'_>, window_packets: u32) -> Result<Self, Refusal> {
        if let Some(value) = attributes.get(REPLAY_ESN_VAL) {
            return parse_extended(value);
        }
        let progress = attributes
            .get(REPLAY_VAL)
            .map(|value| parse_small(value, window_packets))
            .transpose()?;
        Ok(Self {
            window_packets: None,
            progress: progress.filter(is_progress),
        })
    }
}

fn is_progress(progress: &Progress) -> bool {
    (progress.sent, progress.newest) != (0, 0)
}

/// `struct xfrm_replay_state`: the bit of a number is as far from the lowest as the number from the newest.
fn parse_small(value: &[u8], window_packets: u32) -> Result<Progress, Refusal> {
    let mut cursor = Cursor::new(value);
    let (sent, newest, bits) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
    let mut bitmap = vec![0; window_packets.div_ceil(32) as usize];
    // Of what is older than its bits nothing is known, so it counts as accepted.
    let accepted = |age: &u32| bits.checked_shr(*age).is_none_or(|bits| bits & 1 == 1);
    for age in (0..window_packets).filter(accepted) {
        if let Some(number) = newest.checked_sub(age + 1) {
            let bit = number % window_packets;
            bitmap[(bit / 32) as usize] |= 1 << (bit % 32);
        }
    }
    Ok(Progress {
        sent: sent.into(),
        newest: newest.into(),
        bitmap,
    })
}

/// `struct xfrm_replay_state_esn`, whose bitmap may be left out.
fn parse_extended(value: &[u8]) -> Result<Replay, Refusal> {
    let mut cursor = Cursor::new(value);
    let words = cursor.u32()?;
    let (sent, newest) = (cursor.u32()?, cursor.u32()?);
    let (sent_high, newest_high) = (cursor.u32()?, cursor.u32()?);
    let window = cursor.u32()?;
    if u64::from(words) * 32 < window.into() && !cursor.rest().is_empty() {
        return Err(Refusal::new(
            libc::EINVAL,
            "the bitmap has fewer bits than the replay window",
        ));
    }
    let progress = Progress {
        sent: u64::from(sent_high) << 32 | u64::from(sent),
        newest: u64::from(newest_high) << 32 | u64::from(newest),
        bitmap: if value.len() == ESN_OCTETS {
            vec![]
        } else {
            parse_words(&mut cursor, window)?
        },
    };
    Ok(Replay {
        window_packets: Some(window),
        progress: Some(progress).filter(is_progress),
    })
}

/// As many words as the window has.
fn parse_words(cursor: &mut Cursor<'_>, window_packets: u32) -> Result<Vec<u32>, Refusal> {
    let octets = cursor.slice(window_packets.div_ceil(32) as usize * 4)?;
    let mut words = Cursor::new(octets);
    (0..octets.len() / 4).map(|_| words.u32()).collect()
}

/// Whether an SA is told by the smaller structure, as the kernel does it.
pub fn is_small(sa: &Sa) -> bool {
    !sa.params().esn() && sa.params().replay_window <= SMALL_WINDOW_PACKETS
}

/// Appends what a larval SA has, as the kernel does.
pub fn put_no_replay(body: &mut Vec<u8>) {
    put_attribute(body, REPLAY_VAL, &[0; 12]);
}

/// Appends one of the two attributes.
pub fn put_replay(body: &mut Vec<u8>, sa: &Sa) {
    let window = sa.replay_state();
    let (sent, newest) = (sa.sent_sequence(), window.top());
    let mut value = Vec::with_capacity(ESN_OCTETS);
    if is_small(sa) {
        let bits = (0..u64::from(window.window_packets()))
            .filter(|age| *age < newest && window.check(newest - age).is_err())
            .fold(0u32, |bits, age| bits | 1 << age);
        value.put_u32(sent as u32);
        value.put_u32(newest as u32);
        value.put_u32(bits);
        return put_attribute(body, REPLAY_VAL, &value);
    }
    let bitmap = window.xfrm_bitmap();
    value.put_u32(bitmap.len() as u32);
    value.put_u32(sent as u32);
    value.put_u32(newest as u32);
    value.put_u32((sent >> 32) as u32);
    value.put_u32((newest >> 32) as u32);
    value.put_u32(window.window_packets());
    bitmap.iter().for_each(|word| value.put_u32(*word));
    put_attribute(body, REPLAY_ESN_VAL, &value);
}

#[cfg(test)]
mod tests {
    use packet::database::Database;
    use packet::sa::SaParams;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::protected_by_cbc;

    fn read(body: &[u8], window_packets: u32) -> Result<Replay, Refusal> {
        Replay::parse(&Attributes::parse(body).unwrap(), window_packets)
    }

    proptest! {
        /// An SA that goes on where another stands says the same as that.
        #[test]
        fn what_is_told_is_taken(window in prop_oneof![1u32..40, 60u32..300], sent: u32, newest in 0u64..1_000, words: [u32; 10], esn: bool) {
            let params = SaParams { replay_window: window, flags: if esn { 128 } else { 0 }, ..protected_by_cbc() };
            let sa = || Database::new().add_sa(params.clone(), 1).unwrap();
            let (first, second) = (sa(), sa());
            let bitmap = words[..window.div_ceil(32) as usize].to_vec();
            first.advance(&Progress { sent: sent.into(), newest, bitmap }).unwrap();
            let mut body = Vec::new();
            put_replay(&mut body, &first);
            let replay = read(&body, window).unwrap();
            prop_assert_eq!(replay.window_packets, (!is_small(&first)).then_some(window));
            if let Some(progress) = replay.progress {
                second.advance(&progress).unwrap();
            }
            let mut again = Vec::new();
            put_replay(&mut again, &second);
            prop_assert_eq!(body, again);
        }

        #[test]
        fn any_octets_are_read_or_refused(kind in prop_oneof![Just(REPLAY_VAL), Just(REPLAY_ESN_VAL)], value in proptest::collection::vec(any::<u8>(), 0..60), window in 0u32..70) {
            let mut body = Vec::new();
            put_attribute(&mut body, kind, &value);
            let _ = read(&body, window);
        }
    }

    #[test]
    fn a_bitmap_may_be_left_out_but_not_be_short() {
        let value = |words: u32, window: u32, bitmap: usize| {
            let mut value = Vec::new();
            [words, 0, 9, 0, 0, window]
                .iter()
                .for_each(|word| value.put_u32(*word));
            value.put_zeros(bitmap);
            let mut body = Vec::new();
            put_attribute(&mut body, REPLAY_ESN_VAL, &value);
            body
        };
        assert_eq!(read(&value(2, 64, 0), 0).unwrap().window_packets, Some(64));
        assert_eq!(
            read(&value(2, 64, 8), 0).unwrap().progress.unwrap().bitmap,
            [0, 0]
        );
        assert!(read(&value(1, 64, 4), 0).is_err());
        assert!(read(&value(2, 64, 4), 0).is_err());
    }
}

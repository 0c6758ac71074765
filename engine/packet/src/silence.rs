//! Where nothing comes in any more although something did, or although packets leave and want an answer.
//!
//! Associations of one reqid belong together: a policy's, both ways, through all of their successors. What is told is a
//! hint that the peer may be gone. It costs IKE a short exchange, so a single packet that nobody answers to is none:
//! the answer to a ping is not answered either.

use std::collections::BTreeMap;

use crate::limits::MAX_SILENCES;
use crate::sa::{Direction, Sa, SaId};
use crate::sad::SaEntry;

/// For so long nothing comes in before it is told, once packets left in vain.
const UNANSWERED_NS: u64 = 1_000_000_000;
/// The same where none leave, after traffic that came in.
const QUIET_NS: u64 = 1_500_000_000;
/// How often it is told again, while packets leave.
const AGAIN_NS: u64 = 4_000_000_000;
/// Looks in a row at which packets had come in, after which their end is worth telling.
const FLOWING_LOOKS: u32 = 5;

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// The newest inbound association of the reqid.
    pub inbound: SaId,
    /// Packets leave meanwhile.
    pub sending: bool,
}

/// What the associations of one reqid have carried so far.
struct Carried {
    newest: Option<(u64, SaId)>,
    received: u64,
    sent: u64,
}

/// What was seen of one reqid.
struct Watch {
    received: u64,
    sent: u64,
    /// When something had come in for the last time, or the watch began.
    heard_ns: u64,
    /// When something had left for the first time after that, and nothing come.
    unanswered_ns: Option<u64>,
    /// Looks in a row at which something had come in.
    flowing: u32,
    /// Something had come in at enough looks in a row, and its end was not told.
    flowed: bool,
    /// When it was told after that, and what had been sent by then.
    told: Option<(u64, u64)>,
}

impl Watch {
    fn new(carried: &Carried, now_ns: u64) -> Self {
        Self {
            received: carried.received,
            sent: carried.sent,
            heard_ns: now_ns,
            unanswered_ns: None,
            flowing: 0,
            flowed: false,
            told: None,
        }
    }

    /// Takes in what was carried since the last look. An association that went away changes the sum as a packet does.
    fn look(&mut self, carried: &Carried, now_ns: u64) {
        if carried.received != self.received {
            self.heard_ns = now_ns;
            self.unanswered_ns = None;
            self.told = None;
            self.flowing = self.flowing.saturating_add(1);
            self.flowed |= self.flowing >= FLOWING_LOOKS;
        } else {
            self.flowing = 0;
            if carried.sent != self.sent {
                self.unanswered_ns.get_or_insert(now_ns);
            }
        }
        (self.received, self.sent) = (carried.received, carried.sent);
    }

    /// Whether it is to be told now, and then whether packets leave.
    fn due(&self, now_ns: u64) -> Option<bool> {
        let unanswered = self
            .unanswered_ns
            .is_some_and(|since_ns| now_ns - since_ns >= UNANSWERED_NS);
        match self.told {
            None if unanswered => Some(true),
            None => (self.flowed && now_ns - self.heard_ns >= QUIET_NS).then_some(false),
            Some((at_ns, sent)) => {
                (unanswered && sent != self.sent && now_ns - at_ns >= AGAIN_NS).then_some(true)
            }
        }
    }
}

/// The watch over all reqids that have an inbound association with a direction, as those of IKE have.
#[derive(Default)]
pub struct Silences {
    watches: BTreeMap<u32, Watch>,
}

impl Silences {
    /// Looks at all associations, twice a second or so, and answers what is to be told. Of very many silences the rest
    /// is told at the next look.
    pub fn look<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a SaEntry>,
        now_ns: u64,
    ) -> Vec<Silence> {
        let carried = sums(entries);
        self.watches.retain(|reqid, _| carried.contains_key(reqid));
        let mut silences = Vec::new();
        for (reqid, carried) in &carried {
            let Some((_, inbound)) = carried.newest else {
                continue;
            };
            let watch = self
                .watches
                .entry(*reqid)
                .or_insert_with(|| Watch::new(carried, now_ns));
            watch.look(carried, now_ns);
            if silences.len() >= MAX_SILENCES {
                continue;
            }
            if let Some(sending) = watch.due(now_ns) {
                watch.told = Some((now_ns, carried.sent));
                watch.flowed = false;
                silences.push(Silence { inbound, sending });
            }
        }
        silences
    }
}

fn sums<'a>(entries: impl Iterator<Item = &'a SaEntry>) -> BTreeMap<u32, Carried> {
    let mut sums = BTreeMap::new();
    for entry in entries {
        if let SaEntry::Valid(sa) = entry {
            add(&mut sums, sa);
        }
    }
    sums
}

fn add(sums: &mut BTreeMap<u32, Carried>, sa: &Sa) {
    let (params, packets) = (sa.params(), sa.usage().packets);
    if params.reqid == 0 {
        return;
    }
    let carried = sums.entry(params.reqid).or_insert(Carried {
        newest: None,
        received: 0,
        sent: 0,
    });
    match params.direction {
        Some(Direction::In) => {
            carried.received = carried.received.wrapping_add(packets);
            carried.newest = carried.newest.max(Some((sa.serial(), sa.id())));
        }
        Some(Direction::Out) => carried.sent = carried.sent.wrapping_add(packets),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sa::SaParams;
    use crate::testing::gcm_params;

    const LOOK_NS: u64 = 500_000_000;

    /// One reqid's associations and the looks at them.
    struct Scene {
        entries: Vec<SaEntry>,
        silences: Silences,
        now_ns: u64,
    }

    fn association(serial: u64, direction: Option<Direction>, reqid: u32) -> SaEntry {
        let params = SaParams {
            direction,
            reqid,
            spi: 0x1000 + serial as u32,
            ..gcm_params()
        };
        SaEntry::Valid(Arc::new(Sa::new(params, serial, 1).unwrap()))
    }

    fn carry(entry: &SaEntry, packets: u64) {
        let SaEntry::Valid(sa) = entry else {
            unreachable!()
        };
        let used = sa.usage().packets;
        sa.set_usage(0, used + packets);
    }

    impl Scene {
        fn new() -> Self {
            let entries = vec![
                association(1, Some(Direction::In), 7),
                association(2, Some(Direction::Out), 7),
            ];
            Self {
                entries,
                silences: Silences::default(),
                now_ns: 0,
            }
        }

        /// What is told when so many packets came in and left in each of some looks.
        fn looks(&mut self, count: u32, received: u64, sent: u64) -> Vec<(u64, bool)> {
            let mut told = Vec::new();
            for _ in 0..count {
                carry(&self.entries[0], received);
                carry(&self.entries[1], sent);
                self.now_ns += LOOK_NS;
                for silence in self.silences.look(self.entries.iter(), self.now_ns) {
                    assert_eq!(silence.inbound, self.entries[0].id());
                    told.push((self.now_ns / 1_000_000, silence.sending));
                }
            }
            told
        }
    }

    #[test]
    fn traffic_both_ways_is_no_silence_and_neither_is_none() {
        let mut scene = Scene::new();
        assert!(scene.looks(50, 0, 0).is_empty());
        assert!(scene.looks(50, 3, 5).is_empty());
    }

    #[test]
    fn what_leaves_in_vain_is_told_within_two_seconds_and_again_while_it_lasts() {
        let mut scene = Scene::new();
        scene.looks(10, 1, 1); // until 5.0 s
        assert_eq!(scene.looks(10, 0, 1), [(6_500, true)]); // until 10.0 s
        assert_eq!(scene.looks(10, 0, 1), [(10_500, true), (14_500, true)]);
        assert!(scene.looks(1, 1, 1).is_empty());
        assert_eq!(scene.looks(5, 0, 1), [(17_000, true)]);
    }

    #[test]
    fn traffic_that_ends_is_told_once() {
        let mut scene = Scene::new();
        scene.looks(10, 1, 1);
        assert_eq!(scene.looks(100, 0, 0), [(6_500, false)]);
    }

    #[test]
    fn a_packet_now_and_then_is_not_worth_a_word() {
        let mut scene = Scene::new();
        for _ in 0..20 {
            // A ping that comes in, and its answer in the same look; then four seconds of nothing.
            assert!(scene.looks(1, 1, 1).is_empty());
            assert!(scene.looks(8, 0, 0).is_empty());
        }
    }

    #[test]
    fn a_successor_is_the_one_that_is_told() {
        let mut scene = Scene::new();
        scene.looks(10, 1, 1);
        scene.entries[0] = association(3, Some(Direction::In), 7);
        assert_eq!(scene.looks(10, 0, 1), [(7_000, true)]);
    }

    #[test]
    fn what_was_keyed_by_hand_is_left_alone() {
        let mut scene = Scene::new();
        scene.entries = vec![association(1, None, 7), association(2, None, 7)];
        assert!(scene.looks(40, 0, 1).is_empty());
        scene.entries = vec![
            association(1, Some(Direction::In), 0),
            association(2, Some(Direction::Out), 0),
        ];
        assert!(scene.looks(40, 0, 1).is_empty());
    }

    #[test]
    fn very_many_silences_are_told_one_look_after_the_other() {
        let count = 2 * MAX_SILENCES as u32 + 5;
        let entries: Vec<SaEntry> = (1..=count)
            .flat_map(|reqid| {
                let serial = 2 * u64::from(reqid);
                [
                    association(serial, Some(Direction::In), reqid),
                    association(serial + 1, Some(Direction::Out), reqid),
                ]
            })
            .collect();
        let mut silences = Silences::default();
        let mut told = Vec::new();
        for look in 0..8 {
            entries
                .iter()
                .skip(1)
                .step_by(2)
                .for_each(|out| carry(out, 1));
            told.push(silences.look(entries.iter(), look * LOOK_NS).len());
        }
        assert_eq!(told[3..], [MAX_SILENCES, MAX_SILENCES, 5, 0, 0]);
    }
}

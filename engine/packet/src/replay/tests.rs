use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// The definition: a set of all that was accepted.
struct Model {
    window: u64,
    top: u64,
    seen: BTreeSet<u64>,
}

impl Model {
    fn advance(&mut self, sequence: u64) -> Result<(), Drop> {
        if sequence == 0 || sequence + self.window <= self.top {
            return Err(Drop::OutsideWindow);
        }
        if !self.seen.insert(sequence) {
            return Err(Drop::Replayed);
        }
        self.top = self.top.max(sequence);
        Ok(())
    }
}

fn steps() -> impl Strategy<Value = Vec<i64>> {
    let step =
        prop_oneof![6 => -4i64..5, 2 => -100i64..100, 1 => -2_000i64..2_000, 1 => 0i64..100_000];
    proptest::collection::vec(step, 1..300)
}

/// The narrowest, the widest, and any in between.
fn windows() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 32u32..600, 1 => 600u32..65_536, 1 => Just(32), 1 => Just(65_536)]
}

proptest! {
    #[test]
    fn it_does_what_a_set_does(window in windows(), steps in steps()) {
        let mut ring = ReplayWindow::new(window);
        let mut model = Model { window: window.into(), top: 0, seen: BTreeSet::new() };
        let mut at = 0i64;
        for step in steps {
            at = (at + step).max(0);
            let (checked, got) = (ring.check(at as u64), ring.advance(at as u64));
            prop_assert_eq!(checked, got);
            prop_assert_eq!(got, model.advance(at as u64));
            prop_assert_eq!(ring.top(), model.top);
        }
        let mut again = ReplayWindow::new(window);
        prop_assert_eq!(again.resume(ring.top(), &ring.xfrm_bitmap()), Some(()));
        for back in 0..u64::from(window) + 2 {
            let sequence = (ring.top() + 1).saturating_sub(back);
            prop_assert_eq!(again.check(sequence), ring.check(sequence));
        }
        let bits: u32 = ring.xfrm_bitmap().iter().map(|word| word.count_ones()).sum();
        let bottom = (model.top + 1).saturating_sub(window.into());
        prop_assert_eq!(bits as usize, model.seen.range(bottom..).count());
    }

    /// Whatever number within reach of the window is sent, its low half is enough to know it (RFC 4303 appendix A2.1).
    #[test]
    fn the_low_half_tells_the_number(window in windows(), top in 1u64..1 << 40, ahead in -65_536i64..1 << 31) {
        let mut ring = ReplayWindow::new(window);
        ring.advance(top).unwrap();
        let sent = (top as i64 + ahead.max(1 - i64::from(window))).max(1);
        prop_assert_eq!(ring.full_sequence(sent as u32), Some(sent as u64));
    }
}

#[test]
fn each_number_in_order_once() {
    for window in [32, 33, 64, 100, 65_536] {
        let mut ring = ReplayWindow::new(window);
        for sequence in 1..200_000u64 {
            assert_eq!(ring.advance(sequence), Ok(()));
            assert_eq!(ring.advance(sequence), Err(Drop::Replayed));
        }
        assert_eq!(
            ring.check(199_999 - u64::from(window) + 1),
            Err(Drop::Replayed)
        );
        assert_eq!(
            ring.check(199_999 - u64::from(window)),
            Err(Drop::OutsideWindow)
        );
    }
}

#[test]
fn without_a_window_everything_passes() {
    let mut ring = ReplayWindow::new(0);
    assert!(
        [5, 5, 1, 0]
            .into_iter()
            .all(|sequence| ring.advance(sequence).is_ok())
    );
    assert_eq!(ring.xfrm_bitmap(), []);
}

#[test]
fn before_the_first_packet_there_is_no_earlier_half() {
    assert_eq!(ReplayWindow::new(64).full_sequence(u32::MAX), None);
    assert_eq!(ReplayWindow::new(64).full_sequence(1), Some(1));
}

/// All of the window and as much above it, with the end of the low half at each place in it (RFC 4303 appendix A2.1).
#[test]
fn the_low_half_tells_the_number_around_its_end() {
    for window in [1, 2, 32, 33, 64] {
        for top in (2 << 32) - 70..(2u64 << 32) + 70 {
            let mut ring = ReplayWindow::new(window);
            ring.advance(top).unwrap();
            for sent in top + 1 - u64::from(window)..top + 70 {
                assert_eq!(ring.full_sequence(sent as u32), Some(sent));
            }
        }
    }
}

#[test]
fn a_state_of_any_shape_is_taken() {
    for window in [0, 32, 65_536] {
        for top in [0, 1, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            for bitmap in [&[][..], &[u32::MAX], &[u32::MAX; 4_096]] {
                let mut ring = ReplayWindow::new(window);
                let fits = bitmap.is_empty() || bitmap.len() as u32 == window.div_ceil(32);
                assert_eq!(ring.resume(top, bitmap).is_some(), fits);
                assert_eq!(ring.top(), if fits { top } else { 0 });
                let _ = (ring.check(top), ring.full_sequence(0), ring.xfrm_bitmap());
            }
        }
    }
}

#[test]
fn the_bitmap_is_where_the_kernel_has_it() {
    let mut ring = ReplayWindow::new(32);
    for sequence in [1, 2, 33] {
        ring.advance(sequence).unwrap();
    }
    // 1 has left the window, 33 has taken its bit.
    assert_eq!(ring.xfrm_bitmap(), [0b11]);
}

proptest! {
    #[test]
    fn a_window_is_resumed_from_its_bitmap(window in 1u32..600, steps in steps()) {
        let mut first = ReplayWindow::new(window);
        let mut at = 0i64;
        for step in steps {
            at = (at + step).max(0);
            let _ = first.advance(at as u64);
        }
        let mut second = ReplayWindow::new(window);
        prop_assert_eq!(second.resume(first.top(), &first.xfrm_bitmap()), Some(()));
        prop_assert_eq!((second.top(), second.xfrm_bitmap()), (first.top(), first.xfrm_bitmap()));
        let mut third = ReplayWindow::new(window);
        third.resume(first.top(), &[]).unwrap();
        for sequence in 0..=first.top() {
            prop_assert!(third.check(sequence).is_err());
        }
        prop_assert_eq!(third.check(first.top() + 1), Ok(()));
    }
}

#[test]
fn a_window_does_not_go_back() {
    let mut window = ReplayWindow::new(64);
    (1..=100).for_each(|sequence| window.advance(sequence).unwrap());
    window.resume(50, &[0; 2]).unwrap();
    assert_eq!(window.top(), 100);
    assert_eq!(window.check(60), Err(Drop::Replayed));
    assert_eq!(window.resume(200, &[0; 3]), None);
}

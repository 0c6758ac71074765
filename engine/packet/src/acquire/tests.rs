use super::*;

const SECOND: u64 = 1_000_000_000;

fn wanted(policy: u32) -> Wanted {
    let (source, destination) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
    Wanted {
        policy,
        template: 0,
        source,
        destination,
    }
}

#[test]
fn one_acquire_a_second_for_each_policy() {
    let mut queue = AcquireQueue::new();
    let asked =
        |queue: &mut AcquireQueue, policy, now| queue.hold(wanted(policy), b"x", now).acquire;
    assert!(asked(&mut queue, 9, 0));
    assert!(!asked(&mut queue, 9, SECOND - 1));
    assert!(asked(&mut queue, 17, 1));
    assert!(asked(&mut queue, 9, SECOND));
    assert!(!asked(&mut queue, 9, SECOND + 1));
}

#[test]
fn the_first_packets_are_kept_and_the_rest_named() {
    let mut queue = AcquireQueue::new();
    let outcomes: Vec<_> = (0..40u8)
        .map(|number| queue.hold(wanted(9), &[number], 0).dropped)
        .collect();
    assert!(outcomes[..32].iter().all(Option::is_none));
    assert!(
        outcomes[32..]
            .iter()
            .all(|&dropped| dropped == Some(Drop::AcquireQueueFull))
    );
    assert_eq!(queue.front(&wanted(9)), Some(&[0][..]));
    let taken: Vec<_> = queue
        .take(&wanted(9))
        .into_iter()
        .map(|held| held.packet[0])
        .collect();
    assert_eq!(taken, (0..32).collect::<Vec<u8>>());
    assert!(queue.is_empty() && queue.waiting().is_empty());
}

#[test]
fn octets_and_all_packets_are_bounded() {
    let mut queue = AcquireQueue::new();
    assert_eq!(queue.hold(wanted(9), &[0; 40_000], 0).dropped, None);
    assert_eq!(
        queue.hold(wanted(9), &[0; 40_000], 0).dropped,
        Some(Drop::AcquireQueueFull)
    );
    for policy in 0..100 {
        for _ in 0..32 {
            queue.hold(wanted(policy * 8 + 1), b"x", 0);
        }
    }
    assert_eq!(queue.len(), MAX_HELD_PACKETS);
}

#[test]
fn what_waits_too_long_is_counted_and_forgotten() {
    let mut queue = AcquireQueue::new();
    queue.hold(wanted(9), b"x", 5);
    queue.hold(wanted(9), b"x", SECOND);
    assert_eq!(queue.deadline_ns(), Some(5 + HOLD_NANOSECONDS));
    assert_eq!(queue.expire(4 + HOLD_NANOSECONDS), 0);
    assert_eq!(queue.expire(5 + HOLD_NANOSECONDS), 1);
    assert_eq!(queue.waiting(), [wanted(9)]);
    assert_eq!(queue.expire(SECOND + HOLD_NANOSECONDS), 1);
    assert_eq!(
        (queue.len(), queue.deadline_ns(), queue.queues.len()),
        (0, None, 0)
    );
}

#[test]
fn every_pair_of_ends_is_asked_for_within_bounds() {
    let mut queue = AcquireQueue::new();
    let between = |last: u32| Wanted {
        destination: IpAddr::from(last.to_be_bytes()),
        ..wanted(9)
    };
    assert!(queue.hold(between(1), b"x", 0).acquire);
    assert!(queue.hold(between(2), b"x", 0).acquire);
    assert!(!queue.hold(between(1), b"x", 0).acquire);
    for last in 3..=MAX_ASKED as u32 / 2 {
        assert!(queue.ask(between(last), 0));
    }
    let over = between(MAX_ASKED as u32 / 2 + 1);
    assert!(!queue.ask(over, 0));
    let verdict = queue.hold(over, b"x", 0);
    assert_eq!(
        (verdict.acquire, verdict.dropped),
        (false, Some(Drop::AcquireQueueFull))
    );
    // Nobody waits for most of them: they are forgotten.
    queue.expire(SECOND);
    assert!(queue.ask(over, SECOND));
}

/// A host that looks for others, where each needs an SA of its own, does not keep another policy's tunnel from coming up.
#[test]
fn a_flood_of_one_policy_leaves_the_others_their_room() {
    let mut queue = AcquireQueue::new();
    for last in 0..10_000u32 {
        let destination = IpAddr::from(last.to_be_bytes());
        let wanted = Wanted {
            destination,
            ..wanted(9)
        };
        (0..3).for_each(|_| {
            queue.hold(wanted, b"x", 0);
        });
    }
    assert_eq!(queue.queues.len(), MAX_ASKED / 2);
    assert_eq!(queue.len(), MAX_HELD_PACKETS / 2);
    let verdict = queue.hold(wanted(17), b"x", 0);
    assert_eq!((verdict.acquire, verdict.dropped), (true, None));
}

#[test]
fn super_packets_are_bounded_too() {
    let mut queue = AcquireQueue::new();
    for policy in 0..600 {
        queue.hold(wanted(policy * 8 + 1), &[0; 60_000], 0);
    }
    assert_eq!(queue.len(), MAX_HELD_OCTETS / 60_000);
    queue.take(&wanted(1));
    assert_eq!(queue.hold(wanted(9 * 8 + 1), b"x", 1).dropped, None);
    queue.expire(1 + HOLD_NANOSECONDS);
    assert_eq!((queue.len(), queue.octets), (0, 0));
}

#[test]
fn what_goes_on_without_its_sa_is_asked_for_once_in_a_while() {
    let mut queue = AcquireQueue::new();
    let told: Vec<bool> = [0, 1, SECOND, SECOND + 1]
        .map(|now| queue.ask(wanted(9), now))
        .to_vec();
    assert_eq!(told, [true, false, true, false]);
    assert!(queue.is_empty() && queue.waiting().is_empty());
}

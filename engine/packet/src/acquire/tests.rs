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

use proptest::prelude::*;

use super::*;
use crate::database::Database;
use crate::flow::FlowCache;
use crate::ip::protocol;
use crate::sa::{Direction, SaParams};
use crate::selector::{MaskedPort, Selector};
use crate::spd::PolicyParams;
use crate::testing::{address, gcm_params, ipv4, policy, prefix, selector, udp_between};

const LEFT: &str = "192.168.1.0/24";
const RIGHT: &str = "192.168.2.0/24";

fn packet(source: &str, destination: &str) -> Headers {
    Headers::parse(&udp_between(source, destination, (4000, 53))).unwrap()
}

fn across() -> Headers {
    packet("192.168.1.20", "192.168.2.34")
}

fn back() -> Headers {
    packet("192.168.2.34", "192.168.1.20")
}

/// What a packet came out of that went through one tunnel.
fn through(sa: &Arc<Sa>) -> [Step; 1] {
    [Step::opened(sa, protocol::IPV4)]
}

fn outbound_sa(spi: u32) -> SaParams {
    SaParams {
        spi,
        direction: Some(Direction::Out),
        selectors: vec![selector(LEFT, RIGHT)],
        ..gcm_params()
    }
}

fn inbound_sa(spi: u32) -> SaParams {
    SaParams {
        spi,
        direction: Some(Direction::In),
        selectors: vec![selector(RIGHT, LEFT)],
        ..gcm_params()
    }
}

fn with_policies(policies: impl IntoIterator<Item = PolicyParams>) -> Database {
    let mut database = Database::new();
    for params in policies {
        database.add_policy(params, 0).unwrap();
    }
    database
}

fn one_tunnel() -> Database {
    with_policies([
        policy(PolicyDirection::Out, selector(LEFT, RIGHT), 100),
        policy(PolicyDirection::In, selector(RIGHT, LEFT), 100),
    ])
}

fn chosen_spi(database: &mut Database, headers: &Headers) -> Option<u32> {
    match database.snapshot().outbound(headers) {
        Outbound::Protect(bundle) => bundle.single_tunnel().map(|sa| sa.params().spi),
        _ => None,
    }
}

#[test]
fn without_a_policy_nothing_leaves() {
    assert!(matches!(
        one_tunnel().snapshot().outbound(&back()),
        Outbound::NoPolicy
    ));
}

#[test]
fn without_an_sa_one_is_needed_and_with_one_it_is_used() {
    let mut database = one_tunnel();
    assert!(
        matches!(database.snapshot().outbound(&across()), Outbound::NeedSa(need) if need.template().reqid == 7)
    );
    database.add_sa(outbound_sa(0x1001), 0).unwrap();
    assert_eq!(chosen_spi(&mut database, &across()), Some(0x1001));
}

#[test]
fn the_newest_that_suits_is_used() {
    let mut database = one_tunnel();
    database.add_sa(outbound_sa(0x1001), 0).unwrap();
    database.add_sa(outbound_sa(0x1002), 0).unwrap();
    let unsuitable = [
        SaParams {
            reqid: 8,
            ..outbound_sa(0x1003)
        },
        SaParams {
            direction: Some(Direction::In),
            ..outbound_sa(0x1004)
        },
        SaParams {
            selectors: vec![selector(LEFT, "192.168.3.0/24")],
            ..outbound_sa(0x1005)
        },
    ];
    for params in unsuitable {
        database.add_sa(params, 0).unwrap();
    }
    assert_eq!(chosen_spi(&mut database, &across()), Some(0x1002));
    database.delete_sa(outbound_sa(0x1002).id()).unwrap();
    assert_eq!(chosen_spi(&mut database, &across()), Some(0x1001));
}

#[test]
fn an_address_of_the_template_must_be_the_sas() {
    let mut params = policy(PolicyDirection::Out, selector(LEFT, RIGHT), 1);
    let template = &mut params.templates[0];
    (template.destination, template.reqid) = (address("192.0.2.9"), 0);
    let mut database = with_policies([params]);
    database.add_sa(outbound_sa(0x1001), 0).unwrap();
    assert_eq!(chosen_spi(&mut database, &across()), None);
    database
        .add_sa(
            SaParams {
                destination: address("192.0.2.9"),
                ..outbound_sa(0x1001)
            },
            0,
        )
        .unwrap();
    assert_eq!(chosen_spi(&mut database, &across()), Some(0x1001));
}

#[test]
fn the_lowest_priority_is_asked_first_and_then_the_older() {
    let block = |selector, priority| PolicyParams {
        action: Action::Block,
        templates: vec![],
        ..policy(PolicyDirection::Out, selector, priority)
    };
    let bypass = |selector, priority| PolicyParams {
        templates: vec![],
        ..policy(PolicyDirection::Out, selector, priority)
    };
    let mut database = with_policies([
        bypass(selector("192.168.0.0/16", RIGHT), 5),
        block(selector(LEFT, RIGHT), 5),
    ]);
    assert!(matches!(
        database.snapshot().outbound(&across()),
        Outbound::Bypass(_)
    ));
    database
        .add_policy(block(selector("0.0.0.0/0", RIGHT), 4), 0)
        .unwrap();
    assert!(matches!(
        database.snapshot().outbound(&across()),
        Outbound::Discard(_)
    ));
}

#[test]
fn inbound_is_found_by_destination_and_spi_and_only_where_it_may() {
    let mut database = one_tunnel();
    database.add_sa(inbound_sa(0x2001), 0).unwrap();
    database.add_sa(outbound_sa(0x1001), 0).unwrap();
    let snapshot = database.snapshot();
    assert!(
        snapshot
            .inbound(address("192.0.2.2"), 0x2001, Protocol::Esp)
            .is_some()
    );
    assert!(
        snapshot
            .inbound(address("192.0.2.3"), 0x2001, Protocol::Esp)
            .is_none()
    );
    assert!(
        snapshot
            .inbound(address("192.0.2.2"), 0x1001, Protocol::Esp)
            .is_none()
    );
}

/// RFC 4301 section 5.2: what comes out must be what the SA and the policies say.
#[test]
fn the_exit_of_the_tunnel_is_checked() {
    let mut database = one_tunnel();
    let good = database.add_sa(inbound_sa(0x2001), 0).unwrap();
    let wide = database
        .add_sa(
            SaParams {
                selectors: vec![],
                ..inbound_sa(0x2002)
            },
            0,
        )
        .unwrap();
    let other = database
        .add_sa(
            SaParams {
                reqid: 9,
                ..inbound_sa(0x2003)
            },
            0,
        )
        .unwrap();
    let snapshot = database.snapshot();
    assert_eq!(snapshot.accept(&through(&good), &back(), true), Ok(()));
    assert_eq!(
        snapshot.accept(&through(&good), &across(), true),
        Err(Drop::SelectorMismatch)
    );
    assert_eq!(
        snapshot.accept(&through(&wide), &across(), true),
        Err(Drop::InboundPolicyMismatch)
    );
    assert_eq!(
        snapshot.accept(&through(&other), &back(), true),
        Err(Drop::InboundPolicyMismatch)
    );
}

#[test]
fn a_forward_policy_accepts_and_a_discarding_one_refuses() {
    let mut database = with_policies([policy(PolicyDirection::Fwd, selector(RIGHT, LEFT), 1)]);
    let good = database.add_sa(inbound_sa(0x2001), 0).unwrap();
    assert_eq!(
        database.snapshot().accept(&through(&good), &back(), true),
        Ok(())
    );
    let block = PolicyParams {
        action: Action::Block,
        templates: vec![],
        ..policy(PolicyDirection::In, selector(RIGHT, LEFT), 1)
    };
    database.add_policy(block, 0).unwrap();
    assert_eq!(
        database.snapshot().accept(&through(&good), &back(), true),
        Err(Drop::PolicyDiscard)
    );
}

#[test]
fn for_what_is_forwarded_both_policies_must_ask_for_the_sa() {
    let other = |direction| {
        let mut params = policy(direction, selector(RIGHT, LEFT), 1);
        params.templates[0].reqid = 8;
        params
    };
    let this = |direction| policy(direction, selector(RIGHT, LEFT), 1);
    let outcome = |policies, forwarded| {
        let mut database = with_policies(policies);
        let good = database.add_sa(inbound_sa(0x2001), 0).unwrap();
        database
            .snapshot()
            .accept(&through(&good), &back(), forwarded)
    };
    let mismatch = Err(Drop::InboundPolicyMismatch);
    let forward_refuses = || [this(PolicyDirection::In), other(PolicyDirection::Fwd)];
    assert_eq!(outcome(forward_refuses(), true), mismatch);
    assert_eq!(outcome(forward_refuses(), false), Ok(()));
    let inward_refuses = || [other(PolicyDirection::In), this(PolicyDirection::Fwd)];
    assert_eq!(outcome(inward_refuses(), true), mismatch);
    assert_eq!(outcome(inward_refuses(), false), mismatch);
}

#[test]
fn a_template_without_reqid_takes_no_inbound_sa() {
    let mut params = policy(PolicyDirection::Out, selector(LEFT, RIGHT), 1);
    params.templates[0].reqid = 0;
    let mut database = with_policies([params]);
    database.add_sa(outbound_sa(0x1001), 0).unwrap();
    let inbound = SaParams {
        direction: Some(Direction::In),
        ..outbound_sa(0x1002)
    };
    database.add_sa(inbound, 0).unwrap();
    assert_eq!(chosen_spi(&mut database, &across()), Some(0x1001));
}

#[test]
fn a_policy_that_lets_pass_in_clear_expects_no_tunnel() {
    let bypass = PolicyParams {
        templates: vec![],
        ..policy(PolicyDirection::In, selector(RIGHT, LEFT), 1)
    };
    let mut database = with_policies([bypass]);
    let good = database.add_sa(inbound_sa(0x2001), 0).unwrap();
    assert_eq!(
        database.snapshot().accept(&through(&good), &back(), true),
        Err(Drop::InboundPolicyMismatch)
    );
}

#[test]
fn a_cache_forgets_with_the_snapshot() {
    let (mut database, mut cache) = (one_tunnel(), FlowCache::new());
    assert!(matches!(
        cache.outbound(&database.snapshot(), &across(), 1),
        Outbound::NeedSa(_)
    ));
    let inward = database.add_sa(inbound_sa(0x2001), 0).unwrap();
    database.add_sa(outbound_sa(0x1001), 0).unwrap();
    assert!(matches!(
        cache.outbound(&database.snapshot(), &across(), 1),
        Outbound::Protect(_)
    ));
    assert_eq!(
        cache.accept(&database.snapshot(), &through(&inward), &back(), true, 1),
        Ok(())
    );
    database.flush_policies();
    assert!(matches!(
        cache.outbound(&database.snapshot(), &across(), 1),
        Outbound::NoPolicy
    ));
    assert_eq!(
        cache.accept(&database.snapshot(), &through(&inward), &back(), true, 1),
        Err(Drop::InboundPolicyMismatch)
    );
}

fn random_policy() -> impl Strategy<Value = PolicyParams> {
    let network =
        (0u8..4, 0u8..33).prop_map(|(last, length)| prefix(&format!("10.0.0.{last}/{length}")));
    let action = prop_oneof![Just(Action::Allow), Just(Action::Block)];
    (network, 0u32..4, action, 0u16..3, any::<bool>()).prop_map(
        |(network, priority, action, port, clear)| {
            let mut selector = Selector::new(network, prefix("0.0.0.0/0")).unwrap();
            if port > 0 {
                (selector.protocol, selector.destination_port) =
                    (protocol::UDP, MaskedPort::exactly(port));
            }
            let params = policy(PolicyDirection::Out, selector, priority);
            let templates = if clear || action == Action::Block {
                vec![]
            } else {
                params.templates
            };
            PolicyParams {
                action,
                templates,
                ..params
            }
        },
    )
}

proptest! {
    /// The snapshot and the cache against: of all that match, the least priority, and of these the first added.
    #[test]
    fn look_ups_do_what_the_naive_model_does(
        policies in proptest::collection::vec(random_policy(), 0..12),
        packets in proptest::collection::vec((0u8..5, 0u16..4), 1..30),
    ) {
        let (mut database, mut kept) = (Database::new(), Vec::new());
        for params in policies {
            if let Ok(policy) = database.add_policy(params, 0) {
                kept.push(policy);
            }
        }
        let (snapshot, mut cache) = (database.snapshot(), FlowCache::new());
        for (last, port) in packets {
            let headers = Headers::parse(&udp_between(&format!("10.0.0.{last}"), "10.9.9.9", (1, port))).unwrap();
            let matching = kept.iter().filter(|policy| policy.params.selector.matches(&headers));
            let first = matching.min_by_key(|policy| policy.params.priority);
            for outcome in [snapshot.outbound(&headers), cache.outbound(&snapshot, &headers, 1).clone()] {
                let (index, action) = match outcome {
                    Outbound::Discard(policy) => (policy.params.index, Action::Block),
                    Outbound::Bypass(policy) => (policy.params.index, Action::Allow),
                    Outbound::NeedSa(need) => (need.policy.params.index, Action::Allow),
                    Outbound::NoPolicy => (0, Action::Block),
                    Outbound::Protect(_) | Outbound::Clear(_) => unreachable!("there is no SA"),
                };
                prop_assert_eq!(index, first.map_or(0, |policy| policy.params.index));
                prop_assert!(first.is_none_or(|policy| policy.params.action == action));
            }
        }
    }
}

/// What came in clear: only where no policy wants it protected.
#[test]
fn what_came_in_clear_is_judged_too() {
    let outcome = |policies: Vec<PolicyParams>| {
        let mut database = with_policies(policies);
        database.snapshot().accept(&[], &back(), false)
    };
    let inward = || policy(PolicyDirection::In, selector(RIGHT, LEFT), 1);
    assert_eq!(outcome(vec![]), Ok(()));
    assert_eq!(outcome(vec![inward()]), Err(Drop::InboundPolicyMismatch));
    let bypass = PolicyParams {
        templates: vec![],
        ..inward()
    };
    assert_eq!(outcome(vec![bypass]), Ok(()));
    let mut optional = inward();
    optional.templates[0].optional = true;
    assert_eq!(outcome(vec![optional]), Ok(()));
}

#[test]
fn a_policy_is_used_when_a_packet_meets_it() {
    let mut database = one_tunnel();
    let inward = database.add_sa(inbound_sa(0x2001), 0).unwrap();
    let (snapshot, mut cache) = (database.snapshot(), FlowCache::new());
    let used = |database: &Database| {
        let policies = database.spd().iter();
        let mut all: Vec<_> = policies
            .map(|policy| (policy.params.direction, policy.used_s()))
            .collect();
        all.sort_unstable();
        all
    };
    let (inbound, out) = (PolicyDirection::In, PolicyDirection::Out);
    assert_eq!(used(&database), [(inbound, 0), (out, 0)]);
    cache.outbound(&snapshot, &across(), 5);
    cache
        .accept(&snapshot, &through(&inward), &back(), true, 6)
        .unwrap();
    assert_eq!(used(&database), [(inbound, 6), (out, 5)]);
    cache.outbound(&snapshot, &across(), 8);
    cache
        .accept(&snapshot, &through(&inward), &back(), true, 9)
        .unwrap();
    assert_eq!(used(&database), [(inbound, 9), (out, 8)]);
}

/// The cache tells apart what a packet came out of, in which mode and whether it goes on; and long ways are not remembered.
#[test]
fn the_cache_tells_ways_apart() {
    let mut policies = vec![policy(PolicyDirection::In, selector(RIGHT, LEFT), 1)];
    policies[0].templates = vec![policies[0].templates[0]; 3];
    policies[0].templates[2].optional = true;
    policies.push(PolicyParams {
        action: Action::Block,
        templates: vec![],
        ..policy(PolicyDirection::Fwd, selector(RIGHT, LEFT), 1)
    });
    let mut database = with_policies(policies);
    let sa = database.add_sa(inbound_sa(0x2001), 0).unwrap();
    let (snapshot, mut cache) = (database.snapshot(), FlowCache::new());
    let [step] = through(&sa);
    let transport = Step::opened(&sa, protocol::UDP);
    assert_eq!(transport.mode, step.mode);
    let ways = [1, 2, 3, 4].map(|count| vec![step.clone(); count]);
    for _ in 0..2 {
        let met: Vec<_> = ways
            .iter()
            .map(|way| cache.accept(&snapshot, way, &back(), false, 1).is_ok())
            .collect();
        assert_eq!(met, [false, true, true, false]);
        for way in &ways[1..3] {
            let forwarded = cache.accept(&snapshot, way, &back(), true, 1);
            assert_eq!(forwarded, Err(Drop::PolicyDiscard));
        }
    }
}

#[test]
fn icmp_is_told_apart_by_type_and_code() {
    let mut echo = selector(LEFT, RIGHT);
    (echo.protocol, echo.source_port) = (protocol::ICMP, MaskedPort::exactly(8));
    let bypass = PolicyParams {
        templates: vec![],
        ..policy(PolicyDirection::Out, echo, 1)
    };
    let mut database = with_policies([bypass]);
    let ping = |kind: u8| {
        let packet = ipv4(
            "192.168.1.20",
            "192.168.2.34",
            protocol::ICMP,
            &[kind, 0, 0, 0],
        );
        Headers::parse(&packet).unwrap()
    };
    let snapshot = database.snapshot();
    assert!(matches!(snapshot.outbound(&ping(8)), Outbound::Bypass(_)));
    assert!(matches!(snapshot.outbound(&ping(0)), Outbound::NoPolicy));
}

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::sa::{Encap, Protocol, Sa, SaParams};
use crate::spd::PolicyDirection;
use crate::testing::{address, gcm_params, policy, selector, transform_of, udp_between};

const HOSTS: (&str, &str) = ("192.0.2.1", "192.0.2.2");
const GATES: (&str, &str) = ("198.51.100.1", "198.51.100.2");

fn headers() -> Headers {
    Headers::parse(&udp_between(HOSTS.0, HOSTS.1, (4_000, 53))).unwrap()
}

fn step(ends: (&str, &str), protocol: Protocol, mode: Mode, reqid: u32) -> Step {
    let params = SaParams {
        source: address(ends.0),
        destination: address(ends.1),
        protocol,
        mode,
        reqid,
        transform: transform_of(protocol),
        ..gcm_params()
    };
    Step {
        sa: Arc::new(Sa::new(params, 1, 1).unwrap()),
        mode,
    }
}

fn template(protocol: Protocol, mode: Mode, reqid: u32) -> Template {
    let any = IpAddr::from([0u8; 4]);
    Template {
        source: any,
        destination: any,
        spi: 0,
        reqid,
        protocol,
        mode,
        optional: false,
    }
}

fn asks_for(templates: &[Template], secpath: &[Step]) -> bool {
    let everything = selector("0.0.0.0/0", "0.0.0.0/0");
    let params = PolicyParams {
        templates: templates.to_vec(),
        ..policy(PolicyDirection::In, everything, 1)
    };
    match accepts(&params, secpath, &headers()) {
        Ok(()) => true,
        Err(Drop::InboundPolicyMismatch) => false,
        Err(other) => panic!("{other:?}"),
    }
}

const ESP: Protocol = Protocol::Esp;
const AH: Protocol = Protocol::Ah;

/// Which SAs make up the way, written as every list of SAs that a policy takes.
fn naive(templates: &[Template], secpath: &[Step]) -> bool {
    (0..1u32 << templates.len()).any(|used| {
        let chosen: Vec<_> = (0..templates.len())
            .filter(|place| used >> place & 1 == 1)
            .collect();
        let left_out = (0..templates.len()).filter(|place| !chosen.contains(place));
        let may = left_out.clone().all(|place| templates[place].optional);
        let innermost_first = secpath.iter().rev();
        may && chosen.len() == secpath.len()
            && chosen.iter().zip(innermost_first).all(|(place, step)| {
                let (template, params) = (&templates[*place], step.sa.params());
                template.protocol == params.protocol
                    && template.mode == step.mode
                    && (template.reqid == 0 || template.reqid == params.reqid)
            })
    })
}

fn random_template() -> impl Strategy<Value = Template> {
    (any::<bool>(), 0u32..3, any::<bool>()).prop_map(|(ah, reqid, optional)| Template {
        optional,
        ..template(if ah { AH } else { ESP }, Mode::Tunnel, reqid)
    })
}

fn random_step() -> impl Strategy<Value = Step> {
    (any::<bool>(), 1u32..3)
        .prop_map(|(ah, reqid)| step(GATES, if ah { AH } else { ESP }, Mode::Tunnel, reqid))
}

proptest! {
    #[test]
    fn it_accepts_what_the_naive_model_accepts(
        templates in proptest::collection::vec(random_template(), 0..7),
        secpath in proptest::collection::vec(random_step(), 0..7),
    ) {
        prop_assert_eq!(asks_for(&templates, &secpath), naive(&templates, &secpath));
    }

    /// What a policy's templates make when all SAs are there, its mirror accepts; and nothing that lacks one of them.
    #[test]
    fn it_accepts_what_was_made_for_it(templates in proptest::collection::vec(random_template(), 1..7), lacking in 0usize..6) {
        let made = |template: &Template| step(GATES, template.protocol, Mode::Tunnel, template.reqid.max(1));
        let mut secpath: Vec<_> = templates.iter().rev().map(made).collect();
        prop_assert!(asks_for(&templates, &secpath));
        let required: Vec<_> = templates.iter().map(|one| Template { optional: false, ..*one }).collect();
        secpath.remove(lacking % templates.len());
        prop_assert!(!asks_for(&required, &secpath));
    }
}

#[test]
fn nobody_speaks_for_another_host() {
    let esp = template(ESP, Mode::Transport, 0);
    let others = ("192.0.2.9", HOSTS.1);
    assert!(asks_for(&[esp], &[step(HOSTS, ESP, Mode::Transport, 1)]));
    assert!(!asks_for(&[esp], &[step(others, ESP, Mode::Transport, 1)]));
    let from_any = ("0.0.0.0", HOSTS.1);
    assert!(asks_for(&[esp], &[step(from_any, ESP, Mode::Transport, 1)]));
}

/// The address in the packet is the translator's.
#[test]
fn behind_a_nat_the_source_is_not_the_sas() {
    let plain = step(("192.0.2.9", HOSTS.1), ESP, Mode::Transport, 1);
    let encap = Some(Encap {
        source_port: 4_500,
        destination_port: 4_500,
    });
    let params = SaParams {
        encap,
        ..plain.sa.params().clone()
    };
    let behind = Step {
        sa: Arc::new(Sa::new(params, 1, 1).unwrap()),
        mode: Mode::Transport,
    };
    let esp = template(ESP, Mode::Transport, 1);
    assert!(asks_for(&[esp], &[behind]) && !asks_for(&[esp], &[plain]));
}

/// AH in transport mode over ESP in tunnel mode: AH is between the gateways. The other way round it is between the hosts.
#[test]
fn around_a_tunnel_the_ends_are_the_tunnels() {
    let (ah, esp) = (
        template(AH, Mode::Transport, 0),
        template(ESP, Mode::Tunnel, 0),
    );
    let tunnel = || step(GATES, ESP, Mode::Tunnel, 1);
    let between = |ends| step(ends, AH, Mode::Transport, 1);
    assert!(asks_for(&[esp, ah], &[between(GATES), tunnel()]));
    assert!(!asks_for(&[esp, ah], &[between(HOSTS), tunnel()]));
    assert!(asks_for(&[ah, esp], &[tunnel(), between(HOSTS)]));
    assert!(!asks_for(&[ah, esp], &[tunnel(), between(GATES)]));
    assert!(!asks_for(&[esp, ah], &[tunnel(), between(GATES)]));
}

#[test]
fn the_mode_is_the_one_that_the_packet_came_in() {
    let either = step(HOSTS, ESP, Mode::Any, 1);
    let came_in = |mode| {
        [Step {
            mode,
            sa: Arc::clone(&either.sa),
        }]
    };
    for (wanted, other) in [
        (Mode::Transport, Mode::Tunnel),
        (Mode::Tunnel, Mode::Transport),
    ] {
        assert!(asks_for(&[template(ESP, wanted, 0)], &came_in(wanted)));
        assert!(!asks_for(&[template(ESP, wanted, 0)], &came_in(other)));
    }
}

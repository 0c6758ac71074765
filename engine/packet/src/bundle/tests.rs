use super::*;
use crate::database::Database;
use crate::sa::{Direction, SaParams};
use crate::spd::{PolicyDirection, PolicyParams};
use crate::testing::{address, gcm_params, policy, selector, transform_of, udp_between};

const HERE: &str = "192.0.2.1";
const THERE: &str = "192.0.2.2";
const GATE: &str = "198.51.100.1";
const FAR: &str = "198.51.100.2";

fn template(protocol: Protocol, mode: Mode) -> Template {
    let any = IpAddr::from([0u8; 4]);
    Template {
        source: any,
        destination: any,
        spi: 0,
        reqid: 0,
        protocol,
        mode,
        optional: false,
    }
}

fn tunnel(source: &str, destination: &str) -> Template {
    Template {
        source: address(source),
        destination: address(destination),
        ..template(Protocol::Esp, Mode::Tunnel)
    }
}

fn optional(template: Template) -> Template {
    Template {
        optional: true,
        ..template
    }
}

const ESP: Protocol = Protocol::Esp;
const AH: Protocol = Protocol::Ah;

/// An SA for anything, without reqid.
fn between(source: &str, destination: &str, protocol: Protocol, mode: Mode, spi: u32) -> SaParams {
    SaParams {
        source: address(source),
        destination: address(destination),
        spi,
        protocol,
        mode,
        reqid: 0,
        transform: transform_of(protocol),
        ..gcm_params()
    }
}

fn world(templates: Vec<Template>, sas: Vec<SaParams>) -> Database {
    let mut database = Database::new();
    let everything = selector("0.0.0.0/0", "0.0.0.0/0");
    let params = PolicyParams {
        templates,
        ..policy(PolicyDirection::Out, everything, 1)
    };
    database.add_policy(params, 0).unwrap();
    for params in sas {
        database.add_sa(params, 0).unwrap();
    }
    database
}

fn from_here(database: &mut Database) -> Outbound {
    let packet = udp_between(HERE, THERE, (4_000, 53));
    database
        .snapshot()
        .outbound(&Headers::parse(&packet).unwrap())
}

fn spis(outbound: &Outbound) -> Vec<u32> {
    match outbound {
        Outbound::Protect(bundle) => {
            let steps = bundle.steps().iter();
            steps.map(|step| step.sa.params().spi).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn ends(outbound: &Outbound) -> (IpAddr, IpAddr) {
    match outbound {
        Outbound::NeedSa(need) | Outbound::Clear(need) => (need.source, need.destination),
        other => panic!("{other:?}"),
    }
}

#[test]
fn in_transport_mode_the_sa_is_between_the_packets_own_ends() {
    let mut database = world(
        vec![template(ESP, Mode::Transport)],
        vec![
            between(HERE, GATE, ESP, Mode::Transport, 0x1001),
            between(GATE, THERE, ESP, Mode::Transport, 0x1002),
            between(HERE, THERE, ESP, Mode::Tunnel, 0x1003),
            between(HERE, THERE, AH, Mode::Transport, 0x1004),
        ],
    );
    assert_eq!(
        ends(&from_here(&mut database)),
        (address(HERE), address(THERE))
    );
    let fits = between(HERE, THERE, ESP, Mode::Transport, 0x1005);
    database.add_sa(fits, 0).unwrap();
    assert_eq!(spis(&from_here(&mut database)), [0x1005]);
}

/// AH in transport mode around ESP in tunnel mode is between the gateways; inside of it, between the hosts.
#[test]
fn after_a_tunnel_the_ends_are_the_tunnels() {
    let sas = || {
        vec![
            between(HERE, THERE, AH, Mode::Transport, 0x1001),
            between(GATE, FAR, AH, Mode::Transport, 0x1002),
            between(GATE, FAR, ESP, Mode::Tunnel, 0x1003),
        ]
    };
    let (ah, esp) = (template(AH, Mode::Transport), tunnel(GATE, FAR));
    let mut outside = world(vec![esp, ah], sas());
    assert_eq!(spis(&from_here(&mut outside)), [0x1003, 0x1002]);
    let mut inside = world(vec![ah, esp], sas());
    assert_eq!(spis(&from_here(&mut inside)), [0x1001, 0x1003]);
    let all = [Mode::Transport, Mode::Tunnel];
    let Outbound::Protect(bundle) = from_here(&mut inside) else {
        panic!()
    };
    let modes = bundle.steps().iter().map(|step| step.mode);
    assert!(modes.eq(all) && bundle.single_tunnel().is_none());
}

#[test]
fn an_sa_of_either_mode_serves_both() {
    let sas = || vec![between(HERE, THERE, ESP, Mode::Any, 0x1001)];
    for template in [template(ESP, Mode::Transport), tunnel(HERE, THERE)] {
        let mut database = world(vec![template], sas());
        let Outbound::Protect(bundle) = from_here(&mut database) else {
            panic!()
        };
        assert_eq!(bundle.steps()[0].mode, template.mode);
        assert_eq!(
            bundle.single_tunnel().is_some(),
            template.mode == Mode::Tunnel
        );
    }
}

#[test]
fn what_is_optional_is_asked_for_and_gone_without() {
    let (ah, esp) = (
        template(AH, Mode::Transport),
        template(ESP, Mode::Transport),
    );
    let esp_sa = || vec![between(HERE, THERE, ESP, Mode::Transport, 0x1001)];
    let mut neither = world(vec![optional(esp), optional(ah)], vec![]);
    assert!(matches!(from_here(&mut neither), Outbound::Clear(need) if need.template == 0));
    let mut one = world(vec![esp, optional(ah)], esp_sa());
    let Outbound::Protect(bundle) = from_here(&mut one) else {
        panic!()
    };
    assert_eq!(bundle.missing().unwrap().template().protocol, AH);
    let mut required = world(vec![optional(ah), esp], vec![]);
    assert!(matches!(from_here(&mut required), Outbound::NeedSa(need) if need.template == 1));
    let mut whole = world(vec![optional(esp)], esp_sa());
    let Outbound::Protect(bundle) = from_here(&mut whole) else {
        panic!()
    };
    assert!(bundle.missing().is_none());
}

#[test]
fn a_template_may_name_the_spi_and_the_reqid() {
    let sas = || {
        let second = SaParams {
            reqid: 5,
            ..between(HERE, THERE, ESP, Mode::Tunnel, 0x1002)
        };
        vec![between(HERE, THERE, ESP, Mode::Tunnel, 0x1001), second]
    };
    let chosen = |change: fn(&mut Template)| {
        let mut template = tunnel(HERE, THERE);
        change(&mut template);
        let mut database = world(vec![template], sas());
        spis(&from_here(&mut database))
    };
    assert_eq!(chosen(|_| ()), [0x1002]);
    assert_eq!(chosen(|template| template.spi = 0x1001), [0x1001]);
    assert_eq!(chosen(|template| template.reqid = 5), [0x1002]);
}

/// The selectors are those of the packet inside, as in the kernel.
#[test]
fn selectors_are_judged_before_the_first_sa() {
    let within = vec![selector("192.0.2.1/32", "192.0.2.2/32")];
    let outer = SaParams {
        selectors: within,
        ..between(GATE, FAR, AH, Mode::Transport, 0x1002)
    };
    let inner = between(GATE, FAR, ESP, Mode::Tunnel, 0x1001);
    let templates = vec![tunnel(GATE, FAR), template(AH, Mode::Transport)];
    let mut database = world(templates, vec![inner, outer]);
    assert_eq!(spis(&from_here(&mut database)), [0x1001, 0x1002]);
}

#[test]
fn an_inbound_sa_protects_nothing() {
    let inbound = SaParams {
        direction: Some(Direction::In),
        ..between(HERE, THERE, ESP, Mode::Tunnel, 0x1001)
    };
    for template in [tunnel(HERE, THERE), template(ESP, Mode::Tunnel)] {
        let mut database = world(vec![template], vec![inbound.clone()]);
        assert!(matches!(from_here(&mut database), Outbound::NeedSa(_)));
    }
}

use super::*;
use crate::algorithm::Transform;
use crate::database::Database;
use crate::testing::{address, gcm_params, params, sa, transform_of, transforms};

#[test]
fn each_protocol_has_its_transforms_and_its_limits() {
    let refused = |change: fn(&mut SaParams)| {
        let mut params = gcm_params();
        change(&mut params);
        let outcome = Database::new().add_sa(params, 0);
        outcome.map_err(DatabaseError::errno).err()
    };
    let ah = |params: &mut SaParams| {
        params.protocol = Protocol::Ah;
        params.transform = transform_of(Protocol::Ah);
    };
    assert_eq!(refused(ah), None);
    assert_eq!(refused(|params| params.protocol = Protocol::Ah), Some(22));
    assert_eq!(
        refused(|params| params.transform = transform_of(Protocol::Ah)),
        Some(22)
    );
    assert_eq!(refused(|params| params.tfc_padding = 1_000), None);
    assert_eq!(refused(|params| params.tfc_padding = 65_536), Some(22));
    assert_eq!(
        refused(|params| (params.tfc_padding, params.mode) = (1_000, Mode::Transport)),
        Some(22)
    );
    assert_eq!(refused(|params| params.extra_flags = 2), Some(95));
    assert_eq!(
        refused(|params| params.destination = address("0.0.0.0")),
        Some(22)
    );
    let in_udp = |params: &mut SaParams| {
        params.protocol = Protocol::Ah;
        params.transform = transform_of(Protocol::Ah);
        params.encap = Some(Encap {
            source_port: 4_500,
            destination_port: 4_500,
        });
    };
    assert_eq!(refused(in_udp), Some(22));
}

#[test]
fn an_sa_of_esp_and_one_of_ah_may_have_one_spi() {
    let mut database = Database::new();
    let ah = SaParams {
        protocol: Protocol::Ah,
        transform: transform_of(Protocol::Ah),
        ..gcm_params()
    };
    database.add_sa(gcm_params(), 0).unwrap();
    database.add_sa(ah, 0).unwrap();
    let (destination, spi) = (gcm_params().destination, gcm_params().spi);
    for protocol in [Protocol::Esp, Protocol::Ah] {
        let snapshot = database.snapshot();
        let found = snapshot.inbound(destination, spi, protocol).unwrap();
        assert_eq!(found.params().protocol, protocol);
    }
    assert_eq!(database.flush_sas(Some(Protocol::Esp)), 1);
    assert_eq!(database.flush_sas(None), 1);
}

/// Counting on from the highest number there is would come round to 0, and repeat all of them.
#[test]
fn no_progress_goes_past_the_last_number() {
    let cbc = |flags| {
        let cipher = |transform: &Transform| transform.counter_key().is_none();
        let transform = transforms().into_iter().find(cipher).unwrap();
        sa(SaParams {
            flags,
            ..params(transform)
        })
    };
    let last = u64::from(u32::MAX);
    let progress = |sent, newest| Progress {
        sent,
        newest,
        bitmap: Vec::new(),
    };
    for (flags, sent, newest, taken) in [
        (0, last, last, true),
        (0, last + 1, 0, false),
        (0, 0, last + 1, false),
        (FLAG_ESN, u64::MAX >> 1, u64::MAX, true),
        (FLAG_ESN, (u64::MAX >> 1) + 1, 0, false),
        (FLAG_ESN, u64::MAX, 0, false),
    ] {
        let sa = cbc(flags);
        assert_eq!(sa.advance(&progress(sent, newest)).is_ok(), taken);
        assert_eq!(sa.take_sequence().is_ok(), !taken);
        assert_eq!(sa.newest_received(), if taken { newest } else { 0 });
    }
}

/// 0 says that it was never used.
#[test]
fn a_use_in_the_first_second_is_one() {
    let sa = sa(gcm_params());
    sa.carried(1, 20, 0);
    assert_eq!(sa.usage().first_use_s, 1);
    sa.carried(1, 20, 9);
    assert_eq!(sa.usage().first_use_s, 1);
}

/// The numbers of what arrives are the other end's, whatever its key.
#[test]
fn what_only_opens_takes_no_numbers() {
    let mut database = Database::new();
    let of = |spi, direction| SaParams {
        spi,
        direction: Some(direction),
        ..gcm_params()
    };
    let outbound = database.add_sa(of(0x2001, Direction::Out), 0).unwrap();
    outbound.take_sequence().unwrap();
    let inbound = database.add_sa(of(0x2002, Direction::In), 0).unwrap();
    assert_eq!((outbound.sent_sequence(), inbound.sent_sequence()), (1, 0));
}

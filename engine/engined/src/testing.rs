//! Values that several tests need.

use std::sync::Arc;

use netio::TunDevice;
use netio::memory::{MemoryHost, MemoryRoutes};

use packet::algorithm::{Aead, Encryption, Integrity, Transform};
use packet::sa::{Encap, Lifetimes, Mode, Protocol, SaParams};
use packet::secret::Secret;
use packet::selector::{Prefix, Selector};
use packet::spd::{Action, PolicyDirection, PolicyParams, Template};

use crate::shared::{Devices, PerFamily};

/// A host that has a TUN, ways of 1,500 octets, and no socket.
pub fn devices(tun: Arc<dyn TunDevice>) -> Devices {
    let none = || PerFamily { v4: None, v6: None };
    Devices {
        tun,
        ike: none(),
        nat_t: none(),
        esp: none(),
        ah: none(),
        whole: none(),
        errors: none(),
        icmp: none(),
        routes: Arc::new(MemoryRoutes::new(1_500)),
        host: Arc::new(MemoryHost::default()),
    }
}

/// Our end of the tunnel.
pub const OURS: [u8; 4] = [203, 0, 113, 1];
/// The peer's end.
pub const THEIRS: [u8; 4] = [198, 51, 100, 1];
/// What the template of [`protecting`] asks for.
pub const REQID: u32 = 9;

/// The SPI of [`protected`].
pub const SPI: u32 = 0xc000_0001;

/// An SA for both directions, whose key is all threes.
pub fn protected(encap: Option<Encap>) -> SaParams {
    SaParams {
        source: OURS.into(),
        destination: THEIRS.into(),
        spi: SPI,
        protocol: Protocol::Esp,
        reqid: REQID,
        mode: Mode::Tunnel,
        transform: Transform::Aead {
            algorithm: Aead::AesGcm,
            icv_octets: 16,
            key: Secret::new(&[3; 36]),
        },
        direction: None,
        encap,
        replay_window: 64,
        flags: 0,
        extra_flags: 0,
        tfc_padding: 0,
        legacy: false,
        lifetimes: Lifetimes::NONE,
        selectors: vec![],
    }
}

/// The same with AES-CBC, whose sequence numbers are no nonces.
pub fn protected_by_cbc() -> SaParams {
    SaParams {
        transform: Transform::Encrypted {
            cipher: Encryption::AesCbc,
            key: Secret::new(&[5; 24]),
            integrity: Integrity::HmacSha256_128,
            integrity_key: Secret::new(&[6; 32]),
        },
        ..protected(None)
    }
}

/// A policy that protects what lies between two prefixes.
pub fn protecting(direction: PolicyDirection, source: Prefix, destination: Prefix) -> PolicyParams {
    let template = Template {
        source: OURS.into(),
        destination: THEIRS.into(),
        spi: 0,
        reqid: REQID,
        protocol: Protocol::Esp,
        mode: Mode::Tunnel,
        optional: false,
    };
    PolicyParams {
        direction,
        selector: Selector::new(source, destination).unwrap(),
        action: Action::Allow,
        priority: 300,
        index: 0,
        flags: 0,
        templates: vec![template],
        lifetimes: Lifetimes::NONE,
    }
}

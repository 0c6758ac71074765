//! The kernel's XFRM messages (`linux/xfrm.h`) as octets, and what they say as the packet core's values.

pub mod algorithms;
pub mod events;
pub mod policy;
pub mod sa;
pub mod sa_state;
pub mod structures;

/// Numbers of the messages.
pub mod message {
    pub const NEWSA: u16 = 0x10;
    pub const DELSA: u16 = 0x11;
    pub const GETSA: u16 = 0x12;
    pub const NEWPOLICY: u16 = 0x13;
    pub const DELPOLICY: u16 = 0x14;
    pub const GETPOLICY: u16 = 0x15;
    pub const ALLOCSPI: u16 = 0x16;
    pub const ACQUIRE: u16 = 0x17;
    pub const EXPIRE: u16 = 0x18;
    pub const UPDPOLICY: u16 = 0x19;
    pub const UPDSA: u16 = 0x1a;
    pub const FLUSHSA: u16 = 0x1c;
    pub const FLUSHPOLICY: u16 = 0x1d;
}

/// Numbers of the attributes (`XFRMA_`), and two of ours.
pub mod attribute {
    pub const ALG_AUTH: u16 = 1;
    pub const ALG_CRYPT: u16 = 2;
    pub const ENCAP: u16 = 4;
    pub const TMPL: u16 = 5;
    pub const LTIME_VAL: u16 = 9;
    pub const ALG_AEAD: u16 = 18;
    pub const ALG_AUTH_TRUNC: u16 = 20;
    pub const REPLAY_ESN_VAL: u16 = 23;
    pub const SA_EXTRA_FLAGS: u16 = 24;
    pub const SA_DIR: u16 = 33;
    pub const SELECTORS: u16 = 0x4001;
    pub const DROPS: u16 = 0x4002;
}

//! The kernel's XFRM messages (`linux/xfrm.h`) as octets, and what they say as the packet core's values.

pub mod aevent;
pub mod algorithms;
pub mod events;
pub mod info;
pub mod migrate;
pub mod policy;
pub mod replay;
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
    pub const POLEXPIRE: u16 = 0x1b;
    pub const FLUSHSA: u16 = 0x1c;
    pub const FLUSHPOLICY: u16 = 0x1d;
    pub const NEWAE: u16 = 0x1e;
    pub const GETAE: u16 = 0x1f;
    pub const MIGRATE: u16 = 0x21;
    pub const NEWSADINFO: u16 = 0x22;
    pub const GETSADINFO: u16 = 0x23;
    pub const NEWSPDINFO: u16 = 0x24;
    pub const GETSPDINFO: u16 = 0x25;
    pub const MAPPING: u16 = 0x26;
}

/// Numbers of the attributes (`XFRMA_`), and those of ours from 0x4001.
pub mod attribute {
    pub const ALG_AUTH: u16 = 1;
    pub const ALG_CRYPT: u16 = 2;
    pub const ALG_COMP: u16 = 3;
    pub const ENCAP: u16 = 4;
    pub const TMPL: u16 = 5;
    pub const SEC_CTX: u16 = 8;
    pub const LTIME_VAL: u16 = 9;
    pub const REPLAY_VAL: u16 = 10;
    pub const COADDR: u16 = 14;
    pub const POLICY_TYPE: u16 = 16;
    pub const MIGRATE: u16 = 17;
    pub const ALG_AEAD: u16 = 18;
    pub const ALG_AUTH_TRUNC: u16 = 20;
    pub const MARK: u16 = 21;
    pub const TFCPAD: u16 = 22;
    pub const REPLAY_ESN_VAL: u16 = 23;
    pub const SA_EXTRA_FLAGS: u16 = 24;
    pub const OFFLOAD_DEV: u16 = 28;
    pub const SET_MARK: u16 = 29;
    pub const IF_ID: u16 = 31;
    pub const SA_DIR: u16 = 33;
    pub const SELECTORS: u16 = 0x4001;
    pub const DROPS: u16 = 0x4002;
    pub const MODE_ANY: u16 = 0x4003;
    pub const LEGACY: u16 = 0x4004;
    pub const TEMPLATE: u16 = 0x4005;
}

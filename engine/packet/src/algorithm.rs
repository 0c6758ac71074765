//! The ESP transforms that there are, and what each asks of its keys.

use crate::secret::Secret;

/// Combined-mode ciphers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aead {
    /// AES-GCM with a 16-octet ICV (RFC 4106).
    AesGcm16,
    /// ChaCha20-Poly1305 (RFC 7634).
    ChaCha20Poly1305,
}

/// Integrity for ciphers that have none of their own (RFC 4868).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Integrity {
    /// HMAC-SHA2-256-128.
    HmacSha256,
    /// HMAC-SHA2-384-192.
    HmacSha384,
    /// HMAC-SHA2-512-256.
    HmacSha512,
}

impl Integrity {
    /// Octets of key: the hash's output, neither more nor less (RFC 4868 section 2.1.1).
    pub const fn key_octets(self) -> usize {
        match self {
            Integrity::HmacSha256 => 32,
            Integrity::HmacSha384 => 48,
            Integrity::HmacSha512 => 64,
        }
    }

    /// Octets of ICV: half of the hash's output.
    pub const fn icv_octets(self) -> usize {
        self.key_octets() / 2
    }
}

/// The octets of salt that follow an AEAD key (RFC 4106 section 8.1, RFC 7634 section 2).
pub const SALT_OCTETS: usize = 4;

/// An algorithm with its keys. There is no encryption without integrity: CVE-2005-0039 showed why.
#[derive(Clone, Debug)]
pub enum Transform {
    /// One key for both; `key` ends with four octets of salt.
    Aead {
        /// The cipher.
        algorithm: Aead,
        /// 16, 24 or 32 octets (ChaCha20: 32) and the salt.
        key: Secret,
    },
    /// AES-CBC (RFC 3602) and an HMAC.
    CbcHmac {
        /// 16, 24 or 32 octets.
        key: Secret,
        /// The HMAC.
        integrity: Integrity,
        /// As many octets as the hash puts out.
        integrity_key: Secret,
    },
}

impl Transform {
    /// Whether the keys have a length that the algorithm takes.
    pub fn key_lengths_are_right(&self) -> bool {
        match self {
            Transform::Aead {
                algorithm: Aead::AesGcm16,
                key,
            } => matches!(key.len(), 20 | 28 | 36),
            Transform::Aead {
                algorithm: Aead::ChaCha20Poly1305,
                key,
            } => key.len() == 36,
            Transform::CbcHmac {
                key,
                integrity,
                integrity_key,
            } => matches!(key.len(), 16 | 24 | 32) && integrity_key.len() == integrity.key_octets(),
        }
    }
}

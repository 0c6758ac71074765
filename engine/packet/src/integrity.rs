//! Integrity check values: a key scheduled once, and what is covered given piece by piece. ESP's ciphers without integrity of
//! their own and AH both use it.

use ::hmac::{Hmac, KeyInit, Mac as _};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::{constant_time, hmac};
use md5::Md5;

use crate::algorithm::Integrity;
use block::{BlockMac, BlockMacKey};

mod block;

/// The longest ICV, that of HMAC-SHA2-512-256.
pub(crate) const MAX_ICV: usize = 32;

/// A scheduled key. Send and Sync: threads share it.
pub(crate) struct IntegrityKey {
    kind: KeyKind,
    icv_octets: usize,
}

// One of each security association, behind an Arc: the difference in size costs nothing.
#[allow(clippy::large_enum_variant)]
enum KeyKind {
    Hmac(hmac::Key),
    Md5(Hmac<Md5>),
    Block(BlockMacKey),
}

/// An ICV in the making.
pub(crate) struct Mac<'key> {
    kind: MacKind<'key>,
    icv_octets: usize,
}

// On the stack, one at a time: boxes would cost an allocation for each packet.
#[allow(clippy::large_enum_variant)]
enum MacKind<'key> {
    Hmac(hmac::Context),
    Md5(Hmac<Md5>),
    Block(BlockMac<'key>),
}

/// An ICV, cut to its length.
pub(crate) struct Icv {
    octets: [u8; MAX_ICV],
    length: usize,
}

impl IntegrityKey {
    /// Schedule a key. Err only for a length that the algorithm does not take.
    pub(crate) fn new(algorithm: Integrity, key: &[u8]) -> Result<IntegrityKey, Unspecified> {
        if key.len() != algorithm.key_octets() {
            return Err(Unspecified);
        }
        IntegrityKey::scheduled(algorithm, key)
    }

    fn scheduled(algorithm: Integrity, key: &[u8]) -> Result<IntegrityKey, Unspecified> {
        let kind = match algorithm {
            Integrity::HmacMd5_96 => {
                KeyKind::Md5(Hmac::new_from_slice(key).map_err(|_| Unspecified)?)
            }
            Integrity::HmacSha1_96 => hmac_key(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key),
            Integrity::HmacSha256_96 | Integrity::HmacSha256_128 => {
                hmac_key(hmac::HMAC_SHA256, key)
            }
            Integrity::HmacSha384_192 => hmac_key(hmac::HMAC_SHA384, key),
            Integrity::HmacSha512_256 => hmac_key(hmac::HMAC_SHA512, key),
            Integrity::AesXcbc96 => KeyKind::Block(BlockMacKey::xcbc(key)?),
            Integrity::AesCmac96 => KeyKind::Block(BlockMacKey::cmac(key)?),
        };
        Ok(IntegrityKey {
            kind,
            icv_octets: algorithm.icv_octets(),
        })
    }

    /// Octets of ICV.
    pub(crate) fn icv_octets(&self) -> usize {
        self.icv_octets
    }

    /// Begin an ICV.
    pub(crate) fn start(&self) -> Mac<'_> {
        let kind = match &self.kind {
            KeyKind::Hmac(key) => MacKind::Hmac(hmac::Context::with_key(key)),
            KeyKind::Md5(key) => MacKind::Md5(key.clone()),
            KeyKind::Block(key) => MacKind::Block(key.start()),
        };
        Mac {
            kind,
            icv_octets: self.icv_octets,
        }
    }
}

fn hmac_key(hash: hmac::Algorithm, key: &[u8]) -> KeyKind {
    KeyKind::Hmac(hmac::Key::new(hash, key))
}

impl Mac<'_> {
    /// Cover more octets.
    pub(crate) fn update(&mut self, octets: &[u8]) {
        match &mut self.kind {
            MacKind::Hmac(context) => context.update(octets),
            MacKind::Md5(context) => context.update(octets),
            MacKind::Block(context) => context.update(octets),
        }
    }

    /// The ICV over all that was covered.
    pub(crate) fn finish(self) -> Icv {
        let mut octets = [0; MAX_ICV];
        let length = self.icv_octets;
        let whole = &mut octets[..length];
        match self.kind {
            MacKind::Hmac(context) => whole.copy_from_slice(&context.sign().as_ref()[..length]),
            MacKind::Md5(context) => {
                whole.copy_from_slice(&context.finalize().into_bytes()[..length]);
            }
            MacKind::Block(context) => whole.copy_from_slice(&context.finish()[..length]),
        }
        Icv { octets, length }
    }

    /// Whether this is the ICV over all that was covered, in a time that does not tell where they differ. Err if not, and for
    /// another length.
    pub(crate) fn verify(self, icv: &[u8]) -> Result<(), Unspecified> {
        constant_time::verify_slices_are_equal(self.finish().as_ref(), icv)
    }
}

impl AsRef<[u8]> for Icv {
    fn as_ref(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

#[cfg(test)]
mod tests;

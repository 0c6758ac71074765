//! AES-GCM taken apart: what aws-lc-rs does only whole. GCM with a shorter ICV (RFC 4106 section 6), whose opening needs the
//! tag computed rather than compared, and the tag of GMAC over octets that do not lie together.

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{EncryptingKey, EncryptionContext};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::iv::FixedLength;
use ghash::GHash;
use ghash::universal_hash::{KeyInit, UniversalHash};
use zeroize::Zeroizing;

use super::combined::gcm;
use super::encrypted::aes;

const BLOCK: usize = 16;

/// The counter of the block that masks the tag, and of the first block that encrypts (NIST SP 800-38D section 7.1).
const COUNTER_OF_TAG: u32 = 1;
const COUNTER_OF_TEXT: u32 = 2;

/// Makes tags of AES-GCM and keystream.
pub(super) struct GcmParts {
    counter: EncryptingKey,
    hash: GHash,
}

impl GcmParts {
    pub(super) fn new(key: &[u8]) -> Result<GcmParts, Unspecified> {
        let counter = EncryptingKey::ctr(aes(key)?)?;
        let mut hash_key = Zeroizing::new([0; BLOCK]);
        let zeros = EncryptionContext::Iv128(FixedLength::from([0; BLOCK]));
        counter.less_safe_encrypt(&mut *hash_key, zeros)?;
        let hash = GHash::new_from_slice(&*hash_key).map_err(|_| Unspecified)?;
        Ok(GcmParts { counter, hash })
    }

    /// Encrypt, which is to decrypt, with the keystream from a counter on.
    fn apply(&self, nonce: [u8; 12], counter: u32, text: &mut [u8]) -> Result<(), Unspecified> {
        let mut block = [0; BLOCK];
        block[..12].copy_from_slice(&nonce);
        block[12..].copy_from_slice(&counter.to_be_bytes());
        let context = EncryptionContext::Iv128(FixedLength::from(block));
        self.counter.less_safe_encrypt(text, context).map(|_| ())
    }

    /// The whole tag. The associated data come in two pieces, of which the first fills whole blocks unless the second is empty.
    pub(super) fn tag(
        &self,
        nonce: [u8; 12],
        associated: (&[u8], &[u8]),
        ciphertext: &[u8],
    ) -> Result<[u8; BLOCK], Unspecified> {
        let mut hash = self.hash.clone();
        hash.update_padded(associated.0);
        hash.update_padded(associated.1);
        hash.update_padded(ciphertext);
        let mut lengths = [0; BLOCK];
        let bits = |octets: usize| (octets as u64 * 8).to_be_bytes();
        lengths[..8].copy_from_slice(&bits(associated.0.len() + associated.1.len()));
        lengths[8..].copy_from_slice(&bits(ciphertext.len()));
        hash.update(&[lengths.into()]);
        let mut tag: [u8; BLOCK] = hash.finalize().into();
        self.apply(nonce, COUNTER_OF_TAG, &mut tag)?;
        Ok(tag)
    }
}

/// AES-GCM with an ICV of 8 or 12 octets.
pub(super) struct ShortGcm {
    key: LessSafeKey,
    parts: GcmParts,
    icv_octets: usize,
}

impl ShortGcm {
    pub(super) fn new(key: &[u8], icv_octets: usize) -> Result<ShortGcm, Unspecified> {
        if !matches!(icv_octets, 8 | 12) {
            return Err(Unspecified);
        }
        Ok(ShortGcm {
            key: LessSafeKey::new(UnboundKey::new(gcm(key)?, key)?),
            parts: GcmParts::new(key)?,
            icv_octets,
        })
    }

    pub(super) fn seal(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        body: &mut [u8],
        icv: &mut [u8],
    ) -> Result<(), Unspecified> {
        let (nonce, aad) = (Nonce::assume_unique_for_key(nonce), Aad::from(associated));
        let tag = self.key.seal_in_place_separate_tag(nonce, aad, body)?;
        icv.copy_from_slice(&tag.as_ref()[..self.icv_octets]);
        Ok(())
    }

    pub(super) fn open(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        body: &mut [u8],
        icv: &[u8],
    ) -> Result<(), Unspecified> {
        let tag = self.parts.tag(nonce, (associated, &[]), body)?;
        verify_slices_are_equal(&tag[..self.icv_octets], icv)?;
        self.parts.apply(nonce, COUNTER_OF_TEXT, body)
    }
}

#[cfg(test)]
mod tests;

//! Combined-mode ciphers in ESP: AES-GCM (RFC 4106), AES-CCM (RFC 4309), ChaCha20-Poly1305 (RFC 7634). Of the packet, SPI and
//! sequence number are authenticated, the IV is a part of the nonce, and all behind it is encrypted.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, UnboundKey};
use aws_lc_rs::error::Unspecified;

use super::ccm::Ccm;
use super::gcm::ShortGcm;
use super::{Associated, ESP_HEADER, Sequence, place};
use crate::algorithm::Aead;

/// Octets of IV.
pub(super) const IV: usize = 8;
/// Octets of ICV where the cipher has but one length.
const ICV: usize = 16;
/// Octets of salt and IV at the most.
const NONCE: usize = 12;

/// A key with its salt.
pub(super) struct Combined {
    cipher: AeadCipher,
    /// The salt, with room for the IV behind it.
    nonce: [u8; NONCE],
    salt_octets: usize,
    icv_octets: usize,
}

// One of each security association, behind an Arc: the difference in size costs nothing.
#[allow(clippy::large_enum_variant)]
enum AeadCipher {
    Whole {
        key: LessSafeKey,
        /// Whether sealing from elsewhere with a trailer beside it is as fast as in place. With ChaCha20-Poly1305 it is
        /// slower by more than a copy costs (measured: `examples/seal_rate.rs`).
        scatter: bool,
    },
    ShortGcm(ShortGcm),
    Ccm(Ccm),
}

impl AeadCipher {
    fn new(algorithm: Aead, icv_octets: usize, key: &[u8]) -> Result<AeadCipher, Unspecified> {
        match (algorithm, icv_octets) {
            (Aead::AesGcm, ICV) => AeadCipher::whole(gcm(key)?, key, true),
            (Aead::AesGcm, _) => ShortGcm::new(key, icv_octets).map(AeadCipher::ShortGcm),
            (Aead::AesCcm, _) => Ccm::new(key, icv_octets).map(AeadCipher::Ccm),
            (Aead::ChaCha20Poly1305, ICV) => {
                AeadCipher::whole(&aead::CHACHA20_POLY1305, key, false)
            }
            _ => Err(Unspecified),
        }
    }

    fn whole(
        algorithm: &'static aead::Algorithm,
        key: &[u8],
        scatter: bool,
    ) -> Result<AeadCipher, Unspecified> {
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key)?);
        Ok(AeadCipher::Whole { key, scatter })
    }

    /// Encrypt `body` in place and write the ICV.
    fn seal(
        &self,
        nonce: [u8; NONCE],
        associated: &[u8],
        body: &mut [u8],
        icv: &mut [u8],
    ) -> Result<(), Unspecified> {
        match self {
            AeadCipher::Whole { key, .. } => {
                let nonce = aead::Nonce::assume_unique_for_key(nonce);
                key.seal_in_place_scatter(nonce, Aad::from(associated), body, &[], icv)
            }
            AeadCipher::ShortGcm(key) => key.seal(nonce, associated, body, icv),
            AeadCipher::Ccm(key) => key.seal(nonce, associated, body, icv),
        }
    }

    /// Judge the ICV and decrypt `body` in place.
    fn open(
        &self,
        nonce: [u8; NONCE],
        associated: &[u8],
        body: &mut [u8],
        icv: &[u8],
    ) -> Result<(), Unspecified> {
        match self {
            AeadCipher::Whole { key, .. } => {
                let nonce = aead::Nonce::assume_unique_for_key(nonce);
                key.open_in_place_separate_tag(nonce, Aad::from(associated), icv, body)
                    .map(|_| ())
            }
            AeadCipher::ShortGcm(key) => key.open(nonce, associated, body, icv),
            AeadCipher::Ccm(key) => key.open(nonce, associated, body, icv),
        }
    }
}

/// AES-GCM for a key of this length.
pub(super) fn gcm(key: &[u8]) -> Result<&'static aead::Algorithm, Unspecified> {
    match key.len() {
        16 => Ok(&aead::AES_128_GCM),
        24 => Ok(&aead::AES_192_GCM),
        32 => Ok(&aead::AES_256_GCM),
        _ => Err(Unspecified),
    }
}

impl Combined {
    /// Schedule a key that ends with its salt.
    pub(super) fn new(
        algorithm: Aead,
        icv_octets: usize,
        key: &[u8],
    ) -> Result<Combined, Unspecified> {
        let salt_octets = algorithm.salt_octets();
        let at = key.len().checked_sub(salt_octets).ok_or(Unspecified)?;
        let (key, salt) = key.split_at(at);
        let mut nonce = [0; NONCE];
        nonce[..salt_octets].copy_from_slice(salt);
        Ok(Combined {
            cipher: AeadCipher::new(algorithm, icv_octets, key)?,
            nonce,
            salt_octets,
            icv_octets,
        })
    }

    /// Octets of ICV.
    pub(super) fn icv_octets(&self) -> usize {
        self.icv_octets
    }

    /// Salt and IV (RFC 4106 section 4, RFC 4309 section 4, RFC 7634 section 2).
    fn nonce(&self, iv: &[u8]) -> [u8; NONCE] {
        let mut nonce = self.nonce;
        nonce[self.salt_octets..][..IV].copy_from_slice(iv);
        nonce
    }

    /// As `Cipher::seal`, with the IV in its place.
    pub(super) fn seal(
        &self,
        sequence: Sequence,
        packet: &mut [u8],
        inner: Option<&[u8]>,
        trailer: &[u8],
    ) -> Result<(), Unspecified> {
        let (header, rest) = packet.split_at_mut(ESP_HEADER);
        let (iv, rest) = rest.split_at_mut(IV);
        let (nonce, associated) = (self.nonce(iv), Associated::new(header, sequence));
        if let (AeadCipher::Whole { key, scatter: true }, Some(inner)) = (&self.cipher, inner) {
            let (payload, end) = rest.split_at_mut_checked(inner.len()).ok_or(Unspecified)?;
            let nonce = aead::Nonce::assume_unique_for_key(nonce);
            let aad = Aad::from(associated);
            return key.seal_out_of_place_scatter(nonce, aad, inner, payload, trailer, end);
        }
        let end = rest.len().checked_sub(self.icv_octets);
        let (body, icv) = rest.split_at_mut(end.ok_or(Unspecified)?);
        place(body, inner, trailer)?;
        self.cipher.seal(nonce, associated.as_ref(), body, icv)
    }

    /// As `Cipher::open`.
    pub(super) fn open(&self, sequence: Sequence, packet: &mut [u8]) -> Result<(), Unspecified> {
        let (header, rest) = packet.split_at_mut(ESP_HEADER);
        let (iv, rest) = rest.split_at_mut(IV);
        let (body, icv) = rest.split_at_mut(rest.len() - self.icv_octets);
        let associated = Associated::new(header, sequence);
        self.cipher
            .open(self.nonce(iv), associated.as_ref(), body, icv)
    }
}

#[cfg(test)]
mod tests;

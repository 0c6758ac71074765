//! Ciphers without integrity of their own, NULL among them, and a MAC over what they made: encrypt, then authenticate.

use aws_lc_rs::cipher::{
    self, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::iv::FixedLength;

use super::blocks::{self, Blocks};
use super::{ALIGNMENT, ESP_HEADER, Sequence, place};
use crate::algorithm::Encryption;
use crate::integrity::{IntegrityKey, Mac};

const BLOCK_AES: usize = 16;
const BLOCK_CAMELLIA: usize = 16;
const BLOCK_3DES: usize = 8;
const IV_CTR: usize = 8;

/// A cipher and a MAC with their keys.
pub(super) struct Encrypted {
    encryption: Keyed,
    mac: IntegrityKey,
}

// One of each security association, behind an Arc: the difference in size costs nothing.
#[allow(clippy::large_enum_variant)]
enum Keyed {
    Null,
    AesCbc {
        encrypt: EncryptingKey,
        decrypt: DecryptingKey,
    },
    AesCtr {
        key: EncryptingKey,
        nonce: [u8; 4],
    },
    Blocks {
        key: Box<dyn Blocks>,
        block: usize,
    },
}

/// An AES key of 16, 24 or 32 octets.
pub(super) fn aes(key: &[u8]) -> Result<UnboundCipherKey, Unspecified> {
    let algorithm = match key.len() {
        16 => &cipher::AES_128,
        24 => &cipher::AES_192,
        32 => &cipher::AES_256,
        _ => return Err(Unspecified),
    };
    UnboundCipherKey::new(algorithm, key)
}

impl Keyed {
    fn new(encryption: Encryption, key: &[u8]) -> Result<Keyed, Unspecified> {
        Ok(match encryption {
            Encryption::Null if key.is_empty() => Keyed::Null,
            Encryption::Null => return Err(Unspecified),
            Encryption::AesCbc => Keyed::AesCbc {
                encrypt: EncryptingKey::cbc(aes(key)?)?,
                decrypt: DecryptingKey::cbc(aes(key)?)?,
            },
            Encryption::AesCtr => {
                let (key, nonce) = key.split_last_chunk().ok_or(Unspecified)?;
                let (key, nonce) = (EncryptingKey::ctr(aes(key)?)?, *nonce);
                Keyed::AesCtr { key, nonce }
            }
            Encryption::CamelliaCbc => Keyed::Blocks {
                key: blocks::camellia(key)?,
                block: BLOCK_CAMELLIA,
            },
            Encryption::TripleDesCbc => Keyed::Blocks {
                key: blocks::triple_des(key)?,
                block: BLOCK_3DES,
            },
        })
    }

    fn iv_octets(&self) -> usize {
        match self {
            Keyed::Null => 0,
            Keyed::AesCtr { .. } => IV_CTR,
            Keyed::AesCbc { .. } => BLOCK_AES,
            Keyed::Blocks { block, .. } => *block,
        }
    }

    fn alignment(&self) -> usize {
        match self {
            Keyed::Null | Keyed::AesCtr { .. } => ALIGNMENT,
            Keyed::AesCbc { .. } => BLOCK_AES,
            Keyed::Blocks { block, .. } => *block,
        }
    }

    fn encrypt(&self, iv: &[u8], body: &mut [u8]) -> Result<(), Unspecified> {
        match self {
            Keyed::Null => Ok(()),
            Keyed::AesCbc { encrypt, .. } => {
                let iv: [u8; BLOCK_AES] = iv.try_into().map_err(|_| Unspecified)?;
                let context = EncryptionContext::Iv128(FixedLength::from(iv));
                encrypt.less_safe_encrypt(body, context).map(|_| ())
            }
            Keyed::AesCtr { key, nonce } => apply_counter(key, *nonce, iv, body),
            Keyed::Blocks { key, .. } => key.encrypt(iv, body),
        }
    }

    fn decrypt(&self, iv: &[u8], body: &mut [u8]) -> Result<(), Unspecified> {
        match self {
            Keyed::Null => Ok(()),
            Keyed::AesCbc { decrypt, .. } => {
                let iv: [u8; BLOCK_AES] = iv.try_into().map_err(|_| Unspecified)?;
                let context = DecryptionContext::Iv128(FixedLength::from(iv));
                decrypt.decrypt(body, context).map(|_| ())
            }
            Keyed::AesCtr { key, nonce } => apply_counter(key, *nonce, iv, body),
            Keyed::Blocks { key, .. } => key.decrypt(iv, body),
        }
    }
}

/// Encrypt, which is to decrypt: the counter block is nonce, IV and a number that begins with 1 (RFC 3686 section 4).
fn apply_counter(
    key: &EncryptingKey,
    nonce: [u8; 4],
    iv: &[u8],
    body: &mut [u8],
) -> Result<(), Unspecified> {
    let mut counter = [0; BLOCK_AES];
    counter[..4].copy_from_slice(&nonce);
    counter[4..12].copy_from_slice(iv);
    counter[15] = 1;
    let context = EncryptionContext::Iv128(FixedLength::from(counter));
    key.less_safe_encrypt(body, context).map(|_| ())
}

impl Encrypted {
    /// Schedule the cipher's key.
    pub(super) fn new(
        encryption: Encryption,
        key: &[u8],
        mac: IntegrityKey,
    ) -> Result<Encrypted, Unspecified> {
        Keyed::new(encryption, key).map(|encryption| Encrypted { encryption, mac })
    }

    /// Octets of IV.
    pub(super) fn iv_octets(&self) -> usize {
        self.encryption.iv_octets()
    }

    /// Octets of ICV.
    pub(super) fn icv_octets(&self) -> usize {
        self.mac.icv_octets()
    }

    /// Payload, padding and trailer fill a multiple of this.
    pub(super) fn alignment(&self) -> usize {
        self.encryption.alignment()
    }

    /// As `Cipher::seal`, with the IV in its place.
    pub(super) fn seal(
        &self,
        sequence: Sequence,
        packet: &mut [u8],
        inner: Option<&[u8]>,
        trailer: &[u8],
    ) -> Result<(), Unspecified> {
        let end = packet.len().checked_sub(self.icv_octets());
        let (covered, icv) = packet.split_at_mut(end.ok_or(Unspecified)?);
        let (iv, body) = covered[ESP_HEADER..].split_at_mut(self.iv_octets());
        place(body, inner, trailer)?;
        self.encryption.encrypt(iv, body)?;
        icv.copy_from_slice(self.covering(sequence, covered).finish().as_ref());
        Ok(())
    }

    /// As `Cipher::open`.
    pub(super) fn open(&self, sequence: Sequence, packet: &mut [u8]) -> Result<(), Unspecified> {
        let (covered, icv) = packet.split_at_mut(packet.len() - self.icv_octets());
        self.covering(sequence, covered).verify(icv)?;
        let (iv, body) = covered[ESP_HEADER..].split_at_mut(self.iv_octets());
        self.encryption.decrypt(iv, body)
    }

    /// Covers the packet, and the high half of the sequence number after it (RFC 4303 section 2.8).
    fn covering(&self, sequence: Sequence, covered: &[u8]) -> Mac<'_> {
        let mut mac = self.mac.start();
        mac.update(covered);
        if sequence.extended {
            mac.update(&sequence.high());
        }
        mac
    }
}

#[cfg(test)]
mod tests;

//! The transforms at work: keys scheduled once, packets sealed and opened where they lie.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    self, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::algorithm::{Aead, Encryption, Integrity, Transform};
use crate::integrity::{IntegrityKey, Mac};

/// Octets of SPI and sequence number before the IV.
pub const ESP_HEADER: usize = 8;

/// The longest padding, pad length and next header that a block of 16 octets asks for.
pub(crate) const MAX_TRAILER: usize = 17;

const SALT_OCTETS: usize = 4;
const ICV_AEAD: usize = 16;
const IV_AEAD: usize = 8;
const BLOCK_AES: usize = 16;

/// The sequence number in full and whether its high half is authenticated but not sent (RFC 4303 section 2.2.1).
#[derive(Clone, Copy)]
pub(crate) struct Sequence {
    pub(crate) full: u64,
    pub(crate) extended: bool,
}

impl Sequence {
    /// What is authenticated and not sent.
    pub(crate) fn high(self) -> [u8; 4] {
        ((self.full >> 32) as u32).to_be_bytes()
    }
}

/// What is authenticated beside the ciphertext: SPI, the high half where it counts, the low half (RFC 4106 section 5).
struct Associated {
    octets: [u8; 12],
    length: usize,
}

impl Associated {
    fn new(header: &[u8], sequence: Sequence) -> Associated {
        let mut octets = [0; 12];
        octets[..4].copy_from_slice(&header[..4]);
        if !sequence.extended {
            octets[4..8].copy_from_slice(&header[4..8]);
            return Associated { octets, length: 8 };
        }
        octets[4..8].copy_from_slice(&sequence.high());
        octets[8..].copy_from_slice(&header[4..8]);
        Associated { octets, length: 12 }
    }
}

impl AsRef<[u8]> for Associated {
    fn as_ref(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

/// An AEAD key with its salt.
struct Combined {
    key: LessSafeKey,
    /// Whether sealing from elsewhere with a trailer beside it is as fast as in place. With ChaCha20-Poly1305 it is slower
    /// by more than a copy costs (measured: `examples/seal_rate.rs`).
    scatter: bool,
    salt: [u8; SALT_OCTETS],
}

/// AES-CBC with an HMAC.
struct CbcHmac {
    encrypt: EncryptingKey,
    decrypt: DecryptingKey,
    /// Makes IVs: a block cipher under a random key of its own turns the sequence number into something that nobody can
    /// foresee and that never repeats (NIST SP 800-38A appendix C), without drawing entropy for each packet.
    iv: EncryptingKey,
    mac: IntegrityKey,
}

/// A transform with its keys scheduled. Send and Sync: threads share it.
pub(crate) struct Cipher(Kind);

// One of each security association, behind an Arc: the difference in size costs nothing.
#[allow(clippy::large_enum_variant)]
enum Kind {
    Combined(Combined),
    CbcHmac(CbcHmac),
    /// AH's, which has no cipher: nothing is sealed or opened with it.
    Authenticated(IntegrityKey),
}

impl Cipher {
    /// Schedule the keys. Err only for key lengths that the algorithm does not take, or no entropy.
    pub(crate) fn new(transform: &Transform) -> Result<Cipher, Unspecified> {
        match transform {
            Transform::Aead {
                algorithm,
                icv_octets: 16,
                key,
            } => Combined::new(*algorithm, key.expose()).map(Kind::Combined),
            Transform::Encrypted {
                cipher: Encryption::AesCbc,
                key,
                integrity,
                integrity_key,
            } => CbcHmac::new(key.expose(), *integrity, integrity_key.expose()).map(Kind::CbcHmac),
            Transform::Authenticated { integrity, key } => {
                IntegrityKey::new(*integrity, key.expose()).map(Kind::Authenticated)
            }
            _ => Err(Unspecified),
        }
        .map(Cipher)
    }

    /// AH's key; none with a transform of ESP.
    pub(crate) fn integrity(&self) -> Option<&IntegrityKey> {
        match &self.0 {
            Kind::Authenticated(key) => Some(key),
            _ => None,
        }
    }

    /// Octets of IV.
    pub(crate) fn iv_octets(&self) -> usize {
        match &self.0 {
            Kind::Combined(_) => IV_AEAD,
            Kind::CbcHmac(_) => BLOCK_AES,
            Kind::Authenticated(_) => 0,
        }
    }

    /// Octets of ICV.
    pub(crate) fn icv_octets(&self) -> usize {
        match &self.0 {
            Kind::Combined(_) => ICV_AEAD,
            Kind::CbcHmac(keys) => keys.mac.icv_octets(),
            Kind::Authenticated(key) => key.icv_octets(),
        }
    }

    /// Payload, padding and trailer fill a multiple of this.
    pub(crate) fn alignment(&self) -> usize {
        match &self.0 {
            Kind::Combined(_) | Kind::Authenticated(_) => 4,
            Kind::CbcHmac(_) => BLOCK_AES,
        }
    }

    /// Seal `packet`, which holds header, room for the IV, and then exactly payload, trailer and room for the ICV.
    ///
    /// `inner`: the payload where it lies elsewhere; None if it is in its place already. The trailer is written here.
    pub(crate) fn seal(
        &self,
        sequence: Sequence,
        packet: &mut [u8],
        inner: Option<&[u8]>,
        trailer: &[u8],
    ) -> Result<(), Unspecified> {
        match &self.0 {
            Kind::Combined(keys) => keys.seal(sequence, packet, inner, trailer),
            Kind::CbcHmac(keys) => {
                let iv = keys.fresh_iv(sequence)?;
                keys.seal(sequence, iv, packet, inner, trailer)
            }
            Kind::Authenticated(_) => Err(Unspecified),
        }
    }

    /// Authenticate and decrypt in place. `packet` is a whole ESP packet whose lengths were judged. After an error its
    /// octets mean nothing.
    pub(crate) fn open(&self, sequence: Sequence, packet: &mut [u8]) -> Result<(), Unspecified> {
        match &self.0 {
            Kind::Combined(keys) => keys.open(sequence, packet),
            Kind::CbcHmac(keys) => keys.open(sequence, packet),
            Kind::Authenticated(_) => Err(Unspecified),
        }
    }
}

impl Combined {
    fn new(algorithm: Aead, key: &[u8]) -> Result<Combined, Unspecified> {
        let (key, salt) = key.split_last_chunk::<SALT_OCTETS>().ok_or(Unspecified)?;
        let scatter = algorithm == Aead::AesGcm;
        let algorithm = match (algorithm, key.len()) {
            (Aead::AesGcm, 16) => &aead::AES_128_GCM,
            (Aead::AesGcm, 24) => &aead::AES_192_GCM,
            (Aead::AesGcm, 32) => &aead::AES_256_GCM,
            (Aead::ChaCha20Poly1305, 32) => &aead::CHACHA20_POLY1305,
            _ => return Err(Unspecified),
        };
        Ok(Combined {
            key: LessSafeKey::new(UnboundKey::new(algorithm, key)?),
            scatter,
            salt: *salt,
        })
    }

    /// Salt and IV (RFC 4106 section 4, RFC 7634 section 2).
    fn nonce(&self, iv: &[u8]) -> Nonce {
        let mut octets = [0; 12];
        octets[..SALT_OCTETS].copy_from_slice(&self.salt);
        octets[SALT_OCTETS..].copy_from_slice(iv);
        Nonce::assume_unique_for_key(octets)
    }

    fn seal(
        &self,
        sequence: Sequence,
        packet: &mut [u8],
        inner: Option<&[u8]>,
        trailer: &[u8],
    ) -> Result<(), Unspecified> {
        let (header, rest) = packet.split_at_mut(ESP_HEADER);
        let (iv, body) = rest.split_at_mut(IV_AEAD);
        // The sequence number in full is the IV: it never repeats under one key (RFC 4106 section 3.1).
        iv.copy_from_slice(&sequence.full.to_be_bytes());
        let (nonce, aad) = (self.nonce(iv), Aad::from(Associated::new(header, sequence)));
        let payload = body
            .len()
            .checked_sub(trailer.len() + ICV_AEAD)
            .ok_or(Unspecified)?;
        if let Some(inner) = inner {
            if self.scatter {
                let (payload, end) = body.split_at_mut(payload);
                return self
                    .key
                    .seal_out_of_place_scatter(nonce, aad, inner, payload, trailer, end);
            }
            body.get_mut(..inner.len())
                .ok_or(Unspecified)?
                .copy_from_slice(inner);
        }
        body[payload..][..trailer.len()].copy_from_slice(trailer);
        let (plain, icv) = body.split_at_mut(payload + trailer.len());
        self.key.seal_in_place_scatter(nonce, aad, plain, &[], icv)
    }

    fn open(&self, sequence: Sequence, packet: &mut [u8]) -> Result<(), Unspecified> {
        let (header, rest) = packet.split_at_mut(ESP_HEADER);
        let (iv, body) = rest.split_at_mut(IV_AEAD);
        let (ciphertext, icv) = body.split_at_mut(body.len() - ICV_AEAD);
        let aad = Aad::from(Associated::new(header, sequence));
        self.key
            .open_in_place_separate_tag(self.nonce(iv), aad, icv, ciphertext)
            .map(|_| ())
    }
}

fn aes(key: &[u8]) -> Result<UnboundCipherKey, Unspecified> {
    let algorithm = match key.len() {
        16 => &cipher::AES_128,
        24 => &cipher::AES_192,
        32 => &cipher::AES_256,
        _ => return Err(Unspecified),
    };
    UnboundCipherKey::new(algorithm, key)
}

impl CbcHmac {
    fn new(key: &[u8], integrity: Integrity, integrity_key: &[u8]) -> Result<CbcHmac, Unspecified> {
        let mut iv_key = Zeroizing::new([0; 16]);
        rand::fill(&mut *iv_key)?;
        Ok(CbcHmac {
            encrypt: EncryptingKey::cbc(aes(key)?)?,
            decrypt: DecryptingKey::cbc(aes(key)?)?,
            iv: EncryptingKey::ecb(aes(&*iv_key)?)?,
            mac: IntegrityKey::new(integrity, integrity_key)?,
        })
    }

    fn fresh_iv(&self, sequence: Sequence) -> Result<[u8; BLOCK_AES], Unspecified> {
        let mut block = [0; BLOCK_AES];
        block[..8].copy_from_slice(&sequence.full.to_be_bytes());
        self.iv
            .less_safe_encrypt(&mut block, EncryptionContext::None)?;
        Ok(block)
    }

    fn seal(
        &self,
        sequence: Sequence,
        iv: [u8; BLOCK_AES],
        packet: &mut [u8],
        inner: Option<&[u8]>,
        trailer: &[u8],
    ) -> Result<(), Unspecified> {
        let icv_at = packet
            .len()
            .checked_sub(self.mac.icv_octets())
            .ok_or(Unspecified)?;
        let (covered, icv) = packet.split_at_mut(icv_at);
        let (place, body) = covered[ESP_HEADER..].split_at_mut(BLOCK_AES);
        let payload = body.len().checked_sub(trailer.len()).ok_or(Unspecified)?;
        place.copy_from_slice(&iv);
        if let Some(inner) = inner {
            body.get_mut(..inner.len())
                .ok_or(Unspecified)?
                .copy_from_slice(inner);
        }
        body[payload..].copy_from_slice(trailer);
        self.encrypt
            .less_safe_encrypt(body, EncryptionContext::Iv128(FixedLength::from(iv)))?;
        icv.copy_from_slice(self.covering(sequence, covered).finish().as_ref());
        Ok(())
    }

    fn open(&self, sequence: Sequence, packet: &mut [u8]) -> Result<(), Unspecified> {
        let (covered, icv) = packet.split_at_mut(packet.len() - self.mac.icv_octets());
        self.covering(sequence, covered).verify(icv)?;
        let (iv, body) = covered[ESP_HEADER..].split_at_mut(BLOCK_AES);
        let iv: [u8; BLOCK_AES] = (&*iv).try_into().map_err(|_| Unspecified)?;
        self.decrypt
            .decrypt(body, DecryptionContext::Iv128(FixedLength::from(iv)))
            .map(|_| ())
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

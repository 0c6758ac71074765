//! The transforms at work: keys scheduled once, packets sealed and opened where they lie.

use aws_lc_rs::error::Unspecified;

use crate::algorithm::Transform;
use crate::integrity::IntegrityKey;
use combined::Combined;
use encrypted::Encrypted;
use gmac::Gmac;
use iv::IvSource;

mod blocks;
mod ccm;
mod combined;
mod encrypted;
mod gcm;
mod gmac;
mod iv;

/// Octets of SPI and sequence number before the IV.
pub const ESP_HEADER: usize = 8;

/// The longest IV, that of a block cipher with blocks of 16 octets.
pub(crate) const MAX_IV: usize = 16;

/// The longest padding, pad length and next header that a block of 16 octets asks for.
pub(crate) const MAX_TRAILER: usize = 17;

/// Payload and trailer fill a multiple of this without a block cipher (RFC 4303 section 2.4).
const ALIGNMENT: usize = 4;

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

/// How long the parts of a packet are.
#[derive(Clone, Copy)]
struct Lengths {
    iv: usize,
    icv: usize,
    /// Payload, padding and trailer fill a multiple of this.
    alignment: usize,
}

/// A transform with its keys scheduled. Send and Sync: threads share it.
pub(crate) struct Cipher {
    kind: Kind,
    iv: IvSource,
    lengths: Lengths,
}

// One of each security association, behind an Arc: the difference in size costs nothing.
#[allow(clippy::large_enum_variant)]
enum Kind {
    Combined(Combined),
    Gmac(Gmac),
    Encrypted(Encrypted),
    /// AH's, which has no cipher: nothing is sealed or opened with it.
    Authenticated(IntegrityKey),
}

impl Kind {
    fn new(transform: &Transform) -> Result<Kind, Unspecified> {
        match transform {
            Transform::Aead {
                algorithm,
                icv_octets,
                key,
            } => match Gmac::new(*algorithm, *icv_octets, key.expose())? {
                Some(gmac) => Ok(Kind::Gmac(gmac)),
                None => Combined::new(*algorithm, *icv_octets, key.expose()).map(Kind::Combined),
            },
            Transform::Encrypted {
                cipher,
                key,
                integrity,
                integrity_key,
            } => {
                let mac = IntegrityKey::new(*integrity, integrity_key.expose())?;
                Encrypted::new(*cipher, key.expose(), mac).map(Kind::Encrypted)
            }
            Transform::Authenticated { integrity, key } => {
                IntegrityKey::new(*integrity, key.expose()).map(Kind::Authenticated)
            }
        }
    }

    fn lengths(&self) -> Lengths {
        let (iv, icv, alignment) = match self {
            Kind::Combined(keys) => (combined::IV, keys.icv_octets(), ALIGNMENT),
            Kind::Gmac(_) => (combined::IV, gmac::ICV, ALIGNMENT),
            Kind::Encrypted(keys) => (keys.iv_octets(), keys.icv_octets(), keys.alignment()),
            Kind::Authenticated(key) => (0, key.icv_octets(), ALIGNMENT),
        };
        Lengths { iv, icv, alignment }
    }
}

impl Cipher {
    /// Schedule the keys. Err only for lengths that the algorithm does not take, keys that its RFC forbids, or no entropy.
    ///
    /// `iv_mask`: of IVs that are made of sequence numbers (`Numbers::iv_mask`).
    pub(crate) fn new(transform: &Transform, iv_mask: u64) -> Result<Cipher, Unspecified> {
        let kind = Kind::new(transform)?;
        Ok(Cipher {
            lengths: kind.lengths(),
            iv: IvSource::new(transform, iv_mask)?,
            kind,
        })
    }

    /// AH's key; none with a transform of ESP.
    pub(crate) fn integrity(&self) -> Option<&IntegrityKey> {
        match &self.kind {
            Kind::Authenticated(key) => Some(key),
            _ => None,
        }
    }

    /// Octets of IV.
    pub(crate) fn iv_octets(&self) -> usize {
        self.lengths.iv
    }

    /// Octets of ICV.
    pub(crate) fn icv_octets(&self) -> usize {
        self.lengths.icv
    }

    /// Payload, padding and trailer fill a multiple of this.
    pub(crate) fn alignment(&self) -> usize {
        self.lengths.alignment
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
        let iv = packet
            .get_mut(ESP_HEADER..ESP_HEADER + self.lengths.iv)
            .ok_or(Unspecified)?;
        self.iv.write(sequence, iv)?;
        self.seal_behind_iv(sequence, packet, inner, trailer)
    }

    /// The same with an IV that is in its place.
    fn seal_behind_iv(
        &self,
        sequence: Sequence,
        packet: &mut [u8],
        inner: Option<&[u8]>,
        trailer: &[u8],
    ) -> Result<(), Unspecified> {
        match &self.kind {
            Kind::Combined(keys) => keys.seal(sequence, packet, inner, trailer),
            Kind::Gmac(keys) => keys.seal(sequence, packet, inner, trailer),
            Kind::Encrypted(keys) => keys.seal(sequence, packet, inner, trailer),
            Kind::Authenticated(_) => Err(Unspecified),
        }
    }

    /// Authenticate and decrypt in place. `packet` is a whole ESP packet whose lengths were judged. After an error its
    /// octets mean nothing.
    pub(crate) fn open(&self, sequence: Sequence, packet: &mut [u8]) -> Result<(), Unspecified> {
        match &self.kind {
            Kind::Combined(keys) => keys.open(sequence, packet),
            Kind::Gmac(keys) => keys.open(sequence, packet),
            Kind::Encrypted(keys) => keys.open(sequence, packet),
            Kind::Authenticated(_) => Err(Unspecified),
        }
    }
}

/// Put the payload where it is not in its place already, and the trailer behind it; both fill `body`.
fn place(body: &mut [u8], inner: Option<&[u8]>, trailer: &[u8]) -> Result<(), Unspecified> {
    let end = body.len().checked_sub(trailer.len()).ok_or(Unspecified)?;
    let (payload, rest) = body.split_at_mut(end);
    if let Some(inner) = inner {
        if inner.len() != payload.len() {
            return Err(Unspecified);
        }
        payload.copy_from_slice(inner);
    }
    rest.copy_from_slice(trailer);
    Ok(())
}

#[cfg(test)]
mod tests;

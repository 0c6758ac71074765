//! ENCR_NULL_AUTH_AES_GMAC (RFC 4543): the packet is sent as it is, all of it authenticated, the IV too.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;

use super::combined::IV;
use super::gcm::GcmParts;
use super::{Associated, ESP_HEADER, Sequence, place};
use crate::algorithm::Aead;

/// Octets of ICV.
pub(super) const ICV: usize = 16;

/// SPI, extended sequence number and IV are 20 octets: with the beginning of the payload they fill two blocks.
const BEGINNING: usize = 32;

/// A key with its salt.
pub(super) struct Gmac {
    parts: GcmParts,
    salt: [u8; 4],
}

impl Gmac {
    /// Schedule a key that ends with its salt; None for other algorithms.
    pub(super) fn new(
        algorithm: Aead,
        icv_octets: usize,
        key: &[u8],
    ) -> Result<Option<Gmac>, Unspecified> {
        if algorithm != Aead::AesGmac {
            return Ok(None);
        }
        let (key, salt) = key.split_last_chunk().ok_or(Unspecified)?;
        if icv_octets != ICV {
            return Err(Unspecified);
        }
        let (parts, salt) = (GcmParts::new(key)?, *salt);
        Ok(Some(Gmac { parts, salt }))
    }

    /// As `Cipher::seal`, with the IV in its place.
    pub(super) fn seal(
        &self,
        sequence: Sequence,
        packet: &mut [u8],
        inner: Option<&[u8]>,
        trailer: &[u8],
    ) -> Result<(), Unspecified> {
        let end = packet.len().checked_sub(ICV).ok_or(Unspecified)?;
        let (covered, icv) = packet.split_at_mut(end);
        place(&mut covered[ESP_HEADER + IV..], inner, trailer)?;
        icv.copy_from_slice(&self.tag(sequence, covered)?);
        Ok(())
    }

    /// As `Cipher::open`.
    pub(super) fn open(&self, sequence: Sequence, packet: &mut [u8]) -> Result<(), Unspecified> {
        let (covered, icv) = packet.split_at(packet.len() - ICV);
        verify_slices_are_equal(&self.tag(sequence, covered)?, icv)
    }

    /// The tag over SPI, sequence number, IV and all behind it (RFC 4543 section 3.3).
    fn tag(&self, sequence: Sequence, covered: &[u8]) -> Result<[u8; ICV], Unspecified> {
        let (header, behind) = covered.split_at(ESP_HEADER);
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&self.salt);
        nonce[4..].copy_from_slice(&behind[..IV]);
        let associated = Associated::new(header, sequence);
        let mut beginning = [0; BEGINNING];
        let (first, rest) = beginning.split_at_mut(associated.as_ref().len());
        first.copy_from_slice(associated.as_ref());
        // The IV always fits, and there is at least a trailer behind it.
        let room = (first.len() + IV).next_multiple_of(16) - first.len();
        let taken = room.min(behind.len());
        rest[..taken].copy_from_slice(&behind[..taken]);
        let length = first.len() + taken;
        self.parts
            .tag(nonce, (&beginning[..length], &behind[taken..]), &[])
    }
}

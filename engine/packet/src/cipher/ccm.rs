//! AES-CCM (RFC 4309 section 4: nonces of 11 octets, and a length of 4).

use aes::cipher::{BlockCipherEncrypt, BlockSizeUser, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use aws_lc_rs::error::Unspecified;
use ccm::aead::AeadInOut;
use ccm::aead::array::ArraySize;
use ccm::consts::{U8, U11, U12, U16};
use ccm::{Nonce, NonceSize, Tag, TagSize};

/// Octets of salt and IV.
const NONCE: usize = 11;

/// A key of whichever length, with an ICV of whichever length.
pub(super) struct Ccm(Box<dyn Sealer>);

trait Sealer: Send + Sync {
    fn seal(
        &self,
        nonce: &[u8],
        associated: &[u8],
        body: &mut [u8],
        icv: &mut [u8],
    ) -> Result<(), Unspecified>;

    fn open(
        &self,
        nonce: &[u8],
        associated: &[u8],
        body: &mut [u8],
        icv: &[u8],
    ) -> Result<(), Unspecified>;
}

impl<C, M, N> Sealer for ccm::Ccm<C, M, N>
where
    C: BlockSizeUser<BlockSize = U16> + BlockCipherEncrypt + Send + Sync,
    M: ArraySize + TagSize + Send + Sync,
    N: ArraySize + NonceSize + Send + Sync,
{
    fn seal(
        &self,
        nonce: &[u8],
        associated: &[u8],
        body: &mut [u8],
        icv: &mut [u8],
    ) -> Result<(), Unspecified> {
        let nonce: &Nonce<N> = nonce.try_into().map_err(|_| Unspecified)?;
        let tag = self
            .encrypt_inout_detached(nonce, associated, body.into())
            .map_err(|_| Unspecified)?;
        icv.get_mut(..tag.len())
            .ok_or(Unspecified)?
            .copy_from_slice(&tag);
        Ok(())
    }

    /// The body is decrypted before it is judged: the ICV is over the plain text.
    fn open(
        &self,
        nonce: &[u8],
        associated: &[u8],
        body: &mut [u8],
        icv: &[u8],
    ) -> Result<(), Unspecified> {
        let nonce: &Nonce<N> = nonce.try_into().map_err(|_| Unspecified)?;
        let tag: &Tag<M> = icv.try_into().map_err(|_| Unspecified)?;
        self.decrypt_inout_detached(nonce, associated, body.into(), tag)
            .map_err(|_| Unspecified)
    }
}

fn scheduled<C, N>(key: &[u8], icv_octets: usize) -> Result<Box<dyn Sealer>, Unspecified>
where
    C: BlockSizeUser<BlockSize = U16> + BlockCipherEncrypt + KeyInit + Send + Sync + 'static,
    N: ArraySize + NonceSize + Send + Sync,
{
    let cipher = C::new_from_slice(key).map_err(|_| Unspecified)?;
    match icv_octets {
        8 => Ok(Box::new(ccm::Ccm::<C, U8, N>::from(cipher))),
        12 => Ok(Box::new(ccm::Ccm::<C, U12, N>::from(cipher))),
        16 => Ok(Box::new(ccm::Ccm::<C, U16, N>::from(cipher))),
        _ => Err(Unspecified),
    }
}

impl Ccm {
    pub(super) fn new(key: &[u8], icv_octets: usize) -> Result<Ccm, Unspecified> {
        match key.len() {
            16 => scheduled::<Aes128, U11>(key, icv_octets),
            24 => scheduled::<Aes192, U11>(key, icv_octets),
            32 => scheduled::<Aes256, U11>(key, icv_octets),
            _ => Err(Unspecified),
        }
        .map(Ccm)
    }

    /// The last octet of `nonce` is not used.
    pub(super) fn seal(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        body: &mut [u8],
        icv: &mut [u8],
    ) -> Result<(), Unspecified> {
        self.0.seal(&nonce[..NONCE], associated, body, icv)
    }

    /// The last octet of `nonce` is not used.
    pub(super) fn open(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        body: &mut [u8],
        icv: &[u8],
    ) -> Result<(), Unspecified> {
        self.0.open(&nonce[..NONCE], associated, body, icv)
    }
}

#[cfg(test)]
mod tests;

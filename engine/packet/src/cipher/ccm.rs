//! AES-CCM (RFC 4309 section 4: nonces of 11 octets, and a length of 4).

use aes::cipher::{BlockCipherEncrypt, BlockSizeUser, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use aws_lc_rs::error::Unspecified;
use ccm::aead::AeadInOut;
use ccm::aead::array::ArraySize;
use ccm::consts::{U8, U11, U12, U16};
use ccm::{Tag, TagSize};

/// Octets of salt and IV.
const NONCE: usize = 11;

/// A key of whichever length, with an ICV of whichever length.
pub(super) struct Ccm(Box<dyn Sealer>);

trait Sealer: Send + Sync {
    fn seal(
        &self,
        nonce: [u8; NONCE],
        associated: &[u8],
        body: &mut [u8],
        icv: &mut [u8],
    ) -> Result<(), Unspecified>;

    fn open(
        &self,
        nonce: [u8; NONCE],
        associated: &[u8],
        body: &mut [u8],
        icv: &[u8],
    ) -> Result<(), Unspecified>;
}

impl<C, M> Sealer for ccm::Ccm<C, M, U11>
where
    C: BlockSizeUser<BlockSize = U16> + BlockCipherEncrypt + Send + Sync,
    M: ArraySize + TagSize + Send + Sync,
{
    fn seal(
        &self,
        nonce: [u8; NONCE],
        associated: &[u8],
        body: &mut [u8],
        icv: &mut [u8],
    ) -> Result<(), Unspecified> {
        let tag = self
            .encrypt_inout_detached(&nonce.into(), associated, body.into())
            .map_err(|_| Unspecified)?;
        icv.copy_from_slice(&tag);
        Ok(())
    }

    /// The body is decrypted before it is judged: the ICV is over the plain text.
    fn open(
        &self,
        nonce: [u8; NONCE],
        associated: &[u8],
        body: &mut [u8],
        icv: &[u8],
    ) -> Result<(), Unspecified> {
        let tag: &Tag<M> = icv.try_into().map_err(|_| Unspecified)?;
        self.decrypt_inout_detached(&nonce.into(), associated, body.into(), tag)
            .map_err(|_| Unspecified)
    }
}

fn scheduled<C>(key: &[u8], icv_octets: usize) -> Result<Box<dyn Sealer>, Unspecified>
where
    C: BlockSizeUser<BlockSize = U16> + BlockCipherEncrypt + KeyInit + Send + Sync + 'static,
{
    let cipher = C::new_from_slice(key).map_err(|_| Unspecified)?;
    match icv_octets {
        8 => Ok(Box::new(ccm::Ccm::<C, U8, U11>::from(cipher))),
        12 => Ok(Box::new(ccm::Ccm::<C, U12, U11>::from(cipher))),
        16 => Ok(Box::new(ccm::Ccm::<C, U16, U11>::from(cipher))),
        _ => Err(Unspecified),
    }
}

impl Ccm {
    pub(super) fn new(key: &[u8], icv_octets: usize) -> Result<Ccm, Unspecified> {
        match key.len() {
            16 => scheduled::<Aes128>(key, icv_octets),
            24 => scheduled::<Aes192>(key, icv_octets),
            32 => scheduled::<Aes256>(key, icv_octets),
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
        self.0.seal(short(nonce), associated, body, icv)
    }

    /// The last octet of `nonce` is not used.
    pub(super) fn open(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        body: &mut [u8],
        icv: &[u8],
    ) -> Result<(), Unspecified> {
        self.0.open(short(nonce), associated, body, icv)
    }
}

fn short(nonce: [u8; 12]) -> [u8; NONCE] {
    std::array::from_fn(|index| nonce[index])
}

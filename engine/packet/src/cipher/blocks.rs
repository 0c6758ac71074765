//! Block ciphers in CBC mode that aws-lc-rs does not have: Camellia (RFC 4312) and 3DES (RFC 2451).

use aws_lc_rs::error::Unspecified;
use camellia::{Camellia128, Camellia192, Camellia256};
use cbc::cipher::{
    Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit,
    KeyInit,
};
use cbc::{Decryptor, Encryptor};
use des::TdesEde3;

use crate::algorithm::keys_of_3des_differ;

/// A scheduled key. `body` is of whole blocks, `iv` is one.
pub(super) trait Blocks: Send + Sync {
    fn encrypt(&self, iv: &[u8], body: &mut [u8]) -> Result<(), Unspecified>;
    fn decrypt(&self, iv: &[u8], body: &mut [u8]) -> Result<(), Unspecified>;
}

impl<C> Blocks for C
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + Send + Sync,
{
    fn encrypt(&self, iv: &[u8], body: &mut [u8]) -> Result<(), Unspecified> {
        let (blocks, rest) = Array::slice_as_chunks_mut(body);
        let mut chain = Encryptor::inner_iv_slice_init(self, iv).map_err(|_| Unspecified)?;
        chain.encrypt_blocks(blocks);
        whole(rest)
    }

    fn decrypt(&self, iv: &[u8], body: &mut [u8]) -> Result<(), Unspecified> {
        let (blocks, rest) = Array::slice_as_chunks_mut(body);
        let mut chain = Decryptor::inner_iv_slice_init(self, iv).map_err(|_| Unspecified)?;
        chain.decrypt_blocks(blocks);
        whole(rest)
    }
}

fn whole(rest: &[u8]) -> Result<(), Unspecified> {
    rest.is_empty().then_some(()).ok_or(Unspecified)
}

/// Camellia with a key of 16, 24 or 32 octets.
pub(super) fn camellia(key: &[u8]) -> Result<Box<dyn Blocks>, Unspecified> {
    match key.len() {
        16 => scheduled::<Camellia128>(key),
        24 => scheduled::<Camellia192>(key),
        _ => scheduled::<Camellia256>(key),
    }
}

/// 3DES with three keys. Err where two that follow each other are equal: that is DES.
pub(super) fn triple_des(key: &[u8]) -> Result<Box<dyn Blocks>, Unspecified> {
    if !keys_of_3des_differ(key) {
        return Err(Unspecified);
    }
    scheduled::<TdesEde3>(key)
}

fn scheduled<C: Blocks + KeyInit + 'static>(key: &[u8]) -> Result<Box<dyn Blocks>, Unspecified> {
    let cipher = C::new_from_slice(key).map_err(|_| Unspecified)?;
    Ok(Box::new(cipher))
}

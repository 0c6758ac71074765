//! Where IVs come from.

use aws_lc_rs::cipher::{EncryptingKey, EncryptionContext};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::encrypted::aes;
use super::{MAX_IV, Sequence};
use crate::algorithm::{Encryption, Transform};

/// What the IV of a packet is made of.
pub(super) enum IvSource {
    /// There is none.
    Nothing,
    /// The sequence number in full, which never repeats under one key (RFC 3686 section 3.1, RFC 4106 section 3.1), under a
    /// mask (`Numbers::iv_mask`).
    Counter(u64),
    /// A block cipher under a random key of its own turns the sequence number into something that nobody can foresee and
    /// that does not repeat (NIST SP 800-38A appendix C), without drawing entropy for each packet. Of it, a cipher with
    /// blocks of 8 octets takes the first half.
    Cipher(Box<EncryptingKey>),
}

impl IvSource {
    /// What a transform's IVs are made of. Err without entropy.
    pub(super) fn new(transform: &Transform, mask: u64) -> Result<IvSource, Unspecified> {
        if transform.counter_key().is_some() {
            return Ok(IvSource::Counter(mask));
        }
        match transform {
            Transform::Encrypted {
                cipher: Encryption::Null,
                ..
            }
            | Transform::Authenticated { .. } => Ok(IvSource::Nothing),
            _ => IvSource::random(),
        }
    }

    fn random() -> Result<IvSource, Unspecified> {
        let mut key = Zeroizing::new([0; 16]);
        rand::fill(&mut *key)?;
        let cipher = EncryptingKey::ecb(aes(&*key)?)?;
        Ok(IvSource::Cipher(Box::new(cipher)))
    }

    /// Write the IV of a packet.
    pub(super) fn write(&self, sequence: Sequence, iv: &mut [u8]) -> Result<(), Unspecified> {
        let number = sequence.full;
        match self {
            IvSource::Nothing => {}
            IvSource::Counter(mask) => iv.copy_from_slice(&(number ^ mask).to_be_bytes()),
            IvSource::Cipher(key) => {
                let mut block = [0; MAX_IV];
                block[..8].copy_from_slice(&number.to_be_bytes());
                key.less_safe_encrypt(&mut block, EncryptionContext::None)?;
                iv.copy_from_slice(&block[..iv.len()]);
            }
        }
        Ok(())
    }
}

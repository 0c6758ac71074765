//! Sequence numbers by key. With counter modes and AEADs they are the nonces (RFC 3686 section 3.1, RFC 4106 section 3.1, RFC
//! 7634 section 2), and one nonce twice under one key gives away what was sealed. So security associations of one key, at the same time or one after the other, count on
//! from each other: `setkey -f` run again with the keys of its file repeats none.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use aws_lc_rs::{hmac, rand::SystemRandom};

use crate::algorithm::Transform;
use crate::error::DatabaseError;
use crate::limits::MAX_REMEMBERED_KEYS;

/// A key, under a secret of this process: of a key that is gone, nothing is to be kept.
type Fingerprint = [u8; 32];

/// The last sequence number of each such key that seals or has sealed.
#[derive(Default)]
pub(crate) struct Nonces {
    secret: Option<hmac::Key>,
    counters: HashMap<Fingerprint, Arc<AtomicU64>>,
    /// The oldest first.
    order: VecDeque<Fingerprint>,
}

impl Nonces {
    /// The counter of a transform: the last sequence number that was given out, 0 for a key that never sealed.
    ///
    /// Errors: `Invalid` when the host has no entropy.
    pub(crate) fn counter(
        &mut self,
        transform: &Transform,
    ) -> Result<Arc<AtomicU64>, DatabaseError> {
        let Some(key) = transform.counter_key() else {
            // Its IVs come from a random key of its own, or it has none.
            return Ok(Arc::default());
        };
        let mut context = hmac::Context::with_key(self.secret()?);
        context.update(key);
        let mut fingerprint = Fingerprint::default();
        fingerprint.copy_from_slice(context.sign().as_ref());
        Ok(self.remember(fingerprint))
    }

    fn secret(&mut self) -> Result<&hmac::Key, DatabaseError> {
        if self.secret.is_none() {
            let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
            self.secret = key.ok();
        }
        self.secret
            .as_ref()
            .ok_or(DatabaseError::Invalid("the host has no entropy"))
    }

    fn remember(&mut self, fingerprint: Fingerprint) -> Arc<AtomicU64> {
        if let Some(counter) = self.counters.get(&fingerprint) {
            return Arc::clone(counter);
        }
        if self.order.len() >= MAX_REMEMBERED_KEYS {
            self.forget_oldest();
        }
        let counter = Arc::default();
        self.counters.insert(fingerprint, Arc::clone(&counter));
        self.order.push_back(fingerprint);
        counter
    }

    /// Forget the oldest key that no security association has. There is one: more are remembered than there can be SAs.
    fn forget_oldest(&mut self) {
        for _ in 0..self.order.len() {
            let Some(fingerprint) = self.order.pop_front() else {
                return;
            };
            let in_use = |counter: &Arc<AtomicU64>| Arc::strong_count(counter) > 1;
            if !self.counters.get(&fingerprint).is_some_and(in_use) {
                self.counters.remove(&fingerprint);
                return;
            }
            self.order.push_back(fingerprint);
        }
    }
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Nonces({} keys)", self.order.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;
    use crate::algorithm::{Aead, Encryption, Integrity};
    use crate::secret::Secret;

    fn key(number: usize) -> Vec<u8> {
        let mut key = vec![0; 36];
        key[..8].copy_from_slice(&number.to_be_bytes());
        key
    }

    fn aead(algorithm: Aead, number: usize) -> Transform {
        Transform::Aead {
            algorithm,
            icv_octets: 16,
            key: Secret::new(&key(number)),
        }
    }

    fn encrypted(cipher: Encryption, key: &[u8]) -> Transform {
        Transform::Encrypted {
            cipher,
            key: Secret::new(key),
            integrity: Integrity::HmacSha256_128,
            integrity_key: Secret::new(&[2; 32]),
        }
    }

    #[test]
    fn one_key_is_one_counter() {
        let mut nonces = Nonces::default();
        let gcm = aead(Aead::AesGcm, 1);
        nonces.counter(&gcm).unwrap().fetch_add(7, Relaxed);
        assert_eq!(nonces.counter(&gcm).unwrap().load(Relaxed), 7);
        let others = [
            aead(Aead::AesGcm, 2),
            aead(Aead::AesGmac, 2),
            encrypted(Encryption::AesCtr, &key(3)),
        ];
        for other in others {
            assert_eq!(nonces.counter(&other).unwrap().load(Relaxed), 0);
        }
    }

    /// The keystream of one is the keystream of the other, and the mask of one's tag is that of the other's.
    #[test]
    fn modes_of_one_block_cipher_share_its_counter() {
        let mut nonces = Nonces::default();
        let gcm = aead(Aead::AesGcm, 1);
        nonces.counter(&gcm).unwrap().fetch_add(7, Relaxed);
        let mut another_salt = key(1);
        another_salt[35] = 9;
        let same = [
            Transform::Aead {
                algorithm: Aead::AesGcm,
                icv_octets: 8,
                key: Secret::new(&another_salt),
            },
            aead(Aead::AesGmac, 1),
            Transform::Aead {
                algorithm: Aead::AesCcm,
                icv_octets: 16,
                key: Secret::new(&key(1)[..35]),
            },
            encrypted(Encryption::AesCtr, &key(1)),
        ];
        for other in same {
            assert_eq!(nonces.counter(&other).unwrap().load(Relaxed), 7);
        }
    }

    #[test]
    fn a_random_iv_needs_no_memory() {
        let mut nonces = Nonces::default();
        let cbc = encrypted(Encryption::AesCbc, &[1; 16]);
        nonces.counter(&cbc).unwrap().fetch_add(7, Relaxed);
        assert_eq!(nonces.counter(&cbc).unwrap().load(Relaxed), 0);
        assert!(nonces.order.is_empty());
    }

    #[test]
    fn the_memory_is_bounded_and_a_key_in_use_is_kept() {
        let mut nonces = Nonces::default();
        let used = nonces.counter(&aead(Aead::AesGcm, 0)).unwrap();
        used.fetch_add(7, Relaxed);
        for number in 1..=MAX_REMEMBERED_KEYS {
            nonces.counter(&aead(Aead::AesGcm, number)).unwrap();
        }
        assert_eq!(
            (nonces.order.len(), nonces.counters.len()),
            (MAX_REMEMBERED_KEYS, MAX_REMEMBERED_KEYS)
        );
        let again = nonces.counter(&aead(Aead::AesGcm, 0)).unwrap();
        assert_eq!(again.load(Relaxed), 7);
    }
}

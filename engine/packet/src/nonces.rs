//! Sequence numbers by key. With counter modes and AEADs they make the nonces (RFC 3686 section 3.1, RFC 4106 section 3.1, RFC
//! 7634 section 2), and one nonce twice under one key gives away what was sealed. So security associations of one key, at the
//! same time or one after the other, count on from each other: `setkey -f` run again with the keys of its file repeats none.
//!
//! Nobody remembers what another process sealed under a key, be it the one before a restart or that of the other gateway,
//! whose packets have the same key where a file says so. Against that the numbers are masked: two processes that draw other
//! masks hardly ever meet in an IV.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};

use crate::algorithm::Transform;
use crate::error::DatabaseError;
use crate::limits::MAX_REMEMBERED_KEYS;

/// A key, under a secret of this process: of a key that is gone, nothing is to be kept.
type Fingerprint = [u8; 32];

/// Where the sequence numbers of a security association go on, and how they become IVs.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// The last that was given out, 0 for a key that never sealed.
    pub(crate) sent: Arc<AtomicU64>,
    /// What they are combined with bit by bit: one mask for all of a process, or two numbers could become one IV.
    pub(crate) iv_mask: u64,
}

/// What a process draws once.
struct Drawn {
    secret: hmac::Key,
    iv_mask: u64,
}

impl Drawn {
    fn new() -> Result<Drawn, Unspecified> {
        let random = SystemRandom::new();
        let mut mask = [0; 8];
        random.fill(&mut mask)?;
        Ok(Drawn {
            secret: hmac::Key::generate(hmac::HMAC_SHA256, &random)?,
            iv_mask: u64::from_be_bytes(mask),
        })
    }

    fn fingerprint(&self, key: &[u8]) -> Fingerprint {
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(key);
        let mut fingerprint = Fingerprint::default();
        fingerprint.copy_from_slice(context.sign().as_ref());
        fingerprint
    }
}

/// The last sequence number of each such key that seals or has sealed.
#[derive(Default)]
pub(crate) struct Nonces {
    drawn: Option<Drawn>,
    counters: HashMap<Fingerprint, Arc<AtomicU64>>,
    /// The oldest first.
    order: VecDeque<Fingerprint>,
}

impl Nonces {
    /// The numbers of a transform.
    ///
    /// Errors: `Invalid` when the host has no entropy.
    pub(crate) fn numbers(&mut self, transform: &Transform) -> Result<Numbers, DatabaseError> {
        let Some(key) = transform.counter_key() else {
            // Its IVs come from a random key of its own, or it has none.
            return Ok(Numbers::default());
        };
        let drawn = self.drawn()?;
        let (fingerprint, iv_mask) = (drawn.fingerprint(key), drawn.iv_mask);
        Ok(Numbers {
            sent: self.remember(fingerprint),
            iv_mask,
        })
    }

    fn drawn(&mut self) -> Result<&Drawn, DatabaseError> {
        if self.drawn.is_none() {
            self.drawn = Drawn::new().ok();
        }
        self.drawn
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
        nonces.numbers(&gcm).unwrap().sent.fetch_add(7, Relaxed);
        assert_eq!(nonces.numbers(&gcm).unwrap().sent.load(Relaxed), 7);
        let others = [
            aead(Aead::AesGcm, 2),
            aead(Aead::AesGmac, 2),
            encrypted(Encryption::AesCtr, &key(3)),
        ];
        for other in others {
            assert_eq!(nonces.numbers(&other).unwrap().sent.load(Relaxed), 0);
        }
    }

    /// The keystream of one is the keystream of the other, and the mask of one's tag is that of the other's.
    #[test]
    fn modes_of_one_block_cipher_share_its_counter() {
        let mut nonces = Nonces::default();
        let gcm = aead(Aead::AesGcm, 1);
        nonces.numbers(&gcm).unwrap().sent.fetch_add(7, Relaxed);
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
            assert_eq!(nonces.numbers(&other).unwrap().sent.load(Relaxed), 7);
        }
    }

    /// One mask of all keys within a process, for two numbers must not become one IV; another in each process.
    #[test]
    fn ivs_of_one_process_are_masked_alike_and_not_as_those_of_another() {
        let mut nonces = Nonces::default();
        let mut mask = |number| nonces.numbers(&aead(Aead::AesGcm, number)).unwrap().iv_mask;
        let first = mask(1);
        assert_eq!([mask(2), mask(1)], [first; 2]);
        let another = Nonces::default().numbers(&aead(Aead::AesGcm, 1)).unwrap();
        assert_ne!(another.iv_mask, first);
    }

    #[test]
    fn a_random_iv_needs_no_memory() {
        let mut nonces = Nonces::default();
        let cbc = encrypted(Encryption::AesCbc, &[1; 16]);
        nonces.numbers(&cbc).unwrap().sent.fetch_add(7, Relaxed);
        assert_eq!(nonces.numbers(&cbc).unwrap().sent.load(Relaxed), 0);
        assert!(nonces.order.is_empty());
    }

    #[test]
    fn the_memory_is_bounded_and_a_key_in_use_is_kept() {
        let mut nonces = Nonces::default();
        let used = nonces.numbers(&aead(Aead::AesGcm, 0)).unwrap().sent;
        used.fetch_add(7, Relaxed);
        for number in 1..=MAX_REMEMBERED_KEYS {
            nonces.numbers(&aead(Aead::AesGcm, number)).unwrap();
        }
        assert_eq!(
            (nonces.order.len(), nonces.counters.len()),
            (MAX_REMEMBERED_KEYS, MAX_REMEMBERED_KEYS)
        );
        let again = nonces.numbers(&aead(Aead::AesGcm, 0)).unwrap().sent;
        assert_eq!(again.load(Relaxed), 7);
    }
}

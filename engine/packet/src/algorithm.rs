//! The ESP and AH transforms that there are, and what each asks of its keys.

use crate::secret::Secret;

/// Combined-mode ciphers: one key for confidentiality and integrity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aead {
    /// AES-GCM with an ICV of 8, 12 or 16 octets (RFC 4106).
    AesGcm,
    /// AES-CCM with an ICV of 8, 12 or 16 octets (RFC 4309).
    AesCcm,
    /// ChaCha20-Poly1305 with an ICV of 16 octets (RFC 7634).
    ChaCha20Poly1305,
    /// ENCR_NULL_AUTH_AES_GMAC with an ICV of 16 octets (RFC 4543): integrity alone.
    AesGmac,
}

impl Aead {
    /// The octets of salt that end the key (RFC 4106 section 8.1, RFC 4309 section 4, RFC 4543 section 3.2, RFC 7634
    /// section 2).
    pub const fn salt_octets(self) -> usize {
        match self {
            Aead::AesCcm => 3,
            Aead::AesGcm | Aead::ChaCha20Poly1305 | Aead::AesGmac => 4,
        }
    }

    /// Whether it has an ICV of so many octets.
    pub const fn takes_icv_octets(self, octets: usize) -> bool {
        match self {
            Aead::AesGcm | Aead::AesCcm => matches!(octets, 8 | 12 | 16),
            Aead::ChaCha20Poly1305 | Aead::AesGmac => octets == 16,
        }
    }

    const fn takes_key_octets(self, octets: usize) -> bool {
        match (self, octets.checked_sub(self.salt_octets())) {
            (Aead::ChaCha20Poly1305, Some(key)) => key == 32,
            (_, Some(key)) => matches!(key, 16 | 24 | 32),
            (_, None) => false,
        }
    }
}

/// Ciphers that have no integrity of their own, and the cipher that has no confidentiality either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encryption {
    /// No encryption (RFC 2410).
    Null,
    /// AES-CBC (RFC 3602).
    AesCbc,
    /// AES-CTR (RFC 3686); the key ends with four octets of nonce.
    AesCtr,
    /// Camellia-CBC (RFC 4312).
    CamelliaCbc,
    /// 3DES-CBC with three keys (RFC 2451).
    TripleDesCbc,
}

impl Encryption {
    const fn takes_key_octets(self, octets: usize) -> bool {
        match self {
            Encryption::Null => octets == 0,
            Encryption::AesCbc | Encryption::CamelliaCbc => matches!(octets, 16 | 24 | 32),
            Encryption::AesCtr => matches!(octets, 20 | 28 | 36),
            Encryption::TripleDesCbc => octets == 24,
        }
    }
}

/// Octets of nonce that end the key of AES-CTR (RFC 3686 section 5.1).
const CTR_NONCE_OCTETS: usize = 4;

/// Whether neither the first two nor the last two keys are equal but for their parity bits (RFC 2451 section 2.3: a MUST).
pub(crate) fn keys_of_3des_differ(key: &[u8]) -> bool {
    let same = |first: &[u8], second: &[u8]| {
        let differing = first
            .iter()
            .zip(second)
            .fold(0, |all, (a, b)| all | (a ^ b));
        differing & !1 == 0
    };
    key.len() == 24 && !same(&key[..8], &key[8..16]) && !same(&key[8..16], &key[16..])
}

/// Integrity for AH, and for ciphers that have none of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Integrity {
    /// HMAC-MD5-96 (RFC 2403).
    HmacMd5_96,
    /// HMAC-SHA1-96 (RFC 2404).
    HmacSha1_96,
    /// HMAC-SHA2-256 cut to 96 bits, as Linux did before 2.6.33 and does without a length.
    HmacSha256_96,
    /// HMAC-SHA2-256-128 (RFC 4868).
    HmacSha256_128,
    /// HMAC-SHA2-384-192 (RFC 4868).
    HmacSha384_192,
    /// HMAC-SHA2-512-256 (RFC 4868).
    HmacSha512_256,
    /// AES-XCBC-MAC-96 (RFC 3566).
    AesXcbc96,
    /// AES-CMAC-96 (RFC 4494).
    AesCmac96,
}

impl Integrity {
    /// Octets of key, neither more nor less (RFC 4868 section 2.1.1 and the like).
    pub const fn key_octets(self) -> usize {
        match self {
            Integrity::HmacMd5_96 | Integrity::AesXcbc96 | Integrity::AesCmac96 => 16,
            Integrity::HmacSha1_96 => 20,
            Integrity::HmacSha256_96 | Integrity::HmacSha256_128 => 32,
            Integrity::HmacSha384_192 => 48,
            Integrity::HmacSha512_256 => 64,
        }
    }

    /// Octets of ICV.
    pub const fn icv_octets(self) -> usize {
        match self {
            Integrity::HmacSha256_128 => 16,
            Integrity::HmacSha384_192 => 24,
            Integrity::HmacSha512_256 => 32,
            _ => 12,
        }
    }
}

/// An algorithm with its keys. There is no encryption without integrity: CVE-2005-0039 showed why.
#[derive(Clone, Debug)]
pub enum Transform {
    /// ESP with one key for both; `key` ends with the salt.
    Aead {
        /// The cipher.
        algorithm: Aead,
        /// Octets of ICV: 16, with AES-GCM and AES-CCM also 8 or 12.
        icv_octets: usize,
        /// 16, 24 or 32 octets (ChaCha20: 32) and the salt.
        key: Secret,
    },
    /// ESP with a cipher and integrity apart.
    Encrypted {
        /// The cipher; NULL too.
        cipher: Encryption,
        /// As many octets as the cipher takes; none with NULL.
        key: Secret,
        /// The integrity algorithm.
        integrity: Integrity,
        /// As many octets as it takes.
        integrity_key: Secret,
    },
    /// AH.
    Authenticated {
        /// The integrity algorithm.
        integrity: Integrity,
        /// As many octets as it takes.
        key: Secret,
    },
}

impl Transform {
    /// What is wrong with the lengths of keys and ICV, or with a key that an RFC forbids.
    pub fn fault(&self) -> Option<&'static str> {
        if !self.key_lengths_are_right() {
            return Some("a key or ICV does not have a length that its algorithm asks for");
        }
        match self {
            Transform::Encrypted {
                cipher: Encryption::TripleDesCbc,
                key,
                ..
            } if !keys_of_3des_differ(key.expose()) => Some(
                "two of the three keys of 3DES are equal, which makes it DES (RFC 2451 section 2.3)",
            ),
            _ => None,
        }
    }

    /// Whether keys and ICV have lengths that the algorithms take.
    fn key_lengths_are_right(&self) -> bool {
        match self {
            Transform::Aead {
                algorithm,
                icv_octets,
                key,
            } => algorithm.takes_icv_octets(*icv_octets) && algorithm.takes_key_octets(key.len()),
            Transform::Encrypted {
                cipher,
                key,
                integrity,
                integrity_key,
            } => {
                cipher.takes_key_octets(key.len()) && integrity_key.len() == integrity.key_octets()
            }
            Transform::Authenticated { integrity, key } => key.len() == integrity.key_octets(),
        }
    }

    /// The cipher's key without its salt where the sequence numbers are the IVs: one number twice under one key would give
    /// away what was sealed. Ciphers of one key share its numbers, whatever their modes and salts.
    pub(crate) fn counter_key(&self) -> Option<&[u8]> {
        let (key, salt) = match self {
            Transform::Aead { algorithm, key, .. } => (key, algorithm.salt_octets()),
            Transform::Encrypted {
                cipher: Encryption::AesCtr,
                key,
                ..
            } => (key, CTR_NONCE_OCTETS),
            Transform::Encrypted { .. } | Transform::Authenticated { .. } => return None,
        };
        let end = key.len().saturating_sub(salt);
        Some(&key.expose()[..end])
    }

    /// Whether it is AH's; every other is ESP's.
    pub fn is_for_ah(&self) -> bool {
        matches!(self, Transform::Authenticated { .. })
    }

    /// Why it is refused unless an SA allows legacy algorithms: what RFC 8221 says MUST NOT or SHOULD NOT of.
    pub fn legacy_reason(&self) -> Option<&'static str> {
        if let Transform::Encrypted {
            cipher: Encryption::TripleDesCbc,
            ..
        } = self
        {
            return Some(
                "3DES is a legacy algorithm (RFC 8221 section 5: SHOULD NOT) and was not allowed",
            );
        }
        (self.integrity() == Some(Integrity::HmacMd5_96)).then_some(
            "HMAC-MD5-96 is a legacy algorithm (RFC 8221 section 6: MUST NOT) and was not allowed",
        )
    }

    /// Whether RFC 8221 says MUST NOT or SHOULD NOT of a part of it.
    pub fn is_legacy(&self) -> bool {
        self.legacy_reason().is_some()
    }

    /// The integrity algorithm where it is a thing apart.
    pub fn integrity(&self) -> Option<Integrity> {
        match self {
            Transform::Aead { .. } => None,
            Transform::Encrypted { integrity, .. } | Transform::Authenticated { integrity, .. } => {
                Some(*integrity)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn triple_des(key: [u8; 24]) -> Transform {
        Transform::Encrypted {
            cipher: Encryption::TripleDesCbc,
            key: Secret::new(&key),
            integrity: Integrity::HmacSha1_96,
            integrity_key: Secret::new(&[1; 20]),
        }
    }

    #[test]
    fn triple_des_that_is_des_is_refused() {
        let mut key: [u8; 24] = std::array::from_fn(|index| index as u8 * 2);
        assert_eq!(triple_des(key).fault(), None);
        key[..8].copy_from_slice(&[8, 10, 12, 14, 16, 18, 20, 22]);
        key[8..16].copy_from_slice(&[9, 11, 13, 15, 17, 19, 21, 23]);
        assert!(triple_des(key).fault().unwrap().contains("RFC 2451"));
        key.rotate_right(8);
        assert!(triple_des(key).fault().unwrap().contains("RFC 2451"));
    }

    #[test]
    fn what_rfc_8221_refuses_is_legacy() {
        let authenticated = |integrity: Integrity| Transform::Authenticated {
            integrity,
            key: Secret::new(&vec![1; integrity.key_octets()]),
        };
        assert!(triple_des([1; 24]).is_legacy());
        assert!(authenticated(Integrity::HmacMd5_96).is_legacy());
        assert!(!authenticated(Integrity::HmacSha1_96).is_legacy());
    }

    #[test]
    fn only_the_lengths_of_the_documents_are_taken() {
        let count = |algorithm: Aead| {
            let cases = (0..64).flat_map(|key| (0..33).map(move |icv| (key, icv)));
            let taken = cases.filter(|&(key, icv_octets)| {
                let key = Secret::new(&vec![1; key]);
                let transform = Transform::Aead {
                    algorithm,
                    icv_octets,
                    key,
                };
                transform.fault().is_none()
            });
            taken.collect::<Vec<_>>()
        };
        assert_eq!(count(Aead::ChaCha20Poly1305), [(36, 16)]);
        assert_eq!(count(Aead::AesGmac), [(20, 16), (28, 16), (36, 16)]);
        let gcm = count(Aead::AesGcm);
        assert_eq!((gcm.len(), gcm[0], gcm[8]), (9, (20, 8), (36, 16)));
        let ccm = count(Aead::AesCcm);
        assert_eq!((ccm.len(), ccm[0], ccm[8]), (9, (19, 8), (35, 16)));
    }
}

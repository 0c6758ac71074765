//! Algorithms and keys by the kernel's names.

use packet::algorithm::{Aead, Encryption, Integrity, Transform};
use packet::secret::Secret;

use super::attribute::{ALG_AEAD, ALG_AUTH, ALG_AUTH_TRUNC, ALG_CRYPT};
use crate::netlink::{Attributes, put_attribute};
use crate::octets::{Cursor, Put};
use crate::refusal::Refusal;

const NAME_OCTETS: usize = 64;
const AEADS: [(&str, Aead); 4] = [
    ("rfc4106(gcm(aes))", Aead::AesGcm),
    ("rfc4309(ccm(aes))", Aead::AesCcm),
    ("rfc4543(gcm(aes))", Aead::AesGmac),
    ("rfc7539esp(chacha20,poly1305)", Aead::ChaCha20Poly1305),
];
const ENCRYPTIONS: [(&str, Encryption); 5] = [
    ("ecb(cipher_null)", Encryption::Null),
    ("cbc(aes)", Encryption::AesCbc),
    ("rfc3686(ctr(aes))", Encryption::AesCtr),
    ("cbc(camellia)", Encryption::CamelliaCbc),
    ("cbc(des3_ede)", Encryption::TripleDesCbc),
];
/// By name; the first of a name is the one that the kernel takes when a message says no length of the ICV.
const INTEGRITIES: [(&str, Integrity); 8] = [
    ("hmac(md5)", Integrity::HmacMd5_96),
    ("hmac(sha1)", Integrity::HmacSha1_96),
    ("hmac(sha256)", Integrity::HmacSha256_96),
    ("hmac(sha256)", Integrity::HmacSha256_128),
    ("hmac(sha384)", Integrity::HmacSha384_192),
    ("hmac(sha512)", Integrity::HmacSha512_256),
    ("xcbc(aes)", Integrity::AesXcbc96),
    ("cmac(aes)", Integrity::AesCmac96),
];

/// An algorithm attribute: name, bits of ICV where its structure has them, key.
struct Algorithm<'a> {
    name: &'a str,
    icv_bits: Option<u32>,
    key: Secret,
}

impl<'a> Algorithm<'a> {
    /// Reads `struct xfrm_algo`, or with `with_icv` `xfrm_algo_auth` and `xfrm_algo_aead`.
    fn parse(value: &'a [u8], with_icv: bool) -> Result<Self, Refusal> {
        let mut cursor = Cursor::new(value);
        let name = cursor
            .slice(NAME_OCTETS)?
            .split(|octet| *octet == 0)
            .next()
            .unwrap_or_default();
        let name = std::str::from_utf8(name)
            .map_err(|_| Refusal::new(libc::EINVAL, "the name of an algorithm is not text"))?;
        let key_bits = cursor.u32()?;
        let icv_bits = if with_icv { Some(cursor.u32()?) } else { None };
        if key_bits % 8 != 0 {
            return Err(Refusal::new(
                libc::EINVAL,
                "a key's length is not a number of octets",
            ));
        }
        let key = Secret::new(cursor.slice(key_bits as usize / 8)?);
        Ok(Self {
            name,
            icv_bits,
            key,
        })
    }
}

/// The transform that a message asks for; none if it has no algorithm at all. Integrity alone is AH's.
///
/// # Errors
/// `ENOSYS` with the name for what is not built, `EINVAL` for what contradicts itself.
pub fn parse_transform(attributes: &Attributes<'_>) -> Result<Option<Transform>, Refusal> {
    let auth = attributes.get(ALG_AUTH_TRUNC).or(attributes.get(ALG_AUTH));
    let truncated = attributes.get(ALG_AUTH_TRUNC).is_some();
    match (attributes.get(ALG_AEAD), attributes.get(ALG_CRYPT), auth) {
        (None, None, None) => Ok(None),
        (Some(aead), None, None) => parse_aead(aead).map(Some),
        (None, Some(crypt), Some(auth)) => parse_encrypted(crypt, auth, truncated).map(Some),
        (None, None, Some(auth)) => parse_authenticated(auth, truncated).map(Some),
        (None, Some(_), None) => Err(Refusal::new(
            libc::EINVAL,
            "encryption without integrity is not done",
        )),
        _ => Err(Refusal::new(
            libc::EINVAL,
            "the algorithms do not go together",
        )),
    }
}

fn parse_aead(value: &[u8]) -> Result<Transform, Refusal> {
    let Algorithm {
        name,
        icv_bits,
        key,
    } = Algorithm::parse(value, true)?;
    let (_, algorithm) = AEADS
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| unknown(name))?;
    let bits = icv_bits.unwrap_or_default();
    let icv_octets = bits as usize / 8;
    if bits % 8 != 0 || !algorithm.takes_icv_octets(icv_octets) {
        return Err(no_such_icv(name, bits));
    }
    Ok(Transform::Aead {
        algorithm: *algorithm,
        icv_octets,
        key,
    })
}

fn parse_encrypted(crypt: &[u8], auth: &[u8], truncated: bool) -> Result<Transform, Refusal> {
    let Algorithm { name, key, .. } = Algorithm::parse(crypt, false)?;
    let (_, cipher) = ENCRYPTIONS
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| unknown(name))?;
    let (integrity, integrity_key) = parse_integrity(auth, truncated)?;
    Ok(Transform::Encrypted {
        cipher: *cipher,
        key,
        integrity,
        integrity_key,
    })
}

fn parse_authenticated(auth: &[u8], truncated: bool) -> Result<Transform, Refusal> {
    let (integrity, key) = parse_integrity(auth, truncated)?;
    Ok(Transform::Authenticated { integrity, key })
}

fn parse_integrity(auth: &[u8], truncated: bool) -> Result<(Integrity, Secret), Refusal> {
    let Algorithm {
        name,
        icv_bits,
        key,
    } = Algorithm::parse(auth, truncated)?;
    let mut named = INTEGRITIES.iter().filter(|(known, _)| *known == name);
    let first = named.clone().next().ok_or_else(|| unknown(name))?;
    let found = match icv_bits {
        None => Some(first),
        Some(bits) => named.find(|(_, integrity)| icv_bits_of(*integrity) == bits),
    };
    let (_, integrity) = found.ok_or_else(|| no_such_icv(name, icv_bits.unwrap_or_default()))?;
    Ok((*integrity, key))
}

fn icv_bits_of(integrity: Integrity) -> u32 {
    integrity.icv_octets() as u32 * 8
}

fn no_such_icv(name: &str, bits: u32) -> Refusal {
    Refusal::about(
        libc::ENOSYS,
        format!("{name} is not done with an ICV of {bits} bits"),
    )
}

fn unknown(name: &str) -> Refusal {
    Refusal::about(libc::ENOSYS, format!("the algorithm {name:?} is not there"))
}

/// The name in a table that has every algorithm of its kind.
fn name_in<T: PartialEq>(table: &[(&'static str, T)], algorithm: T) -> &'static str {
    table
        .iter()
        .find(|(_, known)| *known == algorithm)
        .map_or("", |(name, _)| name)
}

/// Appends the transform's attributes; without `show_keys` the octets of the keys are zero.
pub fn put_transform(body: &mut Vec<u8>, transform: &Transform, show_keys: bool) {
    match transform {
        Transform::Aead {
            algorithm,
            icv_octets,
            key,
        } => {
            let (name, bits) = (name_in(&AEADS, *algorithm), *icv_octets as u32 * 8);
            put_algorithm(body, ALG_AEAD, name, Some(bits), key, show_keys);
        }
        Transform::Encrypted {
            cipher,
            key,
            integrity,
            integrity_key,
        } => {
            let name = name_in(&ENCRYPTIONS, *cipher);
            put_algorithm(body, ALG_CRYPT, name, None, key, show_keys);
            put_integrity(body, *integrity, integrity_key, show_keys);
        }
        Transform::Authenticated { integrity, key } => {
            put_integrity(body, *integrity, key, show_keys);
        }
    }
}

fn put_integrity(body: &mut Vec<u8>, integrity: Integrity, key: &Secret, show_keys: bool) {
    let (name, bits) = (name_in(&INTEGRITIES, integrity), icv_bits_of(integrity));
    put_algorithm(body, ALG_AUTH_TRUNC, name, Some(bits), key, show_keys);
}

fn put_algorithm(
    body: &mut Vec<u8>,
    kind: u16,
    name: &str,
    icv_bits: Option<u32>,
    key: &Secret,
    show_keys: bool,
) {
    let mut value = zeroize::Zeroizing::new(Vec::with_capacity(NAME_OCTETS + 8 + key.len()));
    value.put(name.as_bytes());
    value.put_zeros(NAME_OCTETS - name.len());
    value.put_u32(key.len() as u32 * 8);
    if let Some(bits) = icv_bits {
        value.put_u32(bits);
    }
    if show_keys {
        value.put(key.expose())
    } else {
        value.put_zeros(key.len())
    }
    put_attribute(body, kind, &value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round(transform: &Transform, show_keys: bool) -> Result<Option<Transform>, Refusal> {
        let mut body = Vec::new();
        put_transform(&mut body, transform, show_keys);
        parse_transform(&Attributes::parse(&body).unwrap())
    }

    fn gcm() -> Transform {
        Transform::Aead {
            algorithm: Aead::AesGcm,
            icv_octets: 16,
            key: Secret::new(&[7; 36]),
        }
    }

    fn crypt(name: &str) -> Vec<u8> {
        let mut body = Vec::new();
        put_algorithm(
            &mut body,
            ALG_CRYPT,
            name,
            None,
            &Secret::new(&[1; 16]),
            true,
        );
        body
    }

    /// One of each algorithm.
    fn every_transform() -> Vec<Transform> {
        let aead = |(_, algorithm): &(&str, Aead)| {
            let (algorithm, key) = (*algorithm, Secret::new(&[3; 36]));
            let lengths = [8, 12, 16].into_iter();
            let taken = lengths.filter(move |&octets| algorithm.takes_icv_octets(octets));
            taken.map(move |icv_octets| Transform::Aead {
                algorithm,
                icv_octets,
                key: key.clone(),
            })
        };
        let encrypted = |(_, cipher): &(&str, Encryption)| Transform::Encrypted {
            cipher: *cipher,
            key: Secret::new(&[1; 24]),
            integrity: Integrity::AesXcbc96,
            integrity_key: Secret::new(&[2; 16]),
        };
        let authenticated = |(_, integrity): &(&str, Integrity)| Transform::Authenticated {
            integrity: *integrity,
            key: Secret::new(&[4; 32]),
        };
        let mut all: Vec<_> = AEADS.iter().flat_map(aead).collect();
        all.extend(ENCRYPTIONS.iter().map(encrypted));
        all.extend(INTEGRITIES.iter().map(authenticated));
        all
    }

    #[test]
    fn keys_come_back_only_when_they_are_shown() {
        let Some(Transform::Aead { key, .. }) = round(&gcm(), true).unwrap() else {
            panic!()
        };
        assert_eq!(key.expose(), [7; 36]);
        let Some(Transform::Aead { key, .. }) = round(&gcm(), false).unwrap() else {
            panic!()
        };
        assert_eq!(key.expose(), [0; 36]);
    }

    #[test]
    fn every_algorithm_comes_back() {
        let all = every_transform();
        assert_eq!(all.len(), 21);
        for transform in all {
            let again = round(&transform, true).unwrap().unwrap();
            assert_eq!(format!("{again:?}"), format!("{transform:?}"));
        }
    }

    #[test]
    fn encryption_without_integrity_is_refused() {
        for (name, _) in ENCRYPTIONS {
            let body = crypt(name);
            let refusal = parse_transform(&Attributes::parse(&body).unwrap()).unwrap_err();
            assert_eq!(refusal.errno, libc::EINVAL);
        }
    }

    #[test]
    fn a_message_without_a_length_of_the_icv_means_the_kernels() {
        for (name, expected) in [
            ("hmac(sha256)", Integrity::HmacSha256_96),
            ("hmac(sha512)", Integrity::HmacSha512_256),
        ] {
            let mut body = crypt("cbc(aes)");
            put_algorithm(
                &mut body,
                ALG_AUTH,
                name,
                None,
                &Secret::new(&[2; 32]),
                true,
            );
            let transform = parse_transform(&Attributes::parse(&body).unwrap()).unwrap();
            assert_eq!(transform.unwrap().integrity(), Some(expected));
        }
    }

    #[test]
    fn what_is_not_done_is_refused_by_name() {
        for (kind, name, bits) in [
            (ALG_AEAD, "rfc4106(gcm(aes))", 32),
            (ALG_AEAD, "rfc4543(gcm(aes))", 96),
            (ALG_AEAD, "rfc7539esp(chacha20,poly1305)", 0),
            (ALG_AUTH_TRUNC, "hmac(sha256)", 256),
            (ALG_AUTH_TRUNC, "hmac(sha1)", 160),
            (ALG_AUTH_TRUNC, "hmac(rmd160)", 96),
        ] {
            let mut body = Vec::new();
            put_algorithm(
                &mut body,
                kind,
                name,
                Some(bits),
                &Secret::new(&[2; 20]),
                true,
            );
            let refusal = parse_transform(&Attributes::parse(&body).unwrap()).unwrap_err();
            assert_eq!(refusal.errno, libc::ENOSYS, "{name} {bits}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_algorithms_or_refused(kind in 0u16..25, value in proptest::collection::vec(any::<u8>(), 0..120)) {
            let mut body = Vec::new();
            put_attribute(&mut body, kind, &value);
            let _ = parse_transform(&Attributes::parse(&body).unwrap());
        }
    }
}

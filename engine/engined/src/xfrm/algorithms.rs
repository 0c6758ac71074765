//! Algorithms and keys by the kernel's names.

use packet::algorithm::{Aead, Integrity, Transform};
use packet::secret::Secret;

use super::attribute::{ALG_AEAD, ALG_AUTH, ALG_AUTH_TRUNC, ALG_CRYPT};
use crate::netlink::{Attributes, put_attribute};
use crate::octets::{Cursor, Put};
use crate::refusal::Refusal;

const NAME_OCTETS: usize = 64;
const AEADS: [(&str, Aead); 2] = [
    ("rfc4106(gcm(aes))", Aead::AesGcm16),
    ("rfc7539esp(chacha20,poly1305)", Aead::ChaCha20Poly1305),
];
const CBC: &str = "cbc(aes)";
/// Name, algorithm, and the ICV's bits that the kernel takes when a message says none.
const INTEGRITIES: [(&str, Integrity, u32); 3] = [
    ("hmac(sha256)", Integrity::HmacSha256, 96),
    ("hmac(sha384)", Integrity::HmacSha384, 192),
    ("hmac(sha512)", Integrity::HmacSha512, 256),
];
const AEAD_ICV_BITS: u32 = 128;

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

/// The transform that a message asks for; none if it has no algorithm at all.
///
/// # Errors
/// `ENOSYS` with the name for what is not built, `EINVAL` for what contradicts itself.
pub fn parse_transform(attributes: &Attributes<'_>) -> Result<Option<Transform>, Refusal> {
    let auth = attributes.get(ALG_AUTH_TRUNC).or(attributes.get(ALG_AUTH));
    match (attributes.get(ALG_AEAD), attributes.get(ALG_CRYPT), auth) {
        (None, None, None) => Ok(None),
        (Some(aead), None, None) => parse_aead(aead).map(Some),
        (None, Some(crypt), Some(auth)) => {
            let truncated = attributes.get(ALG_AUTH_TRUNC).is_some();
            parse_cbc(crypt, auth, truncated).map(Some)
        }
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
    if icv_bits != Some(AEAD_ICV_BITS) {
        return Err(Refusal::about(
            libc::ENOSYS,
            format!("{name} is done with an ICV of 128 bits only"),
        ));
    }
    Ok(Transform::Aead {
        algorithm: *algorithm,
        key,
    })
}

fn parse_cbc(crypt: &[u8], auth: &[u8], truncated: bool) -> Result<Transform, Refusal> {
    let crypt = Algorithm::parse(crypt, false)?;
    if crypt.name != CBC {
        return Err(unknown(crypt.name));
    }
    let auth = Algorithm::parse(auth, truncated)?;
    let (_, integrity, default_bits) = INTEGRITIES
        .iter()
        .find(|(known, ..)| *known == auth.name)
        .ok_or_else(|| unknown(auth.name))?;
    let bits = integrity.icv_octets() as u32 * 8;
    if auth.icv_bits.unwrap_or(*default_bits) != bits {
        let name = auth.name;
        return Err(Refusal::about(
            libc::ENOSYS,
            format!("{name} is done with an ICV of {bits} bits only"),
        ));
    }
    Ok(Transform::CbcHmac {
        key: crypt.key,
        integrity: *integrity,
        integrity_key: auth.key,
    })
}

fn unknown(name: &str) -> Refusal {
    Refusal::about(libc::ENOSYS, format!("the algorithm {name:?} is not there"))
}

/// Appends the transform's attributes; without `show_keys` the octets of the keys are zero.
pub fn put_transform(body: &mut Vec<u8>, transform: &Transform, show_keys: bool) {
    match transform {
        Transform::Aead { algorithm, key } => {
            let name = AEADS
                .iter()
                .find(|(_, known)| known == algorithm)
                .map_or("", |(name, _)| name);
            put_algorithm(body, ALG_AEAD, name, Some(AEAD_ICV_BITS), key, show_keys);
        }
        Transform::CbcHmac {
            key,
            integrity,
            integrity_key,
        } => {
            let name = INTEGRITIES
                .iter()
                .find(|(_, known, _)| known == integrity)
                .map_or("", |(name, ..)| name);
            let bits = integrity.icv_octets() as u32 * 8;
            put_algorithm(body, ALG_CRYPT, CBC, None, key, show_keys);
            put_algorithm(
                body,
                ALG_AUTH_TRUNC,
                name,
                Some(bits),
                integrity_key,
                show_keys,
            );
        }
    }
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
            algorithm: Aead::AesGcm16,
            key: Secret::new(&[7; 36]),
        }
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
    fn cbc_needs_integrity_of_the_right_length() {
        let transform = Transform::CbcHmac {
            key: Secret::new(&[1; 16]),
            integrity: Integrity::HmacSha256,
            integrity_key: Secret::new(&[2; 32]),
        };
        assert!(matches!(
            round(&transform, true).unwrap(),
            Some(Transform::CbcHmac { .. })
        ));
        let mut body = Vec::new();
        put_algorithm(
            &mut body,
            ALG_CRYPT,
            CBC,
            None,
            &Secret::new(&[1; 16]),
            true,
        );
        assert_eq!(
            parse_transform(&Attributes::parse(&body).unwrap())
                .unwrap_err()
                .errno,
            libc::EINVAL
        );
        put_algorithm(
            &mut body,
            ALG_AUTH,
            "hmac(sha256)",
            None,
            &Secret::new(&[2; 32]),
            true,
        );
        assert_eq!(
            parse_transform(&Attributes::parse(&body).unwrap())
                .unwrap_err()
                .errno,
            libc::ENOSYS
        );
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

//! Associations of every kind, by the octets of the NEWSA that asks for them.

use engined::tools;
use packet::sa::Sa;

/// ESP's number.
pub const ESP: u8 = 50;
/// AH's number.
pub const AH: u8 = 51;
/// The SPI of them all.
pub const SPI: u32 = 0x1_0001;
/// The octet that keys for integrity are made of: fixed, so that a check can be computed outside.
pub const KEY: u8 = 0x5a;
/// When they were added, in seconds.
const NOW_S: u64 = 1_000;

const ALG_CRYPT: u16 = 2;
const ALG_AEAD: u16 = 18;
const ALG_AUTH_TRUNC: u16 = 20;
const CULVERTA_LEGACY: u16 = 0x4004;

/// An algorithm by the kernel's name: attribute, name, octets of key, bits of ICV.
type Algorithm = (u16, &'static str, usize, Option<u32>);

const HMAC: Algorithm = (ALG_AUTH_TRUNC, "hmac(sha256)", 32, Some(128));
const ESP_TRANSFORMS: &[&[Algorithm]] = &[
    &[(ALG_CRYPT, "ecb(cipher_null)", 0, None), HMAC],
    &[(ALG_AEAD, "rfc4106(gcm(aes))", 20, Some(128))],
    &[(ALG_AEAD, "rfc4106(gcm(aes))", 36, Some(64))],
    &[(ALG_AEAD, "rfc4309(ccm(aes))", 19, Some(96))],
    &[(ALG_AEAD, "rfc4543(gcm(aes))", 20, Some(128))],
    &[(ALG_AEAD, "rfc7539esp(chacha20,poly1305)", 36, Some(128))],
    &[(ALG_CRYPT, "cbc(aes)", 16, None), HMAC],
    &[(ALG_CRYPT, "rfc3686(ctr(aes))", 20, None), HMAC],
    &[(ALG_CRYPT, "cbc(des3_ede)", 24, None), HMAC],
    &[(ALG_CRYPT, "cbc(camellia)", 16, None), HMAC],
    &[
        (ALG_CRYPT, "cbc(aes)", 32, None),
        (ALG_AUTH_TRUNC, "xcbc(aes)", 16, Some(96)),
    ],
    &[
        (ALG_CRYPT, "cbc(aes)", 32, None),
        (ALG_AUTH_TRUNC, "cmac(aes)", 16, Some(96)),
    ],
];
const AH_TRANSFORMS: &[&[Algorithm]] = &[
    &[HMAC],
    &[(ALG_AUTH_TRUNC, "hmac(sha1)", 20, Some(96))],
    &[(ALG_AUTH_TRUNC, "hmac(sha512)", 64, Some(256))],
    &[(ALG_AUTH_TRUNC, "cmac(aes)", 16, Some(96))],
];

/// The body of a NEWSA from 192.0.2.1 to 192.0.2.2, or from 2001:db8::1 to 2001:db8::2, without a replay window.
fn new_sa(protocol: u8, tunnel: bool, ipv4: bool, algorithms: &[Algorithm]) -> Vec<u8> {
    let mut body = vec![0; 224];
    let (destination, source) = if ipv4 {
        (vec![192, 0, 2, 2], vec![192, 0, 2, 1])
    } else {
        let end = |last| [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[last]].concat();
        (end(2), end(1))
    };
    body[56..56 + destination.len()].copy_from_slice(&destination);
    body[72..76].copy_from_slice(&SPI.to_be_bytes());
    body[76] = protocol;
    body[80..80 + source.len()].copy_from_slice(&source);
    body[96..128].fill(0xff);
    body[212..214].copy_from_slice(&(if ipv4 { 2u16 } else { 10 }).to_ne_bytes());
    body[214] = tunnel.into();
    for (attribute, name, octets, icv_bits) in algorithms {
        let mut value = vec![0; 64];
        value[..name.len()].copy_from_slice(name.as_bytes());
        value.extend((*octets as u32 * 8).to_ne_bytes());
        value.extend(icv_bits.iter().flat_map(|bits| bits.to_ne_bytes()));
        match *attribute {
            ALG_AUTH_TRUNC => value.extend(vec![KEY; *octets]),
            // Equal halves or thirds would be weak keys.
            _ => value.extend(1..=*octets as u8),
        }
        put(&mut body, *attribute, &value);
    }
    put(&mut body, CULVERTA_LEGACY, &[]);
    body
}

fn put(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend((value.len() as u16 + 4).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// The bodies of NEWSA for every transform of a protocol, in both modes and families.
pub fn messages(protocol: u8) -> Vec<Vec<u8>> {
    let transforms = if protocol == ESP {
        ESP_TRANSFORMS
    } else {
        AH_TRANSFORMS
    };
    let shapes = [(false, true), (false, false), (true, true), (true, false)];
    transforms
        .iter()
        .flat_map(|transform| {
            shapes.map(|(tunnel, ipv4)| new_sa(protocol, tunnel, ipv4, transform))
        })
        .collect()
}

/// The association of a NEWSA.
///
/// # Errors
/// The sentence with which the engine would refuse it.
pub fn association(message: &[u8]) -> Result<Sa, String> {
    let params = tools::association(message)?;
    Sa::new(params, 1, NOW_S).map_err(|error| error.to_string())
}

/// All associations of a protocol. Panics where one is refused.
pub fn all(protocol: u8) -> Vec<Sa> {
    messages(protocol)
        .iter()
        .map(|message| association(message).expect("an association that the engine takes"))
        .collect()
}

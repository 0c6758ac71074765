//! Reads this crate's files of test vectors: a line is one case, of fields `name=value`; lines that begin with # are comments.

use crate::algorithm::{Aead, Encryption, Integrity, Transform};
use crate::secret::Secret;
use crate::testing::unhex;

/// One case.
#[derive(Clone, Copy)]
pub(crate) struct Case<'text>(pub(crate) &'text str);

/// All cases of a file.
pub(crate) fn cases(text: &str) -> impl Iterator<Item = Case<'_>> {
    text.lines().filter(|line| !line.starts_with('#')).map(Case)
}

impl<'text> Case<'text> {
    /// A field's text; None where the case has none.
    pub(crate) fn get(self, name: &str) -> Option<&'text str> {
        self.0
            .split(' ')
            .find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    }

    pub(crate) fn text(self, name: &str) -> &'text str {
        self.get(name)
            .unwrap_or_else(|| panic!("{name} in {}", self.0))
    }

    pub(crate) fn octets(self, name: &str) -> Vec<u8> {
        unhex(self.text(name))
    }

    pub(crate) fn number(self, name: &str) -> u64 {
        self.text(name).parse().unwrap()
    }

    /// Whether a primitive has to accept it.
    pub(crate) fn is_valid(self) -> bool {
        match self.text("result") {
            "valid" => true,
            "invalid" => false,
            other => panic!("{other}"),
        }
    }

    /// The transform that `name`, `key` and `mac` say.
    pub(crate) fn transform(self) -> Transform {
        let key = Secret::new(&self.octets("key"));
        match self.text("name").split_once('+') {
            Some((cipher, integrity)) => Transform::Encrypted {
                cipher: encryption(cipher),
                key,
                integrity: integrity_of(integrity),
                integrity_key: Secret::new(&self.octets("mac")),
            },
            None => {
                let (algorithm, icv_octets) = aead(self.text("name"));
                Transform::Aead {
                    algorithm,
                    icv_octets,
                    key,
                }
            }
        }
    }
}

fn aead(name: &str) -> (Aead, usize) {
    let (name, icv_octets) = name.split_once('-').unwrap();
    let algorithm = match name {
        "gcm" => Aead::AesGcm,
        "ccm" => Aead::AesCcm,
        "gmac" => Aead::AesGmac,
        "chacha" => Aead::ChaCha20Poly1305,
        _ => panic!("{name}"),
    };
    (algorithm, icv_octets.parse().unwrap())
}

pub(crate) fn encryption(name: &str) -> Encryption {
    match name {
        "null" => Encryption::Null,
        "cbc" => Encryption::AesCbc,
        "ctr" => Encryption::AesCtr,
        "camellia" => Encryption::CamelliaCbc,
        "3des" => Encryption::TripleDesCbc,
        _ => panic!("{name}"),
    }
}

pub(crate) fn integrity_of(name: &str) -> Integrity {
    match name {
        "md5-96" => Integrity::HmacMd5_96,
        "sha1-96" => Integrity::HmacSha1_96,
        "sha256-96" => Integrity::HmacSha256_96,
        "sha256-128" => Integrity::HmacSha256_128,
        "sha384-192" => Integrity::HmacSha384_192,
        "sha512-256" => Integrity::HmacSha512_256,
        "xcbc-96" => Integrity::AesXcbc96,
        "cmac-96" => Integrity::AesCmac96,
        _ => panic!("{name}"),
    }
}

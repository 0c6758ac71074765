use super::*;
use crate::algorithm::{Aead, Encryption, Integrity};
use crate::secret::Secret;
use crate::testing::{transforms, unhex};

/// One line of tests/vectors/esp.txt.
struct Vector {
    transform: Transform,
    sequence: Sequence,
    inner: Vec<u8>,
    trailer: Vec<u8>,
    packet: Vec<u8>,
}

fn transform(name: &str, key: &[u8], integrity_key: &[u8]) -> Transform {
    let (key, integrity_key) = (Secret::new(key), Secret::new(integrity_key));
    let integrity = match name {
        "gcm" => {
            return Transform::Aead {
                algorithm: Aead::AesGcm,
                icv_octets: 16,
                key,
            };
        }
        "chacha" => {
            return Transform::Aead {
                algorithm: Aead::ChaCha20Poly1305,
                icv_octets: 16,
                key,
            };
        }
        "sha256" => Integrity::HmacSha256_128,
        "sha384" => Integrity::HmacSha384_192,
        "sha512" => Integrity::HmacSha512_256,
        _ => panic!("{name}"),
    };
    Transform::Encrypted {
        cipher: Encryption::AesCbc,
        key,
        integrity,
        integrity_key,
    }
}

fn vector(line: &str) -> Vector {
    let field = |name: &str| {
        let found = line
            .split(' ')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_else(|| panic!("{name} in {line}"))
    };
    let transform = transform(field("name"), &unhex(field("key")), &unhex(field("mac")));
    let inner = unhex(field("inner"));
    let alignment = Cipher::new(&transform).unwrap().alignment();
    let padding = (inner.len() + 2).next_multiple_of(alignment) - inner.len() - 2;
    let mut trailer: Vec<u8> = (1..=padding as u8).collect();
    trailer.extend([padding as u8, field("next").parse().unwrap()]);
    let sequence = Sequence {
        full: field("seq").parse().unwrap(),
        extended: field("esn") == "1",
    };
    Vector {
        transform,
        sequence,
        inner,
        trailer,
        packet: unhex(field("packet")),
    }
}

fn vectors() -> Vec<Vector> {
    let text = include_str!("../../tests/vectors/esp.txt");
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(vector)
        .collect()
}

#[test]
fn packets_of_another_implementation_open() {
    assert_eq!(vectors().len(), 36);
    for vector in vectors() {
        let (cipher, mut packet) = (Cipher::new(&vector.transform).unwrap(), vector.packet);
        cipher.open(vector.sequence, &mut packet).unwrap();
        let start = ESP_HEADER + cipher.iv_octets();
        assert_eq!(packet[start..][..vector.inner.len()], vector.inner);
        assert_eq!(
            packet[start + vector.inner.len()..][..vector.trailer.len()],
            vector.trailer
        );
    }
}

#[test]
fn sealing_gives_what_another_implementation_gives() {
    for vector in vectors() {
        let cipher = Cipher::new(&vector.transform).unwrap();
        let mut packet = vec![0; vector.packet.len()];
        packet[..8].copy_from_slice(&vector.packet[..8]);
        let iv = ESP_HEADER..ESP_HEADER + cipher.iv_octets();
        packet[iv.clone()].copy_from_slice(&vector.packet[iv]);
        cipher
            .seal_behind_iv(
                vector.sequence,
                &mut packet,
                Some(&vector.inner),
                &vector.trailer,
            )
            .unwrap();
        assert_eq!(packet, vector.packet);
    }
}

/// Associated data, nonce, ciphertext and ICV as the documents print them; then what comes out.
fn opens(
    transform: &Transform,
    sequence: Sequence,
    header: &str,
    iv: &str,
    sealed: &str,
    plain: &str,
) {
    let mut packet = [unhex(header), unhex(iv), unhex(sealed)].concat();
    Cipher::new(transform)
        .unwrap()
        .open(sequence, &mut packet)
        .unwrap();
    let plain = unhex(plain);
    assert_eq!(packet[16..][..plain.len()], plain);
}

/// draft-mcgrew-gcm-test-01 section 4: 128 bits with extended numbers, 192 and 256 bits without.
#[test]
fn gcm_in_esp_test_cases() {
    opens(
        &transform(
            "gcm",
            &unhex("4c80cdefbb5d10da906ac73c3613a6342e443b68"),
            &[],
        ),
        Sequence {
            full: 0x8765_4321_0000_0000,
            extended: true,
        },
        "0000432100000000",
        "4956ed7e3b244cfe",
        "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5\
         ff6247aeabb786b93bce61bc17d768fd9732459018148f6cbe722fd04796562dfdb4",
        "45000048699a000080114db7c0a80102c0a801010a9bf15638d301000001000000000000045f736970045f7564700373697009637962\
         65726369747902646b000021000101020201",
    );
    opens(
        &transform(
            "gcm",
            &unhex("feffe9928665731c6d6a8f9467308308feffe9928665731ccafebabe"),
            &[],
        ),
        Sequence {
            full: 10,
            extended: false,
        },
        "0000a5f80000000a",
        "facedbaddecaf888",
        "a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b5bfbdbd0315b27452144cc7795457b9652037f5318027b5b4cd7a636",
        "45000028a4ad4000400678800a01038f0a010612802306b8cb712602dd6bb03e501016d075680001",
    );
    opens(
        &transform(
            "gcm",
            &unhex("abbccddef00112233445566778899aababbccddef00112233445566778899aab11223344"),
            &[],
        ),
        Sequence {
            full: 2,
            extended: false,
        },
        "4a2cbfe300000002",
        "0102030405060708",
        "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763748a637985771d347f0545659f14e99def842d8eb335\
         f4eecfdbf831824b4c4915956c96",
        "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee0000000007002400020bf0000020405b40101040201020201",
    );
}

/// RFC 7634 appendix A.
#[test]
fn chacha20_poly1305_in_esp_example() {
    opens(
        &transform(
            "chacha",
            &unhex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3"),
            &[],
        ),
        Sequence {
            full: 5,
            extended: false,
        },
        "0102030400000005",
        "1011121314151617",
        "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c614ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f\
         64c9befe2facc638e8f3cbec163fac469b502773f6fb94e664da9165b82829f641e076aaa8266b7fb0f7b11b369907e1ad43",
        "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec100007362708090a0b0c0d0e0f10111213141516171819\
         1a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363701020204",
    );
}

/// Every IV of one transform, by the sequence number.
fn iv(cipher: &Cipher, full: u64) -> Vec<u8> {
    let sequence = Sequence {
        full,
        extended: false,
    };
    let mut iv = vec![0; cipher.iv_octets()];
    cipher.iv.write(sequence, &mut iv).unwrap();
    iv
}

#[test]
fn random_ivs_differ_by_packet_and_by_association_and_counters_are_the_number() {
    for transform in transforms() {
        let (first, second) = (
            Cipher::new(&transform).unwrap(),
            Cipher::new(&transform).unwrap(),
        );
        if transform.counter_key().is_some() {
            assert_eq!(iv(&first, 0x0102_0304_0506_0708), [1, 2, 3, 4, 5, 6, 7, 8]);
        } else if first.iv_octets() > 0 {
            assert_ne!(iv(&first, 1), iv(&first, 2));
            assert_ne!(iv(&first, 1), iv(&second, 1));
        }
    }
}

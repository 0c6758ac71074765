"""Proposals in strongSwan's notation."""

from __future__ import annotations

import pytest

from culvert.crypto.transforms import BY_NAME, NO_KEY_EXCHANGE, Esn
from culvert.ipsec.proposals import DEFAULT_ESP, DEFAULT_IKE, Proposal, ProposalError, esp_proposal, ike_proposal


def names(transforms: tuple[object, ...]) -> list[str]:
    return [getattr(transform, "name", "") for transform in transforms]


def test_an_aead_for_ike() -> None:
    proposal = ike_proposal("aes256gcm16-prfsha256-x25519")
    assert names(proposal.encryption) == ["aes256gcm16"]
    assert names(proposal.prf) == ["prfsha256"]
    assert names(proposal.key_exchange) == ["x25519"]
    assert (proposal.integrity, proposal.esn) == ((), ())


def test_the_hash_of_the_integrity_serves_as_prf() -> None:
    proposal = ike_proposal("aes128-sha256-sha512-modp2048")
    assert names(proposal.integrity) == ["sha256", "sha512"]
    assert names(proposal.prf) == ["prfsha256", "prfsha512"]
    assert names(ike_proposal("aes128-sha256-prfsha384-modp2048").prf) == ["prfsha384"]


def test_esp_with_and_without_pfs() -> None:
    assert esp_proposal("aes128gcm16").key_exchange == (NO_KEY_EXCHANGE,)
    assert names(esp_proposal("aes128gcm16-x25519").key_exchange) == ["x25519"]
    assert names(esp_proposal("aes128gcm16-x25519-none").key_exchange) == ["x25519", "none"]
    assert esp_proposal("aes128gcm16").esn == (Esn.NO,)
    assert esp_proposal("aes128gcm16-esn-noesn").esn == (Esn.YES, Esn.NO)


def test_other_spellings() -> None:
    assert ike_proposal(" AES256GCM-PRFSHA256-CURVE25519 ") == ike_proposal("aes256gcm16-prfsha256-x25519")
    assert esp_proposal("aes-sha2_256") == esp_proposal("aes128-sha256")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no algorithm"),
        ("aes256gcm16--x25519", "is no algorithm"),
        ("aes25gcm16-prfsha256-x25519", "did you mean aes256gcm16?"),
        ("sha256-modp2048", "names no encryption"),
        ("aes128-modp2048", "has no integrity"),
        ("aes128gcm16-x25519", "names no PRF"),
        ("aes128gcm16-prfsha256", "names no key exchange"),
        ("aes128gcm16-prfsha256-none", "names no key exchange"),
        ("aes128gcm16-sha256-x25519", "write prfsha256"),
        ("aes128-aes128gcm16-sha256-x25519", "write two proposals"),
        ("aes128gcm16-prfsha256-x25519-esn", "for ESP, not for IKE"),
        ("aes128gcm8-prfsha256-x25519", "aes128gcm8 is for ESP, not for IKE"),
        ("aes128-aesxcbc-prfsha256-x25519", "aesxcbc is for ESP, not for IKE"),
    ],
)
def test_ike_refuses(text: str, why: str) -> None:
    with pytest.raises(ProposalError) as caught:
        ike_proposal(text)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("aes128gcm16-prfsha256", "ESP has no PRF"),
        ("aes128", "has no integrity"),
        ("x25519", "no encry"),
        ("null", "has no integrity"),
        ("aes128ctr", "has no integrity"),
        ("3des-sha1", "3des is too weak today (RFC 8221)"),
        ("aes128-md5", "md5 is too weak today (RFC 8221)"),
        ("blowfish-sha1", "'blowfish' is no algorithm known here"),
    ],
)
def test_esp_refuses(text: str, why: str) -> None:
    with pytest.raises(ProposalError) as caught:
        esp_proposal(text)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "aes192ctr-sha1",
        "aes256ccm16",
        "aes128ccm8-aes128gcm12",
        "camellia128-aesxcbc",
        "null-aescmac",
        "aes128gmac",
        "aes128-sha256_96-esn",
    ],
)
def test_every_algorithm_of_esp_can_be_written(text: str) -> None:
    assert esp_proposal(str(esp_proposal(text))) == esp_proposal(text)
    assert text.removesuffix("-esn") in str(esp_proposal(text))


def test_legacy_algorithms_have_to_be_allowed() -> None:
    assert names(esp_proposal("3des-md5", legacy=True).integrity) == ["md5"]
    assert esp_proposal("aes256ccm128") == esp_proposal("aes256ccm16")


def test_the_defaults_include_what_is_promised() -> None:
    assert any(offers(proposal, "aes256gcm16-prfsha256-x25519") for proposal in DEFAULT_IKE)
    assert any(offers(proposal, "aes128-sha256-modp2048") for proposal in DEFAULT_IKE)
    for words in ("aes128gcm16", "aes256gcm16", "aes128-sha256"):
        assert any(offers(proposal, f"{words}-none") for proposal in DEFAULT_ESP)
        assert any(offers(proposal, f"{words}-x25519") for proposal in DEFAULT_ESP)


def offers(proposal: Proposal, words: str) -> bool:
    kinds = (proposal.encryption, proposal.integrity, proposal.prf, proposal.key_exchange)
    return all(any(BY_NAME[word] in kind for kind in kinds) for word in words.split("-"))


@pytest.mark.parametrize("proposal", [*DEFAULT_IKE, *DEFAULT_ESP])
def test_what_is_printed_is_read_again(proposal: Proposal) -> None:
    read = esp_proposal if proposal.esn else ike_proposal
    assert read(str(proposal).lower()) == proposal

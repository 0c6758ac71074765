"""Seals and opens IPsec packets with scapy, an implementation that shares nothing with ours.

scapy is under the GPL: it is only ever run as this program. Each line on standard input is a JSON call, each on
standard output its answer: `{"packet": hex}`, or `{"error": text}`.

    {"op": "seal" | "open", "packet": hex, "protocol": 50 | 51, "spi": n, "sequence": n, "esn": bool,
     "cipher": name, "aead": bool, "key": hex, "icv": octets, "integrity": name, "integrity_key": hex,
     "tunnel": [source, destination] | null}

Names are XFRM's; what scapy does not have is `{"missing": name}`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH, AUTH_ALGOS, CRYPT_ALGOS, ESP, AuthAlgo, SecurityAssociation

CIPHERS = {
    "": None,
    "cbc(aes)": "AES-CBC",
    "cbc(des3_ede)": "3DES",
    "rfc3686(ctr(aes))": "AES-CTR",
    "rfc4106(gcm(aes))": "AES-GCM",
    "rfc4309(ccm(aes))": "AES-CCM",
    "rfc4543(gcm(aes))": "AES-NULL-GMAC",
    "rfc7539esp(chacha20,poly1305)": "CHACHA20-POLY1305",
    "ecb(cipher_null)": "NULL",
}
INTEGRITIES = {
    ("", 0): None,
    ("hmac(md5)", 12): "HMAC-MD5-96",
    ("hmac(sha1)", 12): "HMAC-SHA1-96",
    ("hmac(sha256)", 12): "SHA2-256-96",
    ("hmac(sha256)", 16): "SHA2-256-128",
    ("hmac(sha384)", 24): "SHA2-384-192",
    ("hmac(sha512)", 32): "SHA2-512-256",
    ("cmac(aes)", 12): "AES-CMAC-96",
}
FULL_TAG = 16


class CutGcm:
    """AES-GCM with a shorter tag: scapy knows the length, and does not tell the cipher."""

    tag_octets = FULL_TAG

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encrypt(self, nonce: bytes, data: bytes, associated: bytes) -> bytes:
        sealed = AESGCM(self._key).encrypt(nonce, data, associated)
        return sealed[: len(data) + self.tag_octets]

    def decrypt(self, nonce: bytes, data: bytes, associated: bytes) -> bytes:
        tag = data[-self.tag_octets :]
        opener = Cipher(AES(self._key), GCM(nonce, tag, self.tag_octets)).decryptor()
        opener.authenticate_additional_data(associated)
        return opener.update(data[: -self.tag_octets]) + opener.finalize()


def cut_sha256() -> AuthAlgo:
    """Give HMAC-SHA2-256 with 96 bits, which scapy leaves out."""
    full = AUTH_ALGOS["SHA2-256-128"]
    return AuthAlgo("SHA2-256-96", mac=full.mac, digestmod=full.digestmod, icv_size=12)


def association(call: dict[str, Any]) -> SecurityAssociation:
    """Make scapy's association of a call's."""
    options = {}
    if call["aead"]:
        options["crypt_icv_size"] = CutGcm.tag_octets = call["icv"]
    if call["tunnel"]:
        source, destination = call["tunnel"]
        options["tunnel_header"] = (IPv6 if ":" in source else IP)(src=source, dst=destination)
    integrity = ("", 0) if call["aead"] else (call["integrity"], call["icv"])
    return SecurityAssociation(
        AH if call["protocol"] == 51 else ESP,
        spi=call["spi"],
        seq_num=call["sequence"] & 0xFFFFFFFF,
        crypt_algo=CIPHERS[call["cipher"]],
        crypt_key=bytes.fromhex(call["key"]) or None,
        auth_algo=INTEGRITIES[integrity],
        auth_key=bytes.fromhex(call["integrity_key"]) or None,
        esn_en=call["esn"],
        esn=call["sequence"] >> 32,
        **options,
    )


def packet_of(octets: bytes) -> IP | IPv6:
    return IPv6(octets) if octets[0] >> 4 == 6 else IP(octets)


def seal(call: dict[str, Any]) -> bytes:
    """Seal a whole packet."""
    numbers = {"esn_en": call["esn"], "esn": call["sequence"] >> 32}
    return bytes(association(call).encrypt(packet_of(bytes.fromhex(call["packet"])), **numbers))


def unseal(call: dict[str, Any]) -> bytes:
    """Open a whole packet; scapy raises where it is not authentic."""
    numbers = {"esn_en": call["esn"], "esn": call["sequence"] >> 32}
    return bytes(association(call).decrypt(packet_of(bytes.fromhex(call["packet"])), **numbers))


def answer(call: dict[str, Any]) -> dict[str, str]:
    """Give the answer to one call."""
    integrity = ("", 0) if call["aead"] else (call["integrity"], call["icv"])
    if call["cipher"] not in CIPHERS or integrity not in INTEGRITIES:
        return {"missing": f"{call['cipher']} {call['integrity']}"}
    try:
        return {"packet": (seal if call["op"] == "seal" else unseal)(call).hex()}
    except Exception as error:  # whatever scapy raises is its answer
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    AUTH_ALGOS["SHA2-256-96"] = cut_sha256()
    CRYPT_ALGOS["AES-GCM"].cipher = CutGcm
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)

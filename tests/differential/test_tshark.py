"""tshark with the keys reads what the engine sealed: a third opinion, of a reader that never sends."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.differential.messages import TRANSPORT, TUNNEL
from tests.differential.oracles import Case, Engine
from tests.differential.packets import datagram
from tests.differential.suites import ESP_SUITES, Suite

CIPHERS = {
    "ecb(cipher_null)": "NULL",
    "cbc(des3_ede)": "TripleDES-CBC [RFC2451]",
    "cbc(aes)": "AES-CBC [RFC3602]",
    "rfc3686(ctr(aes))": "AES-CTR [RFC3686]",
}
INTEGRITIES = {
    ("hmac(md5)", 12): "HMAC-MD5-96 [RFC2403]",
    ("hmac(sha1)", 12): "HMAC-SHA-1-96 [RFC2404]",
    ("hmac(sha256)", 12): "HMAC-SHA-256-96 [draft-ietf-ipsec-ciph-sha-256-00]",
    ("hmac(sha256)", 16): "HMAC-SHA-256-128 [RFC4868]",
    ("hmac(sha384)", 24): "HMAC-SHA-384-192 [RFC4868]",
    ("hmac(sha512)", 32): "HMAC-SHA-512-256 [RFC4868]",
}
LINKTYPE_RAW = 101
PAYLOAD = b"as tshark reads it"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    program = Engine()
    yield program
    program.end()


def names(suite: Suite) -> tuple[str, str] | None:
    """Give tshark's names for cipher and integrity; None where it cannot read a suite."""
    if suite.cipher == "rfc4106(gcm(aes))":
        return f"AES-GCM with {suite.icv} octet ICV [RFC4106]", "NULL"
    cipher, integrity = CIPHERS.get(suite.cipher), INTEGRITIES.get((suite.integrity, suite.icv))
    return (cipher, integrity) if cipher and integrity else None


READABLE = [suite for suite in ESP_SUITES if names(suite)]


def cases() -> list[Case]:
    """Number the associations: each packet of the capture is found by its SPI."""
    shapes = [(suite, mode, version) for suite in READABLE for mode in (TRANSPORT, TUNNEL) for version in (4, 6)]
    return [Case(*shape, spi=0x10000 + number) for number, shape in enumerate(shapes)]


def capture(packets: list[bytes]) -> bytes:
    """Give a pcap file of whole IP packets."""
    records = (struct.pack("=IIII", 0, 0, len(packet), len(packet)) + packet for packet in packets)
    return struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, LINKTYPE_RAW) + b"".join(records)


def key_of(case: Case) -> str:
    """Give a line of tshark's table of associations."""
    attributes = case.suite.attributes()
    key, integrity = attributes.get("aead") or attributes["crypt"], attributes.get("auth_truncated")
    cipher, check = names(case.suite) or ("", "")
    fields = [
        *(f"IPv{case.version}", *case.ends, f"0x{case.spi:08x}"),
        *(cipher, "0x" + key.key.hex() if key.key else "", check, "0x" + integrity.key.hex() if integrity else ""),
    ]
    return "uat:esp_sa:" + ",".join(f'"{field}"' for field in fields)


def test_tshark_reads_what_the_engine_sealed(engine: Engine, tmp_path: Path) -> None:
    if shutil.which("tshark") is None:
        pytest.skip("needs tshark: apt-get install tshark")
    packets = []
    for case in cases():
        engine.add(case)
        ends = case.ends if case.mode == TRANSPORT else ("192.168.1.20", "192.168.2.34")
        packets.append(engine.seal(case, datagram(*ends, PAYLOAD)))
    file = tmp_path / "sealed.pcap"
    file.write_bytes(capture(packets))
    preferences = ["esp.enable_encryption_decode:TRUE", "esp.enable_authentication_check:TRUE", *map(key_of, cases())]
    options = [word for preference in preferences for word in ("-o", preference)]
    fields = ["-T", "fields", "-e", "esp.spi", "-e", "udp.payload", "-e", "esp.icv_good", "-E", "occurrence=l"]
    done = subprocess.run(["tshark", "-r", file, *options, *fields], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    read = {int(line.split("\t")[0], 16): line.split("\t")[1:] for line in done.stdout.splitlines()}
    for case in cases():
        assert read[case.spi] == [PAYLOAD.hex(), "1" if case.suite.icv else ""], str(case)

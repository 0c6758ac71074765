"""Files that tcpdump and Wireshark read."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from culvert.capture.packets import OUTGOING, Captured
from culvert.capture.pcapng import PcapngWriter

ECHO = bytes.fromhex("4500001c00010000400158e2c0a80114c0a802220800f7fe00000001")
PACKETS = [
    Captured(1_700_000_000_000_000_001, "eth0", 0x800, OUTGOING, ECHO, 1, bytes(6)),
    Captured(1_700_000_001_000_000_000, "eth1", 0x806, 0, bytes(28), 1, b"\x02\0\0\0\0\x01"),
]


def written() -> bytes:
    stream = io.BytesIO()
    writer = PcapngWriter(stream, ["eth0", "eth1"])
    for packet in PACKETS:
        writer.write(packet)
    return stream.getvalue()


def blocks(octets: bytes) -> list[tuple[int, bytes]]:
    found, offset = [], 0
    while offset < len(octets):
        kind, length = struct.unpack_from("<II", octets, offset)
        assert length % 4 == 0
        assert octets[offset + length - 4 : offset + length] == struct.pack("<I", length)
        found.append((kind, octets[offset + 8 : offset + length - 4]))
        offset += length
    return found


def test_blocks_follow_each_other() -> None:
    found = blocks(written())
    assert [kind for kind, _ in found] == [0x0A0D0D0A, 1, 1, 6, 6]
    interface, high, low, captured, original = struct.unpack_from("<5I", found[3][1])
    assert (interface, high << 32 | low) == (0, PACKETS[0].time_ns)
    assert captured == original == 16 + len(ECHO)
    assert found[3][1][20:36] == struct.pack("!HHH8sH", 4, 1, 6, bytes(8), 0x800)


def test_an_interface_that_was_not_named_is_a_fault_of_ours() -> None:
    with pytest.raises(KeyError):
        PcapngWriter(io.BytesIO(), ["lo"]).write(PACKETS[0])


@pytest.mark.root
def test_tcpdump_reads_it(tmp_path: Path) -> None:
    if shutil.which("tcpdump") is None:
        pytest.skip("needs tcpdump")
    file = tmp_path / "capture.pcapng"
    file.write_bytes(written())
    done = subprocess.run(["tcpdump", "-nr", str(file)], capture_output=True, text=True, check=True)
    assert "192.168.1.20 > 192.168.2.34: ICMP echo request" in done.stdout
    assert len(done.stdout.splitlines()) == 2

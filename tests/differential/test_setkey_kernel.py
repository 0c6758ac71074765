"""culvert setkey where no gateway runs and the kernel has IPsec: the same language drives the kernel."""

from __future__ import annotations

import sys

from tests.uml.guest import TREE, Guest

SETKEY = f"PYTHONPATH={TREE}/src {sys.executable} -m culvert --run-dir /run/nowhere setkey"
FILE = """flush; spdflush;
add 192.0.2.1 198.51.100.1 esp 0x10001 -m tunnel -r 8 -E aes-cbc 0x000102030405060708090a0b0c0d0e0f
  -A hmac-sha2-256 0x000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f;
add 192.0.2.1 198.51.100.1 ah 0x10002 -m transport -A hmac-sha1 0x000102030405060708090a0b0c0d0e0f00010203;
spdadd 192.0.2.1/32 198.51.100.1/32 ipencap -P out ipsec esp/tunnel/192.0.2.1-198.51.100.1/require;
spdadd 198.51.100.1/32 192.0.2.1/32 tcp -P in ipsec ah/transport//require;
"""


def setkey(kernel: Guest, arguments: str, text: str = "") -> str:
    """Run the command in the guest with `text` as its standard input; give what it printed."""
    return kernel.shell(f"modprobe -a esp4 ah4; {SETKEY} {arguments} 2>&1 <<'END'\n{text}END\n")


def test_a_file_is_done_and_printed_and_taken_back(kernel: Guest) -> None:
    setkey(kernel, "-c", FILE)
    states = kernel.shell("ip xfrm state")
    assert "proto esp spi 0x00010001 reqid 0 mode tunnel" in states
    assert "enc cbc(aes) 0x000102030405060708090a0b0c0d0e0f" in states
    assert "proto ah spi 0x00010002 reqid 0 mode transport" in states
    policies = kernel.shell("ip xfrm policy")
    assert "src 192.0.2.1/32 dst 198.51.100.1/32 proto ipencap" in policies.replace("proto 4", "proto ipencap")
    associations = setkey(kernel, "-D")
    for wanted in ("esp mode=tunnel spi=65537(0x00010001)", "E: aes-cbc  00010203", "A: hmac-sha1", "replay=8"):
        assert wanted in associations, associations
    entries = setkey(kernel, "-DP")
    for wanted in ("esp/tunnel/192.0.2.1-198.51.100.1/require", "ah/transport//require", "out ipsec", "in ipsec"):
        assert wanted in entries, entries
    setkey(kernel, "-F")
    setkey(kernel, "-FP")
    assert kernel.shell("ip xfrm state; ip xfrm policy").strip() == ""


def test_a_mistake_leaves_the_kernel_as_it_was(kernel: Guest) -> None:
    setkey(kernel, "-c", FILE)
    before = kernel.shell("ip xfrm state; ip xfrm policy")
    said = kernel.shell(f"{SETKEY} -c 2>&1 <<'END' || echo refused\nspdflush; add 192.0.2.1 nonsense;\nEND\n")
    assert "refused" in said
    assert kernel.shell("ip xfrm state; ip xfrm policy") == before

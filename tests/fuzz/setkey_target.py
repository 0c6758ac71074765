"""What must hold for setkey's reader, whatever octets a file has. As a program, it is a target of atheris.

python tests/fuzz/setkey_target.py [options of libFuzzer] [corpus]
"""

from __future__ import annotations

import os
import sys
import time

from culvert.setkey.names import TableResolver
from culvert.setkey.parse import parse
from culvert.setkey.write import write

MOST_S_PER_MEBIOCTET = 60.0
"""A hundred times what it takes: it is there to find what grows faster than the text."""
LEAST_S = 2.0
NAMES = TableResolver({"vpn.example": ["192.0.2.1", "2001:db8::1"]}, {"http": 80}, {"ospf": 89})

SEEDS = tuple(
    text.encode()
    for text in (
        "spdadd 192.0.2.1/32 198.51.100.1/32 ipencap -P out ipsec esp/tunnel/192.0.2.1-198.51.100.1/require;\n",
        "# a comment\nflush; spdflush;\nspdadd 10.0.0.0/8[80] 10.1.0.0/16[any] tcp -P in prio low + 10 ipsec\n"
        "\tesp/transport//use ah/tunnel/2001:db8::1[4500]-2001:db8::2[30000]/unique:7;\n",
        "add 192.0.2.1[4500] vpn.example[http] esp-udp 0x10001 -m tunnel -r 16 -u 7 -f zero-pad -lh 60 -bs 9\n"
        '\t-E aes-cbc "sixteen octets!!" -A hmac-sha1 0x0011223344556677889900112233445566778899;\n',
        "add -4n 192.0.2.1 192.0.2.2 ah 256 -A aes-xcbc-mac 0x00112233445566778899001122334455; dump ah; exit;\n",
        "add ::1 ::2 esp 300 -E aes-gcm-16 0x0011223344556677889900112233445566778899;get ::1 ::2 esp 300;\n"
        "delete ::1 ::2 esp 300; deleteall ::1 ::2; spddump;\n",
        "spdadd ::/0 ::/0 icmp6 135,0 -P in none;\nspddelete ::/0 ::/0 icmp6 135,0 -P in;\nspdupdate ::1 ::2 any\n"
        "-P fwd discard;\n",
    )
)


def judge(octets: bytes) -> None:
    """Read a text as the command does, and raise AssertionError where something does not hold."""
    text = octets.decode(errors="surrogateescape")
    began = time.process_time()
    parsed = parse(text, "text", NAMES, legacy=True)
    took_s = time.process_time() - began
    assert took_s < LEAST_S + MOST_S_PER_MEBIOCTET * len(octets) / 2**20, f"{took_s} s for {len(octets)} octets"
    for problem in (*parsed.problems, *parsed.warnings):
        assert problem.what
        assert problem.where.startswith("text")
        assert str(problem).replace("\n", "").isprintable()
    again = parse("\n".join(map(write, parsed.statements)), "text", NAMES, legacy=True)
    assert not again.problems
    assert again.statements == parsed.statements


def main() -> None:
    """Fuzz for as many seconds as the first argument says; the others are libFuzzer's. Exit 0 when nothing was found.

    The process ends at once then: libFuzzer's own end runs Python's, which some versions take for a crash.
    """
    import atheris  # type: ignore[import-not-found,unused-ignore]

    deadline = time.monotonic() + float(sys.argv.pop(1))

    def judge_in_time(octets: bytes) -> None:
        judge(octets)
        if time.monotonic() > deadline:
            os._exit(0)

    atheris.instrument_all()
    atheris.Setup(sys.argv, judge_in_time)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

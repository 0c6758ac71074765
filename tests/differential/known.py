"""Where the engine answers otherwise than the kernel on purpose, and why. Whatever is not here must be alike.

A test also wants every line of this table to be needed: where a difference is gone, its line goes too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """`cases`: a pattern of names; `field`: what differs; `outcomes`: ours and the kernel's, where it is the errno."""

    cases: str
    field: str
    why: str
    outcomes: tuple[str, str] = ("", "")

    def covers(self, case: str, field: str, values: tuple[object, object]) -> bool:
        """Whether this is that difference."""
        told = not any(self.outcomes) or self.outcomes == values
        return field == self.field and told and re.fullmatch(self.cases, case) is not None


def refused(cases: str, ours: str, theirs: str, why: str) -> Known:
    """The engine says no in its own way, or where the kernel says yes."""
    return Known(cases, "errno", why, (ours, theirs))


NOT_SUPPORTED, NO_PROTOCOL, NO_ALGORITHM = "ENOTSUP", "EPROTONOSUPPORT", "ENOSYS"

KNOWN = (
    # What a dump shows.
    Known(".*", "selector", "an SA without a selector: the kernel writes down 0.0.0.0/0 of its ends' family"),
    Known(".*", "auth", "the kernel shows ALG_AUTH_TRUNC also by the older attribute, without the length"),
    Known("templates: (some algorithms|share)", "templates", "masks of algorithms and sharing mean nothing to us"),
    # Refused for safety.
    refused("a reserved SPI|SPI 0", "EINVAL", "done", "RFC 4303 section 2.1 reserves SPIs below 256"),
    refused("a cipher without integrity", "EINVAL", "done", "CVE-2005-0039: never"),
    refused("an unknown cipher", "EINVAL", NO_ALGORITHM, "it has no integrity either, which is judged first"),
    refused("sequence numbers begun", NOT_SUPPORTED, "done", "an SA that was in use would repeat its nonces"),
    refused("a short HMAC key", "EINVAL", "done", "RFC 4868 section 2.1.1: as long as the hash, no other length"),
    refused("HMAC-SHA1 (cut short|in full)", NO_ALGORITHM, "done", "no transform of IANA's has this length"),
    refused("an ICV longer than the hash", NO_ALGORITHM, "EINVAL", "the same refusal as for other lengths"),
    refused("DES|RIPEMD-160", NO_ALGORITHM, "done", "RFC 8221: MUST NOT, or never was a transform"),
    # Not built.
    refused("IPComp", NO_PROTOCOL, "EINVAL", "IPComp is refused by name"),
    refused("templates: IPComp", NO_PROTOCOL, "done", "IPComp is refused by name"),
    refused("no protocol of IPsec", NO_PROTOCOL, "EINVAL", "said by the protocol's name"),
    refused("templates: (no|any) protocol of IPsec", NO_PROTOCOL, "EINVAL", "said by the protocol's name"),
    refused("flush of another protocol", NO_PROTOCOL, "done", "the kernel takes a protocol that it has no SA of"),
    refused("mode 2, route optimisation", NOT_SUPPORTED, NO_PROTOCOL, "only for Mobile IPv6"),
    refused("(templates: )?mode 4, BEET", NOT_SUPPORTED, "done", "BEET is no mode of RFC 4301"),
    refused("(templates: )?mode 9", NOT_SUPPORTED, "EINVAL", "no mode is no mode, whatever its number"),
    refused("encapsulation of another type", NOT_SUPPORTED, "EINVAL", "ESP in UDP of RFC 3948 alone"),
    refused("selector: bound to .*", NOT_SUPPORTED, "done", "no interface or user is seen by the engine"),
    refused("discard with a template", "EINVAL", "done", "what discards protects nothing"),
    refused("a message that is none", NOT_SUPPORTED, "EINVAL", "a number of another family may become one"),
    # Taken where the kernel does not.
    refused("window (32768|65536)( ESN)?", "done", "EINVAL", "a window of 65,536 packets; the kernel's ends at 4,096"),
    refused("templates: optional", "done", "EINVAL", "setkey's level `use` in tunnel mode; kernels from 6.0 refuse it"),
    refused("templates: seven", "ENOBUFS", "EINVAL", "a bound was reached: said as all bounds are"),
    # Different books.
    refused(
        "an index taken twice", "EEXIST", "done", "the kernel gives two policies one index, and finds neither by it"
    ),
    Known("an SPI that is taken", "count", "the kernel keeps what it could give no SPI to"),
)

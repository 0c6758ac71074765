"""gif links of the engine: our values to and from its own messages."""

from __future__ import annotations

from dataclasses import dataclass

from culvert.addresses import IPAddress
from culvert.wire.netlink.links import GIF_ECN_FRIENDLY, GIF_NO_INGRESS_FILTER, GifWire


@dataclass(frozen=True, slots=True)
class GifLink:
    """A gif link (gif(4)): packets written to the device `name` leave as protocol 4 or 41 from `local` to `remote`."""

    name: str
    local: IPAddress
    remote: IPAddress
    ecn_friendly: bool = False
    ingress_filter: bool = True


def to_wire(link: GifLink) -> GifWire:
    """Give the link with gif(4)'s flags."""
    flags = GIF_ECN_FRIENDLY * link.ecn_friendly | GIF_NO_INGRESS_FILTER * (not link.ingress_filter)
    return GifWire(link.name, link.local, link.remote, flags)


def from_wire(value: GifWire) -> GifLink:
    """The other way round."""
    return GifLink(
        value.name,
        value.local,
        value.remote,
        bool(value.flags & GIF_ECN_FRIENDLY),
        not value.flags & GIF_NO_INGRESS_FILTER,
    )

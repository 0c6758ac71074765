"""Which data plane a host has: whether the kernel does ESP, and a client of whichever is there."""

from __future__ import annotations

import errno
from ipaddress import ip_address
from pathlib import Path

from culvert.crypto.transforms import Encryption, Integrity, transform_named
from culvert.ipsec.associations import Direction, SecurityAssociation
from culvert.ipsec.lifetimes import Lifetimes
from culvert.xfrm.client import XfrmClient
from culvert.xfrm.errors import XfrmError

_PROBE_SPI = 255
"""IANA keeps 1 to 255 back (RFC 4303 section 2.1): no negotiated association can have it."""
_PROBE_DESTINATION = ip_address("192.0.2.255")
"""Of TEST-NET-1 (RFC 5737): nobody is there."""


async def kernel_has_esp() -> bool:
    """Add a throw-away association to the kernel's SAD and take it away again. Raise XfrmError where we may not.

    Should we die in between, it ends by itself after seconds; no policy finds it meanwhile.
    """
    try:
        client = XfrmClient.kernel()
    except XfrmError:
        return False
    try:
        return await _takes_esp(client)
    finally:
        client.close()


async def _takes_esp(client: XfrmClient) -> bool:
    probe = _probe()
    try:
        await client.add_association(probe)
    except XfrmError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            raise
        return error.errno == errno.EEXIST
    await client.delete_association(probe.id)
    return True


def _probe() -> SecurityAssociation:
    encryption, integrity = transform_named("aes128"), transform_named("sha256")
    if not isinstance(encryption, Encryption) or not isinstance(integrity, Integrity):
        raise TypeError("the table of transforms lacks AES-CBC or HMAC-SHA2-256")
    return SecurityAssociation(
        source=_PROBE_DESTINATION,
        destination=_PROBE_DESTINATION,
        spi=_PROBE_SPI,
        direction=Direction.OUT,
        reqid=0,
        encryption=encryption,
        encryption_key=bytes(encryption.key_octets),
        integrity=integrity,
        integrity_key=bytes(integrity.key_octets),
        lifetimes=Lifetimes(hard_s=5),
    )


async def any_plane(path: Path) -> XfrmClient:
    """Connect to the engine at `path`, or else to the kernel where it does ESP. Raise XfrmError, the engine's."""
    try:
        return await XfrmClient.connect(path)
    except XfrmError as error:
        if error.errno not in (errno.ENOENT, errno.ECONNREFUSED) or not await kernel_has_esp():
            raise
    return XfrmClient.kernel()

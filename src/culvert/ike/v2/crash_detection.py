"""Quick crash detection (RFC 6290): an IKE SA that the peer has lost ends on the peer's own word, at once.

Under the protection of an IKE SA each end gives the other a token. Whoever has lost the IKE SA can still make it, from
the SPIs of a request that it cannot read and a secret that outlives its process; and it shows the token only then. To
whom it is shown matters too: both addresses are part of it, so that another gateway with the same secret, as a copied
machine has it, says nothing about IKE SAs that are not its own (RFC 6290 sections 5.2 and 10.2).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from culvert.addresses import IPAddress, SocketAddress
from culvert.crypto.compare import constant_time_equal
from culvert.ike.v2 import lineages
from culvert.ike.v2.context import Context
from culvert.ike.v2.reading import Contents
from culvert.ike.v2.sa import IkeSa, Liveness
from culvert.ike.v2.sealing import Payloads
from culvert.wire.isakmp.header import Header
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ProtocolId

TOKEN_OCTETS = 16
"""The least that is allowed (RFC 6290 section 4.1): what shows it is then hardly longer than what asks for it."""
LONGEST_TOKEN_OCTETS = 256
MAX_TOKENS_JUDGED = 4
"""Tokens of one message that are compared; a peer that changes its secret shows two."""
_PURPOSE = b"culvert: quick crash detection, 1"


@dataclass(frozen=True, slots=True)
class Ends:
    """Who an IKE SA is between. `initiator`: we began it."""

    initiator: bool
    spi_i: bytes
    spi_r: bytes
    local: IPAddress
    remote: IPAddress


def token(secret: bytes, ends: Ends) -> bytes:
    """Make the token of an IKE SA that is, or was, between these ends."""
    addresses = b"".join(bytes([len(one.packed)]) + one.packed for one in (ends.local, ends.remote))
    covered = _PURPOSE + bytes([ends.initiator]) + ends.spi_i + ends.spi_r + addresses
    return hmac.digest(secret, covered, hashlib.sha256)[:TOKEN_OCTETS]


def given(ctx: Context, sa: IkeSa) -> Payloads:
    """Give what tells the peer our token for an IKE SA; to be sent under protection. Nothing where we make none."""
    sa.token_due = False
    ends = Ends(sa.initiator, sa.spi_i, sa.spi_r, sa.local.ip, sa.remote.ip)
    return _notified(ctx, ends)


def renew(ctx: Context, sa: IkeSa) -> None:
    """Our token for an IKE SA is one that the peer has not: tell it soon, if it knows what tokens are (section 4.4)."""
    if ctx.token_secret and sa.crash_token:
        sa.token_due = True
        lineages.enqueue(ctx, ctx.lineage_of(sa), Liveness())


def shown(ctx: Context, header: Header, local: SocketAddress, remote: SocketAddress) -> Payloads:
    """Give our token to somebody who asks an IKE SA that is not here. Never one of an IKE SA that is (section 10.2).

    A message can be for none of ours and yet carry the SPIs of one: in the other's role, or with one SPI changed. And
    where our data plane still holds what a former process made with a peer, traffic flows: that must not end at once.
    """
    if header.spi_i in ctx.sas or header.spi_r in ctx.sas:
        return ()
    if any(record.inherited for record in ctx.peers.known_at(remote.ip)):
        return ()
    return _notified(ctx, Ends(not header.initiator, header.spi_i, header.spi_r, local.ip, remote.ip))


def _notified(ctx: Context, ends: Ends) -> Payloads:
    if not ctx.token_secret:
        return ()
    return (Notify(NotifyType.QUICK_CRASH_DETECTION, token(ctx.token_secret, ends), ProtocolId.IKE),)


def remember(sa: IkeSa, contents: Contents) -> None:
    """Take the peer's token out of a protected message; a later one takes the place of an earlier (section 4.4)."""
    for data in contents.notified(NotifyType.QUICK_CRASH_DETECTION)[-1:]:
        if TOKEN_OCTETS <= len(data) <= LONGEST_TOKEN_OCTETS:
            sa.crash_token = data


def proven(sa: IkeSa, contents: Contents, remote: SocketAddress) -> bool:
    """Tell whether an unprotected message from where the peer is holds its token: it has lost the IKE SA."""
    if not sa.crash_token or remote.ip != sa.remote.ip or contents.notify(NotifyType.INVALID_IKE_SPI) is None:
        return False
    tokens = contents.notified(NotifyType.QUICK_CRASH_DETECTION)[:MAX_TOKENS_JUDGED]
    return any(constant_time_equal(sa.crash_token, one) for one in tokens)

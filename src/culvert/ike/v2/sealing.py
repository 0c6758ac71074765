"""Protecting and opening messages with the keys of an IKE SA (RFC 7296 section 3.14, RFC 7383 section 2.5)."""

from __future__ import annotations

from collections.abc import Sequence

from culvert.crypto.encryption import IkeCipher, protect, protected_length, unprotect
from culvert.crypto.errors import NotAuthentic
from culvert.entropy import Entropy
from culvert.ike.v2.keys import keys_of
from culvert.ike.v2.sa import IkeSa
from culvert.wire.isakmp.encrypted import (
    FRAGMENT_PREFIX_OCTETS,
    PREFIX_OCTETS,
    Encrypted,
    EncryptedFragment,
    encrypted_prefix,
    fragment_prefix,
)
from culvert.wire.isakmp.errors import ParseError
from culvert.wire.isakmp.header import Header, peek
from culvert.wire.isakmp.message import emit_payloads, first_payload, parse_message, parse_payloads
from culvert.wire.isakmp.numbers import ExchangeType
from culvert.wire.isakmp.payload import Payload

EPOCH_SHIFT = 48
MAX_EPOCH = 0xFFFF
"""The upper 16 bits of a counted IV are the epoch: a process never uses an IV that one before it may have used."""
Payloads = tuple[Payload, ...]
Plain = tuple[int, bytes]
"""What goes inside: the type of the first payload, and all of them."""


def seal(
    sa: IkeSa, entropy: Entropy, exchange: ExchangeType | int, payloads: Payloads, *, message_id: int, response: bool
) -> bytes:
    """Write a protected message of ours in one datagram. Each call uses up an IV."""
    header = _header(sa, exchange, message_id, response)
    return _whole(sa, entropy, header, (first_payload(payloads), emit_payloads(payloads)))


def seal_within(
    sa: IkeSa,
    entropy: Entropy,
    exchange: ExchangeType | int,
    payloads: Payloads,
    *,
    message_id: int,
    response: bool,
    room: int,
) -> tuple[bytes, ...]:
    """Do as `seal`, in fragments of at most `room` octets where one datagram holds more and the peer takes fragments.

    A message that fits is never a fragment: peers are known to fail on the only one of one.
    """
    header = _header(sa, exchange, message_id, response)
    return _within(sa, entropy, header, (first_payload(payloads), emit_payloads(payloads)), room)


def reseal_within(sa: IkeSa, entropy: Entropy, datagrams: Sequence[bytes], room: int) -> tuple[bytes, ...]:
    """Write a message that we sealed before once more, in fragments of at most `room` octets and with other IVs.

    Give the same datagrams where these would not be more: a receiver starts over only for a larger total.
    """
    sealed = [(data, _sealed_in(data)) for data in datagrams]
    inner = b"".join(_opened(sa, data, one, ours=True) for data, one in sealed)
    if _count(sa, len(inner), room) <= len(datagrams):
        return tuple(datagrams)
    header = peek(datagrams[0])
    return _within(sa, entropy, header, (sealed[0][1].first_payload, inner), room)


def _sealed_in(data: bytes) -> Encrypted | EncryptedFragment:
    sealed = parse_message(data).encrypted
    if sealed is None:
        raise ValueError("a message of ours that is not sealed")
    return sealed


def unseal(sa: IkeSa, data: bytes, sealed: Encrypted) -> Payloads:
    """Open a message of the peer's. Raise NotAuthentic, or ParseError for what an authentic peer wrote wrongly."""
    return parse_payloads(sealed.first_payload, open_sealed(sa, data, sealed))


def open_sealed(sa: IkeSa, data: bytes, sealed: Encrypted | EncryptedFragment) -> bytes:
    """Give the octets inside a datagram of the peer's. Raise NotAuthentic."""
    return _opened(sa, data, sealed, ours=False)


def _opened(sa: IkeSa, data: bytes, sealed: Encrypted | EncryptedFragment, *, ours: bool) -> bytes:
    return unprotect(_cipher(sa, ours=ours), data, len(data) - len(sealed.body))


def _header(sa: IkeSa, exchange: ExchangeType | int, message_id: int, response: bool) -> Header:
    return Header(
        spi_i=sa.spi_i,
        spi_r=sa.spi_r,
        next_payload=0,
        exchange=exchange,
        initiator=sa.initiator,
        response=response,
        message_id=message_id,
        length=0,
    )


def _within(sa: IkeSa, entropy: Entropy, header: Header, plain: Plain, room: int) -> tuple[bytes, ...]:
    first, inner = plain
    total = _count(sa, len(inner), room)
    if total == 1:
        return (_whole(sa, entropy, header, plain),)
    step = _part_octets(_cipher(sa, ours=True), room)
    return tuple(
        _fragment(
            sa, entropy, header, EncryptedFragment(0 if at else first, at // step + 1, total, inner[at : at + step])
        )
        for at in range(0, len(inner), step)
    )


def _count(sa: IkeSa, inner_octets: int, room: int) -> int:
    """Count the datagrams that a message takes."""
    cipher = _cipher(sa, ours=True)
    if not sa.fragmentation or PREFIX_OCTETS + protected_length(cipher, inner_octets) <= room:
        return 1
    return -(-inner_octets // _part_octets(cipher, room))


def _part_octets(cipher: IkeCipher, room: int) -> int:
    """Give how much of a message goes into one fragment."""
    body = room - FRAGMENT_PREFIX_OCTETS - cipher.iv_octets - cipher.icv_octets
    part = body - body % cipher.block_octets - 1
    if part < 1:
        raise ValueError(f"no room for a fragment in {room} octets")
    return part


def _whole(sa: IkeSa, entropy: Entropy, header: Header, plain: Plain) -> bytes:
    cipher = _cipher(sa, ours=True)
    prefix = encrypted_prefix(header, plain[0], protected_length(cipher, len(plain[1])))
    return protect(cipher, prefix, _next_iv(sa, entropy, cipher.iv_octets), plain[1])


def _fragment(sa: IkeSa, entropy: Entropy, header: Header, plain: EncryptedFragment) -> bytes:
    """Seal one fragment; `plain` holds what goes inside in place of what comes out."""
    cipher = _cipher(sa, ours=True)
    prefix = fragment_prefix(header, plain, protected_length(cipher, len(plain.body)))
    return protect(cipher, prefix, _next_iv(sa, entropy, cipher.iv_octets), plain.body)


def usable(sa: IkeSa) -> bool:
    """Tell whether an IKE SA has keys, and such as fit its algorithms."""
    try:
        return all(_cipher(sa, ours=ours) is not None for ours in (True, False))
    except ValueError:
        return False


def said(sa: IkeSa, datagrams: Sequence[bytes]) -> bool:
    """Tell whether all of these are messages of ours, sealed with the keys of this IKE SA."""
    try:
        return all(_opened(sa, data, _sealed_in(data), ours=True) is not None for data in datagrams)
    except (NotAuthentic, ParseError, ValueError):
        return False


def _cipher(sa: IkeSa, ours: bool) -> IkeCipher:
    keys, suite = keys_of(sa), sa.suite
    if suite is None:
        raise ValueError("an IKE SA without algorithms")
    by_initiator = sa.initiator == ours
    encryption_key, integrity_key = (keys.sk_ei, keys.sk_ai) if by_initiator else (keys.sk_er, keys.sk_ar)
    return IkeCipher(suite.cipher, suite.integrity, encryption_key, integrity_key)


def _next_iv(sa: IkeSa, entropy: Entropy, octets: int) -> bytes:
    """Give an IV: a counter for an AEAD, which must never repeat; random for CBC, which must not be foreseen."""
    if sa.suite is not None and sa.suite.cipher.aead:
        sa.ivs_used += 1
        return (sa.epoch << EPOCH_SHIFT | sa.ivs_used).to_bytes(octets, "big")
    return entropy.octets(octets)

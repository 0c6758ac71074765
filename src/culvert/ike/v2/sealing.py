"""Protecting and opening messages with the keys of an IKE SA (RFC 7296 section 3.14)."""

from __future__ import annotations

from culvert.crypto.encryption import IkeCipher, protect, protected_length, unprotect
from culvert.entropy import Entropy
from culvert.ike.v2.keys import keys_of
from culvert.ike.v2.sa import IkeSa
from culvert.wire.isakmp.encrypted import Encrypted, encrypted_prefix
from culvert.wire.isakmp.header import Header
from culvert.wire.isakmp.message import emit_payloads, first_payload, parse_payloads
from culvert.wire.isakmp.numbers import ExchangeType
from culvert.wire.isakmp.payload import Payload

Payloads = tuple[Payload, ...]


def seal(
    sa: IkeSa, entropy: Entropy, exchange: ExchangeType | int, payloads: Payloads, *, message_id: int, response: bool
) -> bytes:
    """Write a protected message of ours. Each call uses up an IV."""
    cipher = _cipher(sa, ours=True)
    inner = emit_payloads(payloads)
    header = Header(
        spi_i=sa.spi_i,
        spi_r=sa.spi_r,
        next_payload=0,
        exchange=exchange,
        initiator=sa.initiator,
        response=response,
        message_id=message_id,
        length=0,
    )
    prefix = encrypted_prefix(header, first_payload(payloads), protected_length(cipher, len(inner)))
    return protect(cipher, prefix, _next_iv(sa, entropy, cipher.iv_octets), inner)


def unseal(sa: IkeSa, data: bytes, sealed: Encrypted) -> Payloads:
    """Open a message of the peer's. Raise NotAuthentic, or ParseError for what an authentic peer wrote wrongly."""
    inner = unprotect(_cipher(sa, ours=False), data, len(data) - len(sealed.body))
    return parse_payloads(sealed.first_payload, inner)


def _cipher(sa: IkeSa, ours: bool) -> IkeCipher:
    keys, suite = keys_of(sa), sa.suite
    if suite is None:
        raise ValueError("an IKE SA without algorithms")
    by_initiator = sa.initiator == ours
    encryption_key, integrity_key = (keys.sk_ei, keys.sk_ai) if by_initiator else (keys.sk_er, keys.sk_ar)
    return IkeCipher(suite.encryption, suite.integrity, encryption_key, integrity_key)


def _next_iv(sa: IkeSa, entropy: Entropy, octets: int) -> bytes:
    """Give an IV: a counter for an AEAD, which must never repeat; random for CBC, which must not be foreseen."""
    if sa.suite is not None and sa.suite.encryption.aead:
        sa.ivs_used += 1
        return sa.ivs_used.to_bytes(octets, "big")
    return entropy.octets(octets)

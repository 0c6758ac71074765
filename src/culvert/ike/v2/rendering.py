"""The contents of a message as lines for people, payload by payload, from what was parsed of it.

Nothing that proves or protects is written: of AUTH data, nonces, tokens and unknown notifications only the length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address, summarize_address_range
from itertools import islice

from culvert.addresses import IPAddress
from culvert.crypto.certificates.certificate import MalformedCertificate, parse_certificate, shortened
from culvert.ike import nat, words
from culvert.wire.isakmp.auth import Authentication
from culvert.wire.isakmp.cert import Certificate, CertificateEncoding
from culvert.wire.isakmp.certreq import CertificateRequest
from culvert.wire.isakmp.delete import Delete
from culvert.wire.isakmp.encrypted import Encrypted, EncryptedFragment
from culvert.wire.isakmp.identification import Identification, IDi
from culvert.wire.isakmp.ke import KeyExchangePayload
from culvert.wire.isakmp.nonce import Nonce
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import PayloadType, ProtocolId
from culvert.wire.isakmp.payload import Payload, Unknown
from culvert.wire.isakmp.sa import Proposal, SecurityAssociation
from culvert.wire.isakmp.ts import TrafficSelector as Selector
from culvert.wire.isakmp.ts import TrafficSelectors, TSi, TSr, UnknownSelector
from culvert.wire.isakmp.vendor_id import VendorId

MAX_LINES = 96
"""Lines of one message; one of a real peer has some thirty."""
MAX_LISTED = 16
"""Selectors, SPIs or authorities of one payload that are written."""
MAX_SHOWN_OCTETS = 32
"""Octets that are written of what is written at all."""


def lines(payloads: Iterable[Payload]) -> list[str]:
    """Give the lines of a message's payloads, in their order; SA payloads have one for each proposal."""
    told = (line for one in payloads for line in _lines(one))
    found = list(islice(told, MAX_LINES))
    more = ["and more"] if next(told, None) is not None else []
    return [*found, *more] or ["nothing"]


def _lines(payload: Payload) -> Iterator[str]:
    if isinstance(payload, SecurityAssociation):
        yield from (_proposal(one) for one in payload.proposals)
        return
    for kind, line in _KINDS.items():
        if isinstance(payload, kind):
            yield line(payload)
            return
    yield f"payload of type {payload.payload_type}"


def _proposal(offered: Proposal) -> str:
    spi = f" SPI {_spi(offered.spi)}" if offered.spi else ""
    return f"SA proposal {offered.number}: {_name(offered.protocol)}{spi} {words.proposal(offered)}"


def _key_exchange(payload: KeyExchangePayload) -> str:
    return f"KE {words.group(payload.method)}, {len(payload.public)} octets"


def _identification(payload: Identification) -> str:
    side = "IDi" if isinstance(payload, IDi) else "IDr"
    return f"{side} {_name(payload.type)} {payload.identity or _octets(payload.value)}"


def _certificate(payload: Certificate) -> str:
    whose = _subject(payload.data) if payload.encoding == CertificateEncoding.X509_SIGNATURE else ""
    return f"CERT {_name(payload.encoding)}, {len(payload.data)} octets{whose}"


def _subject(data: bytes) -> str:
    try:
        certificate = parse_certificate(data)
    except MalformedCertificate as error:
        return f": {error}"
    return f": {certificate} of {shortened(certificate.issuer)}"


def _certificate_request(payload: CertificateRequest) -> str:
    octets = payload.authorities
    listed = [octets[at : at + 20].hex() for at in range(0, len(octets), 20)]
    what = f"for {_listed(listed)}" if payload.encoding == CertificateEncoding.X509_SIGNATURE and listed else "for any"
    return f"CERTREQ {_name(payload.encoding)} {what}"


def _authentication(payload: Authentication) -> str:
    return f"AUTH {_name(payload.method)}, {len(payload.data)} octets"


def _delete(payload: Delete) -> str:
    if payload.protocol == ProtocolId.IKE:
        return "DELETE the IKE SA"
    return f"DELETE {_name(payload.protocol)} SPIs {_listed([_spi(one) for one in payload.spis])}"


def _vendor_id(payload: VendorId) -> str:
    if payload.value == nat.VENDOR_ID:
        return "VENDOR_ID Culvert"
    text = payload.value.decode("ascii", "replace")
    readable = f" ({text[:MAX_SHOWN_OCTETS]})" if text.isprintable() and "\ufffd" not in text and len(text) > 3 else ""
    return f"VENDOR_ID {_octets(payload.value)}{readable}"


def _selectors(payload: TrafficSelectors) -> str:
    side = "TSi" if isinstance(payload, TSi) else "TSr"
    return f"{side} {_listed([_selector(one) for one in payload.selectors[: MAX_LISTED + 1]], len(payload.selectors))}"


def _selector(one: Selector | UnknownSelector) -> str:
    if isinstance(one, UnknownSelector):
        return f"selector of type {one.type}"
    addresses = _range(one.start, one.end)
    if one.opaque:
        ports = "/opaque"
    elif (one.start_port, one.end_port) == (0, 65_535):
        ports = ""
    else:
        ports = f"/{one.start_port}" + (f"-{one.end_port}" if one.end_port != one.start_port else "")
    return f"{addresses}[{one.protocol or 'any'}{ports}]" if one.protocol or ports else addresses


def _range(start: IPAddress, end: IPAddress) -> str:
    networks = list(islice(summarize_address_range(start, end), 2))  # of IPv6 there may be 254
    return str(networks[0]) if len(networks) == 1 else f"{start}-{end}"


def _encrypted(payload: Encrypted) -> str:
    return f"SK {len(payload.body)} octets"


def _fragment(payload: EncryptedFragment) -> str:
    return f"SKF {payload.number} of {payload.total}, {len(payload.body)} octets"


def _unknown(payload: Unknown) -> str:
    name = PayloadType(payload.type).name if payload.type in tuple(PayloadType) else f"payload of type {payload.type}"
    return f"{name}{', critical' if payload.critical else ''}, {len(payload.body)} octets"


def _notify(payload: Notify) -> str:
    about = f" about {_name(payload.protocol)}" if payload.protocol else ""
    about += f" SPI {_spi(payload.spi)}" if payload.spi else ""
    return f"NOTIFY {_name(payload.type)}{about}{_notified(payload)}"


def _notified(payload: Notify) -> str:
    """Give the data of a notification in words, or its length."""
    data, decode = payload.data, _DATA.get(payload.type)
    if not data:
        return ""
    return f": {(decode(data) if decode else '') or f'{len(data)} octets'}"


def _group(data: bytes) -> str:
    return words.group(int.from_bytes(data, "big")) if len(data) == 2 else ""


def _payload_type(data: bytes) -> str:
    return f"payload type {data[0]}" if len(data) == 1 else ""


def _number(data: bytes) -> str:
    return str(int.from_bytes(data, "big")) if len(data) <= 4 else ""


def _seconds(data: bytes) -> str:
    return f"{int.from_bytes(data, 'big')} s" if len(data) == 4 else ""


def _address(data: bytes) -> str:
    return str(ip_address(data)) if len(data) in (4, 16) else ""


_HASHES = {1: "sha1", 2: "sha256", 3: "sha384", 4: "sha512", 5: "identity"}


def _hashes(data: bytes) -> str:
    numbers = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
    return _listed([_HASHES.get(one, str(one)) for one in numbers])


_DATA: dict[int, Callable[[bytes], str]] = {
    NotifyType.INVALID_KE_PAYLOAD: _group,
    NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD: _payload_type,
    NotifyType.INVALID_MAJOR_VERSION: _number,
    NotifyType.INVALID_MESSAGE_ID: _number,
    NotifyType.SET_WINDOW_SIZE: _number,
    NotifyType.AUTH_LIFETIME: _seconds,
    NotifyType.ADDITIONAL_IP4_ADDRESS: _address,
    NotifyType.ADDITIONAL_IP6_ADDRESS: _address,
    NotifyType.SIGNATURE_HASH_ALGORITHMS: _hashes,
}
"""What is public and says something. Cookies, tickets and tokens are for those alone to whom they were given."""
_KINDS: dict[type, Callable[..., str]] = {
    KeyExchangePayload: _key_exchange,
    Identification: _identification,
    Certificate: _certificate,
    CertificateRequest: _certificate_request,
    Authentication: _authentication,
    Nonce: lambda payload: f"NONCE {len(payload.value)} octets",
    Notify: _notify,
    Delete: _delete,
    VendorId: _vendor_id,
    TSi: _selectors,
    TSr: _selectors,
    Encrypted: _encrypted,
    EncryptedFragment: _fragment,
    Unknown: _unknown,
}


def _name(value: object) -> str:
    """Name a number of the protocol; the number itself where it has no name."""
    return str(getattr(value, "name", value))


def _spi(octets: bytes) -> str:
    return f"0x{octets[:MAX_SHOWN_OCTETS].hex()}"


def _octets(data: bytes) -> str:
    return data[:MAX_SHOWN_OCTETS].hex() + (f"... {len(data)} octets" if len(data) > MAX_SHOWN_OCTETS else "")


def _listed(items: list[str], count: int | None = None) -> str:
    total = len(items) if count is None else count
    more = f" and {total - MAX_LISTED} more" if total > MAX_LISTED else ""
    return (", ".join(items[:MAX_LISTED]) or "none") + more

"""What stands in files of certificates, lists and keys, as plain values and as lines for people."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from culvert.crypto import pem
from culvert.crypto.certificates.certificate import Certificate, MalformedCertificate, parse_certificate
from culvert.crypto.certificates.extensions import KeyUsage, Name
from culvert.crypto.certificates.judging import unfit
from culvert.crypto.certificates.revocation import MalformedList, RevocationList, parse_crl
from culvert.crypto.certificates.times import iso_time
from culvert.crypto.public_keys import KeyRefused, PublicKey, load_private_key
from culvert.errors import Problem
from culvert.pki.directory import read
from culvert.pki.failures import PkiError

Entry = dict[str, Any]
MAX_SHOWN_SERIALS = 1000
"""Serial numbers of a list that are shown; one of a public authority has many thousands."""
_PURPOSES = {
    "2.5.29.37.0": "any",
    "1.3.6.1.5.5.7.3.17": "ipsecIKE",
    "1.3.6.1.5.5.8.2.2": "iKEIntermediate",
    "1.3.6.1.5.5.7.3.1": "serverAuth",
    "1.3.6.1.5.5.7.3.2": "clientAuth",
    "1.3.6.1.5.5.7.3.3": "codeSigning",
    "1.3.6.1.5.5.7.3.4": "emailProtection",
}
_USAGES = {
    KeyUsage.DIGITAL_SIGNATURE: "digital signature",
    KeyUsage.CONTENT_COMMITMENT: "content commitment",
    KeyUsage.KEY_CERT_SIGN: "certificates",
    KeyUsage.CRL_SIGN: "lists",
    KeyUsage.OTHER: "others",
}


def describe(path: Path, now_s: int) -> list[Entry]:
    """Tell what stands in a file: certificates, lists and keys, in PEM or one in DER. Raise CulvertError."""
    data = read(path)
    try:
        found = [*_entries(data, now_s)]
    except (MalformedCertificate, MalformedList, KeyRefused, pem.PemError) as error:
        raise PkiError(Problem(str(error), str(path), "Is it the right file, and whole?")) from None
    if not found:
        raise PkiError(Problem("there is no certificate, list or key in it", str(path)))
    return [{"file": str(path), **entry} for entry in found]


def _entries(data: bytes, now_s: int) -> Iterator[Entry]:
    if b"-----BEGIN" not in data:
        yield _der(data, now_s)
        return
    for block in pem.read(data):
        if block.label in ("CERTIFICATE", "X509 CERTIFICATE"):
            yield _certificate(parse_certificate(block.data), now_s)
        elif block.label == "X509 CRL":
            yield _list(parse_crl(block.data), now_s)
        elif block.label.endswith("PRIVATE KEY"):
            yield _key(load_private_key(pem.write(block.label, block.data)).public)


def _der(data: bytes, now_s: int) -> Entry:
    try:
        return _certificate(parse_certificate(data), now_s)
    except MalformedCertificate:
        pass
    try:
        return _list(parse_crl(data), now_s)
    except MalformedList:
        return _key(load_private_key(data).public)


def _certificate(one: Certificate, now_s: int) -> Entry:
    extensions = one.extensions
    wrong = None if extensions.ca else unfit(one, now_s)
    return {
        "kind": "certificate",
        "subject": str(one.subject),
        "issuer": str(one.issuer),
        "names": [_shown(name) for name in extensions.names],
        "valid_from": iso_time(one.not_before_s),
        "valid_until": iso_time(one.not_after_s),
        "days_left": (one.not_after_s - now_s) // 86_400,
        "valid": one.valid_at(now_s),
        "key": str(one.public_key),
        "signed_with": one.scheme.name if one.scheme else "unknown",
        "authority": extensions.ca,
        "path_length": extensions.path_length,
        "key_usage": _flags(extensions.key_usage),
        "extended_key_usage": [_PURPOSES.get(oid, oid) for oid in extensions.extended_key_usage or ()],
        "permitted": [_shown(name) for name in extensions.permitted or ()],
        "excluded": [_shown(name) for name in extensions.excluded or ()],
        "crl_points": list(extensions.crl_points),
        "serial": f"{one.serial:x}",
        "sha256": one.fingerprint.hex(),
        "unfit": wrong.explanation if wrong is not None else "",
    }


def _list(crl: RevocationList, now_s: int) -> Entry:
    return {
        "kind": "list",
        "issuer": str(crl.issuer),
        "number": crl.number,
        "valid_from": iso_time(crl.this_update_s),
        "valid_until": iso_time(crl.next_update_s) if crl.next_update_s is not None else None,
        "valid": crl.current_at(now_s),
        "signed_with": crl.scheme.name if crl.scheme else "unknown",
        "revoked": [f"{serial:x}" for serial in sorted(crl.serials)[:MAX_SHOWN_SERIALS]],
        "revoked_count": len(crl.serials),
        "unusable": crl.unusable,
    }


def _key(public: PublicKey) -> Entry:
    """A private key is told by its kind and the digest of its public half; nothing else of it is shown."""
    return {"kind": "key", "key": str(public), "public_sha256": hashlib.sha256(public.spki).hexdigest()}


def _shown(name: Name) -> str:
    return f"{name.value}" if name.kind in ("dns", "ip", "email") else f"{name.kind}:{name.value}"


def _flags(usage: KeyUsage | None) -> list[str]:
    return [] if usage is None else [word for flag, word in _USAGES.items() if usage & flag]


def lines(entry: Entry) -> list[str]:
    """Write one entry for people."""
    head = {
        "certificate": f"certificate of {entry.get('subject') or '(no subject)'}",
        "list": f"list of revocations of {entry.get('issuer')}",
        "key": "private key",
    }[entry["kind"]]
    rows = _rows(entry)
    return [f"{entry['file']}: {head}", *(f"  {label:<13} {value}" for label, value in rows if value)]


def _rows(entry: Entry) -> list[tuple[str, str]]:
    if entry["kind"] == "key":
        return [("key", entry["key"]), ("public half", f"SHA-256 {entry['public_sha256']}")]
    validity = f"{_day(entry['valid_from'])} to {_day(entry['valid_until'])}{'' if entry['valid'] else ', NOT NOW'}"
    if entry["kind"] == "list":
        numbers = ", ".join(entry["revoked"][:20]) + (", ..." if entry["revoked_count"] > 20 else "")
        return [
            ("number", str(entry["number"])),
            ("valid", validity),
            ("signed with", entry["signed_with"]),
            ("revoked", f"{entry['revoked_count']}{': ' if numbers else ''}{numbers}"),
            ("NOT USABLE", entry["unusable"]),
        ]
    return [
        ("issuer", entry["issuer"] if entry["issuer"] != entry["subject"] else "itself"),
        ("names", ", ".join(entry["names"])),
        ("valid", validity),
        ("authority", _authority(entry)),
        ("key", entry["key"]),
        ("signed with", entry["signed_with"]),
        ("key for", ", ".join(entry["key_usage"])),
        ("purposes", ", ".join(entry["extended_key_usage"])),
        ("permitted", ", ".join(entry["permitted"])),
        ("excluded", ", ".join(entry["excluded"])),
        ("lists at", ", ".join(entry["crl_points"])),
        ("serial", entry["serial"]),
        ("SHA-256", entry["sha256"]),
        ("NOT FOR IKE", entry["unfit"]),
    ]


def _authority(entry: Entry) -> str:
    if not entry["authority"]:
        return ""
    below = entry["path_length"]
    return "yes" if below is None else f"yes, with {below or 'no'} authorities below it"


def _day(text: str | None) -> str:
    return "no end" if text is None else text.replace("T", " ").removesuffix(":00Z").removesuffix("Z")

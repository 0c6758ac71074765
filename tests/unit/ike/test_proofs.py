"""How a proof is judged: the same work and the same answer whoever it is, and what is announced and asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import ip_address

import pytest

from culvert.addresses import SocketAddress
from culvert.config.model import Authentication, Peer, Secret, Start
from culvert.crypto import signatures
from culvert.crypto.certificates.store import TrustStore
from culvert.crypto.digests import authority_hash
from culvert.crypto.signature_schemes import SignatureHash, find_scheme, sign_with
from culvert.identities import Identity
from culvert.ike.actions import Transmit
from culvert.ike.events import Configured, Connect, DatagramReceived, PathResolved
from culvert.ike.status import PeerState
from culvert.ike.v2 import certificate_payloads, extensions, keys, proof
from culvert.ike.v2.exchanges import ike_auth
from culvert.ike.v2.reading import Contents
from culvert.ike.v2.sa import IkeSa
from culvert.limits import MAX_AUTHORITIES_ASKED, MAX_SIGNATURE_HASHES
from culvert.reasons import Refusal
from culvert.sim.pair import Pair
from culvert.wire.isakmp.auth import Authentication as Proof
from culvert.wire.isakmp.auth import AuthMethod
from culvert.wire.isakmp.cert import CertificateEncoding
from culvert.wire.isakmp.certreq import CertificateRequest
from culvert.wire.isakmp.identification import Identification
from culvert.wire.isakmp.message import emit_message, parse_message
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.payload import Unknown
from tests.certified import authority, certified_pair, good, intermediate, name_of, stranger, trust

EAP = 48
X509 = CertificateEncoding.X509_SIGNATURE


def _connect(pair: Pair) -> list[str]:
    pair.configure()
    return pair.tell("west", Connect("east"))


def _up(pair: Pair) -> bool:
    return pair.west.endpoint.status("east").state is pair.east.endpoint.status("west").state is PeerState.UP


def _work(monkeypatch: pytest.MonkeyPatch, pair: Pair) -> tuple[Counter[str], list[str]]:
    """Count what a set-up costs at both ends, and give what was said."""
    done = Counter[str]()

    def counted(name: str, real):  # type: ignore[no-untyped-def]
        def call(*arguments, **named):  # type: ignore[no-untyped-def]
            done[name] += 1
            return real(*arguments, **named)

        return call

    monkeypatch.setattr(proof, "psk_auth", counted("secret", proof.psk_auth))
    monkeypatch.setattr(proof, "constant_time_equal", counted("compared", proof.constant_time_equal))
    monkeypatch.setattr(proof, "judge_certificate", counted("certificate", proof.judge_certificate))
    monkeypatch.setattr(proof, "carries", counted("carried", proof.carries))
    monkeypatch.setattr(signatures, "verify", counted("signature", signatures.verify))
    said = _connect(pair)
    monkeypatch.undo()
    return done, said


def _stranger(pair: Pair) -> Pair:
    pair.west_peer = replace(pair.west_peer, local_identity=Identity.parse("nobody.example.org"))
    return pair


def _seen(said: list[str]) -> list[str]:
    """Give what a look at the cable shows."""
    return [line[:10] + line[12:].split(" [")[0] for line in said if " sends " in line]


def test_an_unknown_identity_and_a_wrong_certificate_are_the_same_work_and_look_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kinds = ("expired", "of a stranger", "with another key", "of another name")
    works = [_work(monkeypatch, certified_pair(west=kind)) for kind in kinds]
    works.append(_work(monkeypatch, _stranger(certified_pair())))
    assert all(done == {"certificate": 1, "carried": 1, "signature": 1} for done, _ in works)
    assert all(_seen(said) == _seen(works[0][1]) for _, said in works)


def test_an_unknown_identity_and_a_wrong_secret_are_the_same_work_and_look_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = Pair()
    wrong.west_peer = replace(wrong.west_peer, secret=b"another")
    certificate_asked = Pair()
    certificate_asked.east_peer = replace(
        certificate_asked.east_peer, auth=Authentication.CERTIFICATE, credential=good("east"), trust=trust()
    )
    works = [_work(monkeypatch, pair) for pair in (wrong, _stranger(Pair()), certificate_asked)]
    assert all(done == {"secret": 2, "compared": 1} for done, _ in works)  # one of them is the initiator's own
    assert all(_seen(said) == _seen(works[0][1]) for _, said in works)


def test_a_request_without_a_proof_wants_eap_and_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """CVE-2021-45079: leaving the proof out is no way past it."""
    real = proof.make

    def make(sa: IkeSa, peer: Peer, identification: Identification) -> Proof | Notify:
        return Notify(NotifyType.EAP_ONLY_AUTHENTICATION) if sa.initiator else real(sa, peer, identification)

    monkeypatch.setattr(proof, "make", make)
    pair = Pair()
    said = _connect(pair)
    assert any("brings no proof: it asks for EAP, which is not spoken here" in line for line in said)
    assert pair.east.endpoint.census().established == 0
    assert any("refuses with AUTHENTICATION_FAILED" in line for line in said)


@pytest.mark.parametrize("eap", [b"\x03\x01\x00\x04", b"\x01\x01\x00\x05\x01"], ids=["success", "request"])
def test_eap_where_nobody_asked_for_it_is_no_proof(monkeypatch: pytest.MonkeyPatch, eap: bytes) -> None:
    """CVE-2021-45079: a responder that says success, and proves nothing."""
    monkeypatch.setattr(ike_auth, "_own_proof", lambda _sa, _peer, _idr: Unknown(EAP, False, eap))
    pair = Pair()
    _connect(pair)
    assert pair.west.endpoint.census().established == 0
    assert not pair.west.plane.associations


def _signing(monkeypatch: pytest.MonkeyPatch, side: str, make) -> None:  # type: ignore[no-untyped-def]
    real = proof.make

    def chosen(sa: IkeSa, peer: Peer, identification: Identification) -> Proof:
        if peer.local_identity != name_of(side):
            return real(sa, peer, identification)
        return make(peer, keys.octets_to_prove(sa, identification, by_initiator=sa.initiator))

    monkeypatch.setattr(proof, "make", chosen)


def _with_sha1(peer: Peer, octets: bytes) -> Proof:
    assert peer.credential is not None
    scheme = find_scheme("rsa", SignatureHash.SHA1)
    assert scheme is not None
    made = sign_with(scheme, peer.credential.key, octets)
    return Proof(AuthMethod.DIGITAL_SIGNATURE, bytes((len(scheme.identifier),)) + scheme.identifier + made)


def _by_number(peer: Peer, octets: bytes) -> Proof:
    assert peer.credential is not None
    data = signatures.sign(peer.credential.key, octets, AuthMethod.RSA_SIGNATURE, (), legacy=True)
    return Proof(AuthMethod.RSA_SIGNATURE, data)


@pytest.mark.parametrize("judge", ["east", "west"])
@pytest.mark.parametrize(("make", "name"), [(_with_sha1, "sha1WithRSAEncryption"), (_by_number, "RSA with SHA-1")])
def test_a_hash_that_was_not_offered_is_not_taken(
    monkeypatch: pytest.MonkeyPatch,
    judge: str,
    make,
    name: str,  # type: ignore[no-untyped-def]
) -> None:
    side = "west" if judge == "east" else "east"
    pair = certified_pair(**{side: "rsa"})
    _signing(monkeypatch, side, make)
    said = _connect(pair)
    assert any(f"{judge} says" in line and f"its signature ({name})" in line for line in said)
    assert pair.world.nodes[judge].endpoint.status(side).reason is Refusal.AUTHENTICATION_FAILED
    assert not pair.world.nodes[judge].plane.associations


def test_sha1_is_taken_of_a_legacy_peer_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = certified_pair(west="rsa")
    pair.east_peer = replace(pair.east_peer, legacy=True)
    _signing(monkeypatch, "west", _by_number)
    _connect(pair)
    assert _up(pair)


def _announcing(monkeypatch: pytest.MonkeyPatch, *hashes: int) -> None:
    data = b"".join(one.to_bytes(2, "big") for one in hashes)
    notifies = (Notify(NotifyType.SIGNATURE_HASH_ALGORITHMS, data),) if hashes else ()
    monkeypatch.setattr(extensions, "offered", lambda *_: notifies)
    monkeypatch.setattr(extensions, "answered", lambda *_: notifies)


@pytest.mark.parametrize(
    ("kind", "hashes", "how"),
    [
        ("good", (), "ECDSA P-256"),
        ("p384", (), "ECDSA P-384"),
        ("p521", (), "ECDSA P-521"),
        ("good", (4,), "ecdsa-with-SHA512"),
        ("p384", (2,), "ecdsa-with-SHA256"),
        ("rsa", (3,), "RSASSA-PSS-SHA384"),
        ("rsa", (99, 4), "RSASSA-PSS-SHA512"),
        ("ed25519", (1, 5), "Ed25519"),
    ],
)
def test_signatures_are_made_with_what_the_peer_announces(
    monkeypatch: pytest.MonkeyPatch, kind: str, hashes: tuple[int, ...], how: str
) -> None:
    pair = certified_pair(west=kind, east=kind)
    _announcing(monkeypatch, *hashes)
    said = _connect(pair)
    assert _up(pair)
    assert sum(f"with {how}" in line for line in said) == 2


@pytest.mark.parametrize(
    ("kind", "hashes", "why"),
    [
        ("rsa", (), "the peer does not know RFC 7427: our key (RSA 2048) makes no signature for it"),
        ("rsa", (1,), "the peer takes only the hashes 1: our key (RSA 2048)"),
        ("ed25519", (), "the peer does not know RFC 7427: our key (Ed25519)"),
        ("ed25519", (2, 3, 4), "the peer takes only the hashes 2, 3, 4: our key (Ed25519)"),
    ],
)
def test_where_no_signature_would_be_taken_none_is_made(
    monkeypatch: pytest.MonkeyPatch, kind: str, hashes: tuple[int, ...], why: str
) -> None:
    """What IKE_SA_INIT says is not authentic: it is waited a little for a better answer."""
    pair = certified_pair(west=kind)
    _announcing(monkeypatch, *hashes)
    said = _connect(pair)
    assert not any("IKE_AUTH" in line for line in said)
    pair.wait(10)
    status = pair.west.endpoint.status("east")
    assert status.reason is Refusal.NO_SIGNATURE
    assert why in status.message


def test_a_responder_without_a_signature_to_give_refuses_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = certified_pair(east="ed25519")
    _announcing(monkeypatch, 2, 3, 4)
    _connect(pair)
    status = pair.east.endpoint.status("west")
    assert status.reason is Refusal.NO_SIGNATURE
    assert pair.east.endpoint.census().established == 0


def test_announcements_are_read_within_bounds() -> None:
    def read(*data: bytes) -> tuple[int, ...]:
        notifies = tuple(Notify(NotifyType.SIGNATURE_HASH_ALGORITHMS, one) for one in data)
        return certificate_payloads.hashes_of(Contents(notifies))

    assert read() == ()
    assert read(b"") == ()
    assert read(b"\0") == ()
    assert read(b"\0\2\0\3\0") == (2, 3)
    assert read(b"\0\2", b"\0\5") == (2, 5)
    assert len(read(bytes(60_000))) == MAX_SIGNATURE_HASHES
    assert certificate_payloads.hashes_of(Contents((certificate_payloads.announced(),))) == (2, 3, 4, 5)


def _peer(**changes: object) -> Peer:
    return replace(certified_pair().west_peer, **changes)


def _requested(*rows: bytes, encoding: int = X509) -> Contents:
    return Contents(tuple(CertificateRequest(encoding, row) for row in rows))


HASHES = {
    name: authority_hash(one().certificate.public_key.spki)
    for name, one in (("root", authority), ("between", intermediate), ("stranger", stranger))
}


@pytest.mark.parametrize(
    ("requested", "others"),
    [
        (_requested(), False),
        (_requested(b""), False),
        (_requested(HASHES["root"]), False),
        (_requested(HASHES["stranger"] + HASHES["root"]), False),
        (_requested(HASHES["stranger"], HASHES["root"]), False),
        (_requested(HASHES["stranger"]), True),
        (_requested(HASHES["stranger"], encoding=12), False),
        (_requested(HASHES["root"][:19]), True),
        (_requested(bytes(60_001)), True),
    ],
)
def test_what_the_peer_asks_for_is_compared_with_where_ours_comes_from(requested: Contents, others: bool) -> None:
    assert certificate_payloads.asks_for_others(requested, _peer()) is others


def test_nothing_is_said_of_authorities_that_we_do_not_know() -> None:
    of_another = _peer(trust=TrustStore((stranger().certificate,)))
    assert certificate_payloads.asks_for_others(_requested(HASHES["stranger"]), of_another) is False
    assert certificate_payloads.asks_for_others(_requested(HASHES["stranger"]), _peer(credential=None)) is False
    secret = _peer(auth=Authentication.SECRET)
    assert certificate_payloads.asks_for_others(_requested(HASHES["stranger"]), secret) is False


def test_every_authority_is_asked_for_once_and_within_bounds() -> None:
    both = TrustStore((authority().certificate, stranger().certificate))
    (asked,) = certificate_payloads.asking([_peer(), _peer(trust=both)])
    assert asked.authorities == HASHES["root"] + HASHES["stranger"]
    (first,) = certificate_payloads.asking([_peer(trust=both)], 1)
    assert first.authorities == HASHES["root"]
    many = TrustStore((authority().certificate,) * (MAX_AUTHORITIES_ASKED + 5))
    (once,) = certificate_payloads.asking([_peer(trust=many)])
    assert once.authorities == HASHES["root"]
    assert certificate_payloads.asking([_peer(auth=Authentication.SECRET), Pair().west_peer]) == ()


def test_the_answer_to_a_first_message_is_hardly_longer_than_it() -> None:
    """CVE-2016-5361: whoever forges a source gets that source no more than he sends."""
    pair = certified_pair()
    many = TrustStore((authority().certificate, stranger().certificate, intermediate().certificate))
    pair.east_peer = replace(pair.east_peer, trust=many)
    sent = dict[str, int]()
    for node in (pair.west, pair.east):
        real = node.endpoint.step

        def step(event, now, real=real, name=node.name):  # type: ignore[no-untyped-def]
            actions = real(event, now)
            for action in actions:
                if hasattr(action, "data") and hasattr(action, "remote"):
                    sent.setdefault(name, len(action.data))
            return actions

        node.endpoint.step = step  # type: ignore[method-assign]
    _connect(pair)
    assert _up(pair)
    assert sent["east"] <= sent["west"] + 45


def test_digital_signatures_of_who_did_not_announce_them_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not know what we take cannot have chosen it (RFC 7427 section 4)."""
    pair = certified_pair()
    monkeypatch.setattr(extensions, "offered", lambda *_: ())

    def signed(peer: Peer, octets: bytes) -> Proof:
        assert peer.credential is not None
        data = signatures.sign(peer.credential.key, octets, AuthMethod.DIGITAL_SIGNATURE)
        return Proof(AuthMethod.DIGITAL_SIGNATURE, data)

    _signing(monkeypatch, "west", signed)
    said = _connect(pair)
    assert any("its signature (ecdsa-with-SHA256) does not show" in line for line in said)


def _exchanged(pair: Pair) -> tuple[Transmit, Transmit]:
    """Let west begin and east answer; nothing arrives at west yet."""
    here, there = SocketAddress(pair.west.address, 500), SocketAddress(pair.east.address, 500)
    actions = pair.west.endpoint.step(Configured((replace(pair.west_peer, start=Start.ALWAYS),)), 0)
    actions = pair.west.endpoint.step(PathResolved("east", ((here.ip, there.ip),)), 0)
    (first,) = [one for one in actions if isinstance(one, Transmit)]
    pair.east.endpoint.step(Configured((pair.east_peer,)), 0)
    actions = pair.east.endpoint.step(DatagramReceived(there, here, first.data), 0)
    (answer,) = [one for one in actions if isinstance(one, Transmit)]
    return first, answer


def test_a_forged_answer_without_announcements_ends_nothing_where_the_real_one_comes() -> None:
    pair = certified_pair(west="rsa")
    first, answer = _exchanged(pair)
    real = parse_message(answer.data)
    kept = tuple(
        one
        for one in real.payloads
        if not (isinstance(one, Notify) and one.type == NotifyType.SIGNATURE_HASH_ALGORITHMS)
    )
    forged = DatagramReceived(first.local, first.remote, emit_message(replace(real, payloads=kept)))
    assert not [one for one in pair.west.endpoint.step(forged, 1) if isinstance(one, Transmit)]
    actions = pair.west.endpoint.step(DatagramReceived(first.local, first.remote, answer.data), 2)
    assert [one for one in actions if isinstance(one, Transmit)]


def test_what_is_wrong_with_a_certificate_is_shown_steadily_at_both_ends() -> None:
    pair = certified_pair(west="expired")
    pair.west_peer, pair.east_peer = (replace(one, start=Start.ALWAYS) for one in (pair.west_peer, pair.east_peer))
    pair.configure()
    pair.wait(3)
    for _ in range(200):
        pair.wait(0.5)
        assert pair.east.endpoint.status("west").reason is Refusal.CERTIFICATE_EXPIRED
        assert pair.west.endpoint.status("east").reason in (Refusal.AUTHENTICATION_FAILED, None)


def test_where_both_refuse_each_shows_what_it_found_out_itself() -> None:
    pair = certified_pair(west="expired", east="of a stranger")
    pair.west_peer, pair.east_peer = (replace(one, start=Start.ALWAYS) for one in (pair.west_peer, pair.east_peer))
    pair.configure()
    pair.wait(30)
    for _ in range(200):
        pair.wait(0.5)
        assert pair.east.endpoint.status("west").reason is Refusal.CERTIFICATE_EXPIRED
        assert pair.west.endpoint.status("east").reason is Refusal.CERTIFICATE_UNTRUSTED


@pytest.mark.parametrize("caller", ["west", "east"])
@pytest.mark.parametrize("at", ["198.51.100.1", "198.51.100.99"])
def test_a_peer_has_the_secret_of_the_address_where_it_is(caller: str, at: str) -> None:
    """In both roles; one of another address is not taken."""
    pair = Pair()
    own = ((ip_address(at), Secret(b"of this address", "psk.txt:2")),)
    pair.west_peer = replace(pair.west_peer, secret=b"of the first address", secret_from="psk.txt:1", secrets=own)
    pair.east_peer = replace(pair.east_peer, secret=b"of this address")
    pair.configure()
    said = pair.tell(caller, Connect("east" if caller == "west" else "west"), 3)
    assert _up(pair) is (at == "198.51.100.1")
    assert ("psk.txt:1" in pair.west.endpoint.status("east").message) is (at != "198.51.100.1"), said

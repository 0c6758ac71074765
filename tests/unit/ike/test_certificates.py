"""Certificates that are shown in IKE_AUTH: good ones connect; what is wrong is told on our side, and there alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest

from culvert.config.model import Authentication, Credential, Peer
from culvert.crypto.certificates.store import TrustStore
from culvert.identities import Identity
from culvert.ike.events import CalendarSet, Configured, Connect, RekeyRequested
from culvert.ike.status import PeerState
from culvert.ike.v2 import certificate_payloads, dispatch, proof
from culvert.ike.v2.sa import IkeSa
from culvert.ike.v2.sealing import Payloads
from culvert.reasons import Refusal
from culvert.sim.pair import Pair
from culvert.wire.isakmp.auth import Authentication as Proof
from culvert.wire.isakmp.auth import AuthMethod
from culvert.wire.isakmp.cert import Certificate, CertificateEncoding
from culvert.wire.isakmp.identification import Identification
from culvert.wire.isakmp.notify import Notify, NotifyType
from tests.certified import (
    CREDENTIALS,
    authority,
    certified_pair,
    credential,
    intermediate,
    name_of,
    revoking,
    stranger,
    subject_of,
)

GOOD = ("good", "rsa", "p384", "p521", "ed25519", "chain")
WRONG = {
    "expired": (Refusal.CERTIFICATE_EXPIRED, "expired on"),
    "early": (Refusal.CERTIFICATE_NOT_YET_VALID, "not valid before"),
    "of a stranger": (Refusal.CERTIFICATE_UNTRUSTED, "no authority that is trusted here"),
    "without its chain": (Refusal.CERTIFICATE_UNTRUSTED, "no authority that is trusted here"),
    "swapped": (Refusal.CERTIFICATE_USAGE, "not for signatures"),
    "issued by a gateway": (Refusal.CERTIFICATE_CONSTRAINED, "is no authority"),
    "constrained": (Refusal.CERTIFICATE_CONSTRAINED, "name constraints"),
    "not for signatures": (Refusal.CERTIFICATE_USAGE, "not for signatures"),
    "for mail": (Refusal.CERTIFICATE_USAGE, "not for IKE"),
    "short rsa": (Refusal.CERTIFICATE_WEAK, "1024 bits"),
    "of another name": (Refusal.AUTHENTICATION_FAILED, "does not stand in its certificate, which is for somebody"),
    "without a name": (Refusal.AUTHENTICATION_FAILED, "does not stand in its certificate"),
    "with another key": (Refusal.AUTHENTICATION_FAILED, "does not show that it has the key"),
}


def _connect(pair: Pair) -> list[str]:
    pair.configure()
    return pair.tell("west", Connect("east"))


def _up(pair: Pair) -> bool:
    states = {pair.west.endpoint.status("east").state, pair.east.endpoint.status("west").state}
    return states == {PeerState.UP}


def _refused(pair: Pair, said: list[str], judge: str, reason: Refusal, phrase: str) -> None:
    """See that the judge says why, that the other end learns only that, and that nothing was set up."""
    other = "east" if judge == "west" else "west"
    judging, judged = pair.world.nodes[judge].endpoint, pair.world.nodes[other].endpoint
    assert any(line[12:].startswith(f"{judge} says") and phrase in line for line in said), said
    status = judging.status(other)
    assert (status.reason, phrase in status.message) == (reason, True), status
    told = [line for line in said if line[12:].startswith(f"{other} says")]
    assert not any(phrase in line for line in told), told
    assert judged.status(judge).reason in (Refusal.AUTHENTICATION_FAILED, None)
    assert not pair.west.plane.associations
    assert not pair.east.plane.associations
    assert pair.west.endpoint.census().established == pair.east.endpoint.census().established == 0


def test_the_catalogue_is_whole() -> None:
    assert {*GOOD, *WRONG} == {*CREDENTIALS}


@pytest.mark.parametrize(("west", "east"), list(itertools.product(GOOD, GOOD)))
def test_every_kind_of_key_proves_itself_to_every_other(west: str, east: str) -> None:
    pair = certified_pair(west=west, east=east)
    said = _connect(pair)
    assert _up(pair)
    assert any('by the certificate "C=DE, O=Example, CN=west"' in line for line in said)


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("judge", ["east", "west"])
def test_a_wrong_certificate_is_refused_by_either_role(wrong: str, judge: str) -> None:
    pair = certified_pair(**{"west" if judge == "east" else "east": wrong})
    _refused(pair, _connect(pair), judge, *WRONG[wrong])


@pytest.mark.parametrize("judge", ["east", "west"])
def test_a_revoked_certificate_is_refused(judge: str) -> None:
    pair = certified_pair()
    side = "west" if judge == "east" else "east"
    shown = getattr(pair, f"{side}_peer").credential
    setattr(pair, f"{judge}_peer", replace(getattr(pair, f"{judge}_peer"), trust=revoking(side, shown)))
    _refused(pair, _connect(pair), judge, Refusal.CERTIFICATE_REVOKED, "revoked the certificate of")


@pytest.mark.parametrize("judge", ["east", "west"])
def test_who_trusts_nobody_believes_nobody(judge: str) -> None:
    """CVE-2023-26463: an empty list of authorities is no reason to believe."""
    pair = certified_pair()
    setattr(pair, f"{judge}_peer", replace(getattr(pair, f"{judge}_peer"), trust=TrustStore(())))
    _refused(pair, _connect(pair), judge, Refusal.CERTIFICATE_UNTRUSTED, "trusted: none")


def test_one_peers_authorities_vouch_for_no_other_peer() -> None:
    """The certificate of a stranger stays one, although another peer trusts its issuer."""
    pair = certified_pair(west="of a stranger")
    other = replace(
        pair.east_peer,
        name="other",
        addresses=(),
        identity=name_of("east"),
        trust=TrustStore((stranger().certificate,)),
    )

    pair.tell("west", Configured((pair.west_peer,)))
    pair.tell("east", Configured((other, pair.east_peer)))
    said = pair.tell("west", Connect("east"))
    assert any("no authority that is trusted here" in line for line in said)
    assert pair.east.endpoint.status("west").reason is Refusal.CERTIFICATE_UNTRUSTED


@pytest.mark.parametrize("judge", ["east", "west"])
def test_without_the_time_of_day_no_certificate_is_believed(judge: str) -> None:
    pair = certified_pair()
    ctx = pair.world.nodes[judge].endpoint._ctx
    ctx.utc_offset_s = None
    _refused(pair, _connect(pair), judge, Refusal.CALENDAR_UNKNOWN, "the time of day")


def test_the_time_of_day_may_come_later_and_pass() -> None:
    pair = certified_pair()
    pair.configure()
    pair.tell("east", CalendarSet(2_000_000_000))
    said = pair.tell("west", Connect("east"))
    assert any("expired on" in line for line in said)
    pair.tell("east", CalendarSet(1_800_000_000))
    pair.tell("west", Connect("east"))
    assert _up(pair)


def _with_payloads(monkeypatch: pytest.MonkeyPatch, side: str, *shown: Certificate) -> None:
    """Let one end send these CERT payloads in place of its own."""
    real = certificate_payloads.own_chain

    def own_chain(peer: Peer) -> tuple[Certificate, ...]:
        return shown if peer.local_identity == name_of(side) else real(peer)

    monkeypatch.setattr(certificate_payloads, "own_chain", own_chain)


def _x509(shown: Credential) -> Certificate:
    return Certificate(CertificateEncoding.X509_SIGNATURE, shown.certificate.der)


HASH_AND_URL = Certificate(CertificateEncoding.HASH_AND_URL, bytes(20) + b"http://192.0.2.66/west.cer")


@pytest.mark.parametrize("judge", ["east", "west"])
@pytest.mark.parametrize(
    ("shown", "phrase"),
    [
        ((), "it sends no certificate"),
        ((HASH_AND_URL,), "nothing is fetched"),
        ((Certificate(CertificateEncoding.HASH_AND_URL_BUNDLE, bytes(40)),), "nothing is fetched"),
        ((Certificate(CertificateEncoding.RAW_PUBLIC_KEY, bytes(40)),), "encoding 15"),
        ((Certificate(CertificateEncoding.X509_SIGNATURE, b""),), "cannot be read"),
        ((Certificate(CertificateEncoding.X509_SIGNATURE, bytes(2_000)),), "cannot be read"),
        ((Certificate(CertificateEncoding.X509_SIGNATURE, b"\x30\x80" + bytes(100)),), "cannot be read"),
        ((Certificate(CertificateEncoding.X509_SIGNATURE, bytes(30)),) * 20, "20 certificates"),
    ],
)
def test_what_is_no_certificate_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, judge: str, shown: tuple[Certificate, ...], phrase: str
) -> None:
    """CVE-2022-40617: nobody makes us fetch anything."""
    pair = certified_pair()
    _with_payloads(monkeypatch, "west" if judge == "east" else "east", *shown)
    _refused(pair, _connect(pair), judge, Refusal.NO_CERTIFICATE, phrase)


@pytest.mark.parametrize("judge", ["east", "west"])
def test_authorities_come_in_any_order_behind_the_leaf_and_others_do_no_harm(
    monkeypatch: pytest.MonkeyPatch, judge: str
) -> None:
    side = "west" if judge == "east" else "east"
    lower = intermediate().authority("C=DE, O=Example, CN=Lower")
    leaf = credential(side, issuer=lower)
    above = [Certificate(CertificateEncoding.X509_SIGNATURE, one.certificate.der) for one in (intermediate(), lower)]
    noise = [
        Certificate(CertificateEncoding.X509_SIGNATURE, b"no certificate at all"),
        Certificate(CertificateEncoding.CRL, bytes(50)),
        Certificate(CertificateEncoding.X509_SIGNATURE, stranger().certificate.der),
    ]
    for order in (above, above[::-1], [*noise, *above], [above[1], *noise, above[0]]):
        pair = certified_pair()
        setattr(pair, f"{side}_peer", replace(getattr(pair, f"{side}_peer"), credential=leaf))
        _with_payloads(monkeypatch, side, _x509(leaf), *order)
        _connect(pair)
        assert _up(pair)
        monkeypatch.undo()


def _with_proof(monkeypatch: pytest.MonkeyPatch, side: str, change) -> None:  # type: ignore[no-untyped-def]
    """Let one end change its AUTH payload."""
    real = proof.make

    def make(sa: IkeSa, peer: Peer, identification: Identification) -> Proof:
        made = real(sa, peer, identification)
        return change(made) if peer.local_identity == name_of(side) else made

    monkeypatch.setattr(proof, "make", make)


def _flipped(at: int):  # type: ignore[no-untyped-def]
    def change(made: Proof) -> Proof:
        data = bytearray(made.data)
        data[at % len(data)] ^= 1 << at % 8
        return replace(made, data=bytes(data))

    return change


CHANGES = {
    "an empty signature": lambda made: replace(made, data=b""),
    "an algorithm that is cut off": lambda made: replace(made, data=made.data[:5]),
    "an algorithm of 255 octets": lambda made: replace(made, data=b"\xff" + made.data[1:]),
    "octets behind the signature": lambda made: replace(made, data=made.data + b"\0"),
    "a signature without its algorithm": lambda made: replace(made, data=made.data[1 + made.data[0] :]),
    "RSA": lambda made: replace(made, method=AuthMethod.RSA_SIGNATURE),
    "P-256 by number": lambda made: replace(made, method=AuthMethod.ECDSA_SHA256_P256),
    "P-384 by number": lambda made: replace(made, method=AuthMethod.ECDSA_SHA384_P384),
}


@pytest.mark.parametrize("judge", ["east", "west"])
@pytest.mark.parametrize("changed", CHANGES)
def test_another_method_or_algorithm_proves_nothing(monkeypatch: pytest.MonkeyPatch, judge: str, changed: str) -> None:
    pair = certified_pair()
    _with_proof(monkeypatch, "west" if judge == "east" else "east", CHANGES[changed])
    _refused(pair, _connect(pair), judge, Refusal.AUTHENTICATION_FAILED, "does not show that it has the key")


@pytest.mark.parametrize("judge", ["east", "west"])
@pytest.mark.parametrize("pair", [Pair, certified_pair], ids=["secret", "certificate"])
@pytest.mark.parametrize(
    "method", [0, AuthMethod.DSS_SIGNATURE, AuthMethod.GENERIC_SECURE_PASSWORD, AuthMethod.NULL, 15, 200, 255]
)
def test_methods_that_are_none_of_ours_are_refused_by_number(
    monkeypatch: pytest.MonkeyPatch, judge: str, pair: Callable[[], Pair], method: int
) -> None:
    """CVE-2015-4047: rarely used ways of proving are left out, and NULL authentication proves nobody."""
    side = "west" if judge == "east" else "east"
    real = proof.make

    def make(sa: IkeSa, peer: Peer, identification: Identification) -> Proof:
        made = real(sa, peer, identification)
        return replace(made, method=method) if sa.initiator == (side == "west") else made

    monkeypatch.setattr(proof, "make", make)
    joined = pair()
    phrase = f"authentication method {method}, which is none of ours"
    _refused(joined, _connect(joined), judge, Refusal.AUTHENTICATION_FAILED, phrase)


@pytest.mark.parametrize("kind", ["good", "rsa", "ed25519"])
@pytest.mark.parametrize("judge", ["east", "west"])
def test_a_signature_with_one_wrong_bit_is_none(monkeypatch: pytest.MonkeyPatch, kind: str, judge: str) -> None:
    """CVE-2004-0155: a good certificate proves nothing, its key does."""
    side = "west" if judge == "east" else "east"
    for at in (0, 1, 3, 7, 20, 30, 45, 60, 70, 75):
        pair = certified_pair(**{side: kind})
        _with_proof(monkeypatch, side, _flipped(at))
        _connect(pair)
        assert not _up(pair)
        assert pair.world.nodes[judge].endpoint.status(side).reason is Refusal.AUTHENTICATION_FAILED
        monkeypatch.undo()


@pytest.mark.parametrize("judge", ["east", "west"])
def test_the_certificate_of_somebody_else_proves_nothing(monkeypatch: pytest.MonkeyPatch, judge: str) -> None:
    """Everybody can show the certificate of another; the signature is with one's own key."""
    side = "west" if judge == "east" else "east"
    pair = certified_pair()
    peer = getattr(pair, f"{side}_peer")
    mine = credential(side, kind="ecdsa384")
    setattr(pair, f"{side}_peer", replace(peer, credential=mine))
    _with_payloads(monkeypatch, side, _x509(credential(side)))
    _refused(pair, _connect(pair), judge, Refusal.AUTHENTICATION_FAILED, "does not show that it has the key")


@pytest.mark.parametrize("judge", ["east", "west"])
def test_a_secret_where_a_certificate_is_asked_for(judge: str) -> None:
    """Even where both have the same secret: what is configured counts."""
    pair = certified_pair()
    side = "west" if judge == "east" else "east"
    for one in ("west_peer", "east_peer"):
        setattr(pair, one, replace(getattr(pair, one), secret=b"the secret of both"))
    setattr(pair, f"{side}_peer", replace(getattr(pair, f"{side}_peer"), auth=Authentication.SECRET))
    said = _connect(pair)
    phrases = {
        "west": "it proves itself by a shared secret, and a certificate is asked for",
        "east": "it proves itself by a certificate, and a shared secret is asked for",
    }
    # The initiator shows its proof first, so it is the responder that judges.
    phrase = phrases["west"] if side == "west" else phrases["east"]
    _refused(pair, said, "east", Refusal.AUTHENTICATION_FAILED, phrase)


def test_a_certificate_beside_a_secret_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair()
    monkeypatch.setattr(certificate_payloads, "own_chain", lambda _peer: (_x509(credential("west")), HASH_AND_URL))
    _connect(pair)
    assert _up(pair)


@pytest.mark.parametrize("side", ["west", "east"])
def test_the_name_that_is_presented_must_be_the_one_expected(side: str) -> None:
    judge = "west" if side == "east" else "east"
    pair = certified_pair()
    other = Identity.parse("somebody.example.org")
    changed = replace(
        getattr(pair, f"{side}_peer"), local_identity=other, credential=CREDENTIALS["of another name"](side)
    )
    setattr(pair, f"{side}_peer", changed)
    if side == "east":  # whom it is asked for is its own affair
        pair.west_peer = replace(pair.west_peer, identity=Identity.parse("*.example.com"))
        _refused(pair, _connect(pair), judge, Refusal.AUTHENTICATION_FAILED, "expected is *.example.com")
    else:
        phrase = (
            "it is somebody.example.org: nobody is configured with this identity; expected from there: west.example.org"
        )
        _refused(pair, _connect(pair), judge, Refusal.AUTHENTICATION_FAILED, phrase)


IDENTITIES = {
    "the subject": (subject_of("west"), subject_of("west")),
    "a part of the subject": (subject_of("west"), "C=DE, O=Example, CN=*"),
    "a name below": ("west.example.org", "*.example.org"),
    "letters of another size": ("WEST.example.org", "west.EXAMPLE.org"),
}


@pytest.mark.parametrize("which", IDENTITIES)
def test_identities_of_all_kinds_and_wildcards(which: str) -> None:
    presented, expected = map(Identity.parse, IDENTITIES[which])
    pair = certified_pair()
    pair.west_peer = replace(pair.west_peer, local_identity=presented)
    pair.east_peer = replace(pair.east_peer, identity=expected)
    _connect(pair)
    assert _up(pair)
    # The other way round it is the initiator that expects a wildcard, and so asks for nobody.
    pair.tell("west", Connect("east"))
    turned = certified_pair()
    turned.east_peer = replace(turned.east_peer, local_identity=Identity.parse(subject_of("east")))
    turned.west_peer = replace(turned.west_peer, identity=Identity.parse("C=DE, O=*, CN=east"))
    _connect(turned)
    assert _up(turned)


def test_a_wildcard_that_is_presented_is_nobody() -> None:
    pair = certified_pair()
    pair.west_peer = replace(pair.west_peer, local_identity=Identity.parse("*.example.org"))
    said = _connect(pair)
    assert any("it is *.example.org: nobody is configured" in line for line in said)


def test_without_an_identity_ours_is_what_our_certificate_says() -> None:
    pair = certified_pair()
    pair.west_peer = replace(pair.west_peer, local_identity=None)
    _connect(pair)
    assert _up(pair)


def test_a_child_rekey_and_an_ike_rekey_go_on_with_certificates() -> None:
    pair = certified_pair(west="chain", east="ed25519")
    _connect(pair)
    for side, other in (("west", "east"), ("east", "west")):
        pair.tell(side, RekeyRequested(other))
        pair.tell(side, RekeyRequested(other, ike=True))
    assert _up(pair)


def test_the_responder_says_nothing_of_itself_before_it_believes_the_initiator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CVE-2015-4171, CVE-2026-35331: neither a name nor a certificate nor a proof for whom we do not believe."""
    answers = list[Payloads]()
    real = dispatch.requests.answer

    def answer(ctx, sa, request, payloads, path):  # type: ignore[no-untyped-def]
        answers.append(payloads)
        real(ctx, sa, request, payloads, path)

    monkeypatch.setattr(dispatch.requests, "answer", answer)
    for wrong in WRONG:
        pair = certified_pair(west=wrong)
        _connect(pair)
        pair.configure()
    unknown = certified_pair()
    unknown.west_peer = replace(unknown.west_peer, local_identity=Identity.parse("nobody.example.org"))
    _connect(unknown)
    wrong_secret = Pair()
    wrong_secret.west_peer = replace(wrong_secret.west_peer, secret=b"another")
    _connect(wrong_secret)
    failed = (Notify(NotifyType.AUTHENTICATION_FAILED),)
    assert len(answers) == len(WRONG) + 2
    assert all(payloads == failed for payloads in answers)


def test_judgements_and_verdicts_are_no_truth_values() -> None:
    """CVE-2020-16088: what is neither yes nor no must not be read as yes."""
    for judgement in (proof.Proven(), proof.NotProven("why")):
        with pytest.raises(TypeError):
            bool(judgement)


def test_a_peer_that_asks_for_other_authorities_gets_ours_all_the_same_and_we_say_so() -> None:
    pair = certified_pair()
    pair.east_peer = replace(pair.east_peer, trust=TrustStore((stranger().certificate,)))
    said = _connect(pair)
    assert any("asks for certificates of other authorities than ours" in line for line in said)
    several = certified_pair(west="chain")
    several.east_peer = replace(several.east_peer, trust=TrustStore((stranger().certificate, authority().certificate)))
    _connect(several)
    assert _up(several)


def test_our_own_certificate_that_is_not_valid_explains_why_we_are_refused() -> None:
    pair = certified_pair(west="expired")
    _connect(pair)
    assert "ours is not valid now" in pair.west.endpoint.status("east").message

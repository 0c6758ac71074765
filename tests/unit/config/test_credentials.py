"""Certificates, keys, authorities and lists: what is read, and what is said where something is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from culvert.config.load import load
from culvert.config.model import Authentication
from culvert.crypto import pem
from culvert.crypto.certificates.certificate import Certificate
from culvert.crypto.certificates.revocation import RevocationList
from culvert.errors import ConfigurationError
from culvert.identities import Identity
from tests.unit.crypto.certificates.authorities import (
    DAY_S,
    LEAF_USAGE,
    NOW_S,
    Authority,
    constraint,
    dns,
    key,
    root,
    usage,
)

CONFIGURATION = """[gateway]
networks = ["192.168.1.0/24"]
certificate = "gw.pem"
key = "gw.key"
ca = "ca.pem"

[peers.warehouse]
address = "198.51.100.1"
networks = ["192.168.2.0/24"]
auth = "certificate"
"""
LEAF = "C=DE, O=Example, CN=gw1"


def text(*certificates: Certificate) -> bytes:
    return b"".join(pem.write("CERTIFICATE", one.der) for one in certificates)


def listed(*crls: RevocationList) -> bytes:
    return b"".join(pem.write("X509 CRL", one.der) for one in crls)


class Office:
    """A folder with everything in order; tests spoil one thing each."""

    def __init__(self, folder: Any) -> None:
        self.folder = folder
        self.ca = root()
        self.leaf = self.ca.issue(LEAF, (LEAF_USAGE, dns("gw1.example.org")), holder=key(), until_s=NOW_S + 90 * DAY_S)
        self.write("ca.pem", text(self.ca.certificate))
        self.write("gw.pem", text(self.leaf))
        self.write("gw.key", key().pem(), 0o600)

    def write(self, name: str, data: bytes, mode: int = 0o644) -> Path:
        path: Path = self.folder.write(name, data, mode)
        return path

    def peer(self, configuration: str = CONFIGURATION) -> Any:
        return self.load(configuration).gateway.peers[0]

    def load(self, configuration: str = CONFIGURATION, now_s: int | None = NOW_S) -> Any:
        return load(self.folder.write("gateway.toml", configuration), now_s=now_s)

    def problems(self, configuration: str = CONFIGURATION) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            self.load(configuration)
        return [self.folder.relative(str(problem)) for problem in caught.value.problems]

    def warnings(self, configuration: str = CONFIGURATION, now_s: int | None = NOW_S) -> list[str]:
        return [self.folder.relative(str(one)) for one in self.load(configuration, now_s).warnings]


@pytest.fixture
def office(folder: Any) -> Office:
    return Office(folder)


def test_what_is_in_order_reaches_the_model(office: Office) -> None:
    peer = office.peer()
    assert peer.auth is Authentication.CERTIFICATE
    assert peer.secret is None
    assert peer.credential.certificate == office.leaf
    assert peer.credential.key == key()
    assert peer.credential.chain == ()
    assert peer.trust.anchors == (office.ca.certificate,)
    assert not peer.trust.require_crl
    assert not peer.trust.legacy
    assert office.warnings() == []


def test_without_certificates_everything_is_as_it_was(folder: Any) -> None:
    peer = folder.load(
        CONFIGURATION.split("certificate", maxsplit=1)[0]
        + CONFIGURATION[CONFIGURATION.index("[peers") :].replace('auth = "certificate"\n', "")
    ).gateway.peers[0]
    assert (peer.auth, peer.credential, peer.trust) == (Authentication.SECRET, None, None)


def test_no_key_shows_in_a_representation(office: Office) -> None:
    assert key().pem().split(b"\n")[1].decode() not in repr(office.load())


def test_a_file_is_read_once_for_all_peers(office: Office) -> None:
    more = (
        CONFIGURATION.split("[peers.warehouse]")[1]
        .replace("198.51.100.1", "198.51.100.2")
        .replace(".2.0/24", ".3.0/24")
    )
    one, other = office.load(CONFIGURATION + "[peers.other]" + more).gateway.peers
    assert one.trust is other.trust
    assert one.credential is other.credential


def test_the_chain_goes_along_and_the_anchor_does_not(office: Office) -> None:
    lower = office.ca.authority("CN=Lower")
    leaf = lower.issue(LEAF, holder=key(), until_s=NOW_S + 90 * DAY_S)
    office.write("gw.pem", text(office.ca.certificate, lower.certificate, leaf))
    credential = office.peer().credential
    assert credential.certificate == leaf
    assert credential.chain == (lower.certificate,)


def test_a_peer_may_have_files_of_its_own(office: Office) -> None:
    other = root("CN=Other")
    office.write("other-ca.pem", text(other.certificate))
    own = key("ecdsa384", 3)
    leaf = other.issue("CN=towards them", holder=own, until_s=NOW_S + 90 * DAY_S)
    office.write("other.pem", text(leaf))
    office.write("other.key", own.pem(), 0o600)
    lines = 'certificate = "other.pem"\nkey = "other.key"\nca = ["other-ca.pem"]\n'
    peer = office.peer(CONFIGURATION + lines)
    assert peer.credential.certificate == leaf
    assert peer.trust.anchors == (other.certificate,)


def test_names_are_relative_to_the_file_that_has_them(office: Office) -> None:
    peer = "[peers.warehouse]\n" + CONFIGURATION.split("[peers.warehouse]\n")[1]
    office.write("sub/own.pem", text(office.ca.certificate))
    office.folder.write("sub/peer.toml", peer + 'ca = "own.pem"\n')
    main, _, _ = CONFIGURATION.replace("[gateway]", '[gateway]\ninclude = "sub/*.toml"').partition("[peers.warehouse]")
    assert office.peer(main).trust.anchors == (office.ca.certificate,)


@pytest.mark.parametrize(
    "encode", [lambda one: one.der, lambda one: b"some text\n" + text(one)], ids=["DER", "with text"]
)
def test_certificates_come_in_der_and_with_text_around(office: Office, encode: Any) -> None:
    office.write("ca.pem", encode(office.ca.certificate))
    office.write("gw.pem", encode(office.leaf))
    assert office.peer().credential.certificate == office.leaf


def test_certificate_and_key_may_share_a_private_file(office: Office) -> None:
    office.write("gw.pem", text(office.leaf) + key().pem(), 0o600)
    peer = office.peer(CONFIGURATION.replace("gw.key", "gw.pem"))
    assert peer.credential.key == key()


# What is missing


def test_all_problems_are_said_at_once(office: Office) -> None:
    office.write("gw.pem", b"nothing")
    office.write("gw.key", key().pem(), 0o644)
    office.write("ca.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    found = office.problems(CONFIGURATION.replace('ca = "ca.pem"', 'ca = "ca.pem"\ncrl = "crl.pem"'))
    assert [one.splitlines()[0] for one in found] == [
        "gateway.toml:3: gw.pem holds no usable certificate: no certificate that can be read: "
        "a value longer than what holds it",
        "gateway.toml:5: ca.pem holds no usable certificate: line 1: no certificate that can be read: "
        "another value than 0x30, or something behind it",
        "gateway.toml:6: crl.pem cannot be read: there is no such file",
        "gw.key: others can read this file (mode 0644)",
    ]


@pytest.mark.parametrize("name", ["certificate", "ca"])
def test_what_is_not_written_is_missed(office: Office, name: str) -> None:
    lines = [line for line in CONFIGURATION.splitlines() if not line.startswith(name)]
    lines = [line for line in lines if name != "certificate" or not line.startswith("key")]
    (problem,) = office.problems("\n".join(lines))
    assert f'peer "warehouse" proves itself with a certificate, and there is no {name}\n    Write {name} =' in problem
    assert problem.startswith(f"gateway.toml:{len(lines)}: ")


@pytest.mark.parametrize(("name", "other"), [("certificate", "key"), ("key", "certificate")])
def test_one_without_the_other(office: Office, name: str, other: str) -> None:
    lines = [line for line in CONFIGURATION.splitlines() if not line.startswith(other)]
    assert any(
        f"there is a {name}, and no {other} that belongs to it" in one for one in office.problems("\n".join(lines))
    )


@pytest.mark.parametrize("name", ["gw.pem", "gw.key", "ca.pem"])
def test_a_file_that_is_not_there(office: Office, name: str) -> None:
    (office.folder.path / name).unlink()
    (problem,) = office.problems()
    assert f"{name} cannot be read: there is no such file\n    Correct the name" in problem


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_key_that_others_can_read(office: Office, mode: int) -> None:
    office.write("gw.key", key().pem(), mode)
    (problem,) = office.problems()
    assert problem.startswith(f"gw.key: others can read this file (mode {mode:04o})\n    Run: chmod 600 ")


@pytest.mark.parametrize("data", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"])
def test_a_key_that_is_none(office: Office, data: bytes) -> None:
    office.write("gw.key", data, 0o600)
    (problem,) = office.problems()
    assert problem.startswith("gateway.toml:4: gw.key: no private key in PEM or DER")


def test_a_key_of_another_certificate(office: Office) -> None:
    office.write("gw.key", key("ecdsa256", 5).pem(), 0o600)
    (problem,) = office.problems()
    assert problem.startswith('gateway.toml:4: gw.key is not the key of "C=DE, O=Example, CN=gw1" in gw.pem')


def test_a_key_where_a_certificate_belongs(office: Office) -> None:
    office.write("gw.pem", key().pem())
    (problem,) = office.problems()
    assert "gw.pem holds no certificate\n    Name a file with -----BEGIN CERTIFICATE-----" in problem


@pytest.mark.parametrize("line", ['certificate = "gw.pem"', 'ca = "ca.pem"', 'crl = "crl.pem"', "require_crl = true"])
def test_certificates_of_a_peer_with_a_secret(office: Office, line: str) -> None:
    (problem,) = office.problems(CONFIGURATION.replace('auth = "certificate"', line))
    name = line.split(" ", maxsplit=1)[0]
    whose = "we prove ourselves" if name == "certificate" else "it proves itself"
    assert f'peer "warehouse" has {name}, and {whose} with a secret\n    Write auth = "certificate"' in problem


def test_a_secret_of_a_peer_with_a_certificate(office: Office) -> None:
    (warning,) = office.warnings(CONFIGURATION + 'secret = "file:psk.txt"\n')
    assert 'the secret of peer "warehouse" is not used' in warning


@pytest.mark.parametrize(
    ("key_", "meant"),
    [("cert", "certificate"), ("private_key", "key"), ("cacert", "ca"), ("crls", "crl"), ("authby", "auth")],
)
def test_other_programs_words_are_understood(office: Office, key_: str, meant: str) -> None:
    (problem,) = office.problems(CONFIGURATION + f'{key_} = "x"\n')
    assert problem.endswith(f"Did you mean {meant}?")


def test_a_word_that_auth_cannot_be(office: Office) -> None:
    problems = office.problems(CONFIGURATION.replace('auth = "certificate"', 'auth = "cert"'))
    assert any('"cert" is nothing that auth can be\n    Write "secret" or "certificate".' in one for one in problems)


# Identities


def test_our_identity_must_stand_in_our_certificate(office: Office) -> None:
    (problem,) = office.problems(CONFIGURATION.replace("[gateway]", '[gateway]\nidentity = "gw2.example.org"'))
    assert problem == (
        'gateway.toml:2: our identity "gw2.example.org" does not stand in the certificate of '
        '"C=DE, O=Example, CN=gw1"\n'
        '    Write one that does ("gw1.example.org", "C=DE, O=Example, CN=gw1"), or leave the key out.'
    )
    (problem,) = office.problems(CONFIGURATION + 'local_identity = "10.0.0.1"\n')
    assert problem.startswith("gateway.toml:11: our identity")


def test_a_distinguished_name_is_sent_as_it_stands_in_the_certificate(office: Office) -> None:
    peer = office.peer(CONFIGURATION + 'local_identity = "c=de, o=EXAMPLE,  cn=GW1"\n')
    assert peer.local_identity == Identity.of_name(office.leaf.subject)


def test_the_name_of_our_address_is_our_identity_where_the_certificate_has_it(office: Office) -> None:
    peer = office.peer(CONFIGURATION.replace("[gateway]", '[gateway]\naddress = "GW1.example.org"'))
    assert str(peer.local_identity).lower() == "gw1.example.org"
    peer = office.peer(CONFIGURATION.replace("[gateway]", '[gateway]\naddress = "gw9.example.org"'))
    assert str(peer.local_identity) == "gw1.example.org", "else one that does stand in it"


def test_an_address_is_left_to_the_moment_of_use(office: Office) -> None:
    assert office.peer().local_identity is None
    assert office.peer(CONFIGURATION.replace("[gateway]", '[gateway]\naddress = "203.0.113.1"')).local_identity is None


@pytest.mark.parametrize("text_", ["*.example.org", "*@example.org", "O=Example, CN=*", "@*.example.org"])
def test_nobody_is_many(office: Office, text_: str) -> None:
    for key_, where in (("identity", "[gateway]\n"), ("local_identity", 'auth = "certificate"\n')):
        (problem,) = office.problems(CONFIGURATION.replace(where, f'{where}{key_} = "{text_}"\n'))
        assert "stands for many, and a gateway is one" in problem
    assert office.peer(CONFIGURATION + f'identity = "{text_}"\n').identity.is_wildcard


@pytest.mark.parametrize("text_", ["*", "gw*.example.org", "gw.*.org", "*.*.org", "*.", "*@", "a*@example.org"])
def test_a_wildcard_has_its_place(office: Office, text_: str) -> None:
    (problem,) = office.problems(CONFIGURATION + f'identity = "{text_}"\n')
    assert "* stands alone" in problem


@pytest.mark.parametrize("text_", ["C=DE, O", "X=1", "CN=", "CN=a,,O=b", 'CN="a'])
def test_what_is_no_distinguished_name(office: Office, text_: str) -> None:
    quoted = text_.replace("\\", "\\\\").replace('"', '\\"')
    (problem,) = office.problems(CONFIGURATION + f'identity = "{quoted}"\n')
    assert "Write it like" in problem


# What the calendar says


def test_what_is_out_of_date_is_a_warning(office: Office) -> None:
    (warning, other) = office.warnings(now_s=NOW_S + 91 * DAY_S)
    assert 'peers will refuse us: the certificate of "C=DE, O=Example, CN=gw1" expired on 2027-04-15' in warning
    assert 'the authority "C=DE, O=Example, CN=Root" vouches for nobody now' in other
    assert any("is not valid before" in one for one in office.warnings(now_s=NOW_S - 2 * DAY_S))


def test_what_soon_will_be_is_one_too(office: Office) -> None:
    office.write("gw.pem", text(office.ca.issue(LEAF, holder=key(), until_s=NOW_S + 10 * DAY_S)))
    (warning,) = office.warnings()
    assert "expires on 2027-01-25 08:00 UTC\n    Have a new one made" in warning
    assert office.warnings(now_s=None) == [], "nobody asked for the time"


def test_a_certificate_that_is_not_for_ike_is_a_warning(office: Office) -> None:
    office.write("gw.pem", text(office.ca.issue(LEAF, ((usage("key_agreement"), True),), holder=key())))
    assert any("is not for signatures" in one for one in office.warnings())


# Lists


WITH_LIST = CONFIGURATION.replace('ca = "ca.pem"', 'ca = "ca.pem"\ncrl = ["crl.pem"]')


def test_a_list_reaches_the_model(office: Office) -> None:
    crl = office.ca.crl(1, 2, until_s=NOW_S + 10 * DAY_S)
    office.write("crl.pem", listed(crl))
    assert office.peer(WITH_LIST).trust.crls == (crl,)
    assert office.warnings(WITH_LIST) == []
    office.write("crl.pem", crl.der)
    assert office.peer(WITH_LIST).trust.crls == (crl,)


def test_a_list_may_be_longer_than_a_configuration(office: Office) -> None:
    crl = office.ca.crl(1, until_s=NOW_S + 10 * DAY_S)
    office.write("crl.pem", b"text\n" * 300_000 + listed(crl))
    assert office.peer(WITH_LIST).trust.crls == (crl,)
    office.write("crl.pem", b"text\n" * 1_000_000 + listed(crl))
    (problem,) = office.problems(WITH_LIST)
    assert "crl.pem is larger than" in problem


def test_a_list_that_may_be_required(office: Office) -> None:
    assert office.peer(CONFIGURATION.replace("[gateway]", "[gateway]\nrequire_crl = true")).trust.require_crl
    overridden = CONFIGURATION.replace("[gateway]", "[gateway]\nrequire_crl = true") + "require_crl = false\n"
    assert not office.peer(overridden).trust.require_crl


def test_a_list_of_somebody_elses_making_is_a_problem(office: Office) -> None:
    office.write("crl.pem", listed(office.ca.crl(1, signer=key("ecdsa256", 77))))
    (problem,) = office.problems(WITH_LIST)
    assert problem.startswith(
        'gateway.toml:6: crl.pem says that it is of "C=DE, O=Example, CN=Root", and is not signed with that one\'s key'
    )


def test_a_list_of_an_authority_that_is_not_known_is_a_warning(office: Office) -> None:
    office.write("crl.pem", listed(root("CN=Stranger").crl(1, until_s=NOW_S + 10 * DAY_S)))
    (warning,) = office.warnings(WITH_LIST)
    assert 'crl.pem is a list of "CN=Stranger", which is not among the authorities' in warning


@pytest.mark.parametrize("data", [b"", b"nonsense", b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"])
def test_a_list_that_is_none(office: Office, data: bytes) -> None:
    office.write("crl.pem", data)
    (problem,) = office.problems(WITH_LIST)
    assert problem.startswith("gateway.toml:6: crl.pem holds no")


@pytest.mark.parametrize(
    ("from_days", "until_days", "what"),
    [
        (-9, -1, "is out of date since 2027-01-14 08:00 UTC: its peers are refused"),
        (-9, 1, "is out of date from 2027-01-16 08:00 UTC on"),
        (1, 9, "counts from 2027-01-16 08:00 UTC only"),
    ],
)
def test_the_age_of_a_list_is_warned_of(office: Office, from_days: int, until_days: int, what: str) -> None:
    crl = office.ca.crl(from_s=NOW_S + from_days * DAY_S, until_s=NOW_S + until_days * DAY_S)
    office.write("crl.pem", listed(crl))
    (warning,) = office.warnings(WITH_LIST)
    assert what in warning


def test_a_root_and_the_authority_below_it_in_one_file(office: Office) -> None:
    lower = office.ca.authority("CN=Lower", constraint(0))
    office.write("ca.pem", text(lower.certificate, office.ca.certificate))
    trust = office.peer().trust
    assert (trust.anchors, trust.intermediates) == ((office.ca.certificate,), (lower.certificate,))


def test_legacy_reaches_the_trust(office: Office) -> None:
    assert office.peer(CONFIGURATION + "legacy = true\n").trust.legacy


def test_an_authority_of_the_tests_is_one(office: Office) -> None:
    assert isinstance(office.ca, Authority)


def test_each_way_may_have_its_own_proof(office: Office) -> None:
    """We by our certificate, the peer by the secret; and the other way round."""
    office.write("psk.txt", b"198.51.100.1 " + b"s" * 32, 0o600)
    ours = office.peer(CONFIGURATION.replace('auth = "certificate"', 'local_auth = "certificate"'))
    assert ours.auths == (Authentication.CERTIFICATE, Authentication.SECRET)
    assert ours.credential is not None
    assert ours.trust is None
    assert ours.secret == b"s" * 32
    theirs = office.peer(CONFIGURATION + 'local_auth = "secret"\n')
    assert theirs.auths == (Authentication.SECRET, Authentication.CERTIFICATE)
    assert theirs.credential is None
    assert theirs.trust is not None
    assert theirs.secret == b"s" * 32


def test_what_one_way_needs_is_asked_for(office: Office) -> None:
    office.write("psk.txt", b"198.51.100.1 " + b"s" * 32, 0o600)
    elsewhere = CONFIGURATION.replace("198.51.100.1", "198.51.100.9")
    (problem,) = office.problems(elsewhere + 'local_auth = "secret"\n')
    assert 'no secret for peer "warehouse"' in problem
    without = CONFIGURATION.replace('auth = "certificate"', 'local_auth = "certificate"')
    without = without.replace('certificate = "gw.pem"\nkey = "gw.key"\n', "")
    (problem,) = office.problems(without)
    assert "there is no certificate" in problem
    (problem,) = office.problems(CONFIGURATION + 'local_auth = "secret"\ncertificate = "gw.pem"\nkey = "gw.key"\n')
    assert "has certificate, and we prove ourselves with a secret" in problem

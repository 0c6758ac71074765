"""A small authority: made, used, and taken at its word by the judge of certificates."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from culvert.crypto.certificates.carrying import carries
from culvert.crypto.certificates.certificate import Certificate, parse_pem
from culvert.crypto.certificates.judging import judge
from culvert.crypto.certificates.revocation import parse_crls
from culvert.crypto.certificates.store import Distrusted, Trusted, TrustStore
from culvert.crypto.pem import write
from culvert.crypto.public_keys import KEY_KINDS, load_private_key
from culvert.entropy import RealEntropy, SeededEntropy
from culvert.errors import CulvertError, HostError
from culvert.identities import Identity
from culvert.pki.authority import DAY_S, Edge, gateways, make_authority, make_gateway, revoke
from culvert.pki.directory import Directory
from culvert.pki.failures import PkiError, WrongUsage
from culvert.reasons import Refusal

NOW_S = 1_800_000_000
EDGE = Edge(NOW_S, RealEntropy())


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path / "pki")


@pytest.fixture
def authority(directory: Directory) -> Directory:
    make_authority(directory, "Example CA", EDGE)
    return directory


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def store(directory: Directory, *, require_crl: bool = True) -> TrustStore:
    anchors = parse_pem((directory.path / "ca.pem").read_bytes())
    return TrustStore(anchors, crls=parse_crls((directory.path / "crl.pem").read_bytes()), require_crl=require_crl)


def verdict(directory: Directory, one: Certificate, now_s: int = NOW_S) -> Trusted | Distrusted:
    return judge(store(directory), one, (), now_s)


def problem(call: pytest.ExceptionInfo[CulvertError]) -> str:
    return str(call.value)


@pytest.mark.parametrize("kind", KEY_KINDS)
@pytest.mark.parametrize("gateway_kind", KEY_KINDS)
def test_what_is_made_is_trusted(directory: Directory, kind: str, gateway_kind: str) -> None:
    make_authority(directory, "Example CA", EDGE, kind=kind)
    made = make_gateway(directory, "gw1", ["203.0.113.1", "gw1.example.org"], EDGE, kind=gateway_kind)
    assert isinstance(verdict(directory, made.certificate), Trusted)
    for text in ("gw1", "203.0.113.1", "gw1.example.org", "CN=gw1"):
        assert carries(made.certificate, Identity.parse(text))
    key = load_private_key((directory.path / "gw1.key").read_bytes())
    assert key.public == made.certificate.public_key


def test_keys_are_for_their_owner_alone_and_the_rest_is_for_everybody(authority: Directory) -> None:
    make_gateway(authority, "gw1", [], EDGE)
    assert {path.name: mode(path) for path in authority.path.glob("*.*")} == {
        "ca.pem": 0o644,
        "ca.key": 0o600,
        "crl.pem": 0o644,
        "gw1.pem": 0o644,
        "gw1.key": 0o600,
    }
    assert mode(authority.path) == 0o700


def test_no_half_written_file_is_left(authority: Directory) -> None:
    make_gateway(authority, "gw1", [], EDGE)
    assert sorted(path.name for path in authority.path.iterdir()) == [
        "ca.key",
        "ca.pem",
        "crl.pem",
        "gw1.key",
        "gw1.pem",
        "issued",
    ]


def test_the_umask_does_not_matter(directory: Directory) -> None:
    import os

    before = os.umask(0)
    try:
        make_authority(directory, "Example CA", EDGE)
    finally:
        os.umask(before)
    assert mode(directory.path / "ca.key") == 0o600
    assert mode(directory.path / "ca.pem") == 0o644


def test_validity_begins_before_now_and_ends_with_the_authority(directory: Directory) -> None:
    made = make_authority(directory, "Example CA", EDGE, days=100)
    assert made.certificate.not_after_s == NOW_S + 100 * DAY_S
    assert made.certificate.not_before_s < NOW_S
    short, long = (make_gateway(directory, f"gw{days}", [], EDGE, days=days) for days in (10, 1000))
    assert short.certificate.not_after_s == NOW_S + 10 * DAY_S
    assert long.certificate.not_after_s == made.certificate.not_after_s
    (crl,) = parse_crls((directory.path / "crl.pem").read_bytes())
    assert crl.next_update_s == made.certificate.not_after_s


def test_serial_numbers_come_from_the_entropy_that_is_given(tmp_path: Path) -> None:
    made = [
        make_authority(Directory(tmp_path / str(number)), "CA", Edge(NOW_S, SeededEntropy(seed)))
        for number, seed in enumerate((1, 1, 2))
    ]
    serials = [one.certificate.serial for one in made]
    assert serials[0] == serials[1] != serials[2]
    assert all(0 < serial < 2**127 for serial in serials)


@pytest.mark.parametrize(
    ("name", "subject"), [("A CA", "CN=A CA"), ("O=Example, CN=CA", "O=Example, CN=CA"), ("Ä", "CN=Ä")]
)
def test_names_of_authorities(directory: Directory, name: str, subject: str) -> None:
    assert str(make_authority(directory, name, EDGE).certificate.subject) == subject


@pytest.mark.parametrize("name", ["", " ", "a\nb", 'a"b', "CN=", "X=y", "a\\"])
def test_what_is_no_name_of_one(directory: Directory, name: str) -> None:
    with pytest.raises(WrongUsage):
        make_authority(directory, name, EDGE)
    assert not directory.has_authority()


def test_a_name_too_long_for_x_509(directory: Directory) -> None:
    with pytest.raises(PkiError, match="64"):
        make_authority(directory, "x" * 65, EDGE)
    assert not directory.has_authority()


def test_an_authority_is_not_overwritten(authority: Directory) -> None:
    before = (authority.path / "ca.key").read_bytes()
    with pytest.raises(PkiError, match="there is an authority already"):
        make_authority(authority, "Another", EDGE)
    (authority.path / "ca.pem").unlink()
    with pytest.raises(PkiError, match="there is an authority already"):
        make_authority(authority, "Another", EDGE)
    assert (authority.path / "ca.key").read_bytes() == before


# Gateways


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "-x", "ca", "CA", "crl", "a b", "ä", "x" * 64, "gw1."])
def test_what_cannot_be_the_name_of_a_gateway(authority: Directory, name: str) -> None:
    with pytest.raises(WrongUsage):
        make_gateway(authority, name, [], EDGE)


@pytest.mark.parametrize(
    "address", ["", "300.1.2.3x!", "a b", "*.example.org", "gw1..example.org", "x" * 300, "-a.org"]
)
def test_what_is_no_address(authority: Directory, address: str) -> None:
    with pytest.raises(WrongUsage, match="neither an address nor a name"):
        make_gateway(authority, "gw1", [address], EDGE)


def test_a_name_that_is_an_address_is_one(authority: Directory) -> None:
    made = make_gateway(authority, "203.0.113.1", ["2001:db8::1"], EDGE)
    for text in ("203.0.113.1", "2001:db8::1"):
        assert carries(made.certificate, Identity.parse(text))


@pytest.mark.parametrize("days", [0, -1, 10**9])
def test_days_have_bounds(authority: Directory, days: int) -> None:
    with pytest.raises(WrongUsage, match="days are out of bounds"):
        make_gateway(authority, "gw1", [], EDGE, days=days)


def test_no_authority(directory: Directory) -> None:
    for call in (lambda: make_gateway(directory, "gw1", [], EDGE), lambda: revoke(directory, "gw1", EDGE)):
        with pytest.raises(PkiError, match=r"there is no authority here\n    Make one with: culvert pki ca"):
            call()


def test_a_certificate_that_counts_is_not_overwritten(authority: Directory) -> None:
    first = make_gateway(authority, "gw1", [], EDGE)
    key = (authority.path / "gw1.key").read_bytes()
    with pytest.raises(PkiError, match="Renew it: culvert pki gateway gw1 --renew; or take it back first"):
        make_gateway(authority, "gw1", [], EDGE)
    assert (authority.path / "gw1.key").read_bytes() == key
    revoke(authority, "gw1", EDGE)
    second = make_gateway(authority, "gw1", [], EDGE)
    assert second.certificate.public_key != first.certificate.public_key
    assert isinstance(verdict(authority, second.certificate), Trusted)
    assert isinstance(verdict(authority, first.certificate), Distrusted)


def test_one_that_expired_may_be_made_anew(authority: Directory) -> None:
    make_gateway(authority, "gw1", [], EDGE, days=10)
    later = Edge(NOW_S + 11 * DAY_S, RealEntropy())
    assert isinstance(verdict(authority, make_gateway(authority, "gw1", [], later).certificate, later.now_s), Trusted)


def test_renewing_keeps_key_and_addresses(authority: Directory) -> None:
    first = make_gateway(authority, "gw1", ["203.0.113.1"], EDGE, days=10)
    second = make_gateway(authority, "gw1", [], EDGE, renew=True)
    assert second.certificate.public_key == first.certificate.public_key
    assert second.certificate.extensions.names == first.certificate.extensions.names
    assert second.certificate.not_after_s > first.certificate.not_after_s
    assert [path.name for path in second.files] == ["gw1.pem"]
    third = make_gateway(authority, "gw1", ["203.0.113.9"], EDGE, renew=True)
    assert [str(name.value) for name in third.certificate.extensions.names] == ["gw1", "203.0.113.9"]


def test_there_must_be_something_to_renew(authority: Directory) -> None:
    with pytest.raises(PkiError, match="has no certificate to renew"):
        make_gateway(authority, "gw1", [], EDGE, renew=True)


def test_a_key_that_is_not_the_former_one_is_not_renewed(authority: Directory) -> None:
    make_gateway(authority, "gw1", [], EDGE)
    other = make_gateway(authority, "gw2", [], EDGE)
    (authority.path / "gw1.key").write_bytes((authority.path / "gw2.key").read_bytes())
    with pytest.raises(PkiError, match=r"this is not the key of gw1\.pem"):
        make_gateway(authority, "gw1", [], EDGE, renew=True)
    assert parse_pem((authority.path / "gw1.pem").read_bytes())[0].public_key != other.certificate.public_key


def test_what_a_command_left_that_was_killed_does_not_disturb(authority: Directory) -> None:
    import os

    (authority.path / f".gw1.key.{os.getpid()}").write_bytes(b"half")
    make_gateway(authority, "gw1", [], EDGE)
    assert not list(authority.path.glob(".*"))


def test_an_authority_that_expired_certifies_nobody(authority: Directory) -> None:
    with pytest.raises(PkiError, match="certifies nobody now"):
        make_gateway(authority, "gw1", [], Edge(NOW_S + 5000 * DAY_S, RealEntropy()))
    with pytest.raises(PkiError, match="certifies nobody now"):
        make_gateway(authority, "gw1", [], Edge(NOW_S - 5000 * DAY_S, RealEntropy()))


# Taking back


def test_who_is_revoked_is_refused_and_the_others_are_not(authority: Directory) -> None:
    made = [make_gateway(authority, name, [], EDGE).certificate for name in ("gw1", "gw2", "gw3")]
    done = revoke(authority, "gw1", EDGE)
    assert done.anew == (made[0],)
    revoke(authority, str(authority.path / "gw3.pem"), EDGE)
    reasons = [verdict(authority, one) for one in made]
    assert [one.reason if isinstance(one, Distrusted) else None for one in reasons] == [
        Refusal.CERTIFICATE_REVOKED,
        None,
        Refusal.CERTIFICATE_REVOKED,
    ]


def test_a_name_stands_for_all_of_its_certificates(authority: Directory) -> None:
    """A key that is lost is lost with every certificate that it ever had."""
    made = [
        make_gateway(authority, "gw1", [], EDGE).certificate,
        make_gateway(authority, "gw1", [], EDGE, renew=True).certificate,
    ]
    other = make_gateway(authority, "gw2", [], EDGE).certificate
    assert set(revoke(authority, "gw1", EDGE).anew) == set(made)
    assert all(isinstance(verdict(authority, one), Distrusted) for one in made)
    assert isinstance(verdict(authority, other), Trusted)


def test_a_gateway_whose_file_has_gone_can_be_revoked(authority: Directory) -> None:
    made = make_gateway(authority, "gw1", [], EDGE)
    (authority.path / "gw1.pem").unlink()
    assert revoke(authority, "gw1", EDGE).anew == (made.certificate,)


def test_revoking_twice_changes_nothing(authority: Directory) -> None:
    make_gateway(authority, "gw1", [], EDGE)
    revoke(authority, "gw1", EDGE)
    before = (authority.path / "crl.pem").read_bytes()
    again = revoke(authority, "gw1", Edge(NOW_S + 5, RealEntropy()))
    assert again.anew == ()
    assert (authority.path / "crl.pem").read_bytes() == before


def test_lists_count_up(authority: Directory) -> None:
    for number in range(3):
        make_gateway(authority, f"gw{number}", [], EDGE)
        crl = revoke(authority, f"gw{number}", Edge(NOW_S + number, RealEntropy())).crl
        assert (crl.number, len(crl.serials)) == (number + 2, number + 1)
        assert crl.current_at(NOW_S - 600), "a gateway whose clock is slow believes it as well"


def test_somebody_elses_certificate_is_not_ours_to_revoke(authority: Directory, tmp_path: Path) -> None:
    other = Directory(tmp_path / "other")
    make_authority(other, "Example CA", EDGE)
    make_gateway(other, "gw9", [], EDGE)
    with pytest.raises(PkiError, match="was not issued by"):
        revoke(authority, str(other.path / "gw9.pem"), EDGE)
    with pytest.raises(PkiError, match="was not issued by"):
        revoke(authority, str(authority.path / "ca.pem"), EDGE)


def test_nobody_of_that_name(authority: Directory) -> None:
    make_gateway(authority, "gw1", [], EDGE)
    for which in ("gw2", "ca", "../pki/ca", ""):
        with pytest.raises(CulvertError):
            revoke(authority, which, EDGE)
    with pytest.raises(PkiError, match="Gateways here: gw1"):
        revoke(authority, "gw2", EDGE)
    assert gateways(authority) == ("gw1",)


# Files that are not as they should be


def test_a_key_that_others_can_read_is_not_used(authority: Directory) -> None:
    (authority.path / "ca.key").chmod(0o640)
    with pytest.raises(PkiError, match=r"others can read this key \(mode 0640\)\n    Run: chmod 600 "):
        make_gateway(authority, "gw1", [], EDGE)


def test_a_key_of_another_authority(authority: Directory, tmp_path: Path) -> None:
    other = Directory(tmp_path / "other")
    make_authority(other, "Other", EDGE)
    (authority.path / "ca.key").write_bytes((other.path / "ca.key").read_bytes())
    with pytest.raises(PkiError, match=r"ca\.key is not the key of ca\.pem"):
        make_gateway(authority, "gw1", [], EDGE)


@pytest.mark.parametrize("name", ["ca.pem", "ca.key", "crl.pem", "gw1.pem"])
@pytest.mark.parametrize("data", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"])
def test_a_damaged_file_is_named(authority: Directory, name: str, data: bytes) -> None:
    make_gateway(authority, "gw1", [], EDGE)
    (authority.path / name).write_bytes(data)
    with pytest.raises(PkiError) as caught:
        make_gateway(authority, "gw1", [], EDGE)
    assert problem(caught).startswith(str(authority.path / name))


def test_a_list_that_somebody_else_signed_is_not_gone_on_with(authority: Directory, tmp_path: Path) -> None:
    """Else those who were revoked would be forgotten."""
    other = Directory(tmp_path / "other")
    make_authority(other, "Example CA", EDGE)
    make_gateway(authority, "gw1", [], EDGE)
    (authority.path / "crl.pem").write_bytes((other.path / "crl.pem").read_bytes())
    with pytest.raises(PkiError, match="who was revoked would be lost"):
        revoke(authority, "gw1", EDGE)


def test_a_list_that_has_gone_is_begun_anew(authority: Directory) -> None:
    made = make_gateway(authority, "gw1", [], EDGE)
    (authority.path / "crl.pem").unlink()
    revoke(authority, "gw1", EDGE)
    assert isinstance(verdict(authority, made.certificate), Distrusted)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HostError):
        make_authority(Directory(tmp_path / "file" / "pki"), "CA", EDGE)


def test_a_file_too_large(authority: Directory) -> None:
    (authority.path / "gw1.pem").write_bytes(bytes(5 * 1024 * 1024))
    with pytest.raises(HostError, match="larger than"):
        make_gateway(authority, "gw1", [], EDGE)


def test_strange_files_among_the_issued_do_not_disturb(authority: Directory) -> None:
    made = make_gateway(authority, "gw1", [], EDGE)
    (authority.path / "issued" / "zz.pem").write_bytes(b"nonsense")
    assert revoke(authority, "gw1", EDGE).anew == (made.certificate,)


def test_the_files_are_pem(authority: Directory) -> None:
    made = make_gateway(authority, "gw1", [], EDGE)
    assert (authority.path / "gw1.pem").read_bytes() == write("CERTIFICATE", made.certificate.der)

"""`culvert pki`, and two gateways that use what it makes: joined, parted by a revocation, joined again."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from tests.netns.chapter_gateways import Gateway, Picture

pytestmark = pytest.mark.root


def certify(picture: Picture, gateway: Gateway, name: str, peer: str, folder: Path, *words: str) -> None:
    """Make a certificate by one command, and write and copy what that says."""
    address = gateway.site.outside[0]
    said = picture.a.culvert("pki", "gateway", name, "--address", address, "--dir", str(folder), *words).stdout
    assert f'identity = "{name}"' in said
    own = said.partition("[gateway]\n")[2].partition("In the")[0]
    gateway.write(gateway=own, peer=f'auth = "certificate"\nidentity = "{peer}"')
    (gateway.folder / "psk.txt").unlink()
    copy(gateway, folder, f"{name}.key", f"{name}.pem", "ca.pem", "crl.pem")


def copy(gateway: Gateway, folder: Path, *files: str) -> None:
    for name in files:
        shutil.copy2(folder / name, gateway.folder / name)


@pytest.fixture
def folder(picture: Picture, tmp_path: Path) -> Path:
    """A small authority, made by one command."""
    made = tmp_path / "pki"
    picture.a.culvert("pki", "ca", "--name", "Example CA", "--dir", str(made))
    return made


def test_certified_gateways_are_joined_until_one_is_revoked(picture: Picture, folder: Path) -> None:
    certify(picture, picture.a, "gw-a", "gw-b", folder)
    certify(picture, picture.b, "gw-b", "gw-a", folder, "--key", "ed25519")
    assert stat.S_IMODE((picture.a.folder / "gw-a.key").stat().st_mode) == 0o600
    for gateway in (picture.a, picture.b):
        assert " is good. `culvert up -c " in gateway.culvert("check", str(gateway.file)).stdout
    picture.up()
    assert picture.ping() == 3
    before = picture.a.peer()["children"][0]["spi_out"]

    # Somebody else is revoked: nobody here notices.
    picture.a.culvert("pki", "gateway", "gw-c", "--dir", str(folder))
    picture.a.culvert("pki", "revoke", "gw-c", "--dir", str(folder))
    copy(picture.a, folder, "crl.pem")
    picture.a.culvert("reload")
    assert picture.a.peer()["children"][0]["spi_out"] == before
    assert picture.ping() == 3

    # The other gateway is: its tunnel ends, and does not come back.
    picture.a.culvert("pki", "revoke", "gw-b", "--dir", str(folder))
    copy(picture.a, folder, "crl.pem")
    picture.a.culvert("reload")
    done = picture.a.culvert("connect", "other", "--timeout", "10s", code=1)
    assert "CERTIFICATE_REVOKED" in done.stderr
    status = picture.a.peer()
    assert (status["state"], status["reason"]) == ("down", "CERTIFICATE_REVOKED")
    assert 'revoked the certificate of "CN=gw-b"' in status["message"]
    assert picture.ping() == 0
    assert picture.b.peer()["state"] != "up"

    # A new certificate under the same name, and all is well.
    certify(picture, picture.b, "gw-b", "gw-a", folder)
    picture.b.culvert("reload")
    picture.a.connect()
    assert picture.ping() == 3


def test_a_list_that_is_damaged_changes_nothing(picture: Picture, folder: Path) -> None:
    certify(picture, picture.a, "gw-a", "gw-b", folder)
    certify(picture, picture.b, "gw-b", "gw-a", folder)
    picture.up()
    (picture.a.folder / "crl.pem").write_bytes(b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
    done = picture.a.culvert("reload", code=1)
    assert "crl.pem holds no usable revocation list" in done.stderr
    assert picture.ping() == 3


def test_a_key_that_others_can_read_is_not_started_with(picture: Picture, folder: Path) -> None:
    certify(picture, picture.a, "gw-a", "gw-b", folder)
    (picture.a.folder / "gw-a.key").chmod(0o644)
    done = picture.a.culvert("up", "-c", str(picture.a.file), "-d", code=1)
    assert "others can read this file (mode 0644)" in done.stderr
    assert "chmod 600" in done.stderr

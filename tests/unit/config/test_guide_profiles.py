"""The gateway.toml files in the guides for other makers' gateways can be used as they stand, and need no algorithms."""

from __future__ import annotations

from typing import Any

import pytest

from culvert.ipsec.proposals import DEFAULT_ESP, DEFAULT_IKE
from tests.interop.profiles.guides import guide

GUIDES = {name: guide(name) for name in ("aws", "azure", "cisco", "fortigate")}
FILES = [(name, file) for name, found in GUIDES.items() for file in found.files if file.endswith("gateway.toml")]


@pytest.mark.parametrize(("name", "file"), FILES)
def test_the_files_of_a_guide_can_be_used(folder: Any, name: str, file: str) -> None:
    folder.write("psk.txt", GUIDES[name].files["psk.txt"], 0o600)
    loaded = folder.load(GUIDES[name].files[file])
    (peer,) = loaded.gateway.peers
    assert loaded.warnings == ()
    assert peer.name == name
    assert (peer.proposals == DEFAULT_IKE) is (file != "default-policy/gateway.toml")
    assert all(child.proposals == DEFAULT_ESP for child in peer.children)


def test_each_guide_has_one_at_least() -> None:
    assert {name for name, _ in FILES} == set(GUIDES)


def test_both_tunnels_of_aws_have_secrets_of_their_own(folder: Any) -> None:
    folder.write("psk.txt", GUIDES["aws"].files["psk.txt"], 0o600)
    (peer,) = folder.load(GUIDES["aws"].files["gateway.toml"]).gateway.peers
    assert len({peer.secret, *(secret.octets for _, secret in peer.secrets)}) == len(peer.addresses)

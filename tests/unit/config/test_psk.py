"""psk.txt as racoon has it."""

from __future__ import annotations

import pytest

from culvert.config.dialects.psk import MAX_SECRET_OCTETS, Secrets, read
from culvert.config.findings import Findings


def entries(data: bytes) -> dict[str, bytes]:
    findings = Findings()
    found = read(data, "psk.txt", findings)
    assert findings.problems == ()
    return {entry.identifier: entry.secret for entry in found}


def test_lines() -> None:
    assert entries(
        b"# our peers\n\n  # indented\n"
        b"198.51.100.1 \t one two  three\t \r\n"
        b"shop.example.org 0x00ff41\n"
        b"\thash #begins a secret\n"
        b"2001:db8::1 \xff\xfe"
    ) == {
        "198.51.100.1": b"one two  three",
        "shop.example.org": b"\x00\xffA",
        "hash": b"#begins a secret",
        "2001:db8::1": b"\xff\xfe",
    }


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"198.51.100.1\n", '"198.51.100.1" stands alone in this line'),
        (b"a 0x123\n", "begins with 0x and is not hexadecimal"),
        (b"a 0x\n", "empty or too long"),
        (b"a " + b"x" * (MAX_SECRET_OCTETS + 1), "empty or too long"),
        (b"\xff secret\n", "not text in UTF-8"),
    ],
)
def test_lines_that_cannot_be_used(data: bytes, what: str) -> None:
    findings = Findings()
    assert read(b"# first\n" + data, "psk.txt", findings) == ()
    (problem,) = findings.problems
    assert problem.where == "psk.txt:2"
    assert what in problem.what


def test_an_identifier_written_twice() -> None:
    findings = Findings()
    found = read(b"a first one\na second one\n", "psk.txt", findings)
    assert [entry.secret for entry in found] == [b"first one"]
    assert [warning.where for warning in findings.warnings] == ["psk.txt:2"]


def test_an_identity_may_be_written_in_several_ways() -> None:
    found = Secrets(read(b"2001:DB8:0::1 by address\nShop.Example.ORG by name\n@#zz odd\n", "psk.txt", Findings()))
    assert (entry := found.find(None, ["2001:db8::1"], "shop")) is not None
    assert entry.entry.secret == b"by address"
    assert (entry := found.find("none", [], "shop.example.org")) is not None
    assert entry.entry.secret == b"by name"
    assert (entry := found.find(None, [], "@#zz")) is not None
    assert entry.entry.secret == b"odd"
    assert found.find(None, ["2001:db8::2"], "shop") is None


def test_several_addresses_may_have_secrets_of_their_own() -> None:
    text = b"198.51.100.1 of the first\n198.51.100.2 of the second\nshop of the name\n"
    found = Secrets(read(text, "psk.txt", Findings())).find(
        None, ["198.51.100.1", "198.51.100.2", "198.51.100.3"], "shop"
    )
    assert found is not None
    assert found.entry.secret == b"of the first"
    assert {str(address): entry.secret for address, entry in found.at.items()} == {"198.51.100.2": b"of the second"}


def test_an_identity_has_one_secret_wherever_it_is() -> None:
    text = b"gw.example.org of the name\n198.51.100.1 of the address\n"
    found = Secrets(read(text, "psk.txt", Findings())).find("gw.example.org", ["198.51.100.1"], "shop")
    assert found is not None
    assert (found.entry.secret, found.at) == (b"of the name", {})


def test_a_secret_never_shows() -> None:
    (entry,) = read(b"a hidden away\n", "psk.txt", Findings())
    assert "hidden" not in repr(entry)


@pytest.mark.parametrize("identity", ["10.0.0.1", "gw.example.org"])
def test_a_written_identity_has_one_secret_wherever_it_is(identity: str) -> None:
    """An address may be written as the identity, too; at 198.51.100.1 there may be another peer behind the same NAT."""
    text = f"{identity} the secret of a\n198.51.100.1 the secret of b\n".encode()
    found = Secrets(read(text, "psk.txt", Findings())).find(identity, ["198.51.100.1"], "a")
    assert found is not None
    assert (found.entry.secret, found.at) == (b"the secret of a", {})


def test_a_name_that_is_an_address_is_none_of_the_peers_addresses() -> None:
    text = b"198.51.100.1 the secret of a\n198.51.100.2 of somebody else\n"
    found = Secrets(read(text, "psk.txt", Findings())).find(None, ["198.51.100.1"], "198.51.100.2")
    assert found is not None
    assert (found.entry.secret, found.at) == (b"the secret of a", {})

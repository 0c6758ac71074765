"""The directory of peers gives exactly whom a look at each of them would give."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from culvert.config.model import Child, Peer
from culvert.identities import Identity
from culvert.ike.directory import Directory
from culvert.ike.records import PeerRecord
from culvert.ipsec.proposals import DEFAULT_IKE, Proposal, ike_proposal
from culvert.ipsec.selectors import traffic_selector

OURS = ip_address("203.0.113.1")
ADDRESSES = ("198.51.100.1", "198.51.100.2", "gw.example.org")
IDENTITIES = (None, "198.51.100.1", "gw.example.org", "GW.example.org", "*.example.org", "C=DE, CN=gw", "C=DE, CN=*")
OTHER: tuple[Proposal, ...] = (ike_proposal("aes128-sha256-modp2048"),)


def _peer(name: str, addresses: list[str], identity: str | None, proposals: tuple[Proposal, ...]) -> Peer:
    networks = (traffic_selector("10.0.0.0/8"),)
    known = Identity.parse(identity) if identity else None
    child = Child(name, "net", networks, networks)
    return Peer(name, tuple(addresses), known, None, (child,), secret=b"x", proposals=proposals)


PEERS = st.builds(
    _peer,
    st.sampled_from("abcd"),
    st.lists(st.sampled_from(ADDRESSES), max_size=2, unique=True),
    st.sampled_from(IDENTITIES),
    st.sampled_from((DEFAULT_IKE, OTHER)),
)
FOUND = st.lists(st.sampled_from(ADDRESSES[:2]), max_size=2)
CHANGES = st.lists(st.one_of(PEERS, st.tuples(st.sampled_from("abcd"), FOUND), st.sampled_from("abcd")), max_size=12)


def _change(directory: Directory, change: Peer | tuple[str, list[str]] | str) -> None:
    if isinstance(change, Peer):
        directory.put(PeerRecord(change))
    elif isinstance(change, str):
        if change in directory:
            directory.remove(change)
    elif change[0] in directory:
        paths = tuple((OURS, ip_address(address)) for address in change[1])
        directory.learn(directory[change[0]], paths)


@given(CHANGES)
def test_every_index_agrees_with_the_records(changes: list[Peer | tuple[str, list[str]] | str]) -> None:
    directory = Directory()
    for change in changes:
        _change(directory, change)
    everybody = list(directory.values())
    for text in ADDRESSES[:2]:
        address = ip_address(text)
        assert directory.known_at(address) == [one for one in everybody if one.may_be_at(address)]
    for text in ("198.51.100.1", "gw.example.org", "a.example.org", "CN=gw", "C=de, CN=GW", "C=DE, CN=other"):
        presented = Identity.parse(text)
        assert directory.expecting(presented) == [one for one in everybody if one.expects(presented)]
    for one in everybody:
        assert directory.having(one.peer.children[0].reqid) == [one]


@given(CHANGES, st.sets(st.sampled_from("abcd")))
def test_of_those_that_may_move_every_kind_of_proposals_is_given_once(
    changes: list[Peer | tuple[str, list[str]] | str], ended: set[str]
) -> None:
    directory = Directory()
    for change in changes:
        _change(directory, change)
    for name in ended & set(directory):
        directory[name].ended = True
    given = [record.peer.proposals for record in directory.that_may_move()]
    wanted = {one.peer.proposals for one in directory.values() if one.may_move and not one.ended}
    assert len(given) == len(wanted)
    assert set(given) == wanted

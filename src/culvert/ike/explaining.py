"""Why two gateways do not agree, in one sentence that says what to change; for our log and status, never the peer's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from culvert.config.model import Child
from culvert.crypto.transforms import Encryption, Transform, TransformType
from culvert.ike import words
from culvert.ike.negotiation import pick, transforms_of
from culvert.ipsec.proposals import Proposal, ProposalError, ah_proposal, esp_proposal, ike_proposal
from culvert.limits import MAX_PROPOSALS_JUDGED
from culvert.wire.isakmp.numbers import ProtocolId
from culvert.wire.isakmp.sa import Proposal as Offered
from culvert.wire.isakmp.sa import SecurityAssociation

MAX_SHOWN = 4
"""Proposals of each side that are written out."""
_KINDS = {
    TransformType.ENCR: "the encryption",
    TransformType.INTEG: "the integrity",
    TransformType.PRF: "the PRF",
    TransformType.KE: "the key exchange",
    TransformType.ESN: "the extended sequence numbers",
}
"""In the order in which a proposal is read; what is not here is called by its number."""
PFS = "the group for PFS"
_READERS = {ProtocolId.IKE: ike_proposal, ProtocolId.ESP: esp_proposal, ProtocolId.AH: ah_proposal}


@dataclass(frozen=True, slots=True)
class Place:
    """Where in gateway.toml the algorithms are written that were asked for. `table` is empty where we cannot tell."""

    key: str
    table: str = ""

    @classmethod
    def of_peer(cls, peer: str) -> Place:
        """The IKE SA's, of one peer."""
        return cls("proposals", f"[peers.{peer}]" if peer else "")

    @classmethod
    def of_child(cls, child: Child) -> Place:
        own = f".children.{child.name}" if child.name != child.peer else ""
        return cls(f"{child.protocol}_proposals", f"[peers.{child.peer}{own}]")

    def __str__(self) -> str:
        return f"`{self.key}` of {self.table or 'the peer'}"

    def to_write(self, text: str) -> str:
        return f'write {self.key} = "{text}" into {self.table or "the table of the peer"}'


@dataclass(frozen=True, slots=True)
class Difference:
    """A kind of transform in which two proposals have nothing in common."""

    what: str
    theirs: str
    ours: str

    def __str__(self) -> str:
        return f"{self.what} (the peer's {self.theirs}, ours {self.ours})"


def proposals(
    offered: SecurityAssociation,
    configured: Sequence[Proposal],
    place: Place,
    *,
    protocol: ProtocolId = ProtocolId.IKE,
    key_exchange: bool = True,
) -> str:
    """Say why none of the peer's proposals was chosen: the two that come nearest, where they differ, what to write."""
    theirs = [one for one in offered.proposals[:MAX_PROPOSALS_JUDGED] if one.protocol == protocol]
    if not theirs or not configured:
        names = ", ".join(dict.fromkeys(getattr(one.protocol, "name", str(one.protocol)) for one in offered.proposals))
        return f"the peer offers {names}, and {protocol.name} is configured"
    ours, near = _nearest(theirs, configured, key_exchange)
    found = _differences(ours, near, key_exchange)
    if not found:
        strange = next((one for one in near.transforms if one.type not in _KINDS), None)
        what = f"a transform of type {strange.type}" if strange else "an unknown attribute"
        return f"the peer insists on {what}, which is not done here; {_lists(theirs, configured, key_exchange)}"
    first, *others = [str(one) for one in found]
    further = f", and further in {', '.join(others)}" if others else ""
    advice = _advice(ours, near, place, protocol, key_exchange)
    lists = _lists(theirs, configured, key_exchange)
    return f"no algorithms in common: the first difference is in {first}{further}; {advice}; {lists}"


def only_group_differs(offered: SecurityAssociation, configured: Sequence[Proposal], *, protocol: ProtocolId) -> bool:
    """Tell whether it is the group for PFS alone in which the two that come nearest differ."""
    theirs = [one for one in offered.proposals[:MAX_PROPOSALS_JUDGED] if one.protocol == protocol]
    if not theirs or not configured:
        return False
    ours, near = _nearest(theirs, configured, True)
    return [one.what for one in _differences(ours, near, True)] == [PFS]


def _nearest(theirs: Sequence[Offered], configured: Sequence[Proposal], key_exchange: bool) -> tuple[Proposal, Offered]:
    """Give the pair with the fewest differences; of equal ones, what both prefer."""
    pairs = ((ours, one) for ours in configured for one in theirs)
    return min(pairs, key=lambda pair: len(_differences(pair[0], pair[1], key_exchange)))


def _differences(ours: Proposal, theirs: Offered, key_exchange: bool) -> list[Difference]:
    found: list[Difference] = []
    for kind, name in _KINDS.items():
        if kind is TransformType.KE and not key_exchange:
            continue
        wanted = transforms_of(ours, kind, key_exchange)
        if pick(wanted, theirs, kind) is None:
            offered = [words.of(one) for one in theirs.transforms if one.type == kind]
            what = PFS if kind is TransformType.KE and theirs.protocol != ProtocolId.IKE else name
            found.append(Difference(what, _alternatives(offered), _alternatives([_word(one) for one in wanted])))
    return found


def _word(transform: Transform) -> str:
    return words.KNOWN[words.transform_type(transform), words.number(transform)]


def _alternatives(names: Sequence[str]) -> str:
    shown = list(names[:8]) + (["others"] if len(names) > 8 else [])
    return " or ".join(shown) or "none"


def _lists(theirs: Sequence[Offered], configured: Sequence[Proposal], key_exchange: bool) -> str:
    offered = _joined([words.proposal(one) for one in theirs])
    return f"the peer offers {offered}; we allow {listed(configured, key_exchange)}"


def listed(configured: Sequence[Proposal], key_exchange: bool = True) -> str:
    """Write proposals of ours, without groups where those are not negotiated."""
    return _joined([_written(one, key_exchange) for one in configured])


def groups(configured: Sequence[Proposal]) -> str:
    """Name the key exchanges that we allow."""
    allowed = dict.fromkeys(_word(one) for proposal in configured for one in proposal.key_exchange)
    return _alternatives(list(allowed))


def _written(proposal: Proposal, key_exchange: bool) -> str:
    names = [_word(one) for kind in _KINDS for one in _told(transforms_of(proposal, kind, key_exchange))]
    return "-".join(names)


def _told(transforms: Sequence[Transform]) -> Sequence[Transform]:
    """Leave out what says that there is none of a kind, where nothing else is allowed of it."""
    return () if [_word(one) for one in transforms] in (["none"], ["noesn"]) else transforms


def _joined(proposals: Sequence[str]) -> str:
    more = f" and {len(proposals) - MAX_SHOWN} more" if len(proposals) > MAX_SHOWN else ""
    return ", ".join(proposals[:MAX_SHOWN]) + more


def _advice(ours: Proposal, theirs: Offered, place: Place, protocol: ProtocolId, key_exchange: bool) -> str:
    """Give what to write to meet the peer, or what the peer has to offer where we cannot do what it wants."""
    text = _meeting(ours, theirs, key_exchange)
    if _readable(text, protocol):
        return place.to_write(text)
    advice = f"the peer has to offer one of ours, such as {_one_of_each(ours, key_exchange)}"
    if protocol == ProtocolId.IKE and _readable(text, protocol, legacy=True):  # some have one weak group, no other
        return f"{advice}; where it cannot, {place.to_write(text)}, with legacy = true"
    return advice


def _readable(text: str, protocol: ProtocolId, *, legacy: bool = False) -> bool:
    try:
        _READERS[protocol](text, legacy=legacy)
    except ProposalError:
        return False
    return True


def _meeting(ours: Proposal, theirs: Offered, key_exchange: bool) -> str:
    """Write a proposal that takes what both have, and what only the peer has where there is nothing in common."""
    parts: list[str] = []
    for kind in _KINDS:
        wanted = transforms_of(ours, kind, True)
        common = pick(wanted, theirs, kind) if key_exchange or kind is not TransformType.KE else None
        if kind is TransformType.KE and not key_exchange:
            parts += [_word(one) for one in wanted]
        elif common is None:
            parts += [words.of(one) for one in theirs.transforms if one.type == kind][:1]
        elif common[0] is not None:
            parts.append(_word(common[0]))
    return "-".join(one for one in parts if one not in ("none", "noesn"))


def _one_of_each(ours: Proposal, key_exchange: bool) -> str:
    chosen = (transforms_of(ours, kind, key_exchange)[:1] for kind in _KINDS)
    return "-".join(_word(one) for some in chosen for one in some if _counts(one))


def _counts(transform: Transform) -> bool:
    return isinstance(transform, Encryption) or _word(transform) not in ("none", "noesn")

"""What it means that the peer refused us, in one sentence: it tells a word, seldom why; for our log and status."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from culvert.addresses import IPAddress, SocketAddress
from culvert.config.model import Child, Peer
from culvert.crypto.transforms import BY_NAME, KeyExchange
from culvert.ike import explaining, narrowing, words
from culvert.ike.explaining import Place
from culvert.ipsec.associations import Protocol
from culvert.wire.isakmp.notify import Notify, NotifyType

ITS_LOG = "it does not tell us which; its own log does"
N = NotifyType


def name_of(notify: Notify | None) -> str:
    """Name an error for people."""
    if notify is None:
        return "nothing that we understand"
    return notify.type.name if isinstance(notify.type, NotifyType) else f"notification {notify.type}"


def set_up(remote: SocketAddress, ours: IPAddress, peer: Peer, error: Notify | None) -> str:
    """Say why the peer begins no IKE SA with us."""
    meaning = _of_set_up(ours, peer, error) if error else ""
    return f"{remote} refuses with {name_of(error)}{meaning and f': {meaning}'}"


def _of_set_up(ours: IPAddress, peer: Peer, error: Notify) -> str:
    if error.type == N.NO_PROPOSAL_CHOSEN:
        offered = explaining.listed(peer.proposals)
        return f"it takes none of what we offer, {offered}, or expects nobody at {ours}; {ITS_LOG}"
    if error.type == N.INVALID_KE_PAYLOAD:
        return wanted_group(error, explaining.groups(peer.proposals), Place.of_peer(peer.name))
    return _general(error)


def rekey_of_ike(peer: Peer, error: Notify | None) -> str:
    """Say why the peer makes no successor of the IKE SA."""
    meaning = ""
    if error is not None and error.type == N.NO_PROPOSAL_CHOSEN:
        meaning = f", it takes none of what we offer, {explaining.listed(peer.proposals)}"
    elif error is not None and error.type == N.INVALID_KE_PAYLOAD:
        meaning = f", {wanted_group(error, explaining.groups(peer.proposals), Place.of_peer(peer.name))}"
    return f"the IKE SA gets no new keys and ends with those it has: {name_of(error)}{meaning}"


def child(child: Child, error: Notify | None, *, key_exchange: bool) -> str:
    """Say why the peer makes no child. `key_exchange`: groups were negotiated."""
    meaning = _of_child(child, error, key_exchange) if error else "an empty answer"
    return f"{child.name}: the peer refuses with {name_of(error)}{meaning and f': {meaning}'}"


def rekey(child: Child, error: Notify | None) -> str:
    """Say why the peer gives a child that stands no new keys: the group is all that was not agreed on before."""
    meaning = _of_rekey(child, error) if error else "an empty answer"
    return f"{child.name} gets no new keys and ends with those it has: {name_of(error)}{meaning and f', {meaning}'}"


def _of_rekey(child: Child, error: Notify) -> str:
    groups, place = explaining.groups(child.proposals), Place.of_child(child)
    if error.type == N.NO_PROPOSAL_CHOSEN:
        return f"the peer wants another group for PFS than {groups}, or none; write the peer's into {place}"
    if error.type == N.INVALID_KE_PAYLOAD:
        return wanted_group(error, groups, place)
    return _general(error)


def _of_child(child: Child, error: Notify, key_exchange: bool) -> str:
    wanted = narrowing.describe(child.local, child.remote)
    if error.type == N.NO_PROPOSAL_CHOSEN:
        offered = explaining.listed(child.proposals, key_exchange)
        what = "an algorithm, the group for PFS or the mode" if key_exchange else "an algorithm or the mode"
        if child.protocol is Protocol.AH:
            offered, what = f"AH with {offered}", f"ESP, {what}"
        return f"we asked for {offered} in {child.mode} mode, and it wants another: {what}; {ITS_LOG}"
    if error.type == N.TS_UNACCEPTABLE:
        return f"we asked for {wanted}, our side first; it has to have the same networks for us, the other way round"
    if error.type == N.INVALID_KE_PAYLOAD:
        return wanted_group(error, explaining.groups(child.proposals), Place.of_child(child))
    return f"{_general(error) or ITS_LOG}; we asked for {wanted}"


def wanted_group(error: Notify, allowed: str, place: Place) -> str:
    """Say which key exchange the peer wants, and where to allow it."""
    if len(error.data) != 2:
        return f"it wants another key exchange than {allowed}, and does not say which"
    wanted = words.group(int.from_bytes(error.data, "big"))
    return f"it wants the key exchange {wanted}, and we allow {allowed}; {_allowing(wanted, place)}"


def _allowing(wanted: str, place: Place) -> str:
    known = BY_NAME.get(wanted)
    if not isinstance(known, KeyExchange):
        return "the peer has to allow one of ours"
    if known.legacy:
        return f"the peer has to allow one of ours; where it cannot, add {wanted} to {place} and write legacy = true"
    return f"add {wanted} to {place}"


def _general(error: Notify) -> str:
    decode = _MEANINGS.get(error.type)
    return decode(error.data) if decode else ""


def _major(data: bytes) -> str:
    return f"it speaks version {data[0]} of IKE, and we speak 2" if len(data) == 1 else "it does not speak IKEv2"


def _critical(data: bytes) -> str:
    kind = f" of type {data[0]}" if len(data) == 1 else ""
    return f"it does not know a payload{kind} that we marked as critical"


_MEANINGS: Mapping[int, Callable[[bytes], str]] = {
    N.INVALID_MAJOR_VERSION: _major,
    N.UNSUPPORTED_CRITICAL_PAYLOAD: _critical,
    N.INVALID_SYNTAX: lambda _: "it could not read our message, or its keys are others than ours",
    N.INVALID_MESSAGE_ID: lambda _: "it expects another message than ours",
    N.TEMPORARY_FAILURE: lambda _: "it is busy with another exchange",
    N.NO_ADDITIONAL_SAS: lambda _: "it takes no further child in this IKE SA",
    N.SINGLE_PAIR_REQUIRED: lambda _: "it takes a single pair of addresses only, and we asked for networks",
    N.FAILED_CP_REQUIRED: lambda _: "it wants us to ask it for an address, which is not done here",
    N.INTERNAL_ADDRESS_FAILURE: lambda _: "it has no address to give us; we asked for none",
    N.INVALID_SELECTORS: lambda _: "it got packets that the child may not carry",
    N.CHILD_SA_NOT_FOUND: lambda _: "it does not know the child that we want to replace",
    N.STATE_NOT_FOUND: lambda _: "it has lost what it knew of us",
}
"""What an error commonly means, beyond what each exchange knows of it."""

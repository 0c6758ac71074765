"""The topics `esp`, `spd` and `net`: what the core does to associations, what engine and host tell, as sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from culvert.daemon.logging import Journal
from culvert.ike.actions import Action, InstallAssociation, MoveAssociation, RemoveAssociation, ResolvePath
from culvert.ike.events import (
    Acquired,
    AssociationExpired,
    EngineRestarted,
    Event,
    MappingChanged,
    NothingReceived,
    PathFailed,
    PathResolved,
    PathsChanged,
    UnknownSpi,
)
from culvert.ipsec.associations import SecurityAssociation

ESP, SPD, NET = "esp", "spd", "net"
MAX_TOLD = 100
"""Lines about one change; who loads thousands of policies does not want to read each."""


def tell_action(journal: Journal, action: Action) -> None:
    """Tell what the core is about to have done."""
    match action:
        case InstallAssociation(association, peer, child):
            journal.tell(ESP, "An association is installed.", peer=peer, child=child, **_described(association))
        case MoveAssociation(before, association):
            journal.tell(ESP, "An association gets other ends.", before=str(before.id), **_described(association))
        case RemoveAssociation(id_):
            journal.tell(ESP, "An association is removed.", sa=str(id_))
        case ResolvePath(peer, addresses):
            journal.tell(NET, "Ways to a peer are looked for.", peer=peer, addresses=", ".join(addresses))
        case _:
            pass


def _described(association: SecurityAssociation) -> dict[str, object]:
    """Give what may be seen of an association: everything but its keys."""
    udp, cipher = association.encapsulation, (association.encryption, association.integrity)
    return {
        "sa": str(association.id),
        "source": str(association.source),
        "direction": association.direction,
        "cipher": "-".join(one.name for one in cipher if one is not None),
        "mode": association.mode,
        "ports": f"{udp.source_port}-{udp.destination_port}" if udp else None,
        "reqid": association.reqid,
        "selectors": _shown([str(one) for one in association.selectors]),
    }


def _shown(items: Sequence[str], most: int = 8) -> str:
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def tell_event(journal: Journal, event: Event) -> None:
    """Tell what happened, where it is not a message: those are the core's to tell."""
    match event:
        case Acquired():
            asked = f"{event.source} -> {event.destination}"
            journal.tell(
                SPD, "Traffic asks for an association.", packet=asked, protocol=event.protocol, reqid=event.reqid
            )
        case AssociationExpired(id_, hard):
            limit = "hard" if hard else "soft"
            journal.tell(ESP, f"An association reached its {limit} limit, or is gone.", sa=str(id_))
        case MappingChanged(id_, remote):
            journal.tell(ESP, "Packets of an association come from elsewhere.", sa=str(id_), source=str(remote))
        case UnknownSpi():
            journal.tell(
                ESP,
                "A packet came for an association that is not here.",
                spi=f"0x{event.spi:08x}",
                source=str(event.remote),
            )
        case NothingReceived(id_, sending):
            what = "Packets leave and nothing comes back." if sending else "Traffic has ended."
            journal.tell(ESP, what, sa=str(id_))
        case PathsChanged(addresses, peers):
            shown = _shown([str(one) for one in addresses])
            journal.tell(NET, "Ways or addresses of this host changed.", addresses=shown, peers=_shown(peers))
        case EngineRestarted():
            journal.tell(ESP, "The engine has no associations any more.")
        case PathResolved(peer, paths):
            ways = [f"{ours} -> {theirs}" for ours, theirs in paths]
            journal.tell(NET, "Ways to a peer are found.", peer=peer, ways=_shown(ways))
        case PathFailed(peer, reason, message):
            journal.tell(NET, "No way to a peer is found.", peer=peer, reason=reason, why=message)
        case _:
            pass


def tell_changes(journal: Journal, topic: str, before: Iterable[str], after: Iterable[str]) -> None:
    """Tell what is new in a list of lines and what is no longer in it, up to a bound."""
    old, new = dict.fromkeys(before), dict.fromkeys(after)
    lines = [f"gone: {line}" for line in old if line not in new] + [f"new: {line}" for line in new if line not in old]
    for line in lines[:MAX_TOLD]:
        journal.tell(topic, line)
    if len(lines) > MAX_TOLD:
        journal.tell(topic, f"and {len(lines) - MAX_TOLD} more changes")

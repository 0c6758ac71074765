"""Watches a run and keeps what a person wants to look at afterwards: every message, what is inside, and the keys."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from culvert.addresses import SocketAddress
from culvert.crypto.errors import NotAuthentic
from culvert.ike.actions import Transmit
from culvert.ike.v2.reading import names
from culvert.ike.v2.sa import IkeSa
from culvert.ike.v2.sealing import open_sealed
from culvert.sim.link import Fate
from culvert.sim.node import Node
from culvert.wire.isakmp.encrypted import Encrypted
from culvert.wire.isakmp.errors import ParseError
from culvert.wire.isakmp.header import NO_SPI, read_header
from culvert.wire.isakmp.message import parse_message, parse_payloads

if TYPE_CHECKING:
    from culvert.sim.world import Arrival


class Observer(Protocol):
    """Whoever wants to see a run. It changes nothing."""

    def told(self, now: int, text: str) -> None: ...

    def sent(self, now: int, node: Node, action: Transmit, fate: Fate) -> None: ...

    def received(self, now: int, node: Node, arrival: Arrival) -> None: ...


@dataclass(frozen=True, slots=True)
class Sent:
    """A datagram as it left. `contents` names its payloads, those inside of the Encrypted one included."""

    at: int
    node: str
    local: SocketAddress
    remote: SocketAddress
    data: bytes = field(repr=False)
    contents: str
    fate: Fate


@dataclass(frozen=True, slots=True)
class Received:
    """A datagram as it arrived."""

    at: int
    node: str
    sender: str
    data: bytes = field(repr=False)
    damaged: bool


@dataclass(frozen=True, slots=True)
class Told:
    """A line of the trace that is no datagram's."""

    at: int
    text: str


Record = Sent | Received | Told


@dataclass(slots=True)
class Recorder:
    """An Observer that keeps everything. `keys` are the IKE SAs that were seen with keys, by both SPIs."""

    records: list[Record] = field(default_factory=list)
    keys: dict[tuple[bytes, bytes], IkeSa] = field(default_factory=dict)

    def told(self, now: int, text: str) -> None:
        self.records.append(Told(now, text))

    def sent(self, now: int, node: Node, action: Transmit, fate: Fate) -> None:
        self._learn(node)
        contents = self._contents(node, action.data)
        self.records.append(Sent(now, node.name, action.local, action.remote, action.data, contents, fate))

    def received(self, now: int, node: Node, arrival: Arrival) -> None:
        damaged = arrival.damaged is not None
        self.records.append(Received(now, node.name, arrival.sender, arrival.data, damaged))

    def _learn(self, node: Node) -> None:
        for sa in node.endpoint.state.sas.values():
            if sa.keys is not None and sa.spi_r != NO_SPI:
                # A copy: the keys of a closed IKE SA are forgotten, and its capture is to be read all the same.
                self.keys.setdefault((sa.spi_i, sa.spi_r), replace(sa))

    def _contents(self, node: Node, data: bytes) -> str:
        message = parse_message(data)
        sealed = message.encrypted
        sa = self.keys.get((message.spi_i, message.spi_r))
        if sealed is None:
            return names(message.payloads)
        if not isinstance(sealed, Encrypted) or sa is None:
            return "a fragment" if sa else "sealed"
        # The one who opens is the other end.
        reader = replace(sa, initiator=not read_header(data).initiator)
        try:
            return names(parse_payloads(sealed.first_payload, open_sealed(reader, data, sealed)))
        except (NotAuthentic, ParseError):
            return f"sealed by {node.name} with keys that nobody has"

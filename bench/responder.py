"""A responder with a fake engine, as a process of its own: the IKE core, the daemon's shell and UDP sockets.

python -m bench.responder ADDRESS PEERS; a line on standard output says that it is ready.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable
from ipaddress import ip_address

from bench.load import NO_KEEPALIVE, NON_ESP_MARKER, peer_at_gateway
from culvert.addresses import IKE_PORT, NAT_PORT, IPAddress, SocketAddress
from culvert.clock import RealClock
from culvert.daemon import logging as journals
from culvert.daemon.fake import FakeHost
from culvert.daemon.loop import Shell
from culvert.daemon.paths import Resolver
from culvert.daemon.tasks import Tasks
from culvert.entropy import RealEntropy
from culvert.ike.endpoint import Endpoint
from culvert.ike.events import Configured, DatagramReceived
from culvert.ipsec.associations import AssociationId, SecurityAssociation


class Sockets:
    """Both ports of the address, and a data plane that only counts."""

    def __init__(self, address: IPAddress) -> None:
        self.address = address
        self.associations: dict[AssociationId, int] = {}
        self.kept: dict[bytes, bytes] = {}
        self._sockets = {port: _bound(address, port) for port in (IKE_PORT, NAT_PORT)}

    def listen(self, receive: Callable[[DatagramReceived], None]) -> None:
        loop = asyncio.get_running_loop()
        for port, sock in self._sockets.items():
            loop.add_reader(sock, self._read, port, sock, receive)

    def _read(self, port: int, sock: socket.socket, receive: Callable[[DatagramReceived], None]) -> None:
        data, source = sock.recvfrom(65_535)
        if port == NAT_PORT:
            if not data.startswith(NON_ESP_MARKER) or len(data) == NO_KEEPALIVE:
                return
            data = data[len(NON_ESP_MARKER) :]
        receive(
            DatagramReceived(SocketAddress(self.address, port), SocketAddress(ip_address(source[0]), source[1]), data)
        )

    async def transmit(self, local: SocketAddress, remote: SocketAddress, data: bytes) -> None:
        marker = NON_ESP_MARKER if local.port == NAT_PORT else b""
        self._sockets[local.port].sendto(marker + data, (str(remote.ip), remote.port))

    async def install(self, association: SecurityAssociation) -> None:
        self.associations[association.id] = association.reqid

    async def remove(self, association: AssociationId) -> None:
        self.associations.pop(association, None)

    def keep(self, key: bytes, data: bytes | None) -> None:
        if data is None:
            self.kept.pop(key, None)
        else:
            self.kept[key] = data

    async def move(self, before: SecurityAssociation, association: SecurityAssociation) -> None:
        self.associations[association.id] = self.associations.pop(before.id, association.reqid)


def _bound(address: IPAddress, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    sock.bind((str(address), port))
    sock.setblocking(False)
    return sock


async def serve(address: IPAddress, peers: int) -> None:
    """Answer until the process is ended."""
    journal = journals.set_up(as_json=False, level=logging.WARNING)
    tasks, clock = Tasks(journal), RealClock()
    sockets = Sockets(address)
    core = Endpoint(RealEntropy(), clock.now())
    shell = Shell(core, clock, mover=sockets, resolver=Resolver(FakeHost({}, {})), tasks=tasks, journal=journal)
    sockets.listen(shell.post)
    shell.post(Configured(tuple(peer_at_gateway(number) for number in range(peers))))
    tasks.spawn("ready", _say_ready())
    await shell.run()


async def _say_ready() -> None:
    print("ready", flush=True)


if __name__ == "__main__":
    asyncio.run(serve(ip_address(sys.argv[1]), int(sys.argv[2])))

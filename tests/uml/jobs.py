"""What tests have done inside the guest, one function a job; see `agent` for how they are called."""

from __future__ import annotations

import contextlib
import selectors
import socket
import subprocess
import threading
from ipaddress import ip_network
from typing import Any

from culvert.wire.netlink.policy import POLICY_IN, POLICY_OUT, PolicyWire, emit_policy_info
from culvert.wire.netlink.structures import SelectorWire
from culvert.xfrm.transport import kernel_transport
from tests.differential import conversation

IP_FREEBIND, IPV6_FREEBIND = (0, 15), (41, 78)

UDP_ENCAP, UDP_ENCAP_ESPINUDP = 100, 2
IP_XFRM_POLICY, IPV6_XFRM_POLICY = (0, 17), (41, 35)
kept: list[socket.socket] = []
"""Open until `leave_esp_in_udp`."""


def shell(script: str) -> str:
    """Run a script to its first failure; raise with all that it said, or give its standard output."""
    done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


async def converse(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Send XFRM messages to the guest's kernel, in order, and give its replies."""
    replies = await conversation.converse(kernel_transport(), conversation.requests_from_json(requests))
    return conversation.replies_to_json(replies)


def echo_datagrams(addresses: list[str], port: int, times: int = 1) -> None:
    """From now on send back what comes to these addresses, so many times over, from the address that it came to."""
    sockets = selectors.DefaultSelector()
    for address in addresses:
        sock = _bound(socket.SOCK_DGRAM, address, port)
        sockets.register(sock, selectors.EVENT_READ)
    threading.Thread(target=_echo_datagrams, args=(sockets, times), daemon=True).start()


def _bound(kind: socket.SocketKind, address: str, port: int) -> socket.socket:
    """Bind to one of a network's addresses, all of which are the guest's, and none of which is at an interface."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    sock.setsockopt(*(IPV6_FREEBIND if ":" in address else IP_FREEBIND), 1)
    sock.bind((address, port))
    return sock


def _echo_datagrams(sockets: selectors.DefaultSelector, times: int) -> None:
    while True:
        for key, _ in sockets.select():
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            octets, sender = sock.recvfrom(65536)
            # An answer that cannot go is one that does not come.
            with contextlib.suppress(OSError):
                sock.sendto(octets * times, sender)


def echo_stream(address: str, port: int) -> None:
    """Take one connection, read it to its end, then send all of it back."""
    listener = _bound(socket.SOCK_STREAM, address, port)
    listener.listen()
    threading.Thread(target=_echo_stream, args=(listener,), daemon=True).start()


def _echo_stream(listener: socket.socket) -> None:
    with listener:
        connection, _ = listener.accept()
    with connection, connection.makefile("rb") as reader:
        connection.sendall(reader.read())


def take_esp_in_udp(port: int) -> None:
    """From now on have the kernel take the ESP packets out of what comes to this port, whatever policies say of it."""
    for version in (4, 6):
        sock = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        if version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP)
        everything = ip_network("0.0.0.0/0" if version == 4 else "::/0")
        for direction in (POLICY_IN, POLICY_OUT):
            bypass = PolicyWire(SelectorWire(everything, everything), direction)
            sock.setsockopt(*(IP_XFRM_POLICY if version == 4 else IPV6_XFRM_POLICY), emit_policy_info(bypass))
        sock.bind(("", port))
        kept.append(sock)


def leave_esp_in_udp() -> None:
    """Close what `take_esp_in_udp` opened."""
    while kept:
        kept.pop().close()

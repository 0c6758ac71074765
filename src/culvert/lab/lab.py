"""Builds a network out of namespaces and takes it down again, whatever happens in between."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from types import TracebackType

from culvert.errors import HostError, Problem
from culvert.lab import processes
from culvert.lab.host import Host
from culvert.lab.names import PrefixLock, namespace_name, namespaces_of

_FIRST_INDEX = 100
"""Of the lab's interfaces: above those that a namespace makes by itself."""


class Lab:
    """A set of hosts under one prefix; without one, the process's number makes it unique.

    Use it as a context. What an earlier run of the same prefix left behind is removed first. Veth pairs are born inside
    their namespaces, so nothing ever shows on the machine itself.
    """

    def __init__(self, prefix: str | None = None) -> None:
        self.prefix = prefix or f"p{os.getpid()}_{threading.get_native_id()}"
        self.hosts: dict[str, Host] = {}
        self._kept = False
        self._indices = count(_FIRST_INDEX)
        namespace_name(self.prefix, "x")
        self._lock: PrefixLock | None = None

    def __enter__(self) -> Lab:
        self._lock = PrefixLock(self.prefix)
        try:
            remove_namespaces(self.prefix)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes of the lab and remove its namespaces. A second call does nothing."""
        if self._lock is None:
            return
        with _undisturbed():
            try:
                if not self._kept:
                    processes.end(tracked for host in self.hosts.values() for tracked in host.started)
                    for host in self.hosts.values():
                        host.reap()
                    remove_namespaces(self.prefix)
            finally:
                self._lock.release()
                self._lock = None

    def keep(self) -> None:
        """Leave hosts and processes standing when the lab ends; the next lab of this prefix removes them."""
        self._kept = True

    def host(self, name: str) -> Host:
        """Add a host: a namespace with nothing but its loopback. Raise HostError, or ValueError for a bad name."""
        host = Host(name, namespace_name(self.prefix, name))
        if name in self.hosts:
            raise ValueError(f"the lab has a host {name} already")
        _ip("netns", "add", host.namespace)
        self.hosts[name] = host
        host.ip("link", "set", "lo", "up")
        # A cable has two ends: nobody can have the address already, and a second of waiting tells nothing.
        host.set_sysctl("net.ipv6.conf.default.accept_dad", "0")
        return host

    def link(
        self,
        one: tuple[Host, str, tuple[str, ...]],
        other: tuple[Host, str, tuple[str, ...]],
        mtu: int = 1500,
    ) -> None:
        """Join two hosts by a cable. Each end is (host, interface, addresses with their prefixes)."""
        (host, interface, _), (peer, peer_interface, _) = one, other
        # The kernel takes a cable between two equal interface numbers, as two namespaces both begin to count at 2, for
        # one interface alone, and is a second late to see that it is up. So no number comes twice.
        here, there = (["index", str(next(self._indices)), "mtu", str(mtu)] for _ in range(2))
        _ip(
            *("link", "add", "name", interface, "netns", host.namespace, *here, "type", "veth"),
            *("peer", "name", peer_interface, "netns", peer.namespace, *there),
        )
        for end, name, addresses in (one, other):
            for address in addresses:
                end.add_address(name, address)
            end.ip("link", "set", name, "up")


def remove_namespaces(prefix: str) -> None:
    """End every process in the namespaces of a prefix and delete them: after this run, or after one that crashed."""
    names = namespaces_of(prefix)
    processes.end(tracked for name in names for tracked in processes.inside(name))
    for name in names:
        _ip("netns", "delete", name)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        advice = "Run as root, or where unprivileged user namespaces are allowed."
        raise HostError(Problem(done.stderr.strip(), f"ip {' '.join(arguments)}", advice))


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let a second Ctrl-C not interrupt the cleaning up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

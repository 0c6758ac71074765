"""A host of a lab: one network namespace, and what is done inside it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from culvert.errors import HostError, Problem
from culvert.lab.names import NETNS_DIRECTORY
from culvert.lab.processes import Tracked

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


class Host:
    """Made by `Lab.host`; it is gone when the lab ends."""

    def __init__(self, name: str, namespace: str) -> None:
        self.name = name
        self.namespace = namespace
        self.started: list[Tracked] = []
        self._children: list[subprocess.Popen[Any]] = []

    def __repr__(self) -> str:
        return f"Host({self.name})"

    @property
    def path(self) -> str:
        """Where the namespace stands, for nsenter(1) and setns(2)."""
        return str(NETNS_DIRECTORY / self.namespace)

    def command(self, arguments: Sequence[str]) -> list[str]:
        """Give the command that runs `arguments` here. The process that it starts becomes the program itself."""
        return ["nsenter", f"--net={self.path}", "--", *arguments]

    def run(
        self, arguments: Sequence[str], *, check: bool = True, timeout_s: float = 30, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end. With `check`, raise HostError with what it said where it fails."""
        options = {"capture_output": True, "text": True} | options
        done = subprocess.run(self.command(arguments), check=False, timeout=timeout_s, **options)
        if check and done.returncode:
            said = (done.stderr or done.stdout or "").strip()
            raise HostError(Problem(said or f"exit {done.returncode}", f"{self.name}: {' '.join(arguments)}"))
        return done

    def start(self, arguments: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program that the lab ends with itself. It is in a session of its own: Ctrl-C is not for it."""
        process = subprocess.Popen(self.command(arguments), start_new_session=True, **options)
        self.started.append(Tracked(process.pid))
        self._children.append(process)
        return process

    def reap(self) -> None:
        """Take note of the end of what `start` started; the lab calls it when all have ended."""
        for process in self._children:
            process.poll()

    async def spawn(self, arguments: Sequence[str], **options: Any) -> asyncio.subprocess.Process:
        """Do what `start` does, for a program that the event loop talks to."""
        command = self.command(arguments)
        process = await asyncio.create_subprocess_exec(*command, start_new_session=True, **options)
        self.started.append(Tracked(process.pid))
        return process

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Be in this namespace for a block, this thread alone. Never await inside: others would be here with you."""
        back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            there = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _set_namespace(there)
            finally:
                os.close(there)
            try:
                yield
            finally:
                _set_namespace(back)
        finally:
            os.close(back)

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Open a socket that belongs to this host and can be used from anywhere."""
        with self.enter():
            return socket.socket(family, kind, protocol)

    def call(self, function: Callable[[], T]) -> T:
        """Call `function` in a thread that is in this namespace, with all that it opens and starts."""
        outcome: list[T] = []
        failure: list[BaseException] = []

        def work() -> None:
            try:
                with self.enter():
                    outcome.append(function())
            except BaseException as error:  # raised again in the caller
                failure.append(error)

        thread = threading.Thread(target=work, name=f"lab-{self.name}")
        thread.start()
        thread.join()
        if failure:
            raise failure[0]
        return outcome[0]

    def ip(self, *arguments: str) -> str:
        """Run ip(8) here and give what it prints."""
        return str(self.run(["ip", *arguments]).stdout)

    def add_address(self, interface: str, address: str) -> None:
        """Add an address with its prefix; an IPv6 address is usable at once."""
        extra = ["nodad"] if ":" in address else []
        self.ip("address", "add", address, "dev", interface, *extra)

    def add_default_route(self, router: str) -> None:
        family = "-6" if ":" in router else "-4"
        self.ip(family, "route", "add", "default", "via", router)

    def set_sysctl(self, name: str, value: str) -> None:
        """Write a setting of this namespace, `name` as sysctl(8) prints it."""
        self.run(["sh", "-c", 'printf "%s\\n" "$2" > "$1"', "sh", f"/proc/sys/{name.replace('.', '/')}", value])

    def forward(self) -> None:
        """Make a router of this host."""
        self.set_sysctl("net.ipv4.ip_forward", "1")
        self.set_sysctl("net.ipv6.conf.all.forwarding", "1")


def _set_namespace(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

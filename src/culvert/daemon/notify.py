"""What the service manager is told (sd_notify(3)); nothing where there is none."""

from __future__ import annotations

import os
import socket


class ServiceManager:
    """Sends states to the socket that systemd named."""

    def __init__(self, address: str | None) -> None:
        self._address = address

    @classmethod
    def of_environment(cls) -> ServiceManager:
        """Take the socket's name out of the environment, so that no child of ours believes it is meant."""
        return cls(os.environ.pop("NOTIFY_SOCKET", None))

    def ready(self) -> None:
        self._send("READY=1\nSTATUS=The gateway is ready.")

    def reloading(self, now_ns: int) -> None:
        """Say that a reload begins; `ready` ends it. `now_ns` is the monotonic clock's."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now_ns // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.connect(address)
                sender.send(state.encode())
        except OSError:
            self._address = None

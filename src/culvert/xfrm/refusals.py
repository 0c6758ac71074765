"""What it means when the engine ends before it is ready, as problems that a person can act on."""

from __future__ import annotations

import re
from collections.abc import Callable

from culvert.errors import HostError, Problem
from culvert.reasons import Refusal
from culvert.xfrm.holders import Holder, holders_of_udp

EXIT_USAGE = 2
EXIT_REFUSED = 3


class EngineRefusedError(HostError):
    """The engine did not come up. `reason` is its word for the cause, None where there is none."""

    def __init__(self, problem: Problem, reason: Refusal | None = None) -> None:
        self.reason = reason
        super().__init__(problem)


def explain(line: str, exit_code: int, program: str) -> EngineRefusedError:
    """Turn the engine's last line and exit code into an error."""
    word, _, rest = line.partition(" ")
    explanation = _EXPLANATIONS.get(word)
    if explanation is not None:
        return EngineRefusedError(explanation(rest, program), Refusal(word) if word in set(Refusal) else None)
    if exit_code == EXIT_USAGE:
        what = f"the engine does not understand how it was called{': ' + line if line else ''}"
        return EngineRefusedError(
            Problem(what, program, "Engine and gateway must be of the same version: install both.")
        )
    ending = f"by signal {-exit_code}" if exit_code < 0 else f"with exit code {exit_code}"
    what = line or f"the engine ended {ending} before it was ready"
    return EngineRefusedError(Problem(what, program, "What it wrote to its log before says more."))


def _port_taken(rest: str, program: str) -> Problem:
    match = re.match(r"(\d{1,5})/udp", rest)
    if match is None:
        return Problem(
            f"{Refusal.PORT_TAKEN}: another program holds {rest or 'an IKE port'}", program, "Stop that program."
        )
    port = int(match[1])
    holders = holders_of_udp(port)
    who = ", ".join(str(holder) for holder in holders) or "another program"
    return Problem(f"{Refusal.PORT_TAKEN}: UDP port {port} is held by {who}", program, _how_to_stop(holders))


def _how_to_stop(holders: list[Holder]) -> str:
    if not holders:
        return "Find it with: ss -ulpn"
    names = {holder.name for holder in holders}
    if names <= {"charon", "charon-systemd", "starter"}:
        return "That is strongSwan. Stop it: systemctl disable --now strongswan strongswan-starter"
    if "pluto" in names:
        return "That is Libreswan. Stop it: systemctl disable --now ipsec"
    if "culvert-engine" in names:
        return "That is another gateway's engine. Stop it: culvert down"
    return f"Stop it, or ask its service to: kill {' '.join(str(holder.pid) for holder in holders)}"


def _no_tun_device(rest: str, program: str) -> Problem:
    return Problem(
        f"{Refusal.NO_TUN_DEVICE}: there is no TUN device: {rest}",
        program,
        "Load the driver: modprobe tun. Where the device file is missing: mkdir -p /dev/net && "
        "mknod /dev/net/tun c 10 200. In a container, start it with --device /dev/net/tun --cap-add NET_ADMIN.",
    )


def _no_permission(rest: str, program: str) -> Problem:
    return Problem(
        f"{Refusal.NO_PERMISSION}: the engine lacks a privilege: {rest}",
        program,
        "Run it as root, or with the capabilities CAP_NET_ADMIN, CAP_NET_RAW and CAP_NET_BIND_SERVICE.",
    )


def _socket_taken(rest: str, program: str) -> Problem:
    return Problem(f"{Refusal.SOCKET_TAKEN}: an engine runs already: {rest}", program, "End it first: culvert down")


def _host_refused(rest: str, program: str) -> Problem:
    what = f"{Refusal.HOST_REFUSED}: this host refuses something that the engine needs: {rest}"
    return Problem(what, program, "Look around: dmesg | tail")


_EXPLANATIONS: dict[str, Callable[[str, str], Problem]] = {
    Refusal.PORT_TAKEN: _port_taken,
    Refusal.NO_TUN_DEVICE: _no_tun_device,
    Refusal.NO_PERMISSION: _no_permission,
    "SOCKET_TAKEN": _socket_taken,
    "HOST_REFUSED": _host_refused,
}

"""The methods of the control socket: what each takes, who may call it, what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from culvert import __version__
from culvert.config.findings import UnusableError
from culvert.config.model import Peer
from culvert.control.links import from_document, to_document
from culvert.control.protocol import Code
from culvert.daemon.gateway import Gateway
from culvert.daemon.log_service import LogService
from culvert.daemon.parts import Ending, Phase
from culvert.daemon.server import MethodError
from culvert.errors import CulvertError, Problem
from culvert.ike.events import Connect, Disconnect, RekeyRequested
from culvert.ike.status import PeerState, PeerStatus
from culvert.reasons import Refusal

Params = Mapping[str, Any]
MAX_WAIT_S = 3600.0
"""Longest time that a client may ask us to wait for a peer."""
HOPELESS = frozenset(
    {
        Refusal.AUTHENTICATION_FAILED,
        Refusal.NO_PROPOSAL_CHOSEN,
        Refusal.PFS_MISMATCH,
        Refusal.TS_UNACCEPTABLE,
        Refusal.NO_SECRET,
        Refusal.NO_CERTIFICATE,
        Refusal.NO_SIGNATURE,
        Refusal.CERTIFICATE_UNTRUSTED,
        Refusal.CERTIFICATE_EXPIRED,
        Refusal.CERTIFICATE_NOT_YET_VALID,
        Refusal.CERTIFICATE_REVOKED,
        Refusal.CERTIFICATE_USAGE,
        Refusal.CERTIFICATE_CONSTRAINED,
        Refusal.CERTIFICATE_WEAK,
        Refusal.REVOCATION_UNKNOWN,
        Refusal.NAME_NOT_RESOLVED,
        Refusal.NO_ROUTE,
    }
)
"""What another attempt of the same kind will not mend: `connect` says it at once."""


class Service:
    """Answers requests about one gateway."""

    def __init__(self, gateway: Gateway, end: Callable[[Ending], Awaitable[None]]) -> None:
        self._gateway, self._end = gateway, end
        self._logs = LogService(gateway.journal)
        self._open: dict[str, Callable[[Params], Awaitable[Any]]] = {
            "status": self._status,
            "version": self._version,
            "links": self._links,
        }
        self._privileged: dict[str, Callable[[Params], Awaitable[Any]]] = {
            "down": self._down,
            "reload": self._reload,
            "connect": self._connect,
            "disconnect": self._disconnect,
            "rekey": self._rekey,
            "prove": self._prove,
            "gif_set": self._gif_set,
            "gif_delete": self._gif_delete,
            "settle": self._settle,
            "debug": self._logs.debug,
        }

    async def handle(self, method: str, params: Params, privileged: bool) -> Any:
        """Answer one request. Raise MethodError or CulvertError."""
        if method in self._privileged and not privileged:
            raise MethodError(Code.NOT_PERMITTED, f"only root may ask for `{method}`")
        if method == "log":
            if params.get("peer"):
                self._peer(params)
            return await self._logs.log(params, privileged)
        handler = self._open.get(method) or self._privileged.get(method)
        if handler is None:
            raise MethodError(Code.METHOD_NOT_FOUND, f"there is no method `{method}`")
        return await handler(params)

    async def _version(self, _params: Params) -> dict[str, Any]:
        return {"version": __version__}

    async def _status(self, params: Params) -> dict[str, Any]:
        document = await self._gateway.status()
        if "peer" in params:
            name = self._peer(params)
            document["peers"] = {name: document["peers"][name]}
        return document

    async def _links(self, _params: Params) -> dict[str, Any]:
        return {"gifs": [to_document(gif) for gif in self._gateway.applied.gateway.gifs]}

    async def _gif_set(self, params: Params) -> dict[str, Any]:
        document = params.get("gif")
        if not isinstance(document, dict):
            raise MethodError(Code.INVALID_PARAMS, "`gif` describes a link")
        try:
            gif = from_document(document)
        except UnusableError as failure:
            raise CulvertError(Problem(failure.what, what_to_do=failure.what_to_do)) from failure
        await self._gateway.set_link(gif)
        return {"gif": to_document(gif)}

    async def _gif_delete(self, params: Params) -> dict[str, Any]:
        name = params.get("name")
        if not isinstance(name, str):
            raise MethodError(Code.INVALID_PARAMS, "`name` is the name of a gif link")
        await self._gateway.delete_link(name)
        return {"name": name}

    async def _down(self, params: Params) -> dict[str, Any]:
        ending = _word(params, "ending", [ending.value for ending in Ending], Ending.OPEN.value)
        await self._end(Ending(ending))
        return {"ended": ending}

    async def _reload(self, _params: Params) -> dict[str, Any]:
        await self._gateway.reload()
        return {"peers": [peer.name for peer in self._gateway.applied.gateway.peers]}

    async def _connect(self, params: Params) -> dict[str, Any]:
        peer, timeout_s = self._peer(params), _seconds(params, "timeout_s", 30.0)
        try:
            async with asyncio.timeout(timeout_s):
                await self._gateway.perform(Connect(peer))
                status = await self._settled(peer)
        except TimeoutError:
            raise _not_up(peer, self._state(peer), f"it was not up after {timeout_s:g} seconds") from None
        if status.state is not PeerState.UP:
            raise _not_up(peer, status, status.message)
        return {"peer": peer, "state": status.state.value}

    async def _settled(self, peer: str) -> PeerStatus:
        """Wait until the peer is up, or the attempt that began now has failed for good."""
        while True:
            status = self._state(peer)
            up = status.state is PeerState.UP and self._gateway.engine_up
            failed = status.state is PeerState.DOWN and status.reason in HOPELESS
            if up or failed:
                return status
            if self._gateway.phase is not Phase.READY:
                raise CulvertError(Problem("the gateway is ending", what_to_do="Start it again: culvert up."))
            await self._gateway.changed()

    async def _disconnect(self, params: Params) -> dict[str, Any]:
        peer = self._peer(params)
        await self._gateway.perform(Disconnect(peer))
        return {"peer": peer}

    async def _rekey(self, params: Params) -> dict[str, Any]:
        peer, child = self._peer(params), params.get("child")
        names = [known.name for known in self._configured(peer).children]
        if child is not None and child not in names:
            raise _unknown("child", str(child), names)
        await self._gateway.perform(RekeyRequested(peer, child, params.get("ike") is True))
        return {"peer": peer}

    async def _prove(self, params: Params) -> dict[str, Any]:
        return await self._gateway.prove(self._configured(self._peer(params)))

    async def _settle(self, _params: Params) -> dict[str, Any]:
        await self._gateway.settle()
        return {"policies": self._gateway.policies()}

    def _peer(self, params: Params) -> str:
        name = params.get("peer")
        if not isinstance(name, str):
            raise MethodError(Code.INVALID_PARAMS, "`peer` is the name of a peer")
        return self._configured(name).name

    def _configured(self, name: str) -> Peer:
        gateway = self._gateway.applied.gateway
        peer = gateway.peer(name)
        if peer is None:
            raise _unknown("peer", name, [known.name for known in gateway.peers])
        return peer

    def _state(self, peer: str) -> PeerStatus:
        found = (status for status in self._gateway.peers() if status.name == peer)
        return next(found, PeerStatus(peer, PeerState.DOWN))


def _not_up(peer: str, status: PeerStatus, message: str) -> MethodError:
    reason = status.reason.value if status.reason else ""
    detail = status.message or message
    problem = Problem(
        f"{peer} is not up: {detail}", reason, "`culvert status` shows what happens; the log has the steps."
    )
    return MethodError.of_problems(CulvertError(problem), reason)


def _unknown(kind: str, name: str, known: list[str]) -> CulvertError:
    listed = ", ".join(known) or "none"
    return CulvertError(Problem(f"there is no {kind} {name!r}", what_to_do=f"Configured: {listed}."))


def _word(params: Params, name: str, allowed: list[str], default: str) -> str:
    value = params.get(name, default)
    if value not in allowed:
        raise MethodError(Code.INVALID_PARAMS, f"`{name}` is one of {', '.join(allowed)}")
    return str(value)


def _seconds(params: Params, name: str, default: float) -> float:
    value = params.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_WAIT_S:
        raise MethodError(Code.INVALID_PARAMS, f"`{name}` is a number of seconds up to {MAX_WAIT_S:g}")
    return float(value)

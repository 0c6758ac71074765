"""The same XFRM messages to any data plane, and what it answers: octets in, octets out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from culvert.xfrm.errors import XfrmError
from culvert.xfrm.exchanges import Exchanges
from culvert.xfrm.transport import Transport

ACKNOWLEDGED, ANSWERED, DUMPED = "acknowledged", "answered", "dumped"


@dataclass(frozen=True, slots=True)
class Request:
    """One message. `wants` is how it is answered: with an acknowledgement, one message, or a dump."""

    kind: int
    body: bytes = b""
    wants: str = ACKNOWLEDGED


@dataclass(frozen=True, slots=True)
class Reply:
    """`errno` 0 where it was done; `bodies` are those of the messages that came."""

    errno: int
    bodies: tuple[bytes, ...] = ()
    text: str = ""


async def converse(transport: Transport, requests: list[Request]) -> list[Reply]:
    """Ask one after the other. What the plane says on its own is not listened to."""
    exchanges = Exchanges(transport, lambda _: None)
    try:
        return [await _ask(exchanges, request) for request in requests]
    finally:
        exchanges.close()


async def _ask(exchanges: Exchanges, request: Request) -> Reply:
    try:
        if request.wants == ANSWERED:
            return Reply(0, ((await exchanges.answered(request.kind, request.body)).body,))
        if request.wants == DUMPED:
            return Reply(0, tuple(message.body for message in await exchanges.dumped(request.kind)))
        await exchanges.acknowledged(request.kind, request.body)
    except XfrmError as error:
        return Reply(error.errno, text=str(error))
    return Reply(0)


def requests_to_json(requests: list[Request]) -> list[dict[str, Any]]:
    """Give what `requests_from_json` reads."""
    return [asdict(request) | {"body": request.body.hex()} for request in requests]


def requests_from_json(texts: list[dict[str, Any]]) -> list[Request]:
    """The other way round."""
    return [Request(**text | {"body": bytes.fromhex(text["body"])}) for text in texts]


def replies_to_json(replies: list[Reply]) -> list[dict[str, Any]]:
    """Give what `replies_from_json` reads."""
    return [asdict(reply) | {"bodies": [body.hex() for body in reply.bodies]} for reply in replies]


def replies_from_json(texts: list[dict[str, Any]]) -> list[Reply]:
    """The other way round."""
    return [Reply(**text | {"bodies": tuple(bytes.fromhex(body) for body in text["bodies"])}) for text in texts]

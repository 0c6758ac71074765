"""What names stand for: asked anew at each attempt, by few questions at a time, and remembered for when nobody answers.

A link that is away takes the resolver with it. So a name that was known is waited for a moment only; what it stood for
serves until the answer comes, which is told then if it is another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address

from culvert.addresses import IKE_PORT, IPAddress

LOOKUP_S = 10.0
"""How long a name may take: the system's resolver gives up after about as long."""
MAX_LOOKUPS = 8
"""Names that are looked up at once; each takes a thread, for as long as the system's resolver likes."""
FRESH_S = 1.0
"""For how long one answer serves all who ask."""
PATIENCE_S = 1.0
"""How long a name that was known is waited for before what it stood for is used."""
RESOLVER_OPTIONS = "timeout:1 attempts:4"
"""For resolv.conf(5), where nobody has set other ones: a lost question is repeated after a second, not after five."""

Answer = asyncio.Future[list[IPAddress]]


class SystemNames:
    """The system's resolver. Its questions cannot be taken back, so each has a thread that nobody has to wait for."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, Answer]] = deque()
        self._running = 0
        os.environ.setdefault("RES_OPTIONS", RESOLVER_OPTIONS)

    def lookup(self, name: str) -> Answer:
        """Begin to look a name up. The answer is an OSError, or a TimeoutError after LOOKUP_S, where it has none."""
        loop = asyncio.get_running_loop()
        answer: Answer = loop.create_future()
        loop.call_later(LOOKUP_S, _give_up, answer)
        self._waiting.append((name, answer))
        self._begin()
        return answer

    def _begin(self) -> None:
        while self._waiting and self._running < MAX_LOOKUPS:
            name, answer = self._waiting.popleft()
            if not answer.done():
                self._running += 1
                threading.Thread(target=self._ask, args=(name, answer), name=f"look up {name}", daemon=True).start()

    def _ask(self, name: str, answer: Answer) -> None:
        found: list[IPAddress] | OSError
        try:
            found = _lookup(name)
        except OSError as error:
            found = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            answer.get_loop().call_soon_threadsafe(self._tell, answer, found)

    def _tell(self, answer: Answer, found: list[IPAddress] | OSError) -> None:
        self._running -= 1
        if not answer.done():
            if isinstance(found, OSError):
                answer.set_exception(found)
            else:
                answer.set_result(found)
        self._begin()


def _give_up(answer: Answer) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())


def _lookup(name: str) -> list[IPAddress]:
    try:
        entries = socket.getaddrinfo(name, IKE_PORT, type=socket.SOCK_DGRAM)
    except UnicodeError:
        raise OSError(socket.EAI_NONAME, "it is no name of a host") from None
    return list(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in entries))


@dataclass(slots=True)
class Names:
    """Shares questions among those who ask the same, and remembers the last good answers."""

    lookup: Callable[[str], Answer]
    fresh_s: float = FRESH_S
    patience_s: float = PATIENCE_S
    known: dict[str, list[IPAddress]] = field(default_factory=dict)
    _asked: dict[str, tuple[float, Answer]] = field(default_factory=dict)

    def ask(self, name: str) -> Answer:
        """Give the answer under way, or one that is hardly old, or begin a question. Never await it bare."""
        now = asyncio.get_running_loop().time()
        asked = self._asked.get(name)
        if asked is not None and (not asked[1].done() or now - asked[0] < self.fresh_s):
            return asked[1]
        answer = self.lookup(name)
        self._asked[name] = (now, answer)
        answer.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # it is said when it is read
        return answer

    async def wait(self, names: Iterable[str]) -> bool:
        """Ask for names; return when all are answered, or soon where what they stood for is known. Tell which it is."""
        answers = {name: self.ask(name) for name in names}
        if not answers:
            return True
        unknown = [answer for name, answer in answers.items() if name not in self.known]
        if unknown:
            await asyncio.wait(unknown)
        _, pending = await asyncio.wait(answers.values(), timeout=self.patience_s)
        return not pending

    async def settled(self, names: Iterable[str]) -> None:
        """Return when nothing more is to come of names that were asked."""
        if answers := [self._asked[name][1] for name in names]:
            await asyncio.wait(answers)

    def addresses(self, name: str) -> list[IPAddress]:
        """Give what a name stands for as far as it is known. Raise OSError or TimeoutError."""
        _, answer = self._asked[name]
        if not answer.done():
            return self._remembered(name, TimeoutError())
        error = answer.exception()
        if error is None:
            self.known[name] = answer.result()
            return self.known[name]
        return self._remembered(name, error)

    def _remembered(self, name: str, error: BaseException) -> list[IPAddress]:
        """Where nobody could answer, what a name stood for is better than nothing; where it is no more, that is so."""
        if name in self.known and (isinstance(error, TimeoutError) or _is_temporary(error)):
            return self.known[name]
        raise error


def _is_temporary(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in {socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_SYSTEM}

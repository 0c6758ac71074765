"""gif links that somebody made or changed while the gateway runs, laid over those of the file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from culvert.config.gifs import flaws
from culvert.config.model import Gateway, Gif
from culvert.errors import ConfigurationError, CulvertError, Problem


class RuntimeLinks:
    """By name: a link as it is to be, None where it is not to be. They last until the gateway ends.

    A link that a file mentions is the file's again when the file is read again.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, Gif | None] = {}

    def over(self, gateway: Gateway) -> Gateway:
        """Give the gateway with these links."""
        links = {gif.name: gif for gif in gateway.gifs}
        for name, gif in self._by_name.items():
            links.pop(name, None)
            if gif is not None:
                links[name] = gif
        return replace(gateway, gifs=tuple(links.values()))

    def put(self, gateway: Gateway, gif: Gif) -> None:
        """Make a link, or change it. Raise ConfigurationError where it fits neither itself nor the others."""
        others = [other for other in self.over(gateway).gifs if other.name != gif.name]
        found = [flaw for flaw in flaws([*others, gif]) if flaw.gif == gif.name]
        if found:
            raise ConfigurationError([Problem(flaw.what, gif.name, flaw.what_to_do) for flaw in found])
        self._by_name[gif.name] = gif

    def remove(self, gateway: Gateway, name: str) -> None:
        """Take a link away. Raise CulvertError where there is none."""
        known = [gif.name for gif in self.over(gateway).gifs]
        if name not in known:
            listed = ", ".join(known) or "none"
            raise CulvertError(Problem(f"there is no gif link {name}", "ifconfig", f"There is: {listed}."))
        self._by_name[name] = None

    def adopt(self, gateway: Gateway, found: Iterable[Gif]) -> None:
        """Keep what a former process was told, where the file says nothing of it."""
        named = {gif.name for gif in gateway.gifs}
        self._by_name.update({gif.name: gif for gif in found if gif.name not in named})

    def reread(self, gateway: Gateway) -> None:
        """Let the file have its links back."""
        for gif in gateway.gifs:
            self._by_name.pop(gif.name, None)

    def snapshot(self) -> dict[str, Gif | None]:
        return dict(self._by_name)

    def restore(self, before: dict[str, Gif | None]) -> None:
        """Forget what was tried in vain."""
        self._by_name = before

"""`culvert demo`."""

from __future__ import annotations

import json
import signal
from types import FrameType
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from culvert.cli.options import directories, json_flag

if TYPE_CHECKING:
    from culvert.lab.demo.outcome import Outcome, Outside, Step
    from culvert.lab.demo.story import Story

SCENARIOS = ("offices", "chapter")
STORIES = "`offices`: two gateways and IKE. `chapter`: the handbook's two steps by hand, gif and setkey."
PICTURE = """\
   the office                    the Internet                    the warehouse

  192.168.1.20                  +-----------+                     192.168.2.34
       |                        |           |                          |
  192.168.1.1        {carried}   |  somebody |   {carried}          192.168.2.1
   [gateway] 203.0.113.1 =======|  listens  |======= 198.51.100.1 [gateway]
                                +-----------+"""


@click.command()
@click.option("--scenario", type=click.Choice(SCENARIOS), default=SCENARIOS[0], show_default=True, help=STORIES)
@click.option("--keep", is_flag=True, help="Leave hosts and gateways standing, to look around in.")
@json_flag
@directories
@click.pass_context
def demo(context: click.Context, scenario: str, keep: bool, as_json: bool) -> None:
    """Join two networks on this machine, use them, and look at what a listener outside sees.

    Needs root, or a kernel that allows user namespaces. Everything is taken down again. Exit 0 if all of it held.
    """
    from culvert.errors import HostError
    from culvert.lab.demo.chapter import ChapterByHand
    from culvert.lab.demo.offices import Offices
    from culvert.lab.privilege import enter_user_namespace, missing

    if problems := missing():
        raise HostError(problems)
    enter_user_namespace()
    signal.signal(signal.SIGTERM, _interrupt)
    stories: dict[str, type[Story]] = {story.name: story for story in (Offices, ChapterByHand)}
    story = stories[scenario]
    demonstration = story(Quiet() if as_json else Stage(Console(highlight=False), story.carried), keep=keep)
    outcome = demonstration.run()
    if as_json:
        click.echo(json.dumps(outcome.document(story.next_step) | ({"kept": demonstration.kept} if keep else {})))
    else:
        _close(Console(highlight=False), outcome, demonstration)
    context.exit(0 if outcome.ok else 1)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class Quiet:
    """Watches and says nothing: the document at the end has it all."""

    def begins(self, title: str) -> None:
        pass

    def done(self, step: Step) -> None:
        pass

    def text(self, heading: str, lines: list[str]) -> None:
        pass


class Stage:
    """Shows the picture, and each step as it happens."""

    def __init__(self, console: Console, carried: str) -> None:
        self._console = console
        console.print("Two networks, joined over one that neither of them trusts.\n")
        console.print(Text(PICTURE.format(carried=carried), style="cyan"))
        console.print()

    def begins(self, title: str) -> None:
        if self._console.is_terminal:
            self._console.print(f"         {title} ...", end="\r")

    def done(self, step: Step) -> None:
        mark = Text("ok  ", style="green") if step.ok else Text("FAIL", style="bold red")
        self._console.print(Text(f"{step.at_s:5.1f} s  ").append(mark).append(f" {step.title}"), soft_wrap=True)
        if step.detail:
            self._console.print(Text(f"              {step.detail}", style="dim" if step.ok else "red"), soft_wrap=True)

    def text(self, heading: str, lines: list[str]) -> None:
        self._console.print(Text(f"         {heading}:", style="dim"), soft_wrap=True)
        for line in lines:
            self._console.print(Text(f"            {line}", style="dim"), soft_wrap=True)


def _close(console: Console, outcome: Outcome, story: Story) -> None:
    if outcome.outside.esp_packets:
        console.print("\nWhat the listener saw:")
        for line in _outside(outcome.outside):
            console.print(Text(f"  {line}"), soft_wrap=True)
    if outcome.verdicts:
        console.print("\nculvert prove:")
        for gateway, verdict in outcome.verdicts.items():
            console.print(Text(f"  {gateway}: {'proven' if verdict.get('ok') else 'NOT proven'}"))
            for check in _checks(verdict):
                console.print(Text(f"    {check}", style="dim"), soft_wrap=True)
    if story.kept:
        console.print("\nLeft standing:")
        for line in story.kept:
            console.print(Text(f"  {line}"), soft_wrap=True)
    console.print()
    console.print("All of it held." if outcome.ok else "It did not hold: see above.")
    console.print(story.next_step, soft_wrap=True)


def _outside(outside: Outside) -> list[str]:
    lines = [
        _kind("ESP", outside.esp_packets, outside.esp_octets),
        _kind("IKE", outside.ike_packets, outside.ike_octets),
        f"else {outside.other_packets:6} packets",
        *(f"  {line}" for line in outside.excerpt),
        f"the payload, looked for in every octet: found in {outside.found} packets",
    ]
    return [*lines, f"{outside.missed} packets passed too fast to be kept"] if outside.missed else lines


def _kind(name: str, packets: int, octets: tuple[int, int]) -> str:
    sizes = f" of {octets[0]} to {octets[1]} octets" if packets else ""
    return f"{name:4} {packets:6} packets{sizes}"


def _checks(verdict: dict[str, object]) -> list[str]:
    peers = verdict.get("peers")
    found: list[str] = []
    for peer in peers.values() if isinstance(peers, dict) else [verdict]:
        checks = peer.get("checks") if isinstance(peer, dict) else None
        for check in checks if isinstance(checks, list) else []:
            found.append(f"{'good' if check.get('ok') else 'BAD '} {check.get('message', '')}")
    return found

"""What must agree inside of one endpoint: indices with what they point at, timers with their owners, bounds."""

from __future__ import annotations

from collections.abc import Iterator

from culvert.ike.timers import Owner, Timer
from culvert.ike.v2 import keeping
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import IkeSa, IkeState, Lineage
from culvert.sim import bounds
from culvert.sim.broken import Broken

OF_PEERS = (Timer.RECONNECT, Timer.NEXT_PATH, Timer.CHILD_CHECK, Timer.SETTLE)
OF_LINEAGES = (Timer.TASK_RETRY, Timer.CERTIFICATE)
OF_CHILDREN = (Timer.ANEW, Timer.CHILD_REKEY, Timer.CHILD_HARD, Timer.OUTBOUND_SWITCH, Timer.PFS_TRIAL)
ASKING = (IkeState.INIT_SENT, IkeState.AUTH_SENT, IkeState.DELETING)


def check(name: str, ctx: Context) -> None:
    """Raise Broken with the first thing that does not agree."""
    for problem in _problems(ctx):
        raise Broken(f"{name}: {problem}")


def check_kept(name: str, ctx: Context) -> None:
    """Every checkpoint is what a lineage is. Repeated answers to strangers are counted in memory alone."""
    if not any(sa.window.astray for sa in ctx.sas.values()) and keeping.behind(ctx):
        raise Broken(f"{name}: a lineage is no longer as its checkpoint has it")


def _problems(ctx: Context) -> Iterator[str]:
    yield from bounds.exceeded(ctx)
    for lineage in ctx.lineages.values():
        yield from _of_lineage(ctx, lineage)
    for sa in ctx.sas.values():
        yield from _of_ike_sa(ctx, sa)
    yield from _of_owners(ctx)
    yield from _of_timers(ctx)
    if ctx.outcomes or ctx.dirty:
        yield "an event that left something to do"


def _of_lineage(ctx: Context, lineage: Lineage) -> Iterator[str]:
    number = lineage.number
    if not lineage.members:
        yield f"lineage {number} has no IKE SA"
    for spi in lineage.members:
        if spi not in ctx.sas or ctx.sas[spi].lineage != number:
            yield f"lineage {number} has an IKE SA {spi.hex()} that is not there"
    if lineage.current not in lineage.members and not lineage.closing:
        yield f"lineage {number} lives without a current IKE SA"
    for spi_in, child in lineage.children.items():
        if child.spi_in != spi_in or ctx.child_owners.get(spi_in) != number:
            yield f"child 0x{spi_in:08x} has another owner"
    yield from _of_children(lineage)


def _of_children(lineage: Lineage) -> Iterator[str]:
    """A lineage sends on one child for each name, but for a moment after both ends made one at once."""
    outbound = [child.outbound.id for child in lineage.children.values()]
    if len(dict.fromkeys(outbound)) != len(outbound):
        yield f"lineage {lineage.number} has two children with one outbound SPI"
    for child in lineage.children.values():
        heir = lineage.children.get(child.replaced_by or 0)
        if child.replaced_by is not None and heir is child:
            yield f"child 0x{child.spi_in:08x} replaces itself"


def _of_ike_sa(ctx: Context, sa: IkeSa) -> Iterator[str]:
    spi = sa.spi.hex()
    if ctx.sas.get(sa.spi) is not sa:
        yield f"IKE SA {spi} is entered under another SPI"
    lineage = ctx.lineages.get(sa.lineage)
    closed = sa.state is IkeState.CLOSED
    if not closed and (lineage is None or sa.spi not in lineage.members):
        yield f"IKE SA {spi} is {sa.state} and belongs to nobody"
    if closed and ctx.timers.at(Timer.IKE_LINGER, spi) is None:
        yield f"IKE SA {spi} is closed and stays for ever"
    if sa.state is IkeState.REPLACED and ctx.timers.at(Timer.IKE_LINGER, spi) is None:
        yield f"IKE SA {spi} is replaced and stays for ever"
    if sa.state is IkeState.HALF_OPEN and ctx.timers.at(Timer.HALF_OPEN, spi) is None:
        yield f"IKE SA {spi} is half open for ever"
    if sa.window.outstanding is not None and ctx.timers.at(Timer.RETRANSMIT, spi) is None:
        yield f"IKE SA {spi} waits for an answer for ever"
    waiting = ctx.timers.at(Timer.LAST_CHANCE, spi) is not None
    if sa.state in ASKING and sa.window.outstanding is None and not waiting:
        yield f"IKE SA {spi} is {sa.state} and asks nothing"


def _of_owners(ctx: Context) -> Iterator[str]:
    for spi, number in ctx.child_owners.items():
        lineage = ctx.lineages.get(number)
        if spi not in ctx.leaving and (lineage is None or spi not in lineage.children):
            yield f"inbound SPI 0x{spi:08x} belongs to a child that is gone"
    for peer, numbers in ctx.by_peer.items():
        if any(number not in ctx.lineages for number in numbers):
            yield f"{peer} has lineages that are gone"
    if any(known not in ctx.sas for known in ctx.first_messages.values()):
        yield "a first message belongs to an IKE SA that is gone"


def _of_timers(ctx: Context) -> Iterator[str]:
    for _, (timer, owner) in ctx.timers.instants():
        if not _owned(ctx, timer, owner):
            yield f"the timer {timer} of {owner} has outlived its owner"


def _owned(ctx: Context, timer: Timer, owner: Owner) -> bool:
    if timer in OF_PEERS:
        return owner in ctx.peers
    if timer in OF_LINEAGES:
        return owner in ctx.lineages
    if timer is Timer.RETIRE:
        return owner in ctx.inherited
    if timer is Timer.INBOUND_GRACE:
        return owner in ctx.leaving
    if timer in OF_CHILDREN:
        return owner in ctx.child_owners
    return isinstance(owner, str) and bytes.fromhex(owner) in ctx.sas

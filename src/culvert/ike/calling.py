"""Setting a tunnel up: names and ways asked for, addresses called one after the other, and again after a failure.

Addresses are called in their order, a little after each other; who was called may still answer while the next one is,
and the first that answers is taken. A peer that is silent is called again and again, at the rate of its repeated
requests; one that refuses, ever more rarely.
"""

from __future__ import annotations

from culvert.clock import SECOND
from culvert.config.model import Start
from culvert.entropy import below
from culvert.ike.actions import ResolvePath
from culvert.ike.events import PathFailed, PathResolved
from culvert.ike.logs import DEBUG, WARNING
from culvert.ike.records import Path, PeerRecord, start_of
from culvert.ike.retransmission import stretched
from culvert.ike.timers import Timer
from culvert.ike.v2 import lineages, proof, requests
from culvert.ike.v2.context import Context
from culvert.ike.v2.exchanges import ike_sa_init
from culvert.ike.v2.sa import IkeSa, IkeState
from culvert.reasons import Refusal

V2 = 2
"""The version of IKE that is spoken here."""
STAGGER_NS = SECOND
"""How long the next address waits while those called before are silent (as RFC 8305 section 5 has it)."""
APART_NS = SECOND
"""How far apart two calls of one peer are, whatever asks for them."""
ASK_NAME_NS = 4 * SECOND
"""How often a name is asked again while its peer is silent."""
SEEK_NS = 4 * SECOND
"""How often strangers make us ask for the name of one peer."""
ASK_ROUTE_NS = 10 * SECOND
"""How often a peer without a way is tried; a change of the host's routes is told besides."""
SOON_NS = SECOND // 4
"""Within this time a peer is called that was silent or is gone."""
MAX_BACK_OFF_S = 60
MAX_PROMPT_NAMES = 100
"""Peers without an address whose names are asked as often as that of one alone."""
WITHOUT_WORD = (Refusal.NO_RESPONSE, Refusal.PEER_DEAD, Refusal.PEER_RESTARTED)
"""Failures by silence, or by having been away: they say nothing against the next call."""


def call(ctx: Context, record: PeerRecord) -> None:
    """Set a tunnel up, unless that is under way or is not wanted."""
    peer = record.peer
    if not record.wanted() or not peer.addresses or peer.ike != V2 or _asked(ctx, record):
        return
    due = _due(ctx, record)
    if ctx.now < due:
        ctx.timers.set(Timer.RECONNECT, peer.name, due)
        return
    ctx.timers.clear(Timer.RECONNECT, peer.name)
    resolve(ctx, record)


def _due(ctx: Context, record: PeerRecord) -> int:
    """Give when the next call may be. Where IKE SAs stand and are silent, the more of them the later: a network that
    loses most of everything is not helped by ever new ones.
    """
    after_call = record.called_at + APART_NS if record.called_at else 0
    live = ctx.live(record.peer.name)
    return max(after_call, live[-1].established_at + (APART_NS << (len(live) - 1))) if live else after_call


def call_anew(ctx: Context, record: PeerRecord) -> None:
    """The ways are others: where a call is under way or waits, ask for them at once. Who refused us still does."""
    waiting = ctx.timers.at(Timer.RECONNECT, record.peer.name) is not None and not record.refusals
    if record.wanted() and (waiting or record.resolving or record.attempts):
        ctx.timers.clear(Timer.RECONNECT, record.peer.name)
        for spi in record.attempts:
            requests.hasten(ctx, ctx.sas[spi], APART_NS)
        record.resolving = False
        resolve(ctx, record)


def resolve(ctx: Context, record: PeerRecord) -> None:
    """Ask where the peer is, unless that is being asked."""
    if not record.resolving:
        record.resolving = True
        ctx.emit(ResolvePath(record.peer.name, record.peer.addresses))
        ctx.changed(record.peer.name)


def seek(ctx: Context) -> None:
    """A stranger called, who may be a peer whose name has another address by now: it is known at its next call."""
    for record in ctx.peers.values():
        peer, due = record.peer, not record.sought_at or ctx.now >= record.sought_at + SEEK_NS
        if record.named and peer.identity is None and due and not record.ended:
            if ctx.searches.slot(ctx.now) is None:
                return
            record.sought_at = ctx.now
            resolve(ctx, record)


def _asked(ctx: Context, record: PeerRecord) -> list[IkeSa]:
    """Give the set-ups to which nothing was answered yet."""
    found = (ctx.sas.get(spi) for spi in record.attempts)
    return [sa for sa in found if sa is not None and sa.state is IkeState.INIT_SENT]


def path_resolved(ctx: Context, event: PathResolved) -> None:
    """Call over the ways that were found; who was called over others is left alone."""
    record = ctx.peers.get(event.peer)
    if record is None:
        return
    record.resolving = False
    ctx.peers.learn(record, event.paths)
    if not record.wanted() or ctx.answers(event.peer):
        return
    called = [(sa, (sa.local.ip, sa.remote.ip)) for sa in _asked(ctx, record)]
    _forget(ctx, record, [sa for sa, path in called if path not in event.paths])
    record.untried = [path for path in event.paths if path not in [known for _, known in called]]
    go_on(ctx, record)


def path_failed(ctx: Context, event: PathFailed) -> None:
    """Who is called already may answer yet; else try again later."""
    record = ctx.peers.get(event.peer)
    if record is None:
        return
    record.resolving = False
    news = record.reason is not event.reason
    ctx.log(event.peer, event.message, event.reason, WARNING if news else DEBUG)
    if not record.attempts and not ctx.answers(event.peer):
        failed(ctx, record, event.reason, event.message)


def go_on(ctx: Context, record: PeerRecord) -> None:
    """Call over the next way that was not tried; after the last one ask for names again, or fail."""
    wanted = record.wanted()
    if not wanted or ctx.answers(record.peer.name):
        return
    lacking = proof.lack(record.peer)
    if lacking is not None:
        failed(ctx, record, *lacking)
    elif record.untried:
        _call(ctx, record, record.untried.pop(0), wanted[0].name)
    elif record.attempts:
        _ask_name(ctx, record)
    else:
        failed(ctx, record, record.reason or Refusal.NO_ROUTE, record.message or "no address to call")


def _call(ctx: Context, record: PeerRecord, path: Path, child: str) -> None:
    sa = ike_sa_init.initiate(ctx, record, path, child)
    if sa is None:
        failed(ctx, record, Refusal.NO_PROPOSAL_CHOSEN, "no proposal of ours has a key exchange")
        return
    record.attempts[sa.spi] = None
    record.called_at = ctx.now
    if record.untried:
        ctx.timers.set(Timer.NEXT_PATH, record.peer.name, ctx.now + STAGGER_NS)
    else:
        _ask_name(ctx, record)
    ctx.changed(record.peer.name)


def _ask_name(ctx: Context, record: PeerRecord) -> None:
    if record.named:
        wait = stretched(ASK_NAME_NS, ctx.timers.count(Timer.NEXT_PATH), MAX_PROMPT_NAMES)
        ctx.timers.set(Timer.NEXT_PATH, record.peer.name, ctx.now + wait)


def next_path(ctx: Context, record: PeerRecord) -> None:
    """The addresses called so far are silent: call the next, or see whether the name has another one."""
    if record.untried:
        go_on(ctx, record)
    elif record.attempts and record.wanted() and not ctx.answers(record.peer.name):
        resolve(ctx, record)


def reached(ctx: Context, record: PeerRecord) -> None:
    """Somebody answered: the other addresses wait until that has come to nothing."""
    others = _asked(ctx, record)
    record.untried += [(sa.local.ip, sa.remote.ip) for sa in others]
    _forget(ctx, record, others)
    ctx.timers.clear(Timer.NEXT_PATH, record.peer.name)


def withdraw(ctx: Context, record: PeerRecord) -> None:
    """There is a tunnel. Where our own set-up has not come to IKE_AUTH, nobody misses it."""
    _forget(ctx, record, _asked(ctx, record))
    record.untried = []
    for timer in (Timer.RECONNECT, Timer.NEXT_PATH):
        ctx.timers.clear(timer, record.peer.name)


def _forget(ctx: Context, record: PeerRecord, attempts: list[IkeSa]) -> None:
    for sa in attempts:
        record.attempts.pop(sa.spi, None)
        ctx.lineage_of(sa).closing = True
        lineages.forget(ctx, sa)


def set_up_failed(ctx: Context, record: PeerRecord, reason: Refusal, message: str) -> None:
    """One set-up came to nothing; others may be under way."""
    record.attempts = {spi: None for spi in record.attempts if _goes_on(ctx, spi)}
    if record.ended or ctx.answers(record.peer.name):
        return
    record.fail(reason, message)
    if record.untried:
        go_on(ctx, record)
    elif not record.attempts:
        failed(ctx, record, reason, message)


def _goes_on(ctx: Context, spi: bytes) -> bool:
    sa = ctx.sas.get(spi)
    lineage = ctx.lineages.get(sa.lineage) if sa else None
    return lineage is not None and not lineage.closing


def failed(ctx: Context, record: PeerRecord, reason: Refusal, message: str) -> None:
    """Remember why, and call again where the tunnel is always to be there."""
    peer = record.peer
    record.fail(reason, message)
    record.not_before = ctx.now + _wait(ctx, record, reason)
    ctx.timers.clear(Timer.NEXT_PATH, peer.name)
    always = any(start_of(peer, child) is Start.ALWAYS for child in peer.children)
    if not always:
        record.demanded = {}
    elif not record.ended and peer.addresses:
        ctx.timers.set(Timer.RECONNECT, peer.name, record.not_before)
    ctx.changed(peer.name)


def _wait(ctx: Context, record: PeerRecord, reason: Refusal) -> int:
    """Give the time until the next call: hardly any after silence, longer and longer after refusals."""
    if reason in WITHOUT_WORD:
        return ctx.jittered(SOON_NS, 100)
    if reason is Refusal.NO_ROUTE:
        return ctx.jittered(ASK_ROUTE_NS, 30)
    if reason is Refusal.NAME_NOT_RESOLVED:
        return ctx.jittered(stretched(ASK_NAME_NS, ctx.timers.count(Timer.RECONNECT), MAX_PROMPT_NAMES), 30)
    record.refusals += 1
    whole = min(1 << min(record.refusals - 1, 6), MAX_BACK_OFF_S) * SECOND
    return whole - below(ctx.entropy, whole // 2)

"""Shows that nothing between two networks can be read outside: probes, a capture meanwhile, and a verdict.

1. Listen on every interface towards the Internet.
2. Send packets with random octets from an address of ours to one of the peer's side: echo requests, and wait for the
   replies, or where these are not protected, what is.
3. Look at the fence and the steering.
4. Judge all of it, one file for each check.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from culvert.addresses import IPAddress, unspecified_like
from culvert.capture.packets import Captured
from culvert.capture.summary import summarise
from culvert.entropy import Entropy, RealEntropy
from culvert.proof.checks import clear, complete, encrypted, fence, probed, returned, steering, texture, unreadable
from culvert.proof.choice import choose, first_host
from culvert.proof.evidence import Evidence
from culvert.proof.host import Host, RealHost
from culvert.proof.protection import Flow, plain
from culvert.proof.subject import BETWEEN_NETWORKS, MARKER_OCTETS, PROTECTED, Check, Findings, Probe, Subject, Verdict

PROBES = 5
MARKERS_IN_A_PROBE = 8
"""The same 32 octets over and over: what is readable, or a cipher that repeats itself, then shows."""
REPLY_TIMEOUT_S = 2.0
EXCERPT_LINES = 12

Judge = Callable[[Subject, Evidence], Check]
JUDGES: tuple[Judge, ...] = (
    probed.judge,
    unreadable.judge,
    encrypted.judge,
    clear.judge,
    texture.judge,
    fence.judge,
    steering.judge,
    complete.judge,
    returned.judge,
)
REQUIRED = frozenset({probed.NAME, unreadable.NAME, encrypted.NAME})
"""Checks that must have been shown; of the others it is enough that none failed."""


async def prove(subject: Subject, host: Host | None = None, entropy: Entropy | None = None) -> Verdict:
    """Prove, or say what is missing. Raise HostError where this host lets nobody listen."""
    host, entropy = host or RealHost(), entropy or RealEntropy()
    flow = choose(subject)
    subject = _with_remote_address(subject, flow)
    with ExitStack() as stack:
        taps = [stack.enter_context(host.listen(interface)) for interface in subject.outside]
        probes = await _probe(flow, host, entropy) if flow else _untried(subject)
        fence_found, steering_found = await host.fence(), await host.steering(*_ends(subject))
        packets = [captured for tap in taps for captured in tap.take()]
        lost = sum(tap.lost() for tap in taps)
    packets.sort(key=lambda captured: captured.time_ns)
    return judge(subject, Evidence(probes, tuple(packets), lost, fence_found, steering_found, flow))


def judge(subject: Subject, evidence: Evidence) -> Verdict:
    """Weigh the evidence, without looking at the host again."""
    checks = tuple(one(subject, evidence) for one in JUDGES)
    ok = all(check.ok is True if check.name in REQUIRED else check.ok is not False for check in checks)
    scope = BETWEEN_NETWORKS if all(plain(selector) for selector in subject.protected) else PROTECTED
    return Verdict(subject.peer, ok, checks, _findings(subject, evidence), scope)


def as_json(verdict: Verdict) -> dict[str, Any]:
    """Give the verdict as values that JSON has."""
    return dataclasses.asdict(verdict) | {"message": verdict.message}


def _with_remote_address(subject: Subject, flow: Flow | None) -> Subject:
    if flow is not None:
        return dataclasses.replace(subject, remote_address=flow.destination)
    if subject.remote_address is not None or not subject.remote_networks:
        return subject
    local = subject.local_address
    same = [one for one in subject.remote_networks if local is None or one.version == local.version]
    return dataclasses.replace(subject, remote_address=first_host((same or list(subject.remote_networks))[0]))


def _ends(subject: Subject) -> tuple[IPAddress, IPAddress]:
    if subject.remote_address is None:
        raise ValueError("a peer without networks has nothing to prove")
    return subject.local_address or unspecified_like(subject.remote_address), subject.remote_address


def _untried(subject: Subject) -> tuple[Probe, ...]:
    """Give a probe that says why there is none; nothing where there is no address to send one from."""
    source, destination = subject.local_address, subject.remote_address
    if source is None or destination is None or source.version == destination.version:
        return ()
    return (Probe(1, b"", f"{destination} is of another family than {source}"),)


async def _probe(flow: Flow, host: Host, entropy: Entropy) -> tuple[Probe, ...]:
    payloads = [entropy.octets(MARKER_OCTETS) * MARKERS_IN_A_PROBE for _ in range(PROBES)]
    try:
        prober = host.prober(flow)
    except OSError as error:
        return (Probe(1, payloads[0], error.strerror or str(error)),)
    try:
        errors = [prober.send(sequence, payload) for sequence, payload in enumerate(payloads, 1)]
        sent = sum(not error for error in errors)
        answered = await prober.replies(sent, REPLY_TIMEOUT_S) if sent else {}
    finally:
        prober.close()
    return tuple(
        Probe(sequence, payload, error, answered.get(sequence))
        for sequence, (payload, error) in enumerate(zip(payloads, errors, strict=True), 1)
    )


def _findings(subject: Subject, evidence: Evidence) -> Findings:
    return Findings(
        probed=str(subject.remote_address),
        probes_sent=sum(probe.sent for probe in evidence.probes),
        probes_answered=sum(probe.answered_ns is not None for probe in evidence.probes),
        packets=len(evidence.packets),
        octets=sum(len(captured.octets) for captured in evidence.packets),
        esp_out=len(evidence.esp(subject.spis_out, outgoing=True)),
        esp_in=len(evidence.esp(subject.spis_in, outgoing=False)),
        clear=_lines(list(clear.seen(subject, evidence))),
        excerpt=_lines(evidence.packets),
    )


def _lines(packets: tuple[Captured, ...] | list[Captured]) -> tuple[str, ...]:
    return tuple(f"{captured.interface} {summarise(captured)}" for captured in packets[:EXCERPT_LINES])

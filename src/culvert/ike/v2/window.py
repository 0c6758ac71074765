"""Message IDs: each request once and in order, a repeated one answered with the same octets (RFC 7296 2.1 to 2.3)."""

from __future__ import annotations

import hashlib
from enum import Enum

from culvert.ike.v2.sa import ChildOffer, IkeOffer, Outstanding, Task, Window
from culvert.wire.isakmp.header import Header, peek

SPENT_FROM = 2**32 - 256
"""Message IDs from here on are left to what ends an IKE SA."""
RUNS_OUT_FROM = SPENT_FROM - 4_096
TRIES_APART = 256


class Verdict(Enum):
    """What a request is, judged by its message ID and octets."""

    NEW = "new"
    REPEATED = "repeated"
    REWRITTEN = "rewritten"
    OUTSIDE = "outside"


def judge(window: Window, message_id: int, data: bytes) -> Verdict:
    """Judge a request. A repeated one has the very octets of the last one, or of its first fragment.

    REWRITTEN is the same ID in other octets: a later fragment, the first one of another division, or a forgery.
    """
    if message_id == window.expected:
        return Verdict.NEW
    if message_id != window.expected - 1 or not window.last_response:
        return Verdict.OUTSIDE
    return Verdict.REPEATED if digest(data) == window.last_request else Verdict.REWRITTEN


def answered(window: Window, request: bytes, response: tuple[bytes, ...]) -> None:
    """Remember the answer to the expected request, of which `request` is the digest, and expect the next one."""
    window.expected += 1
    window.last_request = request
    window.last_response = response
    window.astray = 0


def digest(data: bytes) -> bytes:
    """Give what a datagram is remembered by: what comes from the network is not kept once it is answered."""
    return hashlib.sha256(data).digest()


def sent(window: Window, datagrams: tuple[bytes, ...], task: Task, offer: ChildOffer | IkeOffer | None) -> Outstanding:
    """Enter our request as the one under way."""
    if window.outstanding is not None:
        raise ValueError("a second request while one is under way")
    window.outstanding = Outstanding(window.next_request, datagrams, task, offer)
    window.next_request += 1
    return window.outstanding


def awaits(window: Window, header: Header) -> bool:
    """Tell whether a response with this header answers our request under way: its ID, and its exchange."""
    outstanding = window.outstanding
    if outstanding is None or outstanding.message_id != header.message_id:
        return False
    return peek(outstanding.datagrams[0]).exchange == header.exchange


def runs_out(window: Window) -> bool:
    """Tell whether the IKE SA should have a successor before its message IDs end, now and then (section 2.2)."""
    return window.next_request >= RUNS_OUT_FROM and window.next_request % TRIES_APART == 0


def spent(window: Window) -> bool:
    """Tell whether there are no message IDs left."""
    return window.next_request >= SPENT_FROM

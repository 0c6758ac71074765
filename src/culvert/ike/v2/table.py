"""Which exchange, with which payloads, is legal in which state (RFC 7296 section 1). What is not here is refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from culvert.ike.v2.reading import Contents
from culvert.ike.v2.sa import IkeState
from culvert.wire.isakmp.numbers import ExchangeType, PayloadType
from culvert.wire.isakmp.payload import Unknown

P = PayloadType
S = IkeState
E = ExchangeType


@dataclass(frozen=True, slots=True)
class Rule:
    """Payload types that a message must have once, and those that it may have once besides."""

    story: str
    required: tuple[PayloadType, ...] = ()
    optional: tuple[PayloadType, ...] = ()


_FIRST = Rule("algorithms, key exchange, nonce", (P.SA, P.KE, P.NONCE))
_COOKIE_ASKED = Rule("only notifications, such as COOKIE or an error")
_AUTH_REQUEST = Rule("who I am, the proof, the first child", (P.IDI, P.AUTH, P.SA, P.TSI, P.TSR), (P.IDR,))
_AUTH_NO_CHILD = Rule("who I am and the proof, without a child", (P.IDI, P.AUTH), (P.IDR,))
_AUTH_WITHOUT_PROOF = Rule("who I am, and no proof: the initiator asks for EAP", (P.IDI,), (P.IDR, P.SA, P.TSI, P.TSR))
_AUTH_RESPONSE = Rule("who I am, the proof, the first child", (P.IDR, P.AUTH, P.SA, P.TSI, P.TSR))
_AUTH_CHILDLESS = Rule("who I am, the proof, and why there is no child where one was asked for", (P.IDR, P.AUTH))
_CHILD = Rule("a child, new or in place of another", (P.SA, P.NONCE, P.TSI, P.TSR), (P.KE,))
_SUCCESSOR = Rule("a successor of the IKE SA", (P.SA, P.NONCE, P.KE))
_ONLY_NOTIFIED = Rule("only notifications")
_INFORMATIONAL = Rule("deletes and notifications, or nothing")

REPEATABLE = (P.NOTIFY, P.VENDOR_ID, P.CERT, P.CERTREQ, P.DELETE)
"""Payloads that may come any number of times, and everywhere; those without a meaning there are ignored."""

REQUESTS: dict[tuple[IkeState, ExchangeType], tuple[Rule, ...]] = {
    (S.HALF_OPEN, E.IKE_AUTH): (_AUTH_REQUEST, _AUTH_NO_CHILD, _AUTH_WITHOUT_PROOF),
    (S.ESTABLISHED, E.CREATE_CHILD_SA): (_SUCCESSOR, _CHILD),
    (S.ESTABLISHED, E.INFORMATIONAL): (_INFORMATIONAL,),
    (S.UNDECIDED, E.CREATE_CHILD_SA): (_SUCCESSOR, _CHILD),
    (S.UNDECIDED, E.INFORMATIONAL): (_INFORMATIONAL,),
    (S.REPLACED, E.CREATE_CHILD_SA): (_SUCCESSOR, _CHILD),
    (S.REPLACED, E.INFORMATIONAL): (_INFORMATIONAL,),
    (S.DELETING, E.CREATE_CHILD_SA): (_SUCCESSOR, _CHILD),
    (S.DELETING, E.INFORMATIONAL): (_INFORMATIONAL,),
}
"""What a peer may ask. What meets an exchange of ours, `collisions.py` decides."""

FIRST_REQUEST: tuple[Rule, ...] = (_FIRST,)
"""What may come where there is no IKE SA yet."""

RESPONSES: dict[tuple[IkeState, ExchangeType], tuple[Rule, ...]] = {
    (S.INIT_SENT, E.IKE_SA_INIT): (_FIRST, _COOKIE_ASKED),
    (S.AUTH_SENT, E.IKE_AUTH): (_AUTH_RESPONSE, _AUTH_CHILDLESS, _ONLY_NOTIFIED),
    (S.ESTABLISHED, E.CREATE_CHILD_SA): (_SUCCESSOR, _CHILD, _ONLY_NOTIFIED),
    (S.REPLACED, E.CREATE_CHILD_SA): (_SUCCESSOR, _CHILD, _ONLY_NOTIFIED),
    (S.ESTABLISHED, E.INFORMATIONAL): (_INFORMATIONAL,),
    (S.UNDECIDED, E.INFORMATIONAL): (_INFORMATIONAL,),
    (S.REPLACED, E.INFORMATIONAL): (_INFORMATIONAL,),
    (S.DELETING, E.INFORMATIONAL): (_INFORMATIONAL,),
}
"""What a peer may answer."""


def request_allowed(state: IkeState, exchange: ExchangeType | int) -> bool:
    """Tell whether this exchange may be begun by the peer in this state, whatever it carries."""
    return (state, exchange) in REQUESTS


def judge_request(state: IkeState, exchange: ExchangeType | int, contents: Contents) -> str:
    """Give what is wrong with a request, or nothing."""
    rules = _rules(REQUESTS, state, exchange)
    return _judge(rules, contents) if rules else f"exchange {int(exchange)} is not allowed while {state}"


def judge_first(contents: Contents) -> str:
    """Give what is wrong with a message that begins an IKE SA, or nothing."""
    return _judge(FIRST_REQUEST, contents)


def judge_response(state: IkeState, exchange: ExchangeType | int, contents: Contents) -> str:
    """Give what is wrong with a response, or nothing."""
    rules = _rules(RESPONSES, state, exchange)
    return _judge(rules, contents) if rules else f"a response to exchange {int(exchange)} is not expected while {state}"


def rekeys_ike(contents: Contents) -> bool:
    """Tell a request for a successor of the IKE SA from one for a child: it has no traffic selectors."""
    return not any(one.payload_type == P.TSI for one in contents.payloads)


def _rules(
    table: dict[tuple[IkeState, ExchangeType], tuple[Rule, ...]], state: IkeState, exchange: ExchangeType | int
) -> tuple[Rule, ...] | None:
    return table.get((state, exchange)) if isinstance(exchange, ExchangeType) else None


def _judge(rules: tuple[Rule, ...], contents: Contents) -> str:
    counts = Counter(one.payload_type for one in contents.payloads if not isinstance(one, Unknown))
    problems = [_compare(rule, counts) for rule in rules]
    return "" if "" in problems else problems[0]


def _compare(rule: Rule, counts: Counter[int]) -> str:
    for kind in rule.required:
        if counts[kind] != 1:
            return f"{counts[kind]} {kind.name} payloads where 1 is required ({rule.story})"
    for extra in counts:
        if extra in REPEATABLE or extra in rule.required:
            continue
        if extra not in rule.optional or counts[extra] > 1:
            return f"a payload {PayloadType(extra).name} that does not belong there ({rule.story})"
    return ""

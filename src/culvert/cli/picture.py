"""The status as people read it."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

COLOURS = {"up": "green", "idle": "cyan", "connecting": "yellow", "down": "red"}
UNITS = ("B", "kB", "MB", "GB", "TB")
WHAT_TO_DO = {
    "NO_RESPONSE": "Is the other gateway up, and do UDP 500 and 4500 reach it? Look for firewalls on the way.",
    "AUTHENTICATION_FAILED": "Compare the secret, and each side's identity, on both gateways.",
    "NO_PROPOSAL_CHOSEN": "Leave the proposals out on one side, or write the same ones on both.",
    "TS_UNACCEPTABLE": "Each side's `networks` must be what the other has for it, or split = true.",
    "PFS_MISMATCH": "It ends when its keys end. Write the same groups on both sides, reload, then: culvert rekey PEER.",
    "REKEY_REFUSED": "It ends when its keys end; the log of the other gateway has the cause.",
    "PARTIAL": "What is named is dropped. Each side's `networks` must be what the other has for it.",
    "MODE_MISMATCH": "Write the same `mode` on both gateways.",
    "NO_SECRET": "Write the peer's secret into psk.txt, or `secret` into the file; then: culvert reload.",
    "NO_CERTIFICATE": "Both gateways need certificate, key and ca, or a secret; `culvert check` tells what is missing.",
    "NO_SIGNATURE": "Use another kind of key, or write legacy = true for a peer that knows nothing newer.",
    "CERTIFICATE_UNTRUSTED": "Name the authority of its certificate in ca, or have it send the authorities between.",
    "CERTIFICATE_EXPIRED": "Have it renewed (culvert pki gateway NAME --renew); look at this machine's clock too.",
    "CERTIFICATE_NOT_YET_VALID": "Look at the clocks of both machines.",
    "CERTIFICATE_REVOKED": "Its authority took it back. Have a new one made if that gateway is to be let in.",
    "CERTIFICATE_USAGE": "Have one made that is for signatures and for IKE; culvert pki makes such.",
    "CERTIFICATE_CONSTRAINED": "Ask who runs the authority: it signed what it may not.",
    "CERTIFICATE_WEAK": "Have one made with a good key; for an old peer that cannot, write legacy = true.",
    "REVOCATION_UNKNOWN": "Fetch the authority's list anew, name it in crl, then: culvert reload.",
    "NAME_NOT_RESOLVED": "Correct `address` of the peer, or look at /etc/resolv.conf.",
    "NO_ROUTE": "Look at `ip route`; the peer's address needs a way that is not the tunnel.",
    "DISCONNECTED": "It was ended by hand; bring it back with: culvert connect PEER.",
    "PEER_DEAD": "It is tried again by itself; is the other gateway up?",
    "PEER_DELETED": "The other gateway ended it; look there.",
    "ENGINE_LOST": "An engine that ended is started again by itself; the log has the cause.",
}
"""By reason: the next step for whoever reads it."""


def render(document: dict[str, Any]) -> RenderableType:
    """Give the picture of a status document."""
    parts: list[RenderableType] = [_heading(document["gateway"])]
    parts += [_warning(warning) for warning in document["gateway"]["warnings"]]
    if document["peers"]:
        parts.append(_table(document["peers"]))
        parts += [_trouble(name, peer) for name, peer in document["peers"].items() if _troubled(peer)]
    elif not document["gifs"]:
        parts.append(Text("No peers are configured."))
    parts += [_link(link) for link in document["gifs"]]
    parts += _drops(document)
    return Group(*parts)


def _heading(gateway: dict[str, Any]) -> Text:
    addresses = ", ".join(gateway["addresses"]) or "no address yet"
    return Text(f"{gateway['name']} ({addresses}), {gateway['backend']}, {gateway['state']}")


def _warning(warning: dict[str, Any]) -> Text:
    where = f" ({warning['where']})" if warning["where"] else ""
    text = Text(f"warning: {warning['message']}{where}", style="yellow")
    return text.append(f"\n    {warning['what_to_do']}") if warning["what_to_do"] else text


def _table(peers: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("PEER", "STATE", "ADDRESS", "NETWORKS", "CIPHER", "FOR", "IN", "OUT"):
        table.add_column(heading, overflow="fold")
    for name, peer in peers.items():
        state = f"[{COLOURS.get(peer['state'], 'white')}]{escape(peer['state'])}[/]"
        address = escape(str(peer["address"] or "any"))
        if not peer["children"]:
            table.add_row(escape(name), state, address)
        for number, child in enumerate(peer["children"]):
            first = (escape(name), state, address) if number == 0 else ("", "", "")
            table.add_row(*first, *(escape(cell) for cell in _child(child)))
    return table


def _child(child: dict[str, Any]) -> tuple[str, str, str, str, str]:
    networks = f"{' '.join(child['local'])} = {' '.join(child['remote'])}"
    how = " transport" if child.get("mode") == "transport" else ""
    cipher = f"{child['cipher']} in {child['encapsulation']}{how}"
    return networks, cipher, _time(child["age_s"]), _octets(child["bytes_in"]), _octets(child["bytes_out"])


def _troubled(peer: dict[str, Any]) -> bool:
    return peer["state"] in ("down", "connecting") or bool(peer["reason"])


def _trouble(name: str, peer: dict[str, Any]) -> Text:
    text = Text(f"{name}: {peer['message'] or 'the tunnel is being set up'}", style="")
    if peer["reason"] and peer["reason"] not in peer["message"]:
        text.append(f" ({peer['reason']})")
    advice = WHAT_TO_DO.get(peer["reason"] or "", "")
    return text.append(f"\n    {advice.replace('PEER', name)}") if advice else text


def _drops(document: dict[str, Any]) -> list[RenderableType]:
    drops = document["gateway"]["drops"]
    listed = ", ".join(f"{name} {count}" for name, count in sorted(drops.items()))
    return [Text(f"dropped packets: {listed}")] if listed else []


def _link(link: dict[str, Any]) -> Text:
    ends = " --> ".join(link["outer"]) if link["outer"] else "no outer ends yet"
    text = Text(f"{link['name']}: {ends}, {link['packets_in']} packets in, {link['packets_out']} out, ")
    if link["protected"]:
        return text.append("protected", style="green")
    advice = (
        "\n    A policy for what it sends protects it: spdadd ... ipencap -P out ipsec esp/..., with culvert setkey."
    )
    return text.append("in clear: no policy protects what it sends", style="yellow").append(advice)


def _octets(count: int) -> str:
    value = float(count)
    for unit in UNITS:
        if value < 1000 or unit == UNITS[-1]:
            return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return ""


def _time(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"

"""The handbook's two steps by hand on its gateways: gif links by commands or file, and setkey's lines."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path

from culvert.capture.offload import wire_packets
from culvert.lab.chapter import SITE_A, SITE_B, TO_A, TO_B, Site, build_chapter
from culvert.lab.eavesdropper import Eavesdropper
from culvert.lab.lab import Lab
from culvert.wire.ip import ESP, parse_ip
from tests.netns.chapter_gateways import MARKER, Gateway, Picture
from tests.netns.forge import ETHERNET_OCTETS, is_ip

PROTOCOLS = {4: "ipencap", 6: "ipv6"}
"""What setkey calls an inner packet, by its IP version."""
SPIS = {"A": "0x10001", "B": "0x10002"}
"""By the site that the association leads to."""
TUNNEL = "esp/tunnel/{source}-{destination}/require"
TRANSPORT = "esp/transport//require"
ALGORITHMS = "-E aes-cbc 0x{key} -A hmac-sha2-256 0x{key}{key}"


@dataclass(frozen=True)
class Wires:
    """What a gif link of the picture is made of: IP versions outside and inside (4: 0, 6: 1 as the site's pairs)."""

    outside: int = 0
    inside: tuple[int, ...] = (0,)

    def commands(self, ours: Site, theirs: Site, name: str = "gif0") -> Iterator[tuple[str, ...]]:
        """Give the commands of the chapter's step 1."""
        yield "ifconfig", name, ours.outside[self.outside], theirs.outside[self.outside]
        for version in self.inside:
            family, mask = ("inet6", ("prefixlen", "128")) if version else ("inet", ("netmask", "0xffffffff"))
            yield "ifconfig", name, family, ours.gateway[version], theirs.gateway[version], *mask
            network = ip_network(theirs.network[version])
            mask = ("-prefixlen", "64") if version else ("netmask", "0xffffff00")
            yield "route", "add", str(network.network_address), theirs.gateway[version], *mask

    def table(self, ours: Site, theirs: Site) -> str:
        """Give the same as a table of gateway.toml."""
        inner = [site.gateway[version] for version in self.inside for site in (ours, theirs)]
        routes = [theirs.network[version] for version in self.inside]
        outer = [ours.outside[self.outside], theirs.outside[self.outside]]
        return f"[gif.gif0]\nouter = {outer}\ninner = {inner}\nroutes = {routes}\n"

    def associations(self, mode: str = "tunnel") -> str:
        """Give the two associations with keys by hand, the same lines for both gateways."""
        lines = []
        for source, destination in ((SITE_A, SITE_B), (SITE_B, SITE_A)):
            ends = f"{source.outside[self.outside]} {destination.outside[self.outside]}"
            keys = ALGORITHMS.format(key=SPIS[destination.letter][2:].rjust(32, "7"))
            lines.append(f"add {ends} esp {SPIS[destination.letter]} -m {mode} {keys};")
        return "\n".join(lines) + "\n"

    def policies(self, ours: Site, theirs: Site, template: str = TUNNEL) -> str:
        """Give the chapter's spdadd lines for one gateway."""
        bits = 128 if self.outside else 32
        lines = []
        for version in self.inside:
            upper = PROTOCOLS[6 if version else 4]
            for source, destination, direction in ((ours, theirs, "out"), (theirs, ours, "in")):
                ends = source.outside[self.outside], destination.outside[self.outside]
                asked = template.format(source=ends[0], destination=ends[1])
                lines.append(f"spdadd {ends[0]}/{bits} {ends[1]}/{bits} {upper} -P {direction} ipsec {asked};")
        return "\n".join(lines) + "\n"


CHAPTER = Wires()


def begin(gateway: Gateway, table: str = "") -> None:
    """Start a gateway without peers, which is all that setkey needs."""
    alone(gateway, table)
    gateway.up()


def alone(gateway: Gateway, table: str = "") -> None:
    gateway.folder.mkdir(exist_ok=True)
    gateway.file.write_text(f'[gateway]\naddress = "{gateway.site.outside[0]}"\n{table}')


def joined(picture: Picture, wires: Wires = CHAPTER, *, by_file: bool = False) -> None:
    """Do step 1 on both gateways, by commands or by file."""
    for gateway in (picture.a, picture.b):
        begin(gateway, wires.table(gateway.site, gateway.other) if by_file else "")
        if not by_file:
            link(gateway, wires)


def link(gateway: Gateway, wires: Wires = CHAPTER) -> None:
    for words in wires.commands(gateway.site, gateway.other):
        gateway.culvert(*words)


def secured(picture: Picture, wires: Wires = CHAPTER, template: str = TUNNEL, mode: str = "tunnel") -> None:
    """Do step 2 on both gateways."""
    for gateway in (picture.a, picture.b):
        setkey(
            gateway,
            "flush; spdflush;\n" + wires.associations(mode) + wires.policies(gateway.site, gateway.other, template),
        )


def setkey(gateway: Gateway, text: str, code: int = 0) -> str:
    """Have a gateway do setkey's lines, and give what it said."""
    file = gateway.folder / "ipsec.conf"
    file.write_text(text)
    file.chmod(0o600)
    done = gateway.culvert("setkey", "-f", str(file), code=code)
    return done.stdout + done.stderr


def gif(gateway: Gateway, name: str = "gif0") -> dict:
    """Give what the status says of a link."""
    return next(one for one in gateway.status()["gifs"] if one["name"] == name)


def dropped(gateway: Gateway) -> dict[str, int]:
    return gateway.status()["gateway"]["drops"]


@contextlib.contextmanager
def picture_of(tmp_path: Path, *, ipv6: bool = False) -> Iterator[Picture]:
    """The chapter's picture with a folder for each gateway; nothing runs yet."""
    with Lab(f"cvg{os.getpid()}") as lab:
        chapter = build_chapter(lab, ipv6=ipv6)
        a = Gateway(chapter.gateway_a, SITE_A, SITE_B, tmp_path / "a")
        b = Gateway(chapter.gateway_b, SITE_B, SITE_A, tmp_path / "b")
        yield Picture(chapter, a, b)


@dataclass
class Outside:
    """What passed between the gateways, on either side of the router, from the beginning of the block to its end."""

    ears: tuple[Eavesdropper, ...]
    frames: list[bytes] = field(default_factory=list)

    def listen(self) -> None:
        self.frames = [frame for ear in self.ears for frame in ear.frames() if is_ip(frame)]

    def packets(self) -> list[bytes]:
        return [packet for frame in self.frames for packet in wire_packets(frame[ETHERNET_OCTETS:])]

    def protocols(self) -> set[int]:
        """Give the protocols between the gateways' outer addresses; fragments count as what they are fragments of."""
        ends = {ip_address(address) for site in (SITE_A, SITE_B) for address in site.outside}
        parsed = [parse_ip(packet) for packet in self.packets()]
        return {packet.protocol for packet in parsed if {packet.source, packet.destination} <= ends}

    def readable(self) -> list[bytes]:
        return [packet for packet in self.packets() if bytes.fromhex(MARKER) in packet]


@contextlib.contextmanager
def outside(picture: Picture) -> Iterator[Outside]:
    internet = picture.chapter.internet
    with Eavesdropper(internet, TO_A) as near, Eavesdropper(internet, TO_B) as far:
        heard = Outside((near, far))
        yield heard
        heard.listen()


@contextlib.contextmanager
def esp_alone(picture: Picture) -> Iterator[Outside]:
    """Nothing but ESP may pass between the gateways, and something has to."""
    with outside(picture) as heard:
        yield heard
    assert heard.readable() == []
    assert heard.protocols() == {ESP}


def pings(picture: Picture, wires: Wires = CHAPTER) -> list[tuple[str, int]]:
    """Ping gateway to gateway and host to host in every inner family, and give those of which an answer is missing."""
    hosts = picture.chapter
    missing = []
    for version in wires.inside:
        for source, to in (
            (hosts.gateway_a, SITE_B.gateway[version]),
            (hosts.gateway_b, SITE_A.gateway[version]),
            (hosts.host_a, SITE_B.host[version]),
            (hosts.host_b, SITE_A.host[version]),
        ):
            came = picture.ping(source=source, to=to)
            if came != 3:
                missing.append((f"{source.name} -> {to}", came))
    return missing

"""The tables of gateway.toml and the type of every key. What is not written is None: defaults are the model's.

Values are read once, here; behind these tables a value cannot be malformed. Problems carry the path of their key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainValidator
from pydantic_core import PydanticCustomError

from culvert.addresses import IPAddress, IPNetwork
from culvert.config import values
from culvert.config.findings import UnusableError
from culvert.config.model import Authentication, Backend, EncapsulationChoice, Start
from culvert.identities import Identity
from culvert.ipsec.associations import Mode
from culvert.ipsec.proposals import Proposal
from culvert.ipsec.selectors import TrafficSelector

T = TypeVar("T")

MIN_REPLAY_WINDOW_PACKETS, MAX_REPLAY_WINDOW_PACKETS = 32, 65_536
"""RFC 4303 section 3.4.3, and what the engine's bitmap holds."""
MIN_MTU, MAX_MTU = 576, 65_535
"""Every IPv4 host takes 576 octets (RFC 791 section 3.1)."""
MAX_GIF_MTU = 8192
"""gif(4): its largest."""
MIN_TFC, MAX_TFC = 64, 65_535
"""The length to which inner packets are padded; what does not fit the path is padded less."""
MIN_MSS, MAX_MSS = 216, 65_495
MAX_METRIC = 3_999_999
"""Below the metric of the unreachable routes that stand behind ours."""

_KINDS: dict[type, str] = {
    bool: "true or false",
    str: "a string in quotes",
    int: "a whole number",
    float: "a number with a point",
    list: "a list",
    dict: "a table",
}


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "a date or time")


def unusable(what: str, what_to_do: str = "") -> PydanticCustomError:
    """A failure that carries its own sentences."""
    return PydanticCustomError("unusable", "unusable", {"what": what, "what_to_do": what_to_do})


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise unusable(f"{{key}} is {_kind(value)}, and must be a string", "Put the value in double quotes.")
    return value


def _from_text(read: Callable[[str], T]) -> PlainValidator:
    """A string that `read` understands."""

    def validate(value: object) -> T:
        try:
            return read(_text(value))
        except UnusableError as failure:
            raise unusable(failure.what, failure.what_to_do) from failure

    return PlainValidator(validate)


def _one_of(choices: Mapping[str, T], not_built: Mapping[str, str] | None = None) -> PlainValidator:
    """One of a few words; those that are to come are refused by name."""

    def validate(value: object) -> T:
        word = str(value) if type(value) is int else _text(value)
        if word in choices:
            return choices[word]
        if not_built and word in not_built:
            raise unusable(f"{{key}} = {values.shown(word)} is not built yet", not_built[word])
        words = " or ".join(values.shown(choice) for choice in choices)
        raise unusable(f"{values.shown(word)} is nothing that {{key}} can be", f"Write {words}.")

    return PlainValidator(validate)


def _whole(lowest: int, highest: int) -> PlainValidator:
    def validate(value: object) -> int:
        if type(value) is not int:
            raise unusable(f"{{key}} is {_kind(value)}, and must be a whole number", "Write the number without quotes.")
        if not lowest <= value <= highest:
            raise unusable("{key} is out of bounds", f"Write {lowest} to {highest}.")
        return value

    return PlainValidator(validate)


def _whole_or_off(lowest: int, highest: int) -> PlainValidator:
    """A whole number; "off" is 0."""

    def validate(value: object) -> int:
        if value == "off":
            return 0
        if type(value) is not int or not lowest <= value <= highest:
            raise unusable(f"{{key}} is {_kind(value)} that it cannot be", f'Write {lowest} to {highest}, or "off".')
        return value

    return PlainValidator(validate)


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise unusable(f"{{key}} is {_kind(value)}, and must be true or false", "Write true or false, without quotes.")
    return value


def _not_built(what_to_do: str) -> PlainValidator:
    """A key that is known and does not work yet."""

    def refuse(value: object) -> None:  # noqa: ARG001 - pydantic hands the value over
        raise unusable("{key} is not built yet", what_to_do)

    return PlainValidator(refuse)


def _listed(value: object) -> object:
    """One thing may stand for a list of one."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise unusable(f"{{key}} is {_kind(value)}, and must be a string or a list of strings", "")
    return value


def _table(value: object) -> object:
    if not isinstance(value, dict):
        raise unusable(f"{{key}} is {_kind(value)}, and must be a table", "Write it as [section] with keys below.")
    return value


Network = Annotated[IPNetwork, _from_text(values.network)]
Selector = Annotated[TrafficSelector, _from_text(values.selector)]
Networks = Annotated[list[Network], BeforeValidator(_listed)]
Selectors = Annotated[list[Selector], BeforeValidator(_listed)]
Addresses = Annotated[list[Annotated[IPAddress, _from_text(values.address)]], BeforeValidator(_listed)]
Hosts = Annotated[list[Annotated[str, _from_text(values.host)]], BeforeValidator(_listed)]
File = Annotated[str, _from_text(values.file)]
Files = Annotated[list[File], BeforeValidator(_listed)]
IkeProposals = Annotated[list[Annotated[Proposal, _from_text(values.ike)]], BeforeValidator(_listed)]
AhProposals = Annotated[list[Annotated[Proposal, _from_text(values.ah)]], BeforeValidator(_listed)]
EspProposals = Annotated[list[Annotated[Proposal, _from_text(values.esp)]], BeforeValidator(_listed)]
Name = Annotated[str, _from_text(values.name)]
Text = Annotated[str, _from_text(str)]
Who = Annotated[Identity, _from_text(values.identity)]
Ourselves = Annotated[Identity, _from_text(values.own_identity)]
Padding = Annotated[int, _whole_or_off(MIN_TFC, MAX_TFC)]
Duration = Annotated[int, _from_text(values.duration)]
Truth = Annotated[bool, PlainValidator(_truth)]
StartWord = Annotated[Start, _one_of({start.value: start for start in Start})]
EncapsulationWord = Annotated[EncapsulationChoice, _one_of({word.value: word for word in EncapsulationChoice})]
BackendWord = Annotated[
    Backend,
    _one_of(
        {word.value: word for word in (Backend.AUTO, Backend.ENGINE)},
        {"kernel": 'Leave the key out, or write "engine": our own engine moves the packets.'},
    ),
]
AuthWord = Annotated[Authentication, _one_of({word.value: word for word in Authentication})]
IkeVersion = Annotated[int, _one_of({"2": 2}, {"1": "Write ike = 2, or leave the key out; the peer must speak IKEv2."})]
ModeWord = Annotated[Mode, _one_of({mode.value: mode for mode in (Mode.TUNNEL, Mode.TRANSPORT)})]
_POLICY = 'Write link = "policy", or leave the key out: the networks decide what goes through the tunnel.'
LinkWord = Annotated[str, _one_of({"policy": "policy"}, {"gif": _POLICY, "route": _POLICY})]
LinkLater = Annotated[None, _not_built(_POLICY)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class GatewayTable(_Table):
    """`[gateway]`."""

    name: Name | None = None
    address: Hosts | None = None
    networks: Networks | None = None
    identity: Ourselves | None = None
    backend: BackendWord | None = None
    firewall: Truth | None = None
    include: Files | None = None
    certificate: File | None = None
    key: File | None = None
    ca: Files | None = None
    crl: Files | None = None
    require_crl: Truth | None = None


class IncludedTable(_Table):
    """`[gateway]` of an included file."""

    include: Files | None = None


class ChildTable(_Table):
    """`[peers.X.children.Y]`."""

    local: Selectors | None = None
    remote: Selectors | None = None
    esp_proposals: EspProposals | None = None
    ah_proposals: AhProposals | None = None
    mode: ModeWord | None = None
    rekey: Duration | None = None
    start: StartWord | None = None
    tfc: Padding | None = None


class PeerTable(_Table):
    """`[peers.X]`."""

    address: Hosts | None = None
    networks: Selectors | None = None
    secret: Text | None = None
    identity: Who | None = None
    local_identity: Ourselves | None = None
    auth: AuthWord | None = None
    local_auth: AuthWord | None = None
    ike: IkeVersion | None = None
    proposals: IkeProposals | None = None
    esp_proposals: EspProposals | None = None
    ah_proposals: AhProposals | None = None
    mode: ModeWord | None = None
    tfc: Padding | None = None
    link: LinkWord | None = None
    start: StartWord | None = None
    encapsulation: EncapsulationWord | None = None
    replay_window: Annotated[int, _whole(MIN_REPLAY_WINDOW_PACKETS, MAX_REPLAY_WINDOW_PACKETS)] | None = None
    rekey: Duration | None = None
    dpd: Duration | None = None
    mtu: Annotated[int, _whole(MIN_MTU, MAX_MTU)] | None = None
    mss: Annotated[int, _whole(MIN_MSS, MAX_MSS)] | None = None
    metric: Annotated[int, _whole(1, MAX_METRIC)] | None = None
    children: Annotated[dict[str, ChildTable], BeforeValidator(_table)] | None = None
    certificate: File | None = None
    key: File | None = None
    ca: Files | None = None
    crl: Files | None = None
    require_crl: Truth | None = None
    split: Truth | None = None
    link_addresses: LinkLater = None
    legacy: Truth | None = None


class GifTable(_Table):
    """`[gif.NAME]`."""

    outer: Addresses | None = None
    inner: Addresses | None = None
    mtu: Annotated[int, _whole(MIN_MTU, MAX_GIF_MTU)] | None = None
    routes: Networks | None = None
    ecn: Truth | None = None


class Document(_Table):
    """A whole gateway.toml."""

    gateway: Annotated[GatewayTable, BeforeValidator(_table)] | None = None
    peers: Annotated[dict[str, PeerTable], BeforeValidator(_table)] | None = None
    gif: Annotated[dict[str, GifTable], BeforeValidator(_table)] | None = None


class IncludedDocument(_Table):
    """A file that another includes: peers only."""

    gateway: Annotated[IncludedTable, BeforeValidator(_table)] | None = None
    peers: Annotated[dict[str, PeerTable], BeforeValidator(_table)] | None = None

"""What the gateways of others offer and take, as data, and strongSwan's configuration that does the same.

Proposals are in strongSwan's notation, the most wanted first. Each number has its source beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

ANY = "0.0.0.0/0"


@dataclass(frozen=True)
class Vendor:
    """One gateway of somebody else's.

    `ike` and `esp` are its proposals; `children` its pairs of selectors (its own side, ours) by name. `initiates`: it
    calls by itself where told to. `reauthenticates`: it makes IKE SAs anew in place of rekeying them. `contact`: it
    sends INITIAL_CONTACT. `childless` as strongSwan has it. `ike_s` and `child_s` are its lifetimes.
    """

    name: str
    ike: tuple[str, ...]
    esp: tuple[str, ...]
    children: Mapping[str, tuple[str, str]]
    identity: str = ""
    reauthenticates: bool = False
    contact: bool = True
    childless: str = "never"
    dpd_s: int = 0
    ike_s: int = 28_800
    child_s: int = 3_600

    def with_children(self, **children: tuple[str, str]) -> Vendor:
        return replace(self, children=children)

    def connections(self, ends: Mapping[str, tuple[str, str, str]]) -> str:
        """Give swanctl.conf; `ends` are (its address, ours, the secret) by the connection's name."""
        sections = "\n".join(self._connection(name, *end[:2]) for name, end in ends.items())
        secrets = "\n".join(
            f'  ike-{name} {{\n    id-1 = {self.identity or own}\n    id-2 = {ours}\n    secret = "{secret}"\n  }}'
            for name, (own, ours, secret) in ends.items()
        )
        return f"connections {{\n{sections}\n}}\nsecrets {{\n{secrets}\n}}\n"

    def _connection(self, name: str, own: str, ours: str) -> str:
        children = "\n".join(self._child(*child) for child in self.children.items())
        again = f"reauth_time = {self.ike_s}s" if self.reauthenticates else f"rekey_time = {self.ike_s}s"
        return f"""  {name} {{
    version = 2
    local_addrs = {own}
    remote_addrs = {ours}
    proposals = {",".join(self.ike)}
    encap = yes
    mobike = no
    childless = {self.childless}
    unique = {"replace" if self.contact else "never"}
    dpd_delay = {self.dpd_s}s
    {again}
    local {{
      auth = psk
      id = {self.identity or own}
    }}
    remote {{
      auth = psk
      id = {ours}
    }}
    children {{
{children}
    }}
  }}"""

    def _child(self, name: str, sides: tuple[str, str]) -> str:
        own, ours = sides
        return f"""      {name} {{
        local_ts = {own}
        remote_ts = {ours}
        esp_proposals = {",".join(self.esp)}
        rekey_time = {self.child_s}s
      }}"""


_AWS_GROUPS = (
    "modp1024-modp2048-modp3072-modp4096-modp6144-modp8192-ecp256-ecp384-ecp521-modp1024s160-modp2048s224-modp2048s256"
)
_AWS_HASHES = "sha1-sha256-sha384-sha512"
_AWS_PRFS = "prfsha1-prfsha256-prfsha384-prfsha512"

AWS = Vendor(
    "AWS site-to-site VPN with its default tunnel options",
    ike=(
        f"aes128-aes256-{_AWS_HASHES}-{_AWS_GROUPS}",
        f"aes128gcm16-aes256gcm16-{_AWS_PRFS}-{_AWS_GROUPS}",
    ),
    esp=(
        f"aes128-aes256-{_AWS_HASHES}-modp1024-modp1536-{_AWS_GROUPS.removeprefix('modp1024-')}",
        f"aes128gcm16-aes256gcm16-modp1024-modp1536-{_AWS_GROUPS.removeprefix('modp1024-')}",
    ),
    children={"net": (ANY, ANY)},
    dpd_s=10,
)
"""AWS Site-to-Site VPN User Guide, "Tunnel options": algorithms, groups and lifetimes are all the default values; the
lowest value is taken first, whatever order we have; selectors are 0.0.0.0/0 on both sides unless the CIDRs are set;
AWS waits to be called unless the start-up action is `start`. PFS cannot be switched off: each child has a group.
"""

AWS_RESTRICTED = replace(
    AWS,
    name="AWS site-to-site VPN restricted to AES-256-GCM, SHA2-384 and group 20",
    ike=("aes256gcm16-prfsha384-ecp384",),
    esp=("aes256gcm16-ecp384",),
)
"""The same with `Phase1EncryptionAlgorithms` and the others set to one value each."""

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
    sends INITIAL_CONTACT. `childless` as strongSwan has it. `udp`: ESP travels in UDP, as through a NAT. `ike_s` and
    `child_s` are its lifetimes.
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
    udp: bool = True
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
    encap = {"yes" if self.udp else "no"}
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

AZURE_CUSTOM = Vendor(
    "Azure VPN gateway, route-based, with a custom IPsec/IKE policy",
    ike=("aes256gcm16-prfsha384-ecp384",),
    esp=("aes256gcm16-ecp384",),
    children={"net": (ANY, ANY)},
    dpd_s=45,
    child_s=27_000,
)
"""Microsoft Learn, "Configure custom IPsec/IKE connection policies": GCMAES256 with SHA384 and ECP384 for IKE,
GCMAES256 and ECP384 for PFS; a custom policy is the only proposal. Route-based: any to any. DPD 45 s, 28,800 s and
27,000 s.
"""

_AZURE_FIRST = ("aes256gcm16", "aes256-sha1", "3des-sha1", "aes256-sha256", "aes128-sha1", "3des-sha256")
_AZURE_MORE = (
    *(f"aes256-sha1-{group}" for group in ("modp1024", "modp2048")),
    *(f"aes128-sha1-{group}" for group in ("modp1024", "modp2048")),
    *(f"aes256-sha256-{group}" for group in ("modp1024", "modp2048")),
    *("aes256-sha1-modp2048s256", "aes256-sha256-modp2048s256", "aes128-sha256"),
    *(f"aes128-sha256-{group}" for group in ("modp1024", "modp2048")),
)

AZURE_DEFAULT = replace(
    AZURE_CUSTOM,
    name="Azure VPN gateway, route-based, with its default policy",
    ike=tuple(f"{cipher}-{hash}-modp1024" for cipher in ("aes256", "aes128") for hash in ("sha1", "sha256")),
    esp=(*_AZURE_FIRST, *_AZURE_MORE),
)
"""Microsoft Learn, "About VPN devices and IPsec/IKE parameters": main mode has Diffie-Hellman group 2 alone, with
AES256 or AES128 and SHA1 or SHA256 (3DES besides); quick mode the offers of the gateway as initiator, then those it
takes as responder (those with DES and group 1 left out). Without PFS as initiator.
"""

AZURE_POLICY_BASED = replace(
    AZURE_CUSTOM,
    name="Azure VPN gateway with UsePolicyBasedTrafficSelectors",
    children={"net": ("192.168.2.0/24", "192.168.1.0/24")},
)
"""Microsoft Learn, "Connect a VPN gateway to multiple on-premises policy-based VPN devices": the address prefixes of
both sides in place of any to any.
"""

_IOS_DEFAULT_IKE = ("aes256-sha512-sha384-ecp256-modp2048-ecp521-modp1536",)

IOS_XE = Vendor(
    "Cisco IOS XE 17, virtual tunnel interface, with the guide's proposal",
    ike=("aes256gcm16-prfsha384-ecp384",),
    esp=("aes256gcm16-ecp384",),
    children={"net": ("192.168.2.0/24", "192.168.1.0/24")},
    ike_s=86_400,
)
"""Cisco, "Security for VPNs with IPsec Configuration Guide, Cisco IOS XE 17": IKE 86,400 s, IPsec 3,600 s; the
interface has the selectors of its `tunnel protection ipsec policy`.
"""

IOS_XE_SMART = replace(
    IOS_XE,
    name="Cisco IOS XE 17 with its default proposal, policy and transform set",
    ike=_IOS_DEFAULT_IKE,
    esp=("aes256-sha256",),
)
"""`show crypto ikev2 proposal default`: AES-CBC-256; SHA512 and SHA384; groups 19, 14, 21 and 5. (Its default transform
set is esp-aes with esp-sha-hmac, or AES-256 with SHA-256 in newer ones; the guide names one.) No PFS unless `set pfs`.
"""

ASA = replace(
    IOS_XE,
    name="Cisco ASA, crypto map, one pair of networks in each child",
    children={
        "net1": ("192.168.2.0/24", "192.168.1.0/24"),
        "net2": ("192.168.12.0/24", "192.168.1.0/24"),
    },
    child_s=28_800,
)
"""Cisco, "CLI Book 3: Cisco ASA Series VPN CLI Configuration Guide", LAN-to-LAN with IKEv2: each line of the access
list is a pair of selectors and gets associations of its own; IPsec 28,800 s and 4,608,000 KB, IKE 86,400 s.
"""

FORTIGATE = Vendor(
    "FortiGate with the guide's proposal",
    ike=("aes256gcm16-prfsha384-ecp384",),
    esp=("aes256gcm16-ecp384",),
    children={"net": ("192.168.2.0/24", "192.168.1.0/24")},
    ike_s=86_400,
    child_s=43_200,
)
"""Fortinet, "FortiOS CLI Reference", vpn ipsec phase1-interface and phase2-interface: keylife 86,400 s, keylifeseconds
43,200 s, one pair of selectors in each phase 2, PFS on.
"""

FORTIGATE_DEFAULT = replace(
    FORTIGATE,
    name="FortiGate with the proposals of a new tunnel, groups 14 and 5",
    ike=(
        "aes128-sha256-modp2048-modp1536",
        "aes256-sha256-modp2048-modp1536",
        "aes128gcm16-prfsha256-modp2048-modp1536",
        "aes256gcm16-prfsha384-modp2048-modp1536",
        "chacha20poly1305-prfsha256-modp2048-modp1536",
    ),
    esp=(
        "aes128-sha1-modp2048-modp1536",
        "aes256-sha1-modp2048-modp1536",
        "aes128-sha256-modp2048-modp1536",
        "aes256-sha256-modp2048-modp1536",
        "aes128gcm16-modp2048-modp1536",
        "aes256gcm16-modp2048-modp1536",
        "chacha20poly1305-modp2048-modp1536",
    ),
)
"""The same, `proposal` and `dhgrp` as a new IKEv2 tunnel has them: groups 14 and 5."""

FORTIGATE_NEW = replace(
    FORTIGATE_DEFAULT,
    name="FortiGate with the proposals of a new tunnel, groups 20 and 21",
    ike=tuple(one.replace("modp2048-modp1536", "ecp384-ecp521") for one in FORTIGATE_DEFAULT.ike),
    esp=tuple(one.replace("modp2048-modp1536", "ecp384-ecp521") for one in FORTIGATE_DEFAULT.esp),
)
"""The same of newer releases, whose wizard writes `dhgrp 20 21`."""

FORTIGATE_ANY = replace(
    FORTIGATE,
    name="FortiGate whose phase 2 is 0.0.0.0/0 on both sides",
    children={"net": (ANY, ANY)},
)
"""A phase 2 has 0.0.0.0/0 on both sides until it is told otherwise."""

FORTIGATE_TWO = replace(
    FORTIGATE,
    name="FortiGate with two phases 2",
    children={
        "net1": ("192.168.2.0/24", "192.168.1.0/24"),
        "net2": ("192.168.12.0/24", "192.168.1.0/24"),
    },
)

"""Why a packet was dropped, and why a peer or a request was refused. Generated from reasons.toml by `make reasons`; do not edit."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Drop(IntEnum):
    """Why a packet was dropped; the number is the engine's."""

    TRUNCATED = 0
    MALFORMED = 1
    NO_POLICY = 2
    POLICY_DISCARD = 3
    NO_SA = 4
    ACQUIRE_QUEUE_FULL = 5
    ACQUIRE_TIMEOUT = 6
    SA_EXPIRED = 7
    SEQUENCE_EXHAUSTED = 8
    UNKNOWN_SPI = 9
    REPLAYED = 10
    OUTSIDE_WINDOW = 11
    NOT_AUTHENTIC = 12
    BAD_PADDING = 13
    WRONG_NEXT_HEADER = 14
    DUMMY = 15
    INNER_MALFORMED = 16
    SELECTOR_MISMATCH = 17
    INBOUND_POLICY_MISMATCH = 18
    CLEAR_MODE_MISMATCH = 19
    IKE_QUEUE_FULL = 20
    IKE_TOO_SHORT = 21
    KEEPALIVE = 22
    SEND_FAILED = 23
    SEND_QUEUE_FULL = 24
    TOO_BIG = 25
    TUN_WRITE_FAILED = 26
    UNSUPPORTED_OFFLOAD = 27
    FRAGMENT = 28
    ECN_MISMATCH = 29
    STRANGER = 30
    FENCED_IN = 31
    FENCED_OUT = 32
    NO_GIF = 33
    GIF_SOURCE = 34
    AH_UNPREDICTABLE = 35
    NESTED_TOO_DEEP = 36
    ICMP_UNBELIEVED = 37
    LOOPED = 38


class Refusal(StrEnum):
    """Why a tunnel is not up, or a request was refused."""

    NO_RESPONSE = "NO_RESPONSE"
    AUTHENTICATION_FAILED = "AUTHENTICATION_FAILED"
    NO_PROPOSAL_CHOSEN = "NO_PROPOSAL_CHOSEN"
    TS_UNACCEPTABLE = "TS_UNACCEPTABLE"
    INVALID_KE_PAYLOAD = "INVALID_KE_PAYLOAD"
    INVALID_SYNTAX = "INVALID_SYNTAX"
    INVALID_MAJOR_VERSION = "INVALID_MAJOR_VERSION"
    UNSUPPORTED_CRITICAL_PAYLOAD = "UNSUPPORTED_CRITICAL_PAYLOAD"
    UNKNOWN_PEER = "UNKNOWN_PEER"
    UNKNOWN_IKE_SPI = "UNKNOWN_IKE_SPI"
    NO_SECRET = "NO_SECRET"
    NAME_NOT_RESOLVED = "NAME_NOT_RESOLVED"
    NO_ROUTE = "NO_ROUTE"
    PEER_DELETED = "PEER_DELETED"
    PEER_DEAD = "PEER_DEAD"
    DISCONNECTED = "DISCONNECTED"
    NOT_AUTHENTIC_MESSAGE = "NOT_AUTHENTIC_MESSAGE"
    UNEXPECTED_MESSAGE = "UNEXPECTED_MESSAGE"
    TOO_MANY_HALF_OPEN = "TOO_MANY_HALF_OPEN"
    NO_ADDITIONAL_SAS = "NO_ADDITIONAL_SAS"
    TEMPORARY_FAILURE = "TEMPORARY_FAILURE"
    CHILD_SA_NOT_FOUND = "CHILD_SA_NOT_FOUND"
    ENGINE_LOST = "ENGINE_LOST"
    FOREIGN_FIREWALL = "FOREIGN_FIREWALL"
    NO_TUN_DEVICE = "NO_TUN_DEVICE"
    NO_PERMISSION = "NO_PERMISSION"
    PORT_TAKEN = "PORT_TAKEN"
    SOCKET_TAKEN = "SOCKET_TAKEN"
    HOST_REFUSED = "HOST_REFUSED"
    LIFETIME_ENDED = "LIFETIME_ENDED"
    CERTIFICATE_UNTRUSTED = "CERTIFICATE_UNTRUSTED"
    CERTIFICATE_EXPIRED = "CERTIFICATE_EXPIRED"
    CERTIFICATE_NOT_YET_VALID = "CERTIFICATE_NOT_YET_VALID"
    CERTIFICATE_REVOKED = "CERTIFICATE_REVOKED"
    CERTIFICATE_USAGE = "CERTIFICATE_USAGE"
    CERTIFICATE_CONSTRAINED = "CERTIFICATE_CONSTRAINED"
    CERTIFICATE_WEAK = "CERTIFICATE_WEAK"
    REVOCATION_UNKNOWN = "REVOCATION_UNKNOWN"
    FRAGMENT_UNUSABLE = "FRAGMENT_UNUSABLE"
    CHECKPOINT_UNREADABLE = "CHECKPOINT_UNREADABLE"
    SINGLE_PAIR_REQUIRED = "SINGLE_PAIR_REQUIRED"
    PARTIAL = "PARTIAL"
    MODE_MISMATCH = "MODE_MISMATCH"
    NO_CERTIFICATE = "NO_CERTIFICATE"
    NO_SIGNATURE = "NO_SIGNATURE"
    CALENDAR_UNKNOWN = "CALENDAR_UNKNOWN"
    PEER_RESTARTED = "PEER_RESTARTED"
    PFS_MISMATCH = "PFS_MISMATCH"
    REKEY_REFUSED = "REKEY_REFUSED"


SENTENCES: dict[str, str] = {
    "TRUNCATED": "The packet is shorter than its headers say.",
    "MALFORMED": "The packet's headers contradict each other.",
    "NO_POLICY": "The packet entered the tunnel device and no policy protects it.",
    "POLICY_DISCARD": "A policy says that this traffic is discarded.",
    "NO_SA": "A policy protects this traffic and no security association is there to do it.",
    "ACQUIRE_QUEUE_FULL": "Too many packets already wait for the security association.",
    "ACQUIRE_TIMEOUT": "The security association that the packet waited for did not come.",
    "SA_EXPIRED": "The security association reached its hard limit.",
    "SEQUENCE_EXHAUSTED": "The security association has no sequence numbers left.",
    "UNKNOWN_SPI": "No security association has this SPI at this address.",
    "REPLAYED": "The sequence number was seen before.",
    "OUTSIDE_WINDOW": "The sequence number is too old for the replay window.",
    "NOT_AUTHENTIC": "The integrity check value is wrong: forged, damaged, or another key.",
    "BAD_PADDING": "The ESP trailer is not what RFC 4303 section 2.4 wants.",
    "WRONG_NEXT_HEADER": "What came out of the tunnel is neither IPv4 nor IPv6.",
    "DUMMY": "A dummy packet of traffic flow confidentiality (RFC 4303 section 2.6).",
    "INNER_MALFORMED": "The packet inside is malformed.",
    "SELECTOR_MISMATCH": "The packet inside is not one that this security association may carry.",
    "INBOUND_POLICY_MISMATCH": "No inbound policy expects this packet from this security association.",
    "CLEAR_MODE_MISMATCH": "The packet came in a mode or protocol that its security association does not have.",
    "IKE_QUEUE_FULL": "Too many IKE messages wait for the daemon.",
    "IKE_TOO_SHORT": "A datagram on an IKE port is too short to be IKE, ESP or a keepalive.",
    "KEEPALIVE": "A NAT keepalive, dropped as it should be.",
    "SEND_FAILED": "The host refused to send the packet.",
    "SEND_QUEUE_FULL": "The host's send queue was full.",
    "TOO_BIG": "The packet does not fit the path.",
    "TUN_WRITE_FAILED": "The host refused the packet that came out of the tunnel.",
    "UNSUPPORTED_OFFLOAD": "The tunnel device gave a packet in a form that was not agreed.",
    "FRAGMENT": "A fragment arrived where a whole packet is needed.",
    "ECN_MISMATCH": "The outer header says congestion and the packet inside cannot carry it (RFC 6040 section 4.2).",
    "STRANGER": "IKE or ESP from an address that is no peer's; our own firewall stopped it.",
    "FENCED_IN": "A packet in clear that only the tunnel may bring; the fence stopped it.",
    "FENCED_OUT": "A packet that must not leave in clear; the fence stopped it.",
    "NO_GIF": "A packet of protocol 4 or 41 between addresses that are no gif link's.",
    "GIF_SOURCE": "The packet inside a gif link has a source that no host has: multicast, loopback, unspecified.",
    "AH_UNPREDICTABLE": "AH cannot foresee how this packet's options or routing header arrive (RFC 4302 section 3.3.3.1).",
    "NESTED_TOO_DEEP": "The packet came out of more security associations than a policy can ask for.",
    "ICMP_UNBELIEVED": "An ICMP says that a packet does not fit the path, and quotes none of ours: forged, or too late.",
    "LOOPED": "A packet that this engine sent came back to it to be sent: the way to the other end leads through the tunnel or the link itself.",
    "NO_RESPONSE": "The peer did not answer.",
    "AUTHENTICATION_FAILED": "The two gateways do not have the same secret, or do not expect each other's identity.",
    "NO_PROPOSAL_CHOSEN": "The two gateways have no set of algorithms in common.",
    "TS_UNACCEPTABLE": "The two gateways do not agree on the networks.",
    "INVALID_KE_PAYLOAD": "The peer wants another key exchange method, and none that we allow.",
    "INVALID_SYNTAX": "A message could not be read.",
    "INVALID_MAJOR_VERSION": "A message of another major version of IKE.",
    "UNSUPPORTED_CRITICAL_PAYLOAD": "A payload that must be understood is not known here.",
    "UNKNOWN_PEER": "Somebody asks for a tunnel who is not configured.",
    "UNKNOWN_IKE_SPI": "A message for an IKE SA that is not there.",
    "NO_SECRET": "There is no secret for this peer.",
    "NAME_NOT_RESOLVED": "The peer's name has no address.",
    "NO_ROUTE": "There is no route to the peer.",
    "PEER_DELETED": "The peer ended the tunnel.",
    "PEER_DEAD": "The peer no longer answers.",
    "DISCONNECTED": "The tunnel was ended by hand.",
    "NOT_AUTHENTIC_MESSAGE": "A message was not protected by the keys of its IKE SA.",
    "UNEXPECTED_MESSAGE": "A message that is not allowed at this point of the exchange.",
    "TOO_MANY_HALF_OPEN": "Too many set-ups are under way.",
    "NO_ADDITIONAL_SAS": "The peer takes no further security associations.",
    "TEMPORARY_FAILURE": "The peer is busy with another exchange.",
    "CHILD_SA_NOT_FOUND": "The peer does not know the security association.",
    "ENGINE_LOST": "The packet engine is not running.",
    "FOREIGN_FIREWALL": "Another firewall on this host drops the tunnel's traffic.",
    "NO_TUN_DEVICE": "There is no /dev/net/tun, or it may not be opened.",
    "NO_PERMISSION": "The gateway lacks a privilege that it needs.",
    "PORT_TAKEN": "Another program holds an IKE port.",
    "SOCKET_TAKEN": "Another engine listens on the control socket.",
    "HOST_REFUSED": "The host refused something that the engine needs.",
    "LIFETIME_ENDED": "The IKE SA reached its hard limit before it had a successor.",
    "CERTIFICATE_UNTRUSTED": "No authority that is trusted here vouches for the certificate.",
    "CERTIFICATE_EXPIRED": "A certificate has expired.",
    "CERTIFICATE_NOT_YET_VALID": "A certificate is not valid yet; or this machine's clock is wrong.",
    "CERTIFICATE_REVOKED": "The certificate was revoked.",
    "CERTIFICATE_USAGE": "The certificate is not for IKE.",
    "CERTIFICATE_CONSTRAINED": "An authority vouches for what it may not vouch for.",
    "CERTIFICATE_WEAK": "A certificate rests on an algorithm or a key that is too weak.",
    "REVOCATION_UNKNOWN": "Whether the certificate was revoked cannot be told: its issuer's list is missing or out of date.",
    "FRAGMENT_UNUSABLE": "A fragment of an IKE message that is of no use: there already, of a division given up, or too many.",
    "CHECKPOINT_UNREADABLE": "What a former process kept of an IKE SA cannot be read: it was of another version, or is damaged.",
    "SINGLE_PAIR_REQUIRED": "The peer makes one security association for each pair of addresses.",
    "PARTIAL": "The peer carries a part of the networks only.",
    "MODE_MISMATCH": "One end wants transport mode, and the other one tunnel mode.",
    "NO_CERTIFICATE": "There is no certificate, ours or the peer's, that could be judged.",
    "NO_SIGNATURE": "Our key makes no signature that the peer takes.",
    "CALENDAR_UNKNOWN": "Nobody told the gateway the time of day, so no certificate can be judged.",
    "PEER_RESTARTED": "The peer has shown that it lost the IKE SA, as after a restart.",
    "PFS_MISMATCH": "The two gateways want different groups for perfect forward secrecy, so that the tunnel gets no new keys.",
    "REKEY_REFUSED": "The peer gives no new keys, so that the tunnel will end with those it has.",
}
"""One sentence for each name."""

"""Bounds on what a peer can make us read, each with its reason."""

from __future__ import annotations

MAX_MESSAGE_OCTETS = 65_535
"""A UDP datagram holds no more, and neither does a payload's length field."""
MAX_PAYLOADS = 64
"""The longest chains of real peers (certificates, vendor IDs, notifications) have some thirty."""
MAX_PROPOSALS = 128
"""Windows sends about twenty. Negotiation compares each with each of ours."""
MAX_TRANSFORMS = 512
"""In all proposals of one SA payload together; strongSwan's widest default has about fifty."""
MAX_DELETED_SPIS = 4096
"""In one Delete payload; each names a child SA, and no gateway has so many under one IKE SA."""
MAX_ATTRIBUTES = 8
"""Of one transform. IKEv2 has a single one, the key length."""

"""What an IKE message can say: the payloads of every purpose that an exchange has, made for who is to read it."""

from __future__ import annotations

from culvert.ike.v2.reading import child_notify
from culvert.ike.v2.sa import ChildSa
from culvert.ike.v2.sealing import Payloads
from culvert.wire.isakmp.auth import Authentication, AuthMethod
from culvert.wire.isakmp.delete import Delete
from culvert.wire.isakmp.identification import IDi, IDr
from culvert.wire.isakmp.ke import KeyExchangePayload
from culvert.wire.isakmp.nonce import Nonce
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import PayloadType, ProtocolId
from culvert.wire.isakmp.payload import Payload, Unknown
from culvert.wire.isakmp.sa import Proposal, SecurityAssociation, TransformSubstructure
from culvert.wire.isakmp.ts import TrafficSelector, TSi, TSr
from tests.fuzz.duel import ADDRESSES, OTHER
from tests.fuzz.stands import Stand

NONCE = Nonce(b"a nonce of the peer, 32 octets..")
KE = KeyExchangePayload(31, (9).to_bytes(32, "little"))
PROOF = Authentication(AuthMethod.SHARED_KEY, bytes(32))
IKE_TRANSFORMS = (
    TransformSubstructure(1, 20, 128),
    TransformSubstructure(2, 5),
    TransformSubstructure(4, 31),
)
ESP_TRANSFORMS = (TransformSubstructure(1, 20, 128), TransformSubstructure(5, 0))
SPI = b"\x00\x01\x02\x03"


def ike_offer(spi: bytes) -> SecurityAssociation:
    return SecurityAssociation((Proposal(1, ProtocolId.IKE, spi, IKE_TRANSFORMS),))


ESP_OFFER = SecurityAssociation((Proposal(1, ProtocolId.ESP, SPI, ESP_TRANSFORMS),))


def purposes(stand: Stand, *, response: bool) -> dict[str, Payloads]:
    """Give the payloads of every purpose, as the peer of `stand` would write them."""
    child = next((one for one in _children(stand)), None)
    spi = child.spi_out.to_bytes(4, "big") if child else SPI
    offered = (ESP_OFFER, *_selectors(stand, response=response))
    who: Payload = (IDr if response else IDi)(1, ADDRESSES[OTHER[stand.name]].packed)
    rekey = child_notify(NotifyType.REKEY_SA, int.from_bytes(spi, "big"), ProtocolId.ESP)
    return {
        "first message": (ike_offer(b""), KE, NONCE),
        "cookie": (Notify(NotifyType.COOKIE, bytes(16)),),
        "proof with a child": (who, PROOF, *offered),
        "proof without a child": (who, PROOF),
        "no proof": (who, *offered),
        "new child": (NONCE, *offered),
        "rekey of a child": (rekey, NONCE, *offered),
        "rekey of the IKE SA": (ike_offer(b"peer new"), NONCE, KE),
        "nothing": (),
        "delete of the IKE SA": (Delete(ProtocolId.IKE),),
        "delete of a child": (Delete(ProtocolId.ESP, (spi,)),),
        "error": (Notify(NotifyType.TEMPORARY_FAILURE),),
        "unknown status": (Notify(40_000, b"words"),),
        "unknown critical payload": (Unknown(200, True, b"words"),),
        "two proofs": (who, PROOF, PROOF),
        "EAP": (Unknown(PayloadType.EAP, False, b"\x01\x01\x00\x05\x01"),),
    }


def _children(stand: Stand) -> list[ChildSa]:
    lineage = stand.ctx.lineages.get(stand.sa.lineage)
    return list(lineage.children.values()) if lineage else []


def _selectors(stand: Stand, *, response: bool) -> tuple[TSi, TSr]:
    """Give what the two have configured: the initiator of an exchange writes its own side in front."""
    peer = stand.configured
    ours, theirs = (
        tuple(TrafficSelector(0, 0, 65_535, one.start, one.end) for one in side)
        for side in (peer.children[0].local, peer.children[0].remote)
    )
    return (TSi(ours), TSr(theirs)) if response else (TSi(theirs), TSr(ours))

"""The client against the guest's kernel: jobs for it."""

from __future__ import annotations

import errno
from dataclasses import replace
from ipaddress import ip_address

from culvert.ipsec.associations import Direction, Mode, Protocol, SecurityAssociation
from culvert.ipsec.policies import Action, Policy, Template
from culvert.ipsec.selectors import Selector
from culvert.xfrm.associations import ReplayState
from culvert.xfrm.client import XfrmClient
from culvert.xfrm.errors import XfrmError
from culvert.xfrm.migrations import Move
from culvert.xfrm.probe import kernel_has_esp
from tests.unit.xfrm.samples import (
    CIPHERS,
    EVERY_ALGORITHM,
    EVERY_OPTION,
    FAR,
    GCM,
    MACS,
    NEAR,
    THEM,
    US,
    as_installed,
    manual,
)

KERNEL_WINDOW = 4096
ELSEWHERE = ip_address("198.51.100.77")


def as_this_kernel_has_it(association: SecurityAssociation) -> SecurityAssociation:
    """Linux 6.1 has no direction of an association; none has our own words; ESN needs a window."""
    only_sends = association.direction is Direction.OUT
    return replace(
        association,
        direction=None,
        legacy=False,
        mode=Mode.TRANSPORT if association.mode is Mode.ANY else association.mode,
        replay_window_packets=32 if association.esn and only_sends else association.replay_window_packets,
    )


async def given_back() -> dict[str, str]:
    """Add and read one association of every kind; give what differs."""
    client = XfrmClient.kernel()
    wrong: dict[str, str] = {}
    options = {f"option {name}": one for name, one in EVERY_OPTION.items()}
    for name, association in (EVERY_ALGORITHM | options).items():
        if association.replay_window_packets > KERNEL_WINDOW:
            continue
        try:
            await client.add_association(association)
        except XfrmError as error:
            wrong[name] = str(error)
            continue
        (state,) = await client.associations(keys=True)
        if as_installed(state) != as_this_kernel_has_it(association):
            wrong[name] = f"{state} is not {association}"
        await client.delete_association(association.id)
    client.close()
    return wrong


async def steps() -> list[str]:
    """Take the steps that need associations in the kernel; give what came of each."""
    client = XfrmClient.kernel()
    said = ["has ESP, and the probe is gone"] if await kernel_has_esp() and not await client.associations() else []
    cbc = replace(manual(CIPHERS["aes128"], MACS["sha256"]), replay_window_packets=64)
    await client.add_association(cbc)
    state = await client.association(cbc.id)
    if state is not None:
        await client.set_replay_state(state, ReplayState(0, 70, (0b101, 0)))
    progress = await client.replay_state(cbc.id)
    said += [f"sequence numbers {progress.sequence_out}, {progress.sequence_in}"] if progress else []
    said += await migrated(client)
    await client.add_association(manual(None, MACS["sha256"]))
    await client.flush_associations(Protocol.ESP)
    left = [state.id.protocol for state in await client.associations()]
    said += ["ESP is flushed, AH is left"] if left == [Protocol.AH] and await client.count_associations() == 1 else []
    client.close()
    return said


async def migrated(client: XfrmClient) -> list[str]:
    """Move a policy and its association."""
    template = Template(US, THEM, 77)
    policy = Policy(Selector(NEAR, FAR), Direction.OUT, Action.PROTECT, 5, (template,))
    await client.add_policy(policy)
    await client.add_association(replace(GCM, reqid=77, spi=77))
    move = Move(US, THEM, US, ELSEWHERE, 77)
    await client.migrate(policy, [move])
    (moved,) = await client.policies()
    there = [state.id.destination for state in await client.associations() if state.reqid == 77]
    said = [f"moved to {one.destination}" for one in moved.templates if there == [one.destination]]
    try:
        await client.migrate(policy, [move])
    except XfrmError as error:
        said += ["nothing moves twice"] if error.errno in (errno.ESRCH, errno.ENODATA) else [str(error)]
    return said

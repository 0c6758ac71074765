"""Takes everything of ours off the host, in the order that lets nothing out in clear: steering, TUN, fence, settings.

Nothing is looked up that a crash could have lost: each thing is recognised by its own mark. So this is also the way to
clean up after one.
"""

from __future__ import annotations

from pathlib import Path

from culvert.network import dead_ends, gifs, links, routes, rules, sysctls
from culvert.network.firewall import Firewall
from culvert.network.netlink import open_netlink


async def sweep_host(state_directory: Path, *, keep_fence: bool = False) -> None:
    """Leave the host as it was found. With `keep_fence` the firewall table stays: traffic stays shut in.

    The engine must have ended. Raise HostError where the kernel refuses; what was done until then is done.
    """
    await sweep_steering()
    if not keep_fence:
        await Firewall().sweep()
        async with open_netlink() as netlink:
            await dead_ends.sweep(netlink)
    sysctls.sweep(state_directory)


async def sweep_steering() -> None:
    """Take away rules, routes, gif links and TUN; the fence stands."""
    async with open_netlink() as netlink:
        await rules.sweep(netlink)
        await routes.sweep()
        await gifs.sweep(netlink)
        await links.sweep(netlink)

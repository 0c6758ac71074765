"""Our XFRM messages against the kernel: its header's layout, its own tables, and iproute2's reading of them."""

from __future__ import annotations

import asyncio
import errno
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from culvert.ipsec.associations import Direction, Mode, Protocol
from culvert.ipsec.policies import Action, Level, Policy, Template
from culvert.ipsec.selectors import Selector
from culvert.lab.host import Host
from culvert.lab.lab import Lab
from culvert.wire.netlink import events, migrate, policy, progress, sa, structures
from culvert.wire.netlink.framing import Message
from culvert.wire.netlink.numbers import Groups, Own, SadAttribute, SpdAttribute, Xfrm, XfrmAttribute, kernel_groups
from culvert.xfrm import policies
from culvert.xfrm.client import XfrmClient
from culvert.xfrm.errors import XfrmError
from culvert.xfrm.fake import FakeEngine
from culvert.xfrm.probe import kernel_has_esp
from tests.differential.conftest import Neighbour

SIZES = {
    "struct xfrm_selector": structures.SELECTOR_OCTETS,
    "struct xfrm_id": structures.ID_OCTETS,
    "struct xfrm_lifetime_cfg": structures.LIFETIME_OCTETS,
    "struct xfrm_lifetime_cur": structures.CURRENT_OCTETS,
    "struct xfrm_usersa_info": sa.SA_OCTETS,
    "struct xfrm_usersa_id": sa.SA_ID_OCTETS,
    "struct xfrm_userspi_info": sa.SA_OCTETS + 8,
    "struct xfrm_encap_tmpl": 24,
    "struct xfrm_replay_state_esn": 24,
    "struct xfrm_algo": 68,
    "struct xfrm_algo_auth": 72,
    "struct xfrm_algo_aead": 72,
    "struct xfrm_userpolicy_info": policy.POLICY_OCTETS,
    "struct xfrm_userpolicy_id": policy.POLICY_ID_OCTETS,
    "struct xfrm_user_tmpl": policy.TEMPLATE_OCTETS,
    "struct xfrm_user_acquire": events.ACQUIRE_OCTETS,
    "struct xfrm_user_expire": events.EXPIRE_OCTETS,
    "struct xfrm_user_polexpire": events.POLICY_EXPIRE_OCTETS,
    "struct xfrm_user_mapping": events.MAPPING_OCTETS,
    "struct xfrm_user_migrate": migrate.MIGRATE_OCTETS,
    "struct xfrm_aevent_id": progress.PROGRESS_OCTETS,
    "struct xfrm_replay_state": 12,
    "struct xfrmu_spdinfo": 24,
}
OFFSETS = {
    "struct xfrm_usersa_info, lft": 96,
    "struct xfrm_usersa_info, curlft": 160,
    "struct xfrm_usersa_info, stats": 192,
    "struct xfrm_usersa_info, seq": 204,
    "struct xfrm_userpolicy_info, lft": 56,
    "struct xfrm_userpolicy_info, curlft": 120,
    "struct xfrm_userpolicy_info, priority": 152,
    "struct xfrm_user_acquire, sel": 40,
    "struct xfrm_user_acquire, policy": 96,
    "struct xfrm_user_acquire, aalgos": 264,
    "struct xfrm_user_tmpl, saddr": 28,
    "struct xfrm_userpolicy_info, dir": 160,
    "struct xfrm_user_polexpire, hard": 168,
    "struct xfrm_user_mapping, old_saddr": 28,
    "struct xfrm_user_mapping, new_sport": 62,
    "struct xfrm_user_migrate, reqid": 68,
    "struct xfrm_user_migrate, new_family": 74,
    "struct xfrm_aevent_id, saddr": 24,
    "struct xfrm_aevent_id, reqid": 44,
}

US, THEM = ip_address("203.0.113.1"), ip_address("198.51.100.1")
US6, THEM6 = ip_address("2001:db8::1"), ip_address("2001:db8::2")
NEAR, FAR = ip_network("192.168.1.0/24"), ip_network("192.168.2.0/24")
NEAR6, FAR6 = ip_network("2001:db8:1::/48"), ip_network("2001:db8:2::/48")

PROTECT = Policy(Selector(NEAR, FAR), Direction.OUT, Action.PROTECT, 100, (Template(US, THEM, 77),))
POLICIES = [
    PROTECT,
    replace(PROTECT, direction=Direction.IN, selector=PROTECT.selector.reversed),
    replace(PROTECT, direction=Direction.FORWARD, selector=PROTECT.selector.reversed),
    Policy(Selector(NEAR6, FAR6, 6, (0, 0), (443, 0xFFFF)), Direction.OUT, Action.DISCARD, 5),
    Policy(Selector(NEAR, FAR, 17, (1024, 0xFC00), (0, 0)), Direction.OUT, Action.BYPASS, 2**32 - 1),
    Policy(Selector(NEAR, FAR, 1), Direction.OUT, Action.PROTECT, 3, (Template(US6, THEM6, 2**31 - 1),)),
    Policy(Selector(NEAR6, FAR6), Direction.IN, Action.PROTECT, 0, (Template(US6, THEM6, 1, mode=Mode.TRANSPORT),)),
    Policy(
        Selector(NEAR, FAR, 4),
        Direction.OUT,
        Action.PROTECT,
        8,
        (
            Template(US, THEM, 5, Protocol.ESP, Mode.TRANSPORT, Level.USE),
            Template(US, THEM, 6, Protocol.AH, Mode.TUNNEL, Level.REQUIRE, 0x1234),
        ),
    ),
    Policy(Selector(NEAR, FAR, 1, (8, 0xFFFF), (0, 0)), Direction.OUT, Action.DISCARD, 9),
]


OUR_FIRST_ATTRIBUTE = 0x4001
"""SA_DIR is the kernel's, and newer than Debian's header."""


def compiled(folder: Path, expressions: list[str]) -> list[int]:
    """Have the C compiler say what these come to with the kernel's own header."""
    assert shutil.which("cc"), "needs a C compiler and the kernel's headers, as the engine's build does"
    lines = "\n".join(f'    printf("%d\\n", (int)({expression}));' for expression in expressions)
    source = folder / "layout.c"
    source.write_text(
        "#include <stddef.h>\n#include <stdio.h>\n#include <sys/socket.h>\n#include <linux/xfrm.h>\n"
        f"int main(void) {{\n{lines}\n    return 0;\n}}\n"
    )
    subprocess.run(["cc", "-o", str(folder / "layout"), str(source)], check=True)
    said = subprocess.run([str(folder / "layout")], check=True, capture_output=True, text=True).stdout
    return [int(line) for line in said.split()]


def test_structures_are_laid_out_as_the_kernels(tmp_path: Path) -> None:
    expressions = [f"sizeof({name})" for name in SIZES] + [f"offsetof({name})" for name in OFFSETS]
    found = compiled(tmp_path, expressions)
    assert dict(zip([*SIZES, *OFFSETS], found, strict=True)) == SIZES | OFFSETS


def test_numbers_are_the_kernels(tmp_path: Path) -> None:
    messages = {f"XFRM_MSG_{one.name}": int(one) for one in Xfrm}
    theirs = [one for one in XfrmAttribute if one < OUR_FIRST_ATTRIBUTE and one is not XfrmAttribute.SA_DIR]
    attributes = {f"XFRMA_{one.name}": int(one) for one in theirs}
    sizes = {f"XFRMA_SAD_{one.name}": int(one) for one in SadAttribute}
    sizes |= {f"XFRMA_SPD_{one.name}": int(one) for one in SpdAttribute}
    flags = {
        "XFRM_STATE_NOECN": sa.STATE_NOECN,
        "XFRM_STATE_DECAP_DSCP": sa.STATE_DECAP_DSCP,
        "XFRM_STATE_AF_UNSPEC": sa.STATE_AF_UNSPEC,
        "XFRM_STATE_ESN": sa.STATE_ESN,
        "XFRM_SA_XFLAG_DONT_ENCAP_DSCP": sa.EXTRA_DONT_ENCAP_DSCP,
        "1 << (XFRMNLGRP_MAPPING - 1)": kernel_groups(Groups.MAPPING),
        "1 << (XFRMNLGRP_MIGRATE - 1)": kernel_groups(Groups.MIGRATE | Groups.PATH_MTU | Groups.IKE),
        "1 << (XFRMNLGRP_POLICY - 1)": kernel_groups(Groups.POLICIES),
    }
    wanted = messages | attributes | sizes | flags
    assert dict(zip(wanted, compiled(tmp_path, list(wanted)), strict=True)) == wanted


@pytest.fixture
def host() -> Iterator[Host]:
    with Lab("xfrmk") as lab:
        yield lab.host("gateway")


@pytest.fixture
async def kernel(host: Host) -> AsyncIterator[XfrmClient]:
    with host.enter():
        client = XfrmClient.kernel()
    yield client
    client.close()


@pytest.mark.root
async def test_the_kernel_gives_policies_back_as_it_got_them(kernel: XfrmClient) -> None:
    for one in POLICIES:
        await kernel.add_policy(one)
    assert by_text(await kernel.policies()) == by_text(POLICIES)


@pytest.mark.root
async def test_kernel_and_fake_take_the_same_steps(kernel: XfrmClient) -> None:
    """Added, added again, replaced, taken away, taken away again: both planes answer alike at every step."""
    fake = FakeEngine()
    client = fake.connect()
    assert await steps(kernel) == await steps(client)
    client.close()
    fake.close()


async def steps(plane: XfrmClient) -> list[object]:
    seen: list[object] = []
    for one in POLICIES:
        await plane.add_policy(one)
    with pytest.raises(XfrmError) as refused:
        await plane.add_policy(PROTECT)
    seen.append(refused.value.errno)
    others = await plane.replace_policies([replace(PROTECT, priority=9)])
    seen.append(by_text(others))
    seen.append(await plane.count_policies())
    seen.append(await plane.count_associations())
    seen.append(by_text(await plane.policies()))
    seen += [await plane.delete_policy(POLICIES[3]), await plane.delete_policy(POLICIES[3])]
    state = await plane.policy(POLICIES[4])
    assert state is not None
    seen += [await plane.delete_policy_index(state.policy.index), await plane.policy(POLICIES[4])]
    seen += [await plane.delete_policy_index(state.policy.index)]
    await plane.update_policy(replace(POLICIES[5], priority=77, index=8 * 9999 + 1))
    await plane.load_policies([POLICIES[3], POLICIES[4]], [replace(POLICIES[6], priority=1)], [POLICIES[1]])
    seen.append(by_text(await plane.policies()))
    with pytest.raises(XfrmError) as refused:
        await plane.load_policies([], [], [POLICIES[1]])
    seen.append(refused.value.errno)
    own = replace(POLICIES[1], index=0x4000_0000)
    await plane.add_policy(own)
    seen += [one.index for one in await plane.policies() if one == own]
    await plane.flush_policies()
    await plane.flush_policies()
    await plane.flush_associations()
    return [*seen, by_text(await plane.policies()), await plane.associations()]


@pytest.mark.root
async def test_iproute2_reads_what_we_wrote(kernel: XfrmClient, host: Host) -> None:
    await kernel.add_policy(POLICIES[0])
    await kernel.add_policy(POLICIES[4])
    text = host.ip("-s", "xfrm", "policy")
    assert "src 192.168.1.0/24 dst 192.168.2.0/24" in text
    assert "tmpl src 203.0.113.1 dst 198.51.100.1" in text
    assert "proto esp spi 0x00000000(0) reqid 77(0x0000004d) mode tunnel" in text
    assert "uid 0" in text
    assert "proto udp sport 1024" in text
    assert "limit: soft (INF)(bytes), hard (INF)(bytes)" in text


@pytest.mark.root
async def test_iproute2_reads_bundles_and_icmp(kernel: XfrmClient, host: Host) -> None:
    await kernel.load_policies(POLICIES[-2:])
    text = host.ip("xfrm", "policy")
    bundle, icmp = text[text.index("proto ipencap") :], text[text.index("proto icmp") :]
    assert "type 8" in icmp.partition("\n")[0]
    first, second = "proto esp reqid 5 mode transport", "proto ah spi 0x00001234 reqid 6 mode tunnel"
    assert bundle.index(first) < bundle.index(second)
    assert "level use" in bundle.partition("proto ah")[0]


@pytest.mark.root
async def test_the_kernel_takes_very_many_policies(kernel: XfrmClient) -> None:
    many = [replace(PROTECT, selector=Selector(ip_network((0x0A000000 + i * 4, 30)), FAR)) for i in range(3000)]
    await kernel.load_policies(many)
    assert (await kernel.count_policies())[Direction.OUT] == 3000
    states = await kernel.policy_states()
    assert {state.policy for state in states} == set(many)
    assert all(state.added_at_s > 1_600_000_000 and not state.used_at_s for state in states)
    with pytest.raises(XfrmError) as refused:
        await kernel.load_policies(many[-1:])
    assert refused.value.errno == errno.EEXIST


@pytest.mark.root
async def test_a_policy_of_a_socket_is_no_entry_of_the_spd(kernel: XfrmClient, host: Host) -> None:
    """What IKE daemons set so that their own packets pass: `struct xfrm_userpolicy_info` as IP_XFRM_POLICY (17)."""
    anywhere = Policy(Selector(ip_network("0.0.0.0/0"), ip_network("0.0.0.0/0")), Direction.OUT, Action.BYPASS)
    with host.enter(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ike:
        ike.setsockopt(socket.SOL_IP, 17, policy.emit_policy(policies.to_wire(anywhere)))
        await kernel.add_policy(PROTECT)
        assert "socket out" in host.ip("xfrm", "policy")
        assert await kernel.policies() == [PROTECT]


@pytest.mark.root
async def test_the_probe_leaves_nothing_behind(host: Host) -> None:
    with host.enter():
        has_esp = await kernel_has_esp()
    assert has_esp is (await asyncio.to_thread(esp_by_iproute2, host))
    assert host.ip("xfrm", "state") == ""


def esp_by_iproute2(host: Host) -> bool:
    words = (
        "state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 9 enc cbc(aes) 0x{0} auth-trunc hmac(sha256) 0x{0}{0} 128"
    )
    command = host.command(["ip", "xfrm", *words.format("00" * 16).split()])
    if subprocess.run(command, capture_output=True, check=False).returncode:
        return False
    host.ip("xfrm", "state", "flush")
    return True


@pytest.mark.root
async def test_we_read_what_iproute2_wrote(kernel: XfrmClient, host: Host) -> None:
    words = "src 10.1.0.0/16 dst 10.2.0.0/16 proto tcp dport 22 dir out priority 12 tmpl src 1.2.3.4 dst 5.6.7.8"
    host.ip("xfrm", "policy", "add", *words.split(), "proto", "esp", "reqid", "9", "mode", "tunnel")
    selector = Selector(ip_network("10.1.0.0/16"), ip_network("10.2.0.0/16"), 6, (0, 0), (22, 0xFFFF))
    template = Template(ip_address("1.2.3.4"), ip_address("5.6.7.8"), 9)
    assert await kernel.policies() == [Policy(selector, Direction.OUT, Action.PROTECT, 12, (template,))]


@pytest.mark.root
async def test_the_kernel_says_no_in_words(kernel: XfrmClient) -> None:
    with pytest.raises(XfrmError) as refused:
        await kernel.barrier()
    assert refused.value.errno > 0
    assert Message(Own.BARRIER).type == 0x401


def by_text(policies: list[Policy]) -> list[str]:
    """Without the indexes, which each plane chooses for itself."""
    return sorted(str(replace(one, index=0)) for one in policies)


@pytest.mark.slow
def test_a_whole_kernel_gives_associations_back_as_it_got_them(neighbour: Neighbour) -> None:
    neighbour.guest.shell("modprobe -a esp4 esp6 ah4 ah6")
    assert neighbour.guest.call("tests.uml.associations:given_back") == {}


@pytest.mark.slow
def test_a_whole_kernel_migrates_counts_and_sets(neighbour: Neighbour) -> None:
    neighbour.guest.shell("modprobe -a esp4 ah4")
    assert neighbour.guest.call("tests.uml.associations:steps") == [
        "has ESP, and the probe is gone",
        "sequence numbers 0, 70",
        "moved to 198.51.100.77",
        "nothing moves twice",
        "ESP is flushed, AH is left",
    ]

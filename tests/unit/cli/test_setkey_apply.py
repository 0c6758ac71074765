"""What setkey has done by a data plane, against the engine without packets: all of a text, or nothing of it."""

import errno
from ipaddress import ip_address

import pytest

from culvert.cli.setkey_apply import Dialect, Manner, Session
from culvert.errors import HostError, Problem
from culvert.ipsec.associations import AssociationId, Direction, Protocol, SecurityAssociation
from culvert.ipsec.policies import OWN_INDEX, Action, Policy, Template
from culvert.ipsec.selectors import Selector
from culvert.setkey.dumps import Moment
from culvert.setkey.names import TableResolver
from culvert.setkey.parse import parse
from culvert.xfrm.errors import XfrmError
from culvert.xfrm.fake import FakeEngine

A, W = "192.0.2.1", "198.51.100.1"
KEYS = f"-E aes-cbc 0x{'11' * 16} -A hmac-sha2-256 0x{'22' * 32}"
ADD = f"add {A} {W} esp 0x1001 {KEYS};\n"
OUT = f"spdadd {A}/32 {W}/32 ipencap -P out ipsec esp/tunnel/{A}-{W}/require;\n"
IN = f"spdadd {W}/32 {A}/32 ipencap -P in ipsec esp/tunnel/{W}-{A}/require;\n"


class Gateway:
    def __init__(self):
        self.runs, self.settles, self.settled = True, True, 0

    def require(self):
        if not self.runs:
            raise HostError(Problem("no gateway", "here", "Start it."))

    def settle(self):
        self.require()
        if not self.settles:
            raise HostError(Problem("the gateway is gone", "here"))
        self.settled += 1


class Bench:
    """One session with all that it printed."""

    def __init__(self, engine):
        self.engine, self.gateway = engine, Gateway()
        self.client = engine.connect()
        self.shown, self.told = [], []

    async def run(self, text, **manner):
        parsed = parse(text, "ipsec.conf", TableResolver())
        assert not parsed.problems, parsed.problems[0]
        moment = Moment(1_000, 42, lambda time_s: f"day {time_s:>16}")
        session = Session(
            self.client, self.gateway, self.shown.append, self.told.append, lambda: moment, Manner(**manner)
        )
        return await session.apply(parsed)

    async def policies(self):
        return [(str(policy.selector.source), policy.direction) for policy in await self.client.policies()]


@pytest.fixture
async def bench():
    engine = FakeEngine()
    yield Bench(engine)
    engine.close()


async def test_a_whole_file_stands_when_it_returns(bench):
    assert await bench.run(f"flush; spdflush;\n{ADD}{OUT}{IN}")
    (state,) = await bench.client.associations(keys=True)
    assert state.id == AssociationId(ip_address(W), 0x1001)
    assert state.keys.encryption == b"\x11" * 16
    assert await bench.policies() == [(f"{A}/32", Direction.OUT), (f"{W}/32", Direction.IN)]
    assert bench.gateway.settled == 1
    assert not bench.told


async def test_associations_alone_need_no_gateway(bench):
    bench.gateway.runs = False
    assert await bench.run(ADD)
    assert len(await bench.client.associations()) == 1
    assert bench.gateway.settled == 0


async def test_policies_without_a_gateway_are_refused_and_nothing_is_done(bench):
    bench.gateway.runs = False
    assert not await bench.run(ADD + OUT)
    assert [str(problem) for problem in bench.told] == ["here: no gateway\n    Start it."]
    assert not await bench.client.associations()
    assert not await bench.run(ADD + OUT, best_effort=True)
    assert len(await bench.client.associations()) == 1
    assert not await bench.client.policies()


async def test_what_exists_is_refused_with_its_line_and_nothing_is_done(bench):
    assert await bench.run(ADD + OUT)
    more = ADD.replace("0x1001", "0x2002")
    assert not await bench.run(f"{more}{ADD}{IN}{OUT}")
    assert [problem.where for problem in bench.told] == ["ipsec.conf:2:1", "ipsec.conf:4:1"]
    assert all("already" in problem.what for problem in bench.told)
    assert len(await bench.client.associations()) == 1
    assert len(await bench.client.policies()) == 1


async def test_best_effort_does_the_rest(bench):
    assert await bench.run(ADD + OUT)
    assert not await bench.run(f"{ADD.replace('0x1001', '0x2002')}{ADD}{IN}{OUT}", best_effort=True)
    assert len(await bench.client.associations()) == 2
    assert len(await bench.client.policies()) == 2


async def test_the_same_file_loads_again_when_it_flushes_first(bench):
    text = f"flush; spdflush;\n{ADD}{OUT}{IN}"
    assert await bench.run(text)
    assert await bench.run(text)
    assert len(await bench.client.policies()) == 2
    assert bench.gateway.settled == 2


async def test_spdupdate_replaces_or_adds(bench):
    assert await bench.run(OUT)
    assert await bench.run((OUT + IN).replace("spdadd", "spdupdate").replace("require", "unique:7"))
    assert {policy.templates[0].reqid for policy in await bench.client.policies()} == {7}
    assert len(await bench.client.policies()) == 2


async def test_policies_change_together_whatever_the_order_of_the_statements(bench):
    assert await bench.run(OUT)
    delete = f"spddelete {A}/32 {W}/32 ipencap -P out;\n"
    assert await bench.run(delete + OUT.replace("require", "use") + IN + delete.replace("spddelete", "spddelete"))
    assert await bench.policies() == [(f"{W}/32", Direction.IN)]
    assert await bench.run(f"spdflush;{OUT}spdflush;{OUT}")
    assert await bench.policies() == [(f"{A}/32", Direction.OUT)]


async def test_what_is_absent_already_is_told_and_all_is_well(bench):
    absent = f"spddelete {A}/32 {W}/32 any -P in;\ndelete {A} {W} esp 0x9999;\n"
    assert await bench.run(absent + ADD)
    assert [problem.where for problem in bench.told] == ["ipsec.conf:1:1", "ipsec.conf:2:1"]
    assert len(await bench.client.associations()) == 1


async def test_get_shows_one_and_its_absence_is_not_good(bench):
    assert await bench.run(ADD)
    assert await bench.run(f"get {A} {W} esp 0x1001;")
    assert f"{A} {W}\n\tesp mode=any spi=4097(0x00001001) reqid=0(0x00000000)\n" in bench.shown[0]
    assert "\tE: aes-cbc  11111111 11111111 11111111 11111111\n" in bench.shown[0]
    assert not await bench.run(f"get {A} {W} esp 0x2002;")
    assert not await bench.run(f"get {W} {W} esp 0x1001;")
    assert f"this one is from {A}" in bench.told[-1].what


async def test_associations_are_deleted_one_by_one_between_two_hosts_and_all(bench):
    several = "".join(ADD.replace("0x1001", f"0x{number}") for number in (1001, 1002, 1003))
    other = ADD.replace(A, "192.0.2.9").replace("0x1001", "0x5005")
    ah = f"add {A} {W} ah 0x1001 -A hmac-sha1 0x{'33' * 20};"
    assert await bench.run(several + other + ah)
    assert await bench.run(f"delete {A} {W} esp 0x1002;")
    assert len(await bench.client.associations()) == 4
    assert await bench.run(f"deleteall {A} {W} esp;")
    left = {state.id for state in await bench.client.associations()}
    assert left == {
        AssociationId(ip_address(W), 0x5005),
        AssociationId(ip_address(W), 0x1001, Protocol.AH),
    }
    assert await bench.run("flush esp;")
    assert [state.id.protocol for state in await bench.client.associations()] == [Protocol.AH]
    assert await bench.run("flush;")
    assert not await bench.client.associations()


async def test_dumps_stand_where_they_are_written(bench):
    assert await bench.run(f"dump;{ADD}dump esp;dump ah;{OUT}spddump;")
    empty, esp, ah, policies = bench.shown
    assert (empty, ah) == ("", "")
    assert "spi=4097" in esp
    assert policies.startswith(f"{A}[any] {W}[any] ipencap\n\tout ipsec\n\tesp/tunnel/{A}-{W}/require\n")


# What belongs to the gateway's configuration and to IKE


async def configured(bench):
    selector = parse(OUT, "", TableResolver()).statements[0].policy.selector
    template = Template(ip_address(A), ip_address(W), 70_000)
    await bench.client.add_policy(Policy(selector, Direction.OUT, Action.PROTECT, 5, (template,), OWN_INDEX + 1))
    association = parse(ADD, "", TableResolver()).statements[0].association
    fields = {name: getattr(association, name) for name in SecurityAssociation.__dataclass_fields__}
    await bench.client.add_association(SecurityAssociation(**fields | {"direction": Direction.OUT, "reqid": 70_000}))


async def test_flushes_leave_what_the_configuration_and_ike_made(bench):
    await configured(bench)
    assert await bench.run(IN + ADD.replace("0x1001", "0x2002"))
    assert await bench.run("flush; spdflush;")
    assert [state.id.spi for state in await bench.client.associations()] == [0x1001]
    assert [policy.index for policy in await bench.client.policies()] == [OWN_INDEX + 1]
    assert await bench.run("flush;", all=True)
    assert not await bench.client.associations()


async def test_policies_of_the_configuration_are_not_changed(bench):
    await configured(bench)
    for text in (OUT, OUT.replace("spdadd", "spdupdate"), f"spddelete {A}/32 {W}/32 4 -P out;"):
        assert not await bench.run(text)
        assert "configuration" in bench.told[-1].what
    assert [policy.index for policy in await bench.client.policies()] == [OWN_INDEX + 1]


# Update


async def test_update_gives_other_lifetimes_and_never_other_keys(bench):
    assert await bench.run(ADD)
    assert await bench.run(ADD.replace("add", "update").replace(" -E", " -lh 99 -E"))
    (state,) = await bench.client.associations()
    assert state.lifetimes.hard_s == 99
    assert not await bench.run(ADD.replace("add", "update").replace("11", "44"))
    assert "never change" in bench.told[-1].what
    assert not await bench.run(ADD.replace("add", "update").replace("0x1001", "0x2002"))
    assert "Write add" in bench.told[-1].what_to_do


# Dialects and reqids


@pytest.mark.parametrize(
    ("dialect", "directions"),
    [
        (Dialect.PLAIN, [Direction.IN]),
        (Dialect.EXACT, [Direction.IN]),
        (Dialect.BOTH, [Direction.IN, Direction.FORWARD]),
    ],
)
async def test_what_comes_in_and_what_is_forwarded(bench, dialect, directions):
    assert await bench.run(IN.replace("require", "unique"), dialect=dialect)
    policies = await bench.client.policies()
    assert [policy.direction for policy in policies] == directions
    assert [policy.templates[0].reqid for policy in policies] == [0x4000, 0][: len(directions)]
    assert await bench.run(f"spddelete {W}/32 {A}/32 4 -P in;", dialect=dialect)
    assert not await bench.client.policies()
    assert not bench.told


async def test_a_forward_policy_of_the_file_itself_stands_as_it_is(bench):
    forward = IN.replace("-P in", "-P fwd").replace("require", "use")
    assert await bench.run(IN + forward, dialect=Dialect.BOTH)
    assert len(await bench.client.policies()) == 2
    assert await bench.run(f"spddelete {W}/32 {A}/32 4 -P fwd;")
    assert await bench.run(f"spddelete {W}/32 {A}/32 4 -P in;", dialect=Dialect.BOTH)
    assert not bench.told


async def test_unique_gets_a_reqid_that_nobody_has(bench):
    taken = ADD.replace(" -E", " -u 16384 -E")
    assert await bench.run(taken)
    text = (
        OUT.replace("require", "unique")
        + IN.replace("require", "unique")
        + taken.replace("0x1001", "0x2002").replace("16384", "16386")
    )
    assert await bench.run(text)
    assert [policy.templates[0].reqid for policy in await bench.client.policies()] == [16385, 16387]


# What the data plane refuses though it was not foreseen


async def test_what_was_added_before_a_refusal_is_taken_back(bench, monkeypatch):
    add = bench.client.add_association
    limit = 2

    async def limited(association):
        nonlocal limit
        if not limit:
            raise XfrmError(errno.ENOSPC, "the SAD is full")
        limit -= 1
        await add(association)

    monkeypatch.setattr(bench.client, "add_association", limited)
    three = "".join(ADD.replace("0x1001", f"0x{number}") for number in (1001, 1002, 1003))
    assert not await bench.run(OUT + three + IN)
    assert bench.told[-1].where == "ipsec.conf:4:1"
    assert "full" in bench.told[-1].what
    assert not await bench.client.associations()
    assert not await bench.client.policies()
    limit = 2
    assert not await bench.run(OUT + three + IN, best_effort=True)
    assert len(await bench.client.associations()) == 2
    assert len(await bench.client.policies()) == 2


async def test_policies_that_cannot_be_steered_are_taken_back_and_those_before_them_stand_again(bench):
    assert await bench.run(OUT + IN)
    before = await bench.client.policies()
    bench.gateway.settles = False
    changed = OUT.replace("require", "use").replace("spdadd", "spdupdate")
    for text in (
        f"spdflush; {ADD}{OUT}",
        changed,
        f"spddelete {W} {A} 4 -P in; {ADD}",
        ADD + OUT.replace("ipencap", "any"),
    ):
        assert not await bench.run(text)
        assert "the gateway is gone" in bench.told[-1].what
        assert set(await bench.client.policies()) == set(before)
        assert not await bench.client.associations()


async def test_policies_are_flushed_and_added_in_one_step_whatever_stands_between(bench, monkeypatch):
    """In between, what is protected before and after would pass in clear."""
    assert await bench.run(OUT + IN)
    counts = []
    add = bench.client.add_association

    async def counted(association):
        counts.append(len(await bench.client.policies()))
        await add(association)

    monkeypatch.setattr(bench.client, "add_association", counted)
    assert await bench.run(f"spdflush; flush;\n{ADD}{OUT}{ADD.replace('0x1001', '0x1002')}{IN}")
    assert counts == [2, 2]
    assert len(await bench.client.policies()) == 2


async def test_what_is_refused_very_often_is_told_a_thousand_times(bench):
    text = "".join(OUT.replace("192.0.2.1/32", f"10.0.{number >> 8}.{number & 255}") for number in range(1_500))
    assert await bench.run(text)
    assert not await bench.run(text)
    assert len(bench.told) == 1_001
    assert "1500 statements are refused" in bench.told[-1].what


async def test_the_end_of_the_data_plane_is_told_as_such(bench):
    bench.engine.close()
    with pytest.raises(XfrmError):
        await bench.run(ADD)


async def test_nothing_is_asked_for_nothing(bench):
    bench.engine.close()
    assert await bench.run("")


async def test_verbose_names_each_line(bench):
    assert await bench.run(ADD + OUT + IN, verbose=True)
    assert [problem.where for problem in bench.told] == ["ipsec.conf:1", "ipsec.conf:2", "ipsec.conf:3"]


def test_selectors_tell_policies_apart():
    one, other = (statement.policy.selector for statement in parse(OUT + IN, "", TableResolver()).statements)
    assert isinstance(one, Selector)
    assert one.reversed == other

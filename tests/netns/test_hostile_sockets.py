"""Whoever may talk to the control sockets says anything, or nothing, or too much; and others may not talk at all."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from culvert.control.protocol import MAX_LINE_OCTETS
from culvert.daemon.server import MAX_CONNECTIONS, RESERVED_CONNECTIONS
from tests.netns.offices import PEER, Pair, TestedOffice, two_offices

pytestmark = [pytest.mark.root, pytest.mark.slow]

GROUP = 4_711
NOBODY = 65_534
GROWTH_KIB = 4_096
STATUS = b'{"jsonrpc":"2.0","id":1,"method":"status"}\n'


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with two_offices(tmp_path_factory.mktemp("sockets")) as built:
        built.join()
        yield built


@pytest.fixture
def office(pair: Pair) -> Iterator[TestedOffice]:
    before = pair.a.pids()
    yield pair.a
    assert pair.a.pids() == before
    assert pair.a.peer_status()["state"] == "up"
    assert pair.ping() == 2
    for word in ("Traceback", "ERROR", "panicked"):
        assert word not in pair.a.log()


def control(office: TestedOffice) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(10)
    connection.connect(str(office.run_dir / "control.sock"))
    return connection


def engine(office: TestedOffice) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(10)
    connection.connect(str(office.run_dir / "engine.sock"))
    return connection


def ask(connection: socket.socket, line: bytes = STATUS) -> dict[str, Any]:
    connection.sendall(line)
    with connection.makefile("rb") as answers:
        answer: dict[str, Any] = json.loads(answers.readline())
        return answer


def test_random_octets_on_the_control_socket(office: TestedOffice) -> None:
    source = random.Random(1)
    before = office.resident_kib()[0]
    for _ in range(200):
        with control(office) as connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(source.randbytes(source.choice((1, 10, 1_000, 70_000))) + b"\n")
            assert b'"error"' in connection.recv(65_536)
    assert office.resident_kib()[0] - before < GROWTH_KIB


def test_lines_that_are_nearly_right(office: TestedOffice) -> None:
    lines: list[Any] = [
        *(None, 7, "status", [], [{}], {}, {"jsonrpc": "2.0"}, {"jsonrpc": "1.0", "id": 1, "method": "status"}),
        *({"jsonrpc": "2.0", "id": one, "method": "status"} for one in (None, True, -1, 2**60, "1", [], {}, 1.5)),
        *({"jsonrpc": "2.0", "id": 1, "method": one} for one in (None, 1, "", "__class__", "up", "x" * 10_000)),
        *({"jsonrpc": "2.0", "id": 1, "method": "status", "params": one} for one in (None, [], "x", {"peer": 7})),
        *(
            {"jsonrpc": "2.0", "id": 1, "method": "status", "params": {"peer": one}}
            for one in ("", "\n", "nobody", None)
        ),
        {"jsonrpc": "2.0", "id": 1, "method": "connect", "params": {"peer": PEER, "timeout_s": -1}},
        {"jsonrpc": "2.0", "id": 1, "method": "connect", "params": {"peer": PEER, "timeout_s": 1e308}},
        {"jsonrpc": "2.0", "id": 1, "method": "rekey", "params": {"peer": PEER, "child": ["net"]}},
        {"jsonrpc": "2.0", "id": 1, "method": "rekey", "params": {"peer": PEER, "child": {}}},
        {"jsonrpc": "2.0", "id": 1, "method": "down", "params": {"ending": "with a bang"}},
        {"jsonrpc": "2.0", "id": 1, "method": "down", "params": {"ending": ["open"]}},
        {"jsonrpc": "2.0", "id": 1, "result": 5},
    ]
    with control(office) as connection:
        for line in lines:
            answer = ask(connection, json.dumps(line).encode() + b"\n")
            assert "error" in answer, line
            assert answer["error"]["code"] != -32603, line
        for raw in (
            b"[" * 100_000,
            b'{"jsonrpc":"2.0","id":1,"method":"status","params":' + b"[" * 5_000,
            b"9" * 5_000,
        ):
            assert "error" in ask(connection, raw + b"\n")
        assert "result" in ask(connection)


def test_a_line_without_end_is_refused_and_costs_nothing(office: TestedOffice) -> None:
    before = office.resident_kib()[0]
    for _ in range(20):
        with control(office) as connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(4 * MAX_LINE_OCTETS // 65_536):
                connection.sendall(b"x" * 65_536)
            assert b"a line has at most" in connection.recv(65_536)
            while connection.recv(65_536):
                pass
    assert office.resident_kib()[0] - before < GROWTH_KIB + 2 * MAX_LINE_OCTETS // 1_024


def test_half_lines_keep_nobody_waiting(office: TestedOffice) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(control(office)).sendall(STATUS[:17])
        with control(office) as connection:
            assert "result" in ask(connection)


def test_a_hundred_connections_lock_nobody_out(office: TestedOffice) -> None:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(control(office)) for _ in range(100)]
        answered = 0
        for connection in held:
            with contextlib.suppress(OSError, ValueError):
                answered += "result" in ask(connection)
        assert answered == MAX_CONNECTIONS + RESERVED_CONNECTIONS
        refused = office.culvert("status", code=1)
        assert "too many connections" in refused.stderr
    assert office.culvert("status").returncode == 0


def test_the_group_cannot_lock_out_root(reachable: TestedOffice) -> None:
    path = reachable.run_dir / "control.sock"
    os.chown(path, 0, GROUP)
    many = "held = [socket.socket(socket.AF_UNIX) for _ in range(100)]\nfor one in held: one.connect({path!r})\n"
    hold = "print('held', flush=True)\nimport sys\nsys.stdin.read()"
    prelude = f"import os, socket\nos.setgroups([{GROUP}])\nos.setgid({NOBODY})\nos.setuid({NOBODY})\n"
    command = [sys.executable, "-c", prelude + many.format(path=str(path)) + hold]
    with reachable.host.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        assert reachable.culvert("status").returncode == 0
        holder.stdin.close()
        holder.wait(10)


def test_somebody_who_does_not_read_holds_up_nobody_else(office: TestedOffice) -> None:
    with control(office) as deaf:
        deaf.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                deaf.send(STATUS * 100)
        with control(office) as connection:
            assert "result" in ask(connection)


def test_random_octets_on_the_socket_of_the_engine(office: TestedOffice) -> None:
    source = random.Random(2)
    before = office.resident_kib()[1]
    for _ in range(30):
        with engine(office) as connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(50):
                connection.send(_nonsense(source))
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while connection.recv(65_536):
                    pass
    assert office.resident_kib()[1] - before < GROWTH_KIB


def _nonsense(source: random.Random) -> bytes:
    """Random octets, or a netlink header of a harmless kind before them: what would change the engine is left out."""
    body = source.randbytes(source.choice((0, 1, 3, 4, 16, 200, 5_000)))
    if source.random() < 0.3:
        return source.randbytes(source.choice((1, 15, 16, 17, 300, 40_000))) if source.random() < 0.5 else b"\0"
    kind = source.choice(
        (0x10, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x400, 0x401, 0x403, 0x405, 0x410, 0x420, 0x421, 0x430, 0x432, 0x7FFF)
    )
    length = source.choice((16 + len(body), 16 + len(body), 0, 15, 17, 0xFFFFFFFF))
    flags = source.choice((0, 1, 5, 0x301, 0x305, 0xFFFF))
    return struct.pack("=IHHII", length, kind, flags, source.randrange(2**32), 0) + body


def test_a_hundred_connections_to_the_engine(office: TestedOffice) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):  # it waits for its turn
                connection.connect(str(office.run_dir / "engine.sock"))
        assert office.peer_status()["state"] == "up"
        office.culvert("rekey", PEER)


def test_half_messages_and_deaf_clients_do_not_stop_the_engine(office: TestedOffice) -> None:
    dump = struct.pack("=IHHII", 16, 0x12, 0x301, 1, 0)
    with engine(office) as deaf:
        deaf.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                deaf.send(dump)
        assert office.peer_status()["state"] == "up"
        office.culvert("rekey", PEER)


# --- others ---


def as_user(office: TestedOffice, uid: int, groups: list[int], script: str) -> subprocess.CompletedProcess[str]:
    """Run Python that talks to the sockets as somebody else. The paths are opened up to the run directory."""
    prelude = f"import os, socket, json, struct\nos.setgroups({groups})\nos.setgid({uid})\nos.setuid({uid})\n"
    return office.host.run([sys.executable, "-c", prelude + script], check=False)


ASK = """
s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect({path!r})
for method in ("status", "down", "reload", "connect", "disconnect", "rekey", "prove"):
    s.sendall(json.dumps(dict(jsonrpc="2.0", id=1, method=method, params=dict(peer="other"))).encode() + b"\\n")
    answer = json.loads(s.makefile().readline())
    print(method, "result" if "result" in answer else answer["error"]["code"])
"""


@pytest.fixture
def reachable(office: TestedOffice) -> Iterator[TestedOffice]:
    """Let everybody get as far as the sockets themselves, as in /run."""
    folders = [folder for folder in office.run_dir.parents if not folder.stat().st_mode & stat.S_IXOTH]
    modes = {folder: folder.stat().st_mode for folder in folders}
    for folder in folders:
        folder.chmod(0o755)
    yield office
    for folder, mode in modes.items():
        folder.chmod(mode)


def test_a_stranger_may_not_even_connect(reachable: TestedOffice) -> None:
    for name, kind in (("control.sock", "SOCK_STREAM"), ("engine.sock", "SOCK_SEQPACKET")):
        path = reachable.run_dir / name
        assert path.stat().st_mode & 0o777 == 0o660
        script = f"socket.socket(socket.AF_UNIX, socket.{kind}).connect({str(path)!r})"
        done = as_user(reachable, NOBODY, [], script)
        assert "PermissionError" in done.stderr, name


def test_a_member_of_the_group_may_ask_for_the_status_and_for_nothing_else(reachable: TestedOffice) -> None:
    path = reachable.run_dir / "control.sock"
    os.chown(path, 0, GROUP)
    done = as_user(reachable, NOBODY, [GROUP], ASK.format(path=str(path)))
    said = dict(line.split() for line in done.stdout.splitlines())
    assert said.pop("status") == "result", done.stderr
    assert len(said) == 6
    assert set(said.values()) == {"2"}


READ_KEYS = """
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.settimeout(10); s.connect({path!r})
s.send(struct.pack("=IHHII", 16, 0x12, 0x301, 1, 0)); print(s.recv(65536).hex())
for kind in (0x400, 0x401, 0x403, 0x410, 0x11, 0x14, 0x1C, 0x1D, 0x430, 0x431, 0x432, 0x440):
    s.send(struct.pack("=IHHII", 16, kind, 5, 2, 0))
    answer = b""
    while struct.unpack_from("=I", answer.ljust(16), 8)[0] != 2: answer = s.recv(65536)
    print(kind, struct.unpack_from("=i", answer, 16)[0])
"""


def test_a_member_of_the_group_sees_no_keys_and_changes_nothing_in_the_engine(reachable: TestedOffice) -> None:
    path = reachable.run_dir / "engine.sock"
    os.chown(path, 0, GROUP)
    with engine(reachable) as root:
        root.send(struct.pack("=IHHII", 16, 0x12, 0x301, 1, 0))
        keys = _keys(root.recv(65_536))
    assert keys
    assert all(any(key) for key in keys)
    done = as_user(reachable, NOBODY, [GROUP], READ_KEYS.format(path=str(path)))
    dump, *answers = done.stdout.splitlines()
    seen = _keys(bytes.fromhex(dump))
    assert len(seen) == len(keys), done.stderr
    assert not any(any(key) for key in seen)
    assert not any(key.hex() in dump for key in keys)
    assert {line.split()[1] for line in answers} == {"-1"}, answers


def _keys(dump: bytes) -> list[bytes]:
    """Give the key octets of all XFRMA_ALG_AEAD attributes: struct xfrm_algo_aead is 72 octets before its key."""
    found, at = [], 0
    while at + 16 <= len(dump):
        length, kind = struct.unpack_from("=IH", dump, at)
        if length < 16:
            break
        inside = at + 16 + 224  # after struct xfrm_usersa_info
        while kind == 0x10 and inside + 4 <= at + length:
            size, attribute = struct.unpack_from("=HH", dump, inside)
            if attribute == 18:
                found.append(dump[inside + 4 + 72 : inside + size])
            inside += max(4, (size + 3) & ~3)
        at += (length + 3) & ~3
    return found

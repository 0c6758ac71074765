"""Starting, finding and losing the engine's process, with small programs in its place."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from culvert.errors import HostError
from culvert.reasons import Refusal
from culvert.xfrm import engine
from culvert.xfrm.engine import EngineProcess, find_program
from culvert.xfrm.holders import Holder, holders_of_udp
from culvert.xfrm.refusals import EngineRefusedError, explain

READY = """
fd = int(sys.argv[sys.argv.index("--ready-fd") + 1])
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    """Put a program in the engine's place."""
    program = folder / "culvert-engine"
    program.write_text(f"#!{sys.executable} -S\nimport os, signal, sys\n{READY}{text}")
    program.chmod(0o755)
    monkeypatch.setenv("CULVERT_ENGINE", str(program))
    return program


RUNS = "os.write(fd, b'.'); os.close(fd); signal.pause()"


async def test_a_ready_engine_runs_in_a_session_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, RUNS)
    process = await EngineProcess.start(tmp_path / "s", "tun0", 7)
    assert os.getsid(process.pid) == process.pid
    assert not process.exited.done()
    process.signal(signal.SIGKILL)
    assert await process.exited == -signal.SIGKILL
    process.signal(signal.SIGKILL)


async def test_stop_ends_it_and_gives_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = "signal.signal(signal.SIGTERM, lambda *_: os._exit(0))\n"
    install(tmp_path, monkeypatch, handler + RUNS)
    process = await EngineProcess.start(tmp_path / "s", "tun0", 7)
    assert await process.stop() == 0


async def test_stop_kills_what_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    install(tmp_path, monkeypatch, f"{handler}os.write(fd, b'.'); os.close(fd)\nwhile True: signal.pause()")
    process = await EngineProcess.start(tmp_path / "s", "tun0", 7)
    assert await process.stop(timeout_s=0.05) == -signal.SIGKILL


async def test_it_is_called_as_the_protocol_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "os.write(fd, ' '.join(sys.argv[1:-1]).encode()); sys.exit(2)")
    with pytest.raises(EngineRefusedError) as refused:
        await EngineProcess.start(tmp_path / "s", "tun0", 7)
    assert f"--socket {tmp_path}/s --tun tun0 --mark 7 --log-level info --ready-fd" in str(refused.value)


async def test_what_the_host_refuses_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "os.write(fd, b'NO_TUN_DEVICE /dev/net/tun: No such file\\n'); sys.exit(3)")
    with pytest.raises(EngineRefusedError, match="modprobe tun") as refused:
        await EngineProcess.start(tmp_path / "s", "tun0", 7)
    assert refused.value.reason is Refusal.NO_TUN_DEVICE


async def test_an_end_without_a_word_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(EngineRefusedError, match="ended by signal 9 before it was ready"):
        await EngineProcess.start(tmp_path / "s", "tun0", 7)


async def test_one_that_never_gets_ready_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "READY_TIMEOUT_S", 0.3)
    install(tmp_path, monkeypatch, "signal.pause()")
    with pytest.raises(HostError, match="was not ready"):
        await EngineProcess.start(tmp_path / "s", "tun0", 7)


async def test_a_missing_engine_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HostError, match="make setup"):
        find_program({"CULVERT_ENGINE": str(tmp_path / "none"), "PATH": ""})
    install(tmp_path, monkeypatch, "").write_bytes(b"\x7fELF nonsense")
    with pytest.raises(HostError, match="cannot be started"):
        await EngineProcess.start(tmp_path / "s", "tun0", 7)


def test_the_engine_is_found_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "empty" / "python"))
    program = install(tmp_path, monkeypatch, "")
    assert find_program({"PATH": str(tmp_path)}) == program


async def test_a_running_engine_is_found_by_its_socket(tmp_path: Path) -> None:
    assert await EngineProcess.attach(tmp_path / "s") is None
    listener = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.bind(sys.argv[1]);"
        "s.listen(); print(flush=True); sys.stdin.read()"
    )
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", listener, str(tmp_path / "s"), stdin=-1, stdout=-1
    )
    assert other.stdout is not None
    await other.stdout.readline()
    process = await EngineProcess.attach(tmp_path / "s")
    assert process is not None
    assert process.pid == other.pid
    process.release()
    other.kill()
    await other.communicate()
    assert await EngineProcess.attach(tmp_path / "s") is None


def test_who_holds_a_port_is_found() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        assert os.getpid() in {holder.pid for holder in holders_of_udp(port)}
        problem = explain(f"PORT_TAKEN {port}/udp", 3, "engine").problems[0]
    assert f"process {os.getpid()}" in problem.what
    assert f"kill {os.getpid()}" in problem.what_to_do


def test_a_proc_that_changes_meanwhile_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "udp").write_text("header\nshort\n 1: 0100007F:1194 0:0 07 0:0 0:0 0 0 0 4242 2\n")
    assert holders_of_udp(4500, tmp_path) == []
    (tmp_path / "17").mkdir()
    (tmp_path / "18" / "fd").mkdir(parents=True)
    (tmp_path / "18" / "fd" / "3").symlink_to("socket:[4242]")
    (tmp_path / "18" / "comm").write_text("charon\n")
    assert holders_of_udp(4500, tmp_path) == [Holder(18, "charon")]


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("NO_PERMISSION /dev/net/tun: Operation not permitted", 3, "as root"),
        ("PORT_TAKEN 64999/udp", 3, "ss -ulpn"),
        ("PORT_TAKEN nonsense", 3, "Stop that program"),
        ("SOCKET_TAKEN /run/culvert/engine.sock: another engine listens there", 3, "culvert down"),
        ("HOST_REFUSED protocol 50: Invalid argument", 3, "protocol 50: Invalid argument"),
        ("there is no option --colour", 2, "same version"),
        ("", 101, "exit code 101"),
    ],
)
def test_every_end_has_an_explanation(line: str, code: int, words: str) -> None:
    assert words in str(explain(line, code, "engine"))

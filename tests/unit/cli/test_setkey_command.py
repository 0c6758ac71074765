"""setkey from outside: options, what is printed where, exit codes, and its second name."""

import asyncio
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from culvert.xfrm.fake import FakeEngine

ADD = f"add 192.0.2.1 198.51.100.1 esp 0x1001 -E aes-cbc 0x{'11' * 16} -A hmac-sha2-256 0x{'22' * 32};\n"
COMMAND = (sys.executable, "-c", "import sys; from culvert.cli.main import main; sys.argv[0] = 'setkey'; main()")
POLICY = "spdadd 10.0.0.0/8 10.1.0.0/16 any -P out discard;\n"


class Plane:
    """A fake engine in a run directory, in a thread of its own."""

    def __init__(self, run_dir):
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(run_dir),))
        self._thread.start()
        assert self._ready.wait(10)

    async def _serve(self, run_dir):
        engine = FakeEngine()
        engine.listen(run_dir / "engine.sock")
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        await self._end.wait()
        engine.close()

    def close(self):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)


@pytest.fixture
def run_dir(tmp_path):
    plane = Plane(tmp_path)
    yield tmp_path
    plane.close()


def setkey(*arguments, run_dir=Path("/nonexistent"), text=None):
    return subprocess.run(
        [*COMMAND, *arguments],
        input=text or "",
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env=os.environ | {"CULVERT_RUN_DIR": str(run_dir), "TZ": "UTC"},
    )


def test_the_second_name_takes_options_at_once():
    done = setkey("-V")
    assert (done.returncode, done.stdout) == (0, "setkey (culvert) 0.1.0\n")
    assert "-f FILE" in setkey("-h").stdout
    assert "-f FILE" in setkey("-?").stdout


@pytest.mark.parametrize(
    "arguments", [(), ("-D", "-F"), ("-D", "-c"), ("-k", "-r", "-c"), ("saved.dump",), ("-Q",), ("-f",)]
)
def test_wrong_usage_is_2(arguments):
    done = setkey(*arguments)
    assert done.returncode == 2
    assert "Error: " in done.stderr


def test_a_file_is_done_dumped_and_flushed(run_dir):
    file = run_dir / "ipsec.conf"
    file.write_text(f"flush;\n{ADD}")
    assert setkey("-f", str(file), run_dir=run_dir).returncode == 0
    done = setkey("-D", run_dir=run_dir)
    assert done.stdout.startswith("192.0.2.1 198.51.100.1\n\tesp mode=any spi=4097(0x00001001) reqid=0(0x00000000)\n")
    assert setkey("-F", run_dir=run_dir).returncode == 0
    assert setkey("-D", run_dir=run_dir).stdout == ""
    assert setkey("-DP", run_dir=run_dir).stdout == ""


def test_standard_input_is_read(run_dir):
    done = setkey("-c", run_dir=run_dir, text=f"{ADD}dump;")
    assert done.returncode == 0
    assert "spi=4097" in done.stdout
    assert setkey("-f", "-", run_dir=run_dir, text="flush;exit;dance;").returncode == 0


def test_at_a_terminal_each_statement_is_done_as_it_comes(run_dir):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "-c"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"CULVERT_RUN_DIR": str(run_dir)},
    )
    os.close(theirs)
    os.write(ours, f"{ADD}dump\n;\n".encode())
    assert process.stdout.readline() == "192.0.2.1 198.51.100.1\n"
    os.write(ours, b"dance;\nexit;\n")
    _, said = process.communicate(timeout=20)
    os.close(ours)
    assert process.returncode == 1
    assert "no command of this name" in said


def test_a_mistake_shows_its_line_and_nothing_is_done(run_dir):
    file = run_dir / "ipsec.conf"
    file.write_text(f"{ADD}spdadd 10.0.0.0/8 10.0.0.0/33 any -P in none;\n")
    done = setkey("-f", str(file), run_dir=run_dir)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"{file}:2:28: this is no length of a prefix",
        "    spdadd 10.0.0.0/8 10.0.0.0/33 any -P in none;",
        "                               ^^",
        "    It is a number from 0 to 32, as in 10.0.0.0/24.",
        f"{file}: nothing of it was done",
    ]
    assert setkey("-D", run_dir=run_dir).stdout == ""
    assert setkey("--best-effort", "-f", str(file), run_dir=run_dir).returncode == 1
    assert "spi=4097" in setkey("-D", run_dir=run_dir).stdout


def test_no_action_reads_and_changes_nothing(run_dir):
    for option in ("-n", "-N"):
        assert setkey(option, "-c", run_dir=run_dir, text=ADD + POLICY).returncode == 0
        assert setkey(option, "-c", run_dir=run_dir, text="add;").returncode == 1
    assert setkey("-D", run_dir=run_dir).stdout == ""
    assert setkey("-nc", text=ADD).returncode == 0


def test_policies_need_a_gateway(run_dir):
    done = setkey("-c", run_dir=run_dir, text=POLICY)
    assert done.returncode == 1
    assert "policies are refused" in done.stderr
    assert "culvert --run-dir" in done.stderr


def test_a_counter_with_a_static_key_is_warned_of_and_done(run_dir):
    text = f"add 192.0.2.1 198.51.100.1 esp 0x1001 -E aes-gcm-16 0x{'11' * 20};\n"
    done = setkey("-c", run_dir=run_dir, text=text)
    assert done.returncode == 0
    assert done.stderr.startswith("warning: standard input:1:42: aes-gcm-16 with a key from a file")


def test_without_a_data_plane_it_says_how_to_start_one(tmp_path):
    done = setkey("-D", run_dir=tmp_path)
    assert done.returncode == 0 or "Start the gateway: culvert up" in done.stderr, "a kernel with ESP is one"


def test_a_file_that_is_not_there_is_said():
    done = setkey("-f", "/nonexistent/ipsec.conf")
    assert done.returncode == 1
    assert "/nonexistent/ipsec.conf: cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_names_of_services_and_protocols_are_the_hosts():
    done = setkey("-nc", text="spdadd 10.0.0.1[http] 10.0.0.2[domain] tcp -P out none;spdadd ::1 ::2 ospf -P in none;")
    assert done.returncode == 0, done.stderr
    done = setkey("-nc", text="spdadd nobody.invalid 10.0.0.2 any -P out none;")
    assert done.returncode == 1
    assert "the source cannot be used" in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        b"spdadd 1.2.3.4[a\0b] 5.6.7.8 tcp -P out none;",
        b"spdadd 1.2.3.4[\xff\xfe] 5.6.7.8 tcp -P out none;",
        b"spdadd 1.2.3.4 5.6.7.8 t\0cp -P out none;",
        b"spdadd 1.2.3.4 5.6.7.8 \xff -P out none;",
        b"spdadd a\0b 5.6.7.8 any -P out none;",
        b"spdadd \xff 5.6.7.8 any -P out none;",
        b"\xff\xfef\0l\0u\0s\0h\0;\0",
        bytes(range(256)) * 4_096,
        b"spdflush\n" * 100_000,
        b'"' * 1_048_576,
        b"#" * 1_048_576,
        b"\n" * 1_048_576 + b"dance",
    ],
    ids=lambda text: repr(text[:20]),
)
def test_octets_of_any_kind_are_refused_and_not_more(tmp_path, text):
    file = tmp_path / "ipsec.conf"
    file.write_bytes(text)
    done = setkey("-n", "-f", str(file))
    assert done.returncode == 1
    assert "nothing of it was done" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mark_of_byte_order_is_read_over(tmp_path):
    file = tmp_path / "ipsec.conf"
    file.write_bytes(b"\xef\xbb\xbfflush;\r\nspdflush;\r\n")
    assert setkey("-n", "-f", str(file)).returncode == 0


@pytest.mark.parametrize("what", [".", "/dev/null/none", "nowhere"])
def test_what_is_no_file_is_told(tmp_path, what):
    done = setkey("-n", "-f", str(tmp_path / what))
    assert done.returncode == 1
    assert "cannot be read" in done.stderr
    assert "Traceback" not in done.stderr

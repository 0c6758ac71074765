"""`culvert log` against a daemon of one line."""

import json
import socket
import threading

import pytest
from click.testing import CliRunner

from culvert.cli.main import culvert
from culvert.control.client import CONTROL_SOCKET

LINE = {"time": "2026-01-31T15:04:05.000+00:00", "level": "info", "message": "The tunnel is up.", "peer": "office"}
DETAIL = {"time": "2026-01-31T15:04:06.000+00:00", "level": "debug", "topic": "ike", "message": "  KE x25519"}


@pytest.fixture
def daemon(tmp_path):
    """Answers every request; to one that follows it says one more line, and then it ends."""
    asked = []
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / CONTROL_SOCKET))
    listener.listen()

    def answer():
        connection, _ = listener.accept()
        with connection, connection.makefile("rw") as lines:
            for text in lines:
                request = json.loads(text)
                asked.append((request["method"], request["params"]))
                topics = request["params"].get("topics", [])
                result = {"lines": [LINE], "topics": topics, "kept": topics}
                told = [{"jsonrpc": "2.0", "id": request["id"], "result": result}]
                if request["params"].get("follow"):
                    told.append({"jsonrpc": "2.0", "method": "log", "params": {"lines": [DETAIL]}})
                lines.write("".join(json.dumps(one) + "\n" for one in told))
                lines.flush()
                if request["params"].get("follow"):
                    return

    thread = threading.Thread(target=answer)
    thread.start()

    def run(*arguments):
        done = CliRunner().invoke(culvert, ["log", *arguments, "--run-dir", str(tmp_path)], prog_name="culvert")
        thread.join(5)
        return done, asked

    yield run
    listener.close()


def test_the_last_lines_are_shown_as_text(daemon):
    done, asked = daemon()
    assert done.stdout.endswith(" The tunnel is up. peer=office\n")
    assert asked == [("log", {})]


def test_or_as_json_one_object_a_line(daemon):
    done, asked = daemon("--json", "-n", "7", "office")
    assert json.loads(done.stdout) == LINE
    assert asked == [("log", {"lines": 7, "peer": "office"})]


def test_following_turns_topics_up_for_as_long_and_ends_with_the_gateway(daemon):
    done, asked = daemon("-f", "--debug", "ike,net", "esp", "office")
    assert "[ike]   KE x25519\n" in done.stdout
    assert asked == [("log", {"peer": "office", "topics": ["esp", "ike", "net"], "follow": True})]
    assert "The gateway has ended." in done.stderr
    assert done.exit_code == 0


def test_keep_leaves_them_up(daemon):
    done, asked = daemon("-f", "--keep", "--debug", "ike")
    assert asked == [("debug", {"topics": ["ike"]}), ("log", {"follow": True})]
    assert "Told in detail: ike." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--debug", "ike,esp"], "Told in detail: esp, ike. Follow with: culvert log -f\n"),
        (["--debug", "none"], "Told in detail: nothing.\n"),
        (["--debug", "spd", "--json"], '{"topics": ["spd"]}\n'),
    ],
)
def test_without_following_topics_are_turned_up_or_down_for_good(daemon, arguments, said):
    done, asked = daemon(*arguments)
    assert done.stdout == said
    assert [method for method, _ in asked] == ["debug"]


@pytest.mark.parametrize("arguments", [["--debug", "pike"], ["one", "two"], ["-n", "-1"]])
def test_wrong_words_are_wrong_usage(arguments):
    done = CliRunner().invoke(culvert, ["log", *arguments], prog_name="culvert")
    assert done.exit_code == 2, done.output

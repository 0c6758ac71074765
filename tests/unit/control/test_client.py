import os
import socket
import threading
from contextlib import contextmanager

import pytest

from culvert.control.client import CONTROL_SOCKET, Client, NoGatewayError, NotAllowedError, RefusedError
from culvert.control.protocol import Code, Failure, Notification, Response, decode, encode
from culvert.errors import CulvertError

NOBODY = 65534


@contextmanager
def daemon(run_dir, answer):
    """A daemon that answers each request with what `answer(request)` gives: octets to send, or None to hang up."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(run_dir / CONTROL_SOCKET))
    listener.listen()

    def serve():
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                octets = answer(decode(line))
                if octets is None:
                    return
                connection.sendall(octets)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.close()
        thread.join(5)


@contextmanager
def as_nobody():
    """Do without root for a moment, where we have it: a closed door keeps root from nothing."""
    before = os.geteuid()
    os.seteuid(NOBODY if before == 0 else before)
    try:
        yield
    finally:
        os.seteuid(before)


def test_without_a_gateway_the_command_that_starts_one_is_said(tmp_path):
    with pytest.raises(NoGatewayError) as raised:
        Client.connect(tmp_path)
    assert "no gateway runs here" in str(raised.value)
    assert f"culvert --run-dir {tmp_path} up -c" in str(raised.value)


def test_whoever_may_not_ask_is_not_told_that_nobody_is_there(tmp_path):
    closed = tmp_path / "run"
    closed.mkdir(mode=0o000)
    with as_nobody(), pytest.raises(NotAllowedError, match="may not talk"):
        Client.connect(closed)


def test_an_answer_may_come_behind_notifications_and_in_pieces(tmp_path):
    def answer(request):
        return encode(Notification("changed")) + encode(Response(99, "another's")) + encode(Response(request.id, [1]))

    with daemon(tmp_path, answer), Client.connect(tmp_path) as client:
        assert client.call("status") == [1]
        assert client.call("status") == [1]


def test_a_refusal_carries_its_problems_and_its_reason(tmp_path):
    data = {"reason": "NO_ROUTE", "problems": [{"what": "no way", "where": "here", "what_to_do": "Look."}]}

    def answer(request):
        return encode(Failure(request.id, Code.NOT_GOOD, "no way", data))

    with daemon(tmp_path, answer), Client.connect(tmp_path) as client, pytest.raises(RefusedError) as raised:
        client.call("connect", {"peer": "warehouse"})
    assert raised.value.reason == "NO_ROUTE"
    assert str(raised.value) == "here: no way\n    Look."


def test_a_daemon_that_goes_away_is_no_traceback(tmp_path):
    with (
        daemon(tmp_path, lambda _: None),
        Client.connect(tmp_path) as client,
        pytest.raises(NoGatewayError, match="ended before it answered"),
    ):
        client.call("status")


def test_a_daemon_that_says_nothing_is_not_waited_for(tmp_path):
    with (
        daemon(tmp_path, lambda _: b""),
        Client.connect(tmp_path) as client,
        pytest.raises(CulvertError, match="did not answer `status`"),
    ):
        client.call("status", timeout_s=0.05)


def test_rubbish_for_an_answer_is_no_traceback(tmp_path):
    with (
        daemon(tmp_path, lambda _: b"\xff\n"),
        Client.connect(tmp_path) as client,
        pytest.raises(NoGatewayError, match="not JSON"),
    ):
        client.call("status")

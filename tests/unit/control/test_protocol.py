import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from culvert.control import protocol
from culvert.control.protocol import (
    MAX_LINE_OCTETS,
    Code,
    Failure,
    LineBuffer,
    LineTooLongError,
    Notification,
    ProtocolError,
    Request,
    Response,
    decode,
    encode,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
PARAMS = st.dictionaries(st.text(), VALUES, max_size=3)
IDS = st.integers(0, 2**53)
MESSAGES = (
    st.builds(Request, IDS, st.text(), PARAMS)
    | st.builds(Notification, st.text(), PARAMS)
    | st.builds(Response, IDS, VALUES)
    | st.builds(Failure, st.none() | IDS, st.integers(), st.text(), PARAMS)
)


@given(MESSAGES)
def test_what_is_encoded_is_decoded_to_the_same(message):
    line = encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == message


@given(st.binary(max_size=200))
def test_any_octets_are_a_message_or_a_protocol_error(line):
    failure = None
    try:
        decode(line)
    except ProtocolError as error:
        failure = error.failure()
    assert failure is None or decode(encode(failure)) == failure


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", Code.PARSE_ERROR),
        (b"[" * 100_000, Code.PARSE_ERROR),
        (b"[]", Code.INVALID_REQUEST),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "status"}', Code.INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 7}', Code.INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": true, "method": "status"}', Code.INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": -1, "method": "status"}', Code.INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "status", "params": []}', Code.INVALID_PARAMS),
        (b'{"jsonrpc": "2.0", "id": 1}', Code.INVALID_REQUEST),
    ],
)
def test_what_is_wrong_with_a_line_has_json_rpcs_code(line, code):
    with pytest.raises(ProtocolError) as raised:
        decode(line)
    assert raised.value.code == code


def test_the_identifier_of_a_request_with_bad_parameters_is_kept():
    with pytest.raises(ProtocolError) as raised:
        decode(b'{"jsonrpc": "2.0", "id": 9, "method": "status", "params": 3}')
    assert raised.value.failure().id == 9


@given(st.lists(st.binary(min_size=1).filter(lambda line: b"\n" not in line and line.strip())), st.integers(1, 7))
def test_lines_are_cut_the_same_however_the_octets_arrive(lines, step):
    octets = b"".join(line + b"\n" for line in lines)
    buffer = LineBuffer()
    found = [line for start in range(0, len(octets), step) for line in buffer.feed(octets[start : start + step])]
    assert found == lines


def test_a_line_without_end_is_refused_at_the_bound():
    buffer = LineBuffer()
    assert list(buffer.feed(b"a" * (MAX_LINE_OCTETS - 1))) == []
    with pytest.raises(LineTooLongError):
        list(buffer.feed(b"a"))


def test_a_message_that_does_not_fit_a_line_is_not_sent():
    with pytest.raises(LineTooLongError):
        encode(Response(1, "a" * MAX_LINE_OCTETS))


def test_the_document_is_json_rpc():
    document = json.loads(encode(Failure(4, protocol.Code.NOT_GOOD, "no", {"reason": "NO_ROUTE"})))
    assert document == {
        "jsonrpc": "2.0",
        "id": 4,
        "error": {"code": 1, "message": "no", "data": {"reason": "NO_ROUTE"}},
    }

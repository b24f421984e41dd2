"""An HTTP answer is read alike however its bytes come, and what is none is refused."""

from __future__ import annotations

import pytest

from forkstream.aws.answer import Answer, AnswerReader, BrokenAnswerError

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nx-Twice: 1\r\nX-Twice:  2 \r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\nDate: today\r\n\r\n"
    b'5;name="v"\r\nhello\r\n00a\r\n, chunked!\r\n0\r\nTrailer: x\r\nMore: y\r\n\r\n'
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nA: b\r\n\r\n" + PLAIN
EMPTY = b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n"
WHOLE = {
    "plain": (PLAIN, 200, b"hello"),
    "chunked": (CHUNKED, 400, b"hello, chunked!"),
    "interim": (INTERIM, 200, b"hello"),
    "empty": (EMPTY, 204, b""),
    "no reason": (b"HTTP/1.1 500\r\nContent-Length: 0\r\n\r\n", 500, b""),
}


def read(*pieces: bytes, **limits: int) -> Answer | None:
    """Feed the pieces; no answer may come before the last one."""
    reader = AnswerReader(**limits)
    for piece in pieces[:-1]:
        assert reader.feed(piece) is None
    return reader.feed(pieces[-1])


@pytest.mark.parametrize(("wire", "status", "body"), WHOLE.values(), ids=WHOLE)
def test_an_answer_is_the_same_wherever_it_is_cut(wire: bytes, status: int, body: bytes) -> None:
    whole = read(wire)
    assert whole is not None
    assert (whole.status, whole.body, whole.reusable) == (status, body, True)
    for at in range(1, len(wire)):
        assert read(wire[:at], wire[at:]) == whole
    assert read(*(wire[at : at + 1] for at in range(len(wire)))) == whole


@pytest.mark.parametrize(("wire", "status", "body"), WHOLE.values(), ids=WHOLE)
def test_an_answer_cut_short_anywhere_is_broken(wire: bytes, status: int, body: bytes) -> None:
    for at in range(len(wire)):
        reader = AnswerReader()
        assert reader.feed(wire[:at]) is None
        assert reader.begun == (at > 0)
        with pytest.raises(BrokenAnswerError, match="ended before"):
            reader.end()


@pytest.mark.parametrize(("wire", "status", "body"), WHOLE.values(), ids=WHOLE)
def test_bytes_after_an_answer_leave_it_whole_and_the_connection_unusable(
    wire: bytes, status: int, body: bytes
) -> None:
    answer = read(wire + b"HTTP/1.1 200 OK\r\n")
    assert answer is not None
    assert (answer.status, answer.body, answer.reusable) == (status, body, False)


def test_header_names_are_lower_case_and_the_last_value_counts() -> None:
    answer = read(PLAIN)
    assert answer is not None
    assert answer.headers == {"content-type": "a/b", "x-twice": "2", "content-length": "5"}


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nconnection: Keep-Alive, CLOSE\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: keep-alive\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", True),
    ],
)
def test_the_server_says_whether_the_connection_can_be_used_again(head: bytes, reusable: bool) -> None:
    answer = read(head + b"Content-Length: 2\r\n\r\nok")
    assert answer is not None
    assert (answer.body, answer.reusable) == (b"ok", reusable)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_an_answer_without_a_length_ends_with_the_connection(version: bytes) -> None:
    reader = AnswerReader()
    for piece in (b"HTTP/" + version + b" 200 OK\r\n\r\n", b"he", b"llo"):
        assert reader.feed(piece) is None
    answer = reader.end()
    assert (answer.body, answer.reusable) == (b"hello", False)


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "wire",
    [
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b" HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
        HEAD + b"no header\r\n\r\n",
        HEAD + b"Name : value\r\n\r\n",
        HEAD + b": value\r\n\r\n",
        HEAD + b"A: b\r\n folded: c\r\n\r\n",
        HEAD + b"A: b\nContent-Length\n: 5\r\n\r\n" + HEAD + b"x\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 5, 5\r\n\r\n",
        HEAD + b"Content-Length: 0x5\r\n\r\n",
        HEAD + "Content-Length: \u00b2\r\n\r\n".encode("latin-1"),
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        HEAD + b"Content-Length: 999999999999999\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        CHUNKS + b"g\r\n",
        CHUNKS + b"\r\n",
        CHUNKS + b"-1\r\n",
        CHUNKS + b"3\r\nhello\r\n",
        CHUNKS + b"3\r\nhel--0\r\n\r\n",
        CHUNKS + b"fffffffff\r\n",
    ],
)
def test_what_is_no_answer_is_broken(wire: bytes) -> None:
    with pytest.raises(BrokenAnswerError):
        read(wire)


@pytest.mark.parametrize(
    "wire",
    [
        HEAD + b"A: " + b"x" * 200,  # no end in sight
        HEAD + b"A: " + b"x" * 200 + b"\r\n\r\n",
        b"x" * 200,
        CHUNKS + b"1;" + b"x" * 200,
        CHUNKS + b"0\r\n" + b"A: b\r\n" * 50,
        HEAD + b"Content-Length: 11\r\n\r\n",
        CHUNKS + b"b\r\n",
        CHUNKS + b"5\r\nhello\r\n6\r\n",
        HEAD + b"\r\n" + b"x" * 11,
    ],
)
def test_an_answer_beyond_the_limits_is_broken_before_it_fills_the_memory(wire: bytes) -> None:
    with pytest.raises(BrokenAnswerError, match="large"):
        read(wire, max_head=100, max_body=10)


@pytest.mark.parametrize(
    "wire", [HEAD + b"Content-Length: 10\r\n\r\n0123456789", CHUNKS + b"a\r\n0123456789\r\n0\r\n\r\n"]
)
def test_an_answer_at_the_limit_is_whole(wire: bytes) -> None:
    answer = read(wire, max_head=100, max_body=10)
    assert answer is not None
    assert answer.body == b"0123456789"

"""Whatever answers on Redis' port, in whatever pieces: an answer or words of ours, in time and in little memory."""

from __future__ import annotations

import socket

import pytest
from fuzzing import HELD, tried
from hypothesis import example, given
from hypothesis import strategies as st

from airfleet.agent import resp

pytestmark = HELD
WORDS = [b"+OK\r\n", b"-ERR no\r\n", b":1\r\n", b"$3\r\nabc\r\n", b"$-1\r\n", b"$0\r\n\r\n", b"*2\r\n", b"*1\r\n" * 500]
LIES = [
    b"$99999999999\r\n",
    b"$-2\r\n",
    "$²\r\n".encode(),
    b"$5\r\nabc",
    b"$3\r\nabcde\r\n",
    b"%1\r\n",
    b"\r\n",
    b"$1_0\r\n",
]
SAID = st.lists(st.sampled_from(WORDS + LIES) | st.binary(max_size=30), max_size=6)


def asked(monkeypatch, pieces):
    """Return what a question gets where these bytes are the answer, after which the other side hangs up."""
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: ours)
    with theirs:
        theirs.sendall(b"".join(pieces))
        theirs.shutdown(socket.SHUT_WR)
        try:
            with resp.Redis("any", 1) as redis:
                return redis.ask("PING")
        except resp.Wrong as e:
            return e


@tried(80)
@given(SAID)
@example(["$²\r\n".encode()])
@example([b"$1_0\r\n0123456789\r\n"])
def test_any_bytes_are_an_answer_or_words(pieces):
    """Text, nothing, or what is wrong in one word of ours: never another error."""
    with pytest.MonkeyPatch.context() as patch:
        answer = asked(patch, pieces)
    assert answer is None or isinstance(answer, (str, list)) or answer.reason


def test_an_answer_in_pieces_is_one_answer(monkeypatch):
    """A text that comes byte by byte, and does not begin like an answer, is read to its end."""
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: ours)
    text = "# Memory\r\nused_memory:1\r\n" * 900
    with theirs, resp.Redis("any", 1) as redis:
        theirs.sendall(b"$%d\r\n%s\r\n" % (len(text), text.encode()))
        assert redis.ask("INFO") == text


def test_a_text_that_goes_on_behind_its_length_is_a_strangers(monkeypatch):
    """Its end is where it said, or nothing of it counts."""
    assert asked(monkeypatch, [b"$3\r\nabcde\r\n"]).reason == "stranger"


def test_endless_lists_are_a_stranger(monkeypatch):
    """Lists in lists, or a list without an end: neither fills the stack or the memory."""
    assert asked(monkeypatch, [b"*1\r\n" * 20_000]).reason == "stranger"
    monkeypatch.setattr(resp, "LIMIT", 50_000)
    assert asked(monkeypatch, [b"*50000\r\n", b":1\r\n" * 20_000]).reason == "stranger"


def test_who_drips_is_not_waited_for(monkeypatch):
    """Each piece in time is not enough: the whole answer has to be there when the time is over."""
    monkeypatch.setattr(resp, "TIMEOUT_S", 0.3)
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: ours)
    monkeypatch.setattr(resp.Redis, "_more", dripping(resp.Redis._more, theirs))
    with theirs, resp.Redis("any", 1) as redis, pytest.raises(resp.Wrong) as wrong:
        redis.ask("PING")
    assert wrong.value.reason == "silent"


def dripping(more, theirs):
    """Send a byte whenever one is waited for."""

    def one(self):
        theirs.sendall(b"+")
        more(self)

    return one

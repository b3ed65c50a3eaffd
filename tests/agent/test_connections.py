"""What the agent says of a connection: possible, refused, without an answer, or to a name that nobody knows."""

from __future__ import annotations

import socket

import pytest

from airfleet.agent import reach


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made.getsockname()[1]


def test_something_that_listens_is_reached_and_is_in_the_list(server):
    """Nothing is sent; the socket is among those that listen here."""
    assert reach.attempt("127.0.0.1", server, 2) == "open"
    assert ["127.0.0.1", server] in reach.listening()


def test_nothing_that_listens_refuses(server):
    """The way is free."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        closed = other.getsockname()[1]
    assert reach.attempt("127.0.0.1", closed, 2) == "refused"


def test_a_full_queue_gives_no_answer():
    """As a firewall that drops: the kernel answers nobody while a queue of connections is full."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        address = silent.getsockname()
        waiting = []
        try:
            for _ in range(3):
                one = socket.socket()
                one.setblocking(False)
                one.connect_ex(address)
                waiting.append(one)
            assert reach.attempt(*address, 0.5) == "no answer"
        finally:
            for one in waiting:
                one.close()


def test_a_name_that_is_unknown_is_told_as_that():
    """RFC 2606 keeps it free."""
    assert reach.attempt("nowhere.invalid", 80, 2) == "unknown name"


def test_all_places_are_tried_at_the_same_time(server):
    """In the order in which they were asked about."""
    words = {"places": [["127.0.0.1", server], ["nowhere.invalid", 1]], "timeout_s": 2}
    assert reach.reach(words, None)["results"] == ["open", "unknown name"]

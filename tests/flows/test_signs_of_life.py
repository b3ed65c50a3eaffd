"""The operator's side tells the agent that it is there, also while the agent talks all the time."""

import time

from airfleet import channel
from airfleet.agent import main


class TalkingChannel:
    """A channel on which a line comes every 5 ms."""

    def __init__(self, lines):
        self.left = lines
        self.sent = []

    def settimeout(self, _):
        pass

    def recv_stderr_ready(self):
        return False

    def recv_stderr(self, _):
        return b""

    def sendall(self, data):
        self.sent.append(time.monotonic())

    def recv(self, _):
        time.sleep(0.005)  # as a network does
        self.left -= 1
        return b"a line\n" if self.left >= 0 else b""


def test_a_long_talk_is_answered_by_signs_of_life(monkeypatch):
    """A build that prints for ten minutes must not make the agent believe that its operator is gone."""
    assert channel.PING_S < main.SILENCE_S / 2
    monkeypatch.setattr(channel, "PING_S", 0.02)
    talking = TalkingChannel(lines=100)
    assert len(list(channel.lines(talking, bytearray()))) == 100
    assert len(talking.sent) > 5


def test_a_reader_that_is_busy_with_one_line_is_still_heard_of(monkeypatch):
    """A page that nobody turns: the agent hears of us all the same."""
    monkeypatch.setattr(channel, "PING_S", 0.02)
    talking = TalkingChannel(lines=2)
    coming = channel.lines(talking, bytearray())
    next(coming)
    deadline = time.monotonic() + 10
    while len(talking.sent) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert list(coming) == [b"a line"]

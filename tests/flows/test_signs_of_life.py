"""The operator's side tells the agent that it is there, also while the agent talks all the time."""

from airfleet import remote
from airfleet.agent import main


class TalkingChannel:
    """A channel on which a line comes every two seconds of a clock of its own."""

    def __init__(self, lines):
        self.left = lines
        self.now = 0.0
        self.sent = []

    def settimeout(self, _):
        pass

    def recv_stderr_ready(self):
        return False

    def recv_stderr(self, _):
        return b""

    def sendall(self, data):
        self.sent.append(self.now)

    def recv(self, _):
        self.now += 2
        self.left -= 1
        return b"a line\n" if self.left >= 0 else b""


def test_a_long_talk_is_answered_by_signs_of_life(monkeypatch):
    """A build that prints for ten minutes must not make the agent believe that its operator is gone."""
    channel = TalkingChannel(lines=300)
    monkeypatch.setattr(remote.time, "monotonic", lambda: channel.now)
    assert len(list(remote._lines(channel, bytearray()))) == 300
    silences = [b - a for a, b in zip([0.0, *channel.sent], [*channel.sent, channel.now], strict=True)]
    assert max(silences) < main.SILENCE_S / 2

"""Reads what an agent answers, line by line, and tells it all the while that we are there."""

from __future__ import annotations

import base64
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    import paramiko

PING_S = 10
MOST = 32 * 1024  # bytes of one packet
LONGEST = 64 * 1024 * 1024  # of one answer
ERRORS = 64 * 1024  # of what is said beside the answers, its end


def lines(channel: paramiko.Channel, errors: bytearray) -> Generator[bytes, None, None]:
    """Yield the lines that come; what comes on stderr is added to `errors`.

    However long whoever takes them is busy with one, as with a page that nobody turns: the agent hears of us.
    """
    channel.settimeout(PING_S)
    over = threading.Event()
    threading.Thread(target=_ping, args=(channel, over), daemon=True).start()
    rest = b""
    try:
        while True:
            while channel.recv_stderr_ready():
                errors += channel.recv_stderr(65536)
                del errors[:-ERRORS]
            try:
                data = channel.recv(65536)
            except TimeoutError:
                continue
            if not data:
                break
            *whole, rest = (rest + data).split(b"\n")
            yield from whole
            if len(rest) > LONGEST:
                raise EOFError("an answer without an end")
        while data := channel.recv_stderr(65536):
            errors += data
            del errors[:-ERRORS]
    finally:
        over.set()
    if rest:
        raise EOFError("in the middle of an answer")


def feed(channel: paramiko.Channel, chunks: Iterable[bytes]) -> None:
    """Send what an agent takes in: frames of base64, each with a full stop behind it; an empty one is the end.

    So a line break of ours may come in between anywhere. An agent that is busy with its disk is waited for; one that
    has ended says why in its answer, and a connection that is lost is noticed where that is read.
    """
    with suppress(OSError):
        for chunk in chunks:
            _send(channel, base64.b64encode(chunk) + b".")
        _send(channel, b".")


def _send(channel: paramiko.Channel, data: bytes) -> None:
    view = memoryview(data)
    while view:
        with suppress(TimeoutError):
            view = view[channel.send(bytes(view[:MOST])) :]


def _ping(channel: paramiko.Channel, over: threading.Event) -> None:
    while not over.wait(PING_S):
        with suppress(OSError):  # a connection that is lost is noticed where the answers are read
            channel.sendall(b"\n")


def why_lost(error: Exception) -> str:
    """Return in words why a connection is gone, as far as it tells."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or ("the host closed it" if isinstance(error, EOFError) else type(error).__name__)

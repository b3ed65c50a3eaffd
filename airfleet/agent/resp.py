"""Speaks with Redis over a plain socket: just enough to ask, and to tell its refusals apart."""

from __future__ import annotations

import socket
import time

TIMEOUT_S = 5
LIMIT = 1024 * 1024
KINDS = (b"+", b"-", b":", b"$", b"*")  # how an answer begins
DIGITS = 10
DEEPEST = 4  # lists in lists; what goes deeper is not Redis
FINAL = ("password", "stranger", "nopassword", "permission")  # waiting changes nothing
REFUSALS = (
    # How an error of Redis begins or what it says, our word for it, what it means.
    ("WRONGPASS", "password", "refuses the password"),
    ("ERR invalid password", "password", "refuses the password"),
    ("NOAUTH", "password", "wants a password"),
    ("ERR Client sent AUTH, but no password is set", "nopassword", "has no password: anybody could use it"),
    ("ERR AUTH <password> called without any password", "nopassword", "has no password: anybody could use it"),
    ("NOPERM", "permission", "does not let this user write"),
    ("LOADING", "loading", "is still loading its data"),
    ("OOM", "oom", "is full (maxmemory): it refuses every write"),
    ("MISCONF", "misconf", "cannot save to disk, so it refuses every write: look at its disk and log"),
    ("READONLY", "readonly", "is a read-only replica"),
    ("MASTERDOWN", "readonly", "is a replica that has lost its master"),
    ("DENIED", "protected", "is in protected mode: it has no password and refuses strangers"),
)


class Wrong(Exception):
    """What is wrong, for a human, and our one word for it in `reason`."""

    def __init__(self, reason, what):
        super().__init__(what)
        self.reason = reason


class Redis:
    """One connection. Each answer must be there, to its end, within TIMEOUT_S and of at most LIMIT bytes."""

    def __init__(self, host, port):
        """Connect."""
        try:
            self._socket = socket.create_connection((host, port), timeout=TIMEOUT_S)
        except ConnectionRefusedError as e:
            raise Wrong("refused", "is not there: nothing listens") from e
        except (socket.gaierror, ValueError) as e:  # a name that can't be one is a UnicodeError
            raise Wrong("name", "cannot be found: unknown host name") from e
        except OSError as e:
            raise Wrong("unreachable", f"cannot be reached: {e.strerror or e}") from e
        self._buffer, self._until, self._left = b"", 0.0, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def login(self, user, password):
        """Log in; one whom Redis lets do things without is no login that worked."""
        try:
            self.ask("AUTH", *([user] if user else []), password)
        except Wrong as e:
            if e.reason == "password" and self._is_open():
                raise Wrong("nopassword", "has no password: anybody could use it") from e
            raise

    def _is_open(self):
        try:
            return self.ask("PING") == "PONG"
        except Wrong:
            return False

    def ask(self, *words):
        """Send a command and return its answer, or raise Wrong."""
        sent = [word.encode() for word in words]
        packed = b"*%d\r\n" % len(sent) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in sent)
        self._until, self._left = time.monotonic() + TIMEOUT_S, LIMIT
        try:
            self._socket.settimeout(TIMEOUT_S)
            self._socket.sendall(packed)
            return self._answer()
        except socket.timeout as e:
            raise Wrong("silent", f"does not answer within {TIMEOUT_S} s") from e
        except OSError as e:
            raise Wrong("dropped", "closed the connection") from e

    def _answer(self, depth=0):
        line = self._line()
        kind, rest = line[:1], line[1:].decode("utf-8", "replace")
        if kind == b"-":
            raise _wrong(rest)
        if kind in (b"+", b":"):
            return rest
        if kind == b"$":
            return None if rest == "-1" else self._bytes(_length(rest)).decode("utf-8", "replace")
        if depth < DEEPEST:
            return None if rest == "-1" else [self._answer(depth + 1) for _ in range(_length(rest))]
        raise _stranger()

    def _line(self):
        """Return the first line of an answer."""
        if not self._buffer:
            self._more()
        while b"\r\n" not in self._buffer:
            if self._buffer[:1] not in KINDS:
                raise _stranger()
            self._more()
        if self._buffer[:1] not in KINDS:
            raise _stranger()
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line

    def _bytes(self, length):
        while len(self._buffer) < length + 2:
            self._more()
        text, end, self._buffer = self._buffer[:length], self._buffer[length : length + 2], self._buffer[length + 2 :]
        if end != b"\r\n":
            raise _stranger()
        return text

    def _more(self):
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            raise socket.timeout
        self._socket.settimeout(left_s)
        more = self._socket.recv(4096)
        if not more:
            raise Wrong("dropped", "closed the connection") if not self._buffer else _stranger()
        self._left -= len(more)
        if self._left < 0:
            raise _stranger()
        self._buffer += more


def _length(text):
    digits = text.isascii() and text.isdigit() and len(text) < DIGITS
    if not digits or int(text) > LIMIT:
        raise _stranger()
    return int(text)


def _stranger():
    return Wrong("stranger", "is not Redis: something else listens on this port")


def _wrong(text):
    for sign, reason, what in REFUSALS:
        if text.startswith(sign):
            return Wrong(reason, what)
    return Wrong("error", f"says: {text[:100]}")

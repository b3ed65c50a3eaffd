"""A host over SSH: what it is, what to change on it, its lock. The only module that speaks to the agent."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import paramiko

from airfleet import answers, bundle
from airfleet.address import Address, connect
from airfleet.channel import feed, lines, why_lost
from airfleet.errors import (
    ApplyFailed,
    FleetError,
    GateRefused,
    HostChanged,
    HostKeyRefused,
    HostUnreachable,
    NotHealthy,
    RolloutStopped,
    UsageError,
)
from airfleet.model import Change, Facts, Key, Outcome, Resource, Seen, Words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from airfleet.transport import VerifiedConnection

LOSSES = (OSError, EOFError, paramiko.SSHException)
LOST = 70  # the agent's exit status when it has not heard from us
CLASSES: dict[str, type[FleetError]] = {
    "changed": HostChanged,
    "room": GateRefused,
    "refused": GateRefused,
    "damaged": GateRefused,
    "doubt": RolloutStopped,
    "ref": GateRefused,
    "away": HostUnreachable,
    "hostkey": HostKeyRefused,
    "database": NotHealthy,
    "usage": UsageError,
}


class Host(Protocol):
    """One host as the flows know it: real over SSH, or in memory in the tests."""

    name: str

    def open(self) -> object:
        """Connect and start an agent that waits for the first request; raises HostUnreachable or HostKeyRefused."""

    def look(self, resources: Sequence[Resource]) -> Facts:
        """Return what is, for exactly these resources, in one round trip."""

    def apply(self, changes: Sequence[Change], tell: Callable[[Key, str], None]) -> Outcome:
        """Make the changes in order until one fails."""

    def call(self, name: str, words: Words, tell: Callable[[Key, str], None] | None = None) -> Words:
        """Ask something that is not about a resource."""

    def stream(self, name: str, words: Words, take: Callable[[Words], None], give: Iterable[bytes] = ()) -> Words:
        """Ask something whose answer comes in parts: `take` gets each as it comes. The host may take in `give`."""

    def hold(self, words: Words) -> Words:
        """Take the installation's lock and keep it until `close`; return {"held_by": who} if somebody has it."""

    def close(self) -> None:
        """End every conversation with the host."""


class Started(NamedTuple):
    """The channel of an agent that was started, and whether sudo was given a password for it."""

    channel: paramiko.Channel
    with_password: bool


class SshHost:
    """A host behind a real sshd."""

    def __init__(self, name: str, address: Address, ask_password: Callable[[str], str]) -> None:
        self.name = name
        self._address = address
        self._ask_password = ask_password
        self._sudo_password: str | None = None
        self._connection: VerifiedConnection | None = None
        self._waiting: Started | None = None
        self._lock: paramiko.Channel | None = None
        self._opening = threading.Lock()
        self._failure: FleetError | None = None

    def open(self) -> None:
        """Connect and start an agent that waits for the first request: its start then costs nobody any time."""
        with self._opening:
            if self._waiting is None:
                self._waiting = self._start()

    def look(self, resources: Sequence[Resource]) -> Facts:
        """Return what is, for exactly these resources, in one round trip."""
        asked: list[object] = [[r.kind, r.key, r.ask] for r in resources]
        seen: dict[Key, Seen] = {}
        for answer in self._converse({"op": "look", "resources": asked}):
            if answer["t"] == "failed":
                raise self._error(answer)
            if answer["t"] == "seen":
                seen[answer["kind"], answer["key"]] = Seen(answer["state"], answer["detail"])
        if missing := [f"{r.kind} {r.key}" for r in resources if (r.kind, r.key) not in seen]:
            raise HostUnreachable(f"it did not answer: {', '.join(missing)}", place=self.name, remedy="run it again")
        return Facts(seen)

    def apply(self, changes: Sequence[Change], tell: Callable[[Key, str], None]) -> Outcome:
        """Make the changes in order until one fails; what is known afterwards is in the outcome, also its error."""
        keys = [(c.resource.kind, c.resource.key) for c in changes]
        outcome = Outcome(untouched=keys)
        sent: list[object] = [
            {"kind": k, "key": n, "seen": c.seen.state, "want": c.resource.state, "means": c.resource.means}
            for (k, n), c in zip(keys, changes, strict=True)
        ]
        try:
            for answer in self._converse({"op": "apply", "changes": sent}):
                key = (answer.get("kind", ""), answer.get("key", ""))
                match answer["t"]:
                    case "begin" if key in outcome.untouched:
                        outcome.untouched.remove(key)
                        outcome.in_doubt = [key]
                        tell(key, "")
                    case "progress":
                        tell(key, answer["text"])
                    case "done" if key in outcome.in_doubt:
                        outcome.in_doubt = []
                        outcome.done.append(key)
                        outcome.told[key] = answer["told"]
                    case "failed":
                        outcome.error = self._error(answer)
        except FleetError as e:
            outcome.error = e
        return outcome

    def call(self, name: str, words: Words, tell: Callable[[Key, str], None] | None = None) -> Words:
        """Ask something that is not about a resource."""
        result: Words = {}
        for answer in self._converse({"op": name, "words": words}):
            if answer["t"] == "failed":
                raise self._error(answer)
            if answer["t"] == "progress" and tell:
                tell(("", name), answer["text"])
            if answer["t"] == "answer":
                result = answer["words"]
        return result

    def stream(self, name: str, words: Words, take: Callable[[Words], None], give: Iterable[bytes] = ()) -> Words:
        """Ask something whose answer comes in parts: `take` gets each as it comes; what is left to say is returned."""
        result: Words = {}
        for answer in self._converse({"op": name, "words": words}, give=give):
            match answer["t"]:
                case "failed":
                    raise self._error(answer)
                case "part":
                    take(answer["words"])
                case "answer":
                    result = answer["words"]
        return result

    def hold(self, words: Words) -> Words:
        """Take the installation's lock and keep its channel open; return {"held_by": who} if somebody has it."""
        conversation = self._converse({"op": "lock", "words": words}, keep=True)
        answer: Any = next(conversation, {"t": "end"})
        if answer["t"] != "answer":
            self._drop_lock()
            raise self._error(answer) if answer["t"] == "failed" else self._no_agent(LOST, "")
        result: Words = answer["words"]
        if result["held_by"]:
            self._drop_lock()
        return result

    def ping(self) -> bool:
        """Tell the lock's keeper that we are there; False when the lock is gone."""
        if self._lock is None:
            return False
        try:
            self._lock.sendall(b"\n")
        except OSError:
            return False
        return not self._lock.exit_status_ready()

    def close(self) -> None:
        """End every conversation with the host: its agents end when their stdin does."""
        self._drop_lock()
        self._failure = None
        if self._connection is not None:
            self._connection.close()
            self._connection = self._waiting = None

    def _drop_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _connected(self) -> VerifiedConnection:
        """Return the connection, made at the first call; what kept it from being made is raised at each."""
        if self._failure:
            raise self._failure
        if self._connection is None:
            try:
                self._connection = connect(self.name, self._address)
            except FleetError as e:
                self._failure = e
                raise
        return self._connection

    def _agent(self) -> Started:
        """Return an agent that waits for a request: the one that was started early, or a new one."""
        with self._opening:
            waiting, self._waiting = self._waiting, None
            return waiting or self._start()

    def _start(self) -> Started:
        connection, password = self._connected(), self._sudo_password
        command, before = bundle.command(str(connection.user), password)
        try:
            channel = connection.transport.open_session(timeout=30)
            channel.exec_command(command)
            with suppress(OSError):  # it ended without reading: whoever asks it learns why
                channel.sendall(before + bundle.program())
        except LOSSES as e:
            raise self._lost(e) from e
        return Started(channel, password is not None)

    def _converse(self, words: Words, *, keep: bool = False, give: Iterable[bytes] = ()) -> Iterator[Any]:
        """Send a request to a fresh agent and yield its answers; raise if it does not come to its end."""
        channel, with_password = self._agent()
        try:
            with suppress(OSError):  # it ended without reading: what it said on stderr, below, tells why
                channel.sendall(bundle.request(words))
            if keep:
                self._lock = channel
            ended = answered = False
            errors = bytearray()
            for line in lines(channel, errors):
                answered = True
                answer = answers.read(line, str(words["op"]), self.name)
                ended = ended or answer["t"] in ("end", "failed")
                if answer["t"] == "ready":
                    feed(channel, give)
                yield answer
            if not keep:
                status = channel.recv_exit_status()
                channel.close()
        except LOSSES as e:
            raise self._lost(e) from e
        if ended or keep:
            return
        text = errors.decode(errors="replace").strip()
        if not answered and "sudo" in text and "password" in text and not with_password:
            # Another agent may have been started meanwhile, also without: it is asked for once all the same.
            self._sudo_password = self._ask_password(self.name)
            yield from self._converse(words, give=give)
            return
        raise self._no_agent(status, text)

    def _lost(self, error: Exception | None) -> FleetError:
        why = f": {why_lost(error)}" if error else ""
        why += self._connection.last_words() if self._connection else ""
        return HostUnreachable(f"the connection was lost{why}", place=self.name, remedy="run it again")

    def _no_agent(self, status: int, text: str) -> FleetError:
        """Return why no agent answered, from what the shell or sudo said."""
        if status in (-1, LOST):
            return self._lost(None)
        if "python3" in text and ("not found" in text or "No such file" in text):
            return HostUnreachable(
                "there is no python3 on this host", place=self.name, remedy="apt-get install python3 (3.9 or newer)"
            )
        if "sudo" in text:
            return HostUnreachable(
                f"no way to become root: {text}", place=self.name, remedy="give the login user sudo, or log in as root"
            )
        return HostUnreachable(f"the agent ended with {status}: {text[-2000:]}", place=self.name)

    def _error(self, answer: Words) -> FleetError:
        place = " ".join(str(word) for word in (self.name, answer["kind"], answer["key"]) if word)
        problem = str(answer["error"])
        if answer.get("tail"):
            problem += "\n    " + str(answer["tail"]).replace("\n", "\n    ")
        kind = CLASSES.get(str(answer["class"]), ApplyFailed)
        return kind(problem, place=place, remedy=str(answer.get("remedy", "")))


def local_user() -> str:
    """Return who and where the operator is, for the lock: `name@machine`."""
    import getpass

    return f"{getpass.getuser()}@{socket.gethostname()}"

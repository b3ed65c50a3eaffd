"""A host over SSH: what it is, what to change on it, its lock. The only module that speaks to the agent."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import paramiko

from airfleet import answers, sending
from airfleet.address import Address, connect
from airfleet.channel import feed, lines, why_lost
from airfleet.errors import FleetError, HostUnreachable
from airfleet.host_errors import LOST, failed, no_agent
from airfleet.model import Change, Facts, Key, Outcome, Resource, Seen, Words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from airfleet.transport import VerifiedConnection

LOSSES = (OSError, EOFError, paramiko.SSHException)
FRESH_S = 60  # that an agent may have waited to be given a request; by itself it ends after 90


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


class Agent(NamedTuple):
    """An agent that waits for a request: its channel, since when, and which modules it has.

    `with_password` tells whether sudo was given one for it.
    """

    channel: paramiko.Channel
    with_password: bool
    since: float
    modules: frozenset[str] = sending.HEART


class SshHost:
    """A host behind a real sshd."""

    def __init__(self, name: str, address: Address, ask_password: Callable[[str], str]) -> None:
        self.name = name
        self._address = address
        self._ask_password = ask_password
        self._sudo_password: str | None = None
        self._connection: VerifiedConnection | None = None
        self._waiting: list[Agent] = []
        self._lock: paramiko.Channel | None = None
        self._opening = threading.Lock()
        self._failure: FleetError | None = None

    def open(self) -> None:
        """Connect and start an agent that waits for the first request: its start then costs nobody any time."""
        with self._opening:
            if not self._waiting:
                self._waiting.append(self._start())

    def look(self, resources: Sequence[Resource]) -> Facts:
        """Return what is, for exactly these resources, in one round trip."""
        asked: list[object] = [[r.kind, r.key, r.ask] for r in resources]
        seen: dict[Key, Seen] = {}
        for answer in self._converse({"op": "look", "resources": asked}):
            if answer["t"] == "failed":
                raise failed(answer, self.name)
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
                        outcome.error = failed(answer, self.name)
        except FleetError as e:
            outcome.error = e
        return outcome

    def call(self, name: str, words: Words, tell: Callable[[Key, str], None] | None = None) -> Words:
        """Ask something that is not about a resource."""
        result: Words = {}
        for answer in self._converse({"op": name, "words": words}):
            if answer["t"] == "failed":
                raise failed(answer, self.name)
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
                    raise failed(answer, self.name)
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
            raise failed(answer, self.name) if answer["t"] == "failed" else self._lost(None)
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
            self._connection, self._waiting = None, []

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

    def _agent(self) -> Agent:
        """Return an agent that waits for a request: one that was started before, or a new one."""
        with self._opening:
            while self._waiting:
                agent = self._waiting.pop()
                if time.monotonic() - agent.since < FRESH_S:
                    return agent
                agent.channel.close()
            return self._start()

    def _start(self) -> Agent:
        connection, password = self._connected(), self._sudo_password
        command, before = sending.command(str(connection.user), password)
        try:
            channel = connection.transport.open_session(timeout=30)
            channel.exec_command(command)
            with suppress(OSError):  # it ended without reading: whoever asks it learns why
                channel.sendall(before + sending.program())
        except LOSSES as e:
            raise self._lost(e) from e
        return Agent(channel, password is not None, time.monotonic())

    def _converse(self, words: Words, *, keep: bool = False, give: Iterable[bytes] = ()) -> Iterator[Any]:
        """Send a request to an agent and yield its answers; raise if it does not come to its end.

        An agent that is done with it waits for the next one; with `keep` it is this host's lock from then on.
        """
        agent = self._agent()
        channel, words = agent.channel, words if keep else {**words, "more": True}
        try:
            with suppress(OSError):  # it ended without reading: what it said on stderr, below, tells why
                channel.sendall(sending.request(words, agent.modules))
            if keep:
                self._lock = channel
            ended = answered = False
            errors = bytearray()
            with closing(lines(channel, errors)) as coming:
                for line in coming:
                    answered = True
                    answer = answers.read(line, str(words["op"]), self.name)
                    if ended and answer["t"] == "free":
                        self._waiting.append(
                            agent._replace(since=time.monotonic(), modules=agent.modules | sending.needed(words))
                        )
                        return
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
        if not answered and "sudo" in text and "password" in text and not agent.with_password:
            # Another agent may have been started meanwhile, also without: it is asked for once all the same.
            self._sudo_password = self._ask_password(self.name)
            yield from self._converse(words, give=give)
            return
        raise self._lost(None) if status in (-1, LOST) else no_agent(text, status, self.name)

    def _lost(self, error: Exception | None) -> FleetError:
        why = f": {why_lost(error)}" if error else ""
        why += self._connection.last_words() if self._connection else ""
        return HostUnreachable(f"the connection was lost{why}", place=self.name, remedy="run it again")


def local_user() -> str:
    """Return who and where the operator is, for the lock: `name@machine`."""
    import getpass

    return f"{getpass.getuser()}@{socket.gethostname()}"

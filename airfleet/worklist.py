"""What was done to which service or worker: the state of the world, for every message. Pure."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airfleet.errors import FleetError, GateRefused, HostUnreachable, RolloutStopped

if TYPE_CHECKING:
    from collections.abc import Iterator

FROM_HERE = "the next run goes on from here"
LATER = "restart them when there is time (fab restart-workers): Celery forgets such queues when Redis is away a moment"
COMES_BACK = "takes tasks again by itself"
GOES_ON = "systemd goes on with it, `fab plan` shows how it is"


@dataclass
class Worklist:
    """What was done to which worker, for the state of the world in every message; several may be under way."""

    todo: list[str]
    done: list[str] = field(default_factory=list)
    now: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def doing(self, name: str, lost: str = COMES_BACK) -> Iterator[None]:
        """Note that this one is worked on; an error gets the state of the world.

        `lost` says how it is left by Ctrl-C or a lost connection.
        """
        self.now[name] = ""
        self.todo.remove(name)
        try:
            yield
        except KeyboardInterrupt:
            self.now[name] = lost
            raise RolloutStopped("interrupted", place=name, state=self.state()) from None
        except FleetError as e:
            self.now[name] = _left_as(e, lost)
            e.state = self.state()
            raise
        self.done.append(name)
        del self.now[name]

    def became(self) -> dict[str, str]:
        """Return what became of each host's part: {"af1": "worker1 worker2 done / worker3 untouched"}."""
        parts = (("done", self.done), ("in doubt", self.now), ("untouched", self.todo))
        found: dict[str, list[str]] = {}
        for word, names in parts:
            of_host: dict[str, list[str]] = {}
            for thing, host in map(_placed, names):
                of_host.setdefault(host, []).append(thing)
            for host, things in of_host.items():
                found.setdefault(host, []).append(" ".join([*filter(None, things), word]))
        return {host: " / ".join(words) for host, words in found.items()}

    def state(self) -> str:
        """Return the state of the world in one line."""
        doubtful = [name for name, left in self.now.items() if not left]
        parts = [
            f"done: {', '.join(self.done) or 'nothing'}",
            *(f"{name}: {left}" for name, left in self.now.items() if left),
            f"in doubt: {', '.join(doubtful)}" if doubtful else "",
            f"untouched: {', '.join(self.todo)}" if self.todo else "",
        ]
        return "; ".join(part for part in parts if part) + f" — {FROM_HERE}"


def _placed(name: str) -> tuple[str, str]:
    """Return what is worked on and its host: `worker1@af1`, `scheduler on af1`, or a host alone."""
    for sign in ("@", " on "):
        thing, found, host = name.rpartition(sign)
        if found:
            return thing, host
    return "", name


def _left_as(error: FleetError, lost: str) -> str:
    """Return how an error left the one that was worked on, where that is known."""
    if isinstance(error, RolloutStopped):
        return error.state
    if isinstance(error, HostUnreachable):
        return lost
    return "left as it was" if isinstance(error, GateRefused) else ""

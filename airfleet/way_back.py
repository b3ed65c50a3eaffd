"""The way back of one run: armed on each host before it is changed, disarmed over a new connection when all is well."""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from airfleet import way_back_files
from airfleet.errors import FleetError, RolloutStopped
from airfleet.layout import layout_of
from airfleet.remote import local_user
from airfleet.rollout import on_each

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from airfleet.model import Facts, Stage, Words
    from airfleet.remote import Host
    from airfleet.session import Fleet

T = TypeVar("T")
BEATS = 4  # while a host waits to be confirmed: so a beat that is lost, or late, is no reason to go back
MIGRATED = "the database is migrated in this run, and nothing undoes that: who goes back is you"


class WayBack:
    """Which hosts go back by themselves if nobody confirms what is done to them; the lock is held."""

    def __init__(self, fleet: Fleet, say: Callable[[str, str], None]) -> None:
        self._fleet = fleet
        self._say = say
        self._id = uuid.uuid4().hex
        self._until: dict[str, float] = {}  # of each host that is armed
        self._went: set[str] = set()
        self._seen_to: set[str] = set()
        self._off = ""
        self._over = threading.Event()
        self._beating: threading.Thread | None = None

    def adopt(self, facts: Mapping[str, Facts]) -> None:
        """Take over what an earlier run left unconfirmed, and what went back since: this run sees to it."""
        for name, fact in facts.items():
            seen = fact.seen.get(("way_back", way_back_files.FOLDER))
            state = (seen.state if seen else None) or {}
            if "unconfirmed" in state:
                self._until.setdefault(name, 0.0)
            if "went back" in state:
                self._went.add(name)
        if self._until:
            self._beat_on(at_once=True)

    def arm(self, hosts: Iterable[str], stages: Mapping[str, Sequence[Stage]], facts: Mapping[str, Facts]) -> None:
        """Have each of these hosts keep what it is, and go back to it unless that is taken from it in time."""
        confirm_s = self._fleet.inventory.ssh.confirm_s
        names = [name for name in hosts if name in self._fleet.hosts and name not in self._seen_to]
        self._seen_to.update(names)
        if not confirm_s or not names:
            return
        if self._off:
            self._say(f"no way back is armed: {self._off}", "yellow")
            return
        link = layout_of(self._fleet.inventory).current
        states = {name: facts[name]["link", link].state or {} for name in names}
        if new := [name for name, state in states.items() if not state]:
            self._say(f"nothing to go back to on {', '.join(new)}: no release ran there before", "")
        commits = {name: str(state["target"]).rpartition("/")[2] for name, state in states.items() if state}

        def work(host: Host) -> float:
            words: Words = {
                **way_back_files.kept(stages[host.name]),
                "id": self._id,
                "host": host.name,
                "who": local_user(),
                "doing": self._fleet.doing,
                "confirm_s": confirm_s,
                "commit": commits[host.name],
                "program": way_back_files.program(),
            }
            answer: Any = host.call("way_back_arm", words)
            return float(answer["until"])

        if commits:
            self._until |= self._each({name: self._fleet.hosts[name] for name in commits}, work)
            self._say(
                f"armed: {', '.join(commits)}: back to what was there, unless this is confirmed over a new connection;"
                f" {confirm_s} s after the last sign of life",
                "",
            )
            self._beat_on(at_once=False)

    def withdraw(self, reason: str) -> None:
        """Disarm all over the connections that there are, and arm nothing more in this run: nobody is to go back."""
        self._off = reason
        armed = {name: self._fleet.hosts[name] for name in self._until if name in self._fleet.hosts}
        if armed:
            self._each(armed, lambda host: host.call("way_back_disarm", {"expected": True}))
            self._until.clear()
            self._say(f"disarmed: {', '.join(armed)}: {reason}", "yellow")

    def confirm(self) -> None:
        """Disarm all hosts, each over a connection of its own that is new; or raise RolloutStopped, and they go back.

        None is disarmed before there is such a connection to every one: they stay together.
        """
        self._over.set()
        hosts = self._fleet.hosts
        names = [name for name in dict.fromkeys([*self._until, *sorted(self._went)]) if name in hosts]
        if not names:
            return
        began = time.monotonic()
        new = {name: self._fleet.anew(name) for name in names}
        try:
            self._each(new, lambda host: host.open())
            there = {name: host for name, host in new.items() if name in hosts}
            answers: dict[str, Any] = self._each(there, self._disarm)
        except FleetError as e:
            raise RolloutStopped(
                f"no new connection confirms what was changed: {e.problem}",
                place=e.place,
                remedy=e.remedy,
                state="all is in place and well, as far as the old connections tell",
            ) from e
        finally:
            for host in new.values():
                host.close()
        late = {name: answer["says"] for name, answer in answers.items() if not answer["confirmed"]}
        for name in answers:
            self._until.pop(name, None)
        if late:
            raise RolloutStopped(
                "too late: " + "; ".join(f"{name}: {says}" for name, says in late.items()),
                place=next(iter(late)),
                remedy="fab history and fab plan tell what is there now; then run it again",
                state=f"confirmed: {', '.join(name for name in answers if name not in late) or 'none'}",
            )
        self._say(f"confirmed over new connections: {', '.join(answers)} ({time.monotonic() - began:.1f} s)", "")

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Add to whatever ends the block who goes back now, and when."""
        try:
            yield
        except FleetError as e:
            if told := self.outlook():
                e.state = f"{e.state}; {told}" if e.state else told
            raise
        except KeyboardInterrupt:
            if told := self.outlook():
                self._say(told, "yellow")
            raise
        finally:
            self._over.set()

    def outlook(self) -> str:
        """Return which hosts go back by themselves, and by when; an empty text where none does."""
        if not self._until:
            return ""
        until = max(self._until.values()) + way_back_files.EVERY_S
        by = f"by {datetime.fromtimestamp(until, UTC):%H:%M:%S} UTC" if until > way_back_files.EVERY_S else "soon"
        return (
            f"not confirmed: {', '.join(self._until)} go back by themselves {by}, unless a run that ends well confirms"
        )

    def _disarm(self, host: Host) -> Words:
        return host.call("way_back_disarm", {"expected": host.name in self._until})

    def _each(self, hosts: Mapping[str, Host], work: Callable[[Host], T]) -> dict[str, T]:
        fleet = self._fleet
        return on_each(hosts, work, parallel=fleet.inventory.ssh.parallel, failures=fleet.failures)

    def _beat_on(self, *, at_once: bool) -> None:
        if self._beating is None and (confirm_s := self._fleet.inventory.ssh.confirm_s):
            self._beating = threading.Thread(
                target=self._beat, args=(confirm_s / BEATS, 0.0 if at_once else confirm_s / BEATS), daemon=True
            )
            self._beating.start()

    def _beat(self, every_s: float, first_s: float) -> None:
        """Tell every armed host now and then that somebody is at work; one that can't be told goes back in time."""

        def work(host: Host) -> None:
            if self._over.is_set():
                return
            with suppress(FleetError):
                answer: Any = host.call("way_back_beat", {})
                if host.name in self._until and answer["until"] and not self._over.is_set():
                    self._until[host.name] = float(answer["until"])

        while not self._over.wait(first_s):
            first_s = every_s
            armed = {name: host for name, host in dict(self._fleet.hosts).items() if name in self._until}
            on_each(armed, work, parallel=self._fleet.inventory.ssh.parallel)

"""The flow of `fab logs`: the journals of several hosts as one, in the order of time, also while they are written."""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from airfleet import session
from airfleet.chronicle import Lines, Merge, json_line, make_entries, masked
from airfleet.errors import FleetError, HostUnreachable, UsageError
from airfleet.failures import together
from airfleet.journals import NOTHING, check_pattern, moment_of, since_of, units_of, zone_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from airfleet.chronicle import Entry
    from airfleet.model import Words
    from airfleet.remote import Host
    from airfleet.session import Fleet

    Told = tuple["_Reader", list[Entry] | str | None]  # entries, a word on the host itself, or its end

PART = 500
AGAIN_S = 5
BEHIND = 100  # parts that may wait to be shown; more make the host wait


@dataclass(frozen=True)
class Wish:
    """Which lines of which journals."""

    service: str = ""
    only: str = ""
    since: str = "1 hour ago"
    lines: int = 100
    grep: str = ""
    follow: bool = False


@dataclass(frozen=True)
class Form:
    """How entries are written, and to where; `notice` says what is no entry."""

    write: Callable[[str], None]
    notice: Callable[[str], None]
    as_json: bool = False
    colours: bool = False


def show_logs(env: str, wish: Wish, form: Form) -> None:
    """Write the journals' entries until their end, or, following, until Ctrl-C; raise for a host that has failed.

    The other hosts' entries are shown all the same.
    """
    if wish.lines < 0:
        raise UsageError(f"{wish.lines} lines", place="--lines", remedy="a number from 1 on; 0 for all", state=NOTHING)
    since, grep = since_of(wish.since), check_pattern(wish.grep)
    with session.opened(env, doing="logs", only=wish.only) as fleet:
        units = units_of(fleet.inventory, tuple(fleet.hosts), wish.service)
        words: Words = {
            "since": since,
            "zone": zone_of(datetime.now().astimezone().utcoffset() or timedelta()),
            "lines": wish.lines,
            "grep": grep,
            "follow": wish.follow,
        }
        inbox: queue.Queue[Told] = queue.Queue(BEHIND)
        over = threading.Event()
        gate = threading.Semaphore(fleet.inventory.ssh.parallel)
        readers = [
            _Reader(fleet.hosts[name], {**words, "units": mine}, inbox, gate, over) for name, mine in units.items()
        ]
        shown = _Shown(fleet, form, units)
        try:
            _show(readers, inbox, wish, shown)
        except KeyboardInterrupt:
            if not wish.follow:
                raise
            readers = [reader for reader in readers if reader.error]  # what ends from here on has been told to
        finally:
            over.set()
    if not shown.count and not any(reader.error for reader in readers) and not wish.follow:
        form.notice(f"no such lines since {wish.since} on {', '.join(units)}")
    _raise(readers)


def _show(readers: list[_Reader], inbox: queue.Queue[Told], wish: Wish, shown: _Shown) -> None:
    past = heapq.merge(*(reader.past() for reader in readers), key=lambda entry: entry.at)
    if wish.lines:
        shown(deque(past, maxlen=wish.lines))
    else:
        while part := list(islice(past, PART)):
            shown(part)
    merge = Merge(reader.host.name for reader in readers)
    left = set(readers)
    while left:
        with suppress(queue.Empty):
            reader, entries = inbox.get(timeout=merge.due(time.monotonic()))
            if isinstance(entries, str):
                shown.notice(entries)
            elif entries is None:
                left.remove(reader)
                merge.end(reader.host.name)
                if wish.follow and left:
                    shown.notice(str(reader.error or f"{reader.host.name}: its journal has ended"))
            else:
                merge.add(entries, time.monotonic())
        shown(merge.ready(time.monotonic()))


class _Reader:
    """Reads a host's journal in a thread of its own: what is there already, then what follows into the common inbox.

    A host that is lost while it is followed is asked again until it answers, and its journal goes on from where it was.
    """

    def __init__(
        self,
        host: Host,
        words: Words,
        inbox: queue.Queue[Told],
        gate: threading.Semaphore,
        over: threading.Event,
    ) -> None:
        self.host = host
        self.error: Exception | None = None
        self._words = words
        self._past: queue.Queue[list[Entry] | None] = queue.Queue(BEHIND)
        self._inbox = inbox
        self._gate = gate
        self._over = over
        self._live = self._replayed = False
        self._newest: list[Entry] = []  # all of the same moment
        threading.Thread(target=self._read, daemon=True).start()

    def past(self) -> Iterator[Entry]:
        """Yield what is there already; waits for it."""
        while (entries := self._past.get()) is not None:
            yield from entries

    def _read(self) -> None:
        try:
            while (lost := self._stream()) and not self._over.is_set():
                self._inbox.put((self, f"{lost.place}: {lost.problem}; asked again every {AGAIN_S} s"))
                self._wait_for_it()
        except Exception as e:  # noqa: BLE001  # raised where all readers have ended
            self.error = e
        if not self._live:
            self._past.put(None)
        self._inbox.put((self, None))

    def _stream(self) -> HostUnreachable | None:
        """Read to the end, or until the host is lost whose journal was followed already: then return why."""
        try:
            with self._gate:
                self.host.open()
            self.host.stream("logs", self._words, self._take)
        except HostUnreachable as e:
            if not (self._live and self._words["follow"]):
                raise
            return e
        return None

    def _wait_for_it(self) -> None:
        """Wait until a lost host can be asked again: for what came since the newest entry that it told."""
        while not self._over.wait(AGAIN_S):
            self.host.close()
            with suppress(HostUnreachable), self._gate:
                self.host.open()
                break
        if self._newest:
            self._words = {**self._words, "since": moment_of(self._newest[0].at), "lines": 0}
        self._replayed = True
        self._inbox.put((self, f"{self.host.name}: is there again; its journal goes on from where it was"))

    def _take(self, part: Words) -> None:
        if "live" in part:
            self._replayed = False
            if not self._live:
                self._live = True
                self._past.put(None)
            return
        entries = make_entries(self.host.name, part)
        if self._replayed:
            entries = [entry for entry in entries if entry not in self._newest]
        if not entries:
            return
        self._newest = [entry for entry in (*self._newest, *entries) if entry.at == entries[-1].at]
        if self._live:
            self._inbox.put((self, entries))
        else:
            self._past.put(entries)


class _Shown:
    """Writes entries without secrets, and counts them."""

    def __init__(self, fleet: Fleet, form: Form, units: Mapping[str, list[str]]) -> None:
        self.count = 0
        self._mask = fleet.secrets.mask
        self._form = form
        self._lines = Lines(units, None, colours=form.colours)

    def __call__(self, entries: Iterable[Entry]) -> None:
        """Write these entries, at once."""
        text: list[str] = []
        for entry in entries:
            self.count += 1
            hidden = masked(entry, self._mask)
            text += [json_line(hidden)] if self._form.as_json else self._lines(hidden)
        if text:
            self._form.write("\n".join(text) + "\n")

    def notice(self, text: str) -> None:
        """Say what is no entry."""
        self._form.notice(self._mask(text))


def _raise(readers: Iterable[_Reader]) -> None:
    errors: dict[str, FleetError] = {}
    for reader in readers:
        if isinstance(reader.error, FleetError):
            errors[reader.host.name] = reader.error
        elif reader.error:
            raise reader.error
    if usage := next((e for e in errors.values() if isinstance(e, UsageError)), None):
        raise usage
    if errors:
        raise together(errors)

"""The entries of the hosts' journals: in which order they are shown, and how a line of them is written. Pure."""

from __future__ import annotations

import heapq
import json
import math
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airfleet.answers import one_line, printable
from airfleet.units import BESIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import tzinfo

HOLD_S = 0.5  # journald itself tells who follows at most four times a second
COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST = 253_000_000_000_000_000  # in the year 9987: a clock that says more is wrong anyway


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a host's journal; `at` is in microseconds since the epoch, the message may have several lines."""

    at: int
    host: str
    unit: str
    priority: int | None
    message: str


def service_of(unit: str) -> str:
    """Return a unit as `--service` takes it."""
    return BESIDE.get(unit) or unit.removesuffix(".service").removeprefix("airflow-")


def make_entries(host: str, part: Mapping[str, Any]) -> list[Entry]:
    """Return entries from the agent's words for them."""
    return [
        Entry(min(max(at, 0), LAST), host, one_line(unit), priority, message)
        for at, unit, priority, message in part["entries"]
    ]


class Merge:
    """The entries of several hosts that follow each other, in the order of their times.

    An entry is held back until each other host has told a later one, or for HOLD_S; what comes later is out of order.
    Moments are seconds of any clock that only goes forward.
    """

    def __init__(self, hosts: Iterable[str]) -> None:
        self._latest: dict[str, float] = dict.fromkeys(hosts, -math.inf)
        self._held: list[tuple[int, int, Entry]] = []
        self._arrived: deque[tuple[float, int]] = deque()
        self._count = 0

    def add(self, entries: Iterable[Entry], now: float) -> None:
        """Take entries in."""
        for entry in entries:
            self._count += 1
            heapq.heappush(self._held, (entry.at, self._count, entry))
            self._arrived.append((now, entry.at))
            if entry.host in self._latest:
                self._latest[entry.host] = max(self._latest[entry.host], entry.at)

    def end(self, host: str) -> None:
        """Wait for this host no longer."""
        self._latest.pop(host, None)

    def ready(self, now: float) -> list[Entry]:
        """Return what is to be shown now, in order."""
        upto = min(self._latest.values(), default=math.inf)
        while self._arrived and self._arrived[0][0] + HOLD_S <= now:
            upto = max(upto, self._arrived.popleft()[1])
        found = []
        while self._held and self._held[0][0] <= upto:
            found.append(heapq.heappop(self._held)[2])
        if not self._held:
            self._arrived.clear()
        return found

    def due(self, now: float) -> float | None:
        """Return the seconds after which something is ready, or None where nothing is held back."""
        return max(0.0, self._arrived[0][0] + HOLD_S - now) if self._arrived else None


class Lines:
    """Writes entries as lines for people: time, host, service and message, each line of it.

    `units` are those that are asked for on each host; with `colours` each host has one of its own. Whatever might steer
    a terminal is made visible.
    """

    def __init__(self, units: Mapping[str, Iterable[str]], zone: tzinfo | None, *, colours: bool) -> None:
        self._zone = zone
        self._host_width = max(map(len, units))
        self._service_width = max(len(service_of(unit)) for mine in units.values() for unit in mine)
        self._colours = {host: COLOURS[n % len(COLOURS)] for n, host in enumerate(units)} if colours else {}

    def __call__(self, entry: Entry) -> Iterator[str]:
        """Yield the lines of an entry."""
        service = service_of(entry.unit)
        begin = f"{_time(entry.at, self._zone)} {entry.host:{self._host_width}} {service:{self._service_width}}"
        if entry.host in self._colours:
            begin = f"\x1b[{self._colours[entry.host]}m{begin}\x1b[0m"
        for line in printable(entry.message).rstrip("\n").split("\n"):
            yield f"{begin} | {line}"


def json_line(entry: Entry) -> str:
    """Return an entry as JSON on one line."""
    words = {
        "time": (EPOCH + timedelta(microseconds=entry.at)).isoformat(timespec="microseconds"),
        "host": entry.host,
        "unit": entry.unit,
        "priority": entry.priority,
        "message": entry.message,
    }
    return json.dumps(words, ensure_ascii=False)


def masked(entry: Entry, mask: Callable[[str], str]) -> Entry:
    """Return the entry without secrets."""
    message = mask(entry.message)
    return entry if message == entry.message else replace(entry, message=message)


def _time(at: int, zone: tzinfo | None) -> str:
    moment = (EPOCH + timedelta(microseconds=at)).astimezone(zone)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"

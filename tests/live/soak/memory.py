"""What the long-lived parts of the hosts take of the memory, and whether it grows as long as a process lives."""

from __future__ import annotations

import json
import math
import threading
from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean

EVERY_S = 5
MIB, HOUR_S = 1024, 3600
FEWEST = 6  # minutes that make a slope
MINUTE_S = 60
SURE = 2  # standard errors
# The share of each process in what it shares with others (PSS) counts once, however many processes a service has.
SAMPLER = """\
import json, os, re, sys, time
UNIT = re.compile(r"/((?:airflow-[^/\\n]+|redis-server|nginx|ssh|sshd)\\.service)(?=/|$)", re.M)
PSS = re.compile(r"^Pss:\\s+(\\d+)", re.M)
def read(pid, name):
    with open("/proc/%s/%s" % (pid, name)) as f:
        return f.read()
while True:
    parts = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            unit = UNIT.search(read(pid, "cgroup"))
            if unit:
                kib = int(PSS.search(read(pid, "smaps_rollup")).group(1))
                began = int(read(pid, "stat").rpartition(")")[2].split()[19])
                part = parts.setdefault(unit.group(1), [0, began])
                part[:] = part[0] + kib, min(part[1], began)
        except (OSError, AttributeError):
            continue  # it has ended
    print(json.dumps({"at": time.time(), "parts": parts}), flush=True)
    time.sleep(float(sys.argv[1]))
"""


@dataclass(frozen=True)
class Sample:
    """The memory of one part at one moment; `life` tells its processes from those before a restart."""

    at: float
    part: str
    life: int
    mib: float


@dataclass(frozen=True)
class Trend:
    """How the memory of one part went: MiB, and MiB an hour within the lives of its processes."""

    part: str
    lives: int
    mean: float
    highest: float
    slope: float | None  # None: it never lived long enough
    error: float

    @property
    def at_least(self) -> float:
        """What it grows for sure, MiB an hour: the slope less twice its standard error."""
        return -math.inf if self.slope is None else self.slope - SURE * self.error


def samples(host, line):
    """Return what one line of the sampler says."""
    said = json.loads(line)
    return [
        Sample(said["at"], f"{host} {unit.removesuffix('.service').removeprefix('airflow-')}", life, kib / MIB)
        for unit, (kib, life) in said["parts"].items()
    ]


def trends(found, warm_s):
    """Return the trend of each part.

    A restart begins anew, and is no growth: the slope is that of least squares in which each life has a level of its
    own, after its first `warm_s`.
    """
    lives = defaultdict(lambda: defaultdict(list))
    for each in sorted(found, key=lambda sample: sample.at):
        lives[each.part][each.life].append(each)
    return [_trend(part, [*of.values()], warm_s) for part, of in sorted(lives.items())]


def growing(found, most):
    """Return the trends of those that grow by more than `most` MiB an hour, beyond what chance makes of it."""
    return [each for each in found if each.at_least > most]


def _trend(part, lives, warm_s):
    every = [each.mib for life in lives for each in life]
    warm = [[each for each in life if each.at - life[0].at >= warm_s] for life in lives]
    slope, error = _slope([_minutes(life) for life in warm if life])
    return Trend(part, len(lives), fmean(every), max(every), slope, error)


def _minutes(life):
    """Return the means of each minute: samples that follow each other closely tell the same once, not often."""
    found = defaultdict(list)
    for each in life:
        found[(each.at - life[0].at) // MINUTE_S].append(each)
    return [(fmean(each.at for each in minute), fmean(each.mib for each in minute)) for minute in found.values()]


def _slope(lives):
    """Return (slope, its standard error) for an hour, or (None, 0) where there is too little to tell."""
    points = []
    for life in lives:
        at, level = fmean(x for x, _ in life), fmean(y for _, y in life)
        points += [(x - at, y - level) for x, y in life]
    spread = sum(x * x for x, _ in points)
    free = len(points) - len(lives) - 1
    if len(points) < FEWEST or free < 1 or not spread:
        return None, 0.0
    slope = sum(x * y for x, y in points) / spread
    left = sum((y - slope * x) ** 2 for x, y in points)
    return slope * HOUR_S, math.sqrt(left / free / spread) * HOUR_S


class Memory:
    """Samples the hosts as long as it lasts."""

    def __init__(self, installation, hosts):
        self.samples: list[Sample] = []
        self._children = {name: installation.stream(name, "python3", "-c", SAMPLER, str(EVERY_S)) for name in hosts}
        self._threads = [threading.Thread(target=self._read, args=each, daemon=True) for each in self._children.items()]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for child in self._children.values():
            child.kill()
            child.wait()
        for thread in self._threads:
            thread.join()

    def _read(self, host, child):
        for line in child.stdout:
            self.samples += samples(host, line)

"""Runs one command to its end and measures it: wall time, and the memory of its processes."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SAMPLE_S = 0.02
LOOK_S = 0.3
QUIET = 0.85  # this share of the cores idle
PATIENCE_S = 10


class BenchmarkFailed(Exception):
    """A command did not do what the benchmark is about: its times would mean nothing."""


@dataclass(frozen=True)
class Run:
    """One run of a tool: what it printed, how long it took, and the largest of its processes."""

    output: str
    seconds: float
    largest_kib: int


def run(commands: Sequence[Sequence[str]], env: Mapping[str, str], cwd: Path) -> Run:
    """Run these commands at the same time; raise unless each ends with 0."""
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        children = start(commands, env, cwd, output.fileno())
        ended = [os.wait4(child.pid, 0) for child in children]
        seconds = time.perf_counter() - began
        output.seek(0)
        text = output.read().decode(errors="replace")
    for child, command, (_, status, _) in zip(children, commands, ended, strict=True):
        child.returncode = os.waitstatus_to_exitcode(status)  # it has been waited for: Popen need not
        if child.returncode:
            raise BenchmarkFailed(f"{' '.join(command)[:200]} ended with {child.returncode}\n{text[-3000:]}")
    return Run(text, seconds, max(usage.ru_maxrss for _, _, usage in ended))


def wait_for_quiet(patience_s: float = PATIENCE_S) -> None:
    """Wait, but not for ever, until the computer does little else."""
    deadline = time.monotonic() + patience_s
    idle = 0.0
    while idle < QUIET and time.monotonic() < deadline:
        before = _ticks()
        time.sleep(LOOK_S)
        spent = [now - then for then, now in zip(before, _ticks(), strict=True)]
        idle = (spent[3] + spent[4]) / max(1, sum(spent))


def _ticks() -> list[int]:
    """Return what the cores have spent their time on: user, nice, system, idle, waiting for disks."""
    return [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]


def start(
    commands: Sequence[Sequence[str]], env: Mapping[str, str], cwd: Path, output: int
) -> list[subprocess.Popen[bytes]]:
    """Start the commands, all with the same output."""
    return [
        subprocess.Popen(words, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        for words in commands
    ]


def run_for_memory(commands: Sequence[Sequence[str]], env: Mapping[str, str], cwd: Path) -> tuple[str, int]:
    """Run the commands; return what they printed, and the most memory (KiB) that they and their descendants had.

    That is the sum of the proportional set sizes, sampled, so that what forks share counts once. Sampling costs time:
    a run that is measured so is never timed.
    """
    peak = 0
    with tempfile.TemporaryFile() as output:
        children = start(commands, env, cwd, output.fileno())
        while any(child.poll() is None for child in children):
            peak = max(peak, sum(_proportional_kib(pid) for pid in _family(child.pid for child in children)))
            time.sleep(SAMPLE_S)
        output.seek(0)
        return output.read().decode(errors="replace"), peak


def _family(ancestors: Iterable[int]) -> set[int]:
    """Return these processes and all that descend from them."""
    found: set[int] = set()
    waiting = list(ancestors)
    while waiting:
        pid = waiting.pop()
        found.add(pid)
        try:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                waiting += map(int, (thread / "children").read_text().split())
        except OSError:
            continue  # it ended meanwhile
    return found


def _proportional_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0  # it ended meanwhile
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


@dataclass(frozen=True)
class Figures:
    """What several runs of one tool came to."""

    median_s: float
    least_s: float
    most_s: float
    rounds: int
    largest_kib: int
    all_kib: int


def figures(runs: Sequence[Run], all_kib: int) -> Figures:
    """Return the figures of some runs."""
    seconds = [each.seconds for each in runs]
    largest = max(each.largest_kib for each in runs)
    return Figures(statistics.median(seconds), min(seconds), max(seconds), len(runs), largest, all_kib)

"""A cgroup for each machine: its processes, all of them and nobody else's.

A machine without one shares the caller's, and units of the same name in two machines then share a cgroup too.
Layouts: pure cgroup v2, and the older one with v2 under /sys/fs/cgroup/unified beside v1's name=systemd.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from airfleet.errors import ApplyFailed, UsageError

ROOT = Path("/sys/fs/cgroup")
POLL_S = 0.02


def hierarchies(root: Path = ROOT) -> list[Path]:
    """The hierarchies in which a machine gets a cgroup; version 2's comes first."""
    if (root / "cgroup.controllers").is_file():
        return [root]
    if (root / "unified" / "cgroup.controllers").is_file():
        return [root / "unified", *(h for h in [root / "systemd"] if h.is_dir())]
    raise UsageError("no cgroup version 2 hierarchy", place=str(root), remedy="mount one: Linux 5.14 or newer has it")


def create(name: str) -> list[Path]:
    """The machine's cgroups, made; a process joins by writing its pid into each one's cgroup.procs."""
    made = [h / name for h in hierarchies()]
    for cgroup in made:
        cgroup.mkdir(exist_ok=True)
    return made


def names(prefix: str) -> list[str]:
    """The cgroups whose names begin so, running or left over."""
    return sorted({path.name for h in hierarchies() for path in h.glob(f"{prefix}*") if path.is_dir()})


def processes(name: str) -> list[int]:
    """The pids of everything in the cgroup and below."""
    top = hierarchies()[0] / name
    found: list[int] = []
    for folder, _, _ in os.walk(top):
        try:
            found += [int(pid) for pid in (Path(folder) / "cgroup.procs").read_text().split()]
        except (FileNotFoundError, OSError):  # ended while we looked
            continue
    return found


def populated(name: str) -> bool:
    """Does a process run in it?"""
    try:
        return "populated 1" in (hierarchies()[0] / name / "cgroup.events").read_text()
    except (FileNotFoundError, OSError):
        return False


def freeze(name: str, *, frozen: bool) -> None:
    """Stop every process of the machine where it stands, or let it go on."""
    (hierarchies()[0] / name / "cgroup.freeze").write_text("1" if frozen else "0")


def wait_until_empty(name: str, timeout_s: float) -> bool:
    """Did the last process of the machine end within that time?"""
    deadline = time.monotonic() + timeout_s
    while populated(name) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return not populated(name)


def kill(name: str, timeout_s: float = 20) -> None:
    """End every process of the machine and wait until they are gone.

    The kernel does it for all at once (cgroup.kill, Linux 5.14): no pid is used, so none can be a recycled one.
    """
    top = hierarchies()[0] / name
    deadline = time.monotonic() + timeout_s
    while populated(name):
        if (top / "cgroup.kill").exists():
            (top / "cgroup.kill").write_text("1")
        else:
            for pid in processes(name):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise ApplyFailed(
                f"processes {processes(name)} of {name} do not end", place=str(top), state="run down again"
            )
        time.sleep(POLL_S)


def remove(name: str, timeout_s: float = 20) -> None:
    """Take the emptied cgroups away, from the leaves up."""
    deadline = time.monotonic() + timeout_s
    for top in (h / name for h in hierarchies()):
        while top.is_dir():
            for folder, _, _ in os.walk(top, topdown=False):
                try:
                    Path(folder).rmdir()
                except OSError as e:  # busy for a moment after the last process
                    if time.monotonic() > deadline:
                        raise ApplyFailed(f"cgroup can't be removed: {e}", place=folder, state="run down again") from e
            time.sleep(POLL_S)

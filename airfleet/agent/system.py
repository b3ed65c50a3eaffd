"""The host as such: room on its disks."""

from __future__ import annotations

import os

from airfleet.agent import run


def look_disk(path, ask):
    """Return whether the file system that holds this path, or its nearest parent, has the room that is wanted."""
    there = os.path.join("/", path)
    while not os.path.exists(there):
        there = os.path.dirname(there)
    info = os.statvfs(there)
    free_mb = info.f_bavail * info.f_frsize // (1024 * 1024)
    return {"room": "enough" if free_mb >= ask["free_mb"] else f"{free_mb} MB free"}, {"free_mb": free_mb}


def make_disk(path, seen, want, means, tell):
    """Refuse: room cannot be made by airfleet."""
    raise run.Refused(
        f"the disk that holds {path} has {seen['room']}, and {means['free_mb']} MB are needed",
        kind="room",
        remedy="enlarge the disk or make room; nothing was installed",
    )

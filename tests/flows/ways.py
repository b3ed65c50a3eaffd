"""What the tests of ways to a host share: what a command there prints, and whether a process ends."""

from __future__ import annotations

import time
from pathlib import Path


def output_of(connection, command, given=b""):
    """Return what a command on the host prints that is given this."""
    channel = connection.transport.open_session(timeout=20)
    channel.exec_command(command)
    channel.sendall(given)
    channel.shutdown_write()
    with channel.makefile("rb") as said:
        return said.read()


def ends(pid):
    """Whether a process ends soon: reaped, or a zombie that waits for init."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False

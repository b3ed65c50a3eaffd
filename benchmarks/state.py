"""What every tool is asked for: 2 packages, 1 account, 6 files, 6 services. Plain values, read by all of them."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".sandbox" / "bench"
PACKAGES = ("curl", "sudo")
ACCOUNT = "bench"
HOME = "/var/lib/bench"
SHELL = "/usr/sbin/nologin"
SERVICES = tuple(f"bench-{number}" for number in range(1, 7))
ITEMS = 1 + 1 + len(SERVICES) + len(SERVICES)  # resources of airfleet: both packages are one


def unit_path(service: str) -> str:
    """Where the service's unit file stands on the host."""
    return f"/etc/systemd/system/{service}.service"


def unit_text(service: str) -> str:
    """The unit file: a process that waits."""
    return (
        f"[Unit]\nDescription={service} of the airfleet benchmark\n\n"
        f"[Service]\nUser={ACCOUNT}\nExecStart=/usr/bin/sleep infinity\nRestart=always\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )

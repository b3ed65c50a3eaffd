"""Units of a service that this generation of Airflow does not have: stopped, disabled and taken away."""

from __future__ import annotations

import os

from airfleet.agent import run, units


def look_leftovers(folder, ask):
    """Return {unit file: "there"} for those of `ask["files"]` that are in systemd's folder; none of them is wanted."""
    return {name: "there" for name in ask["files"] if os.path.lexists(f"{folder}/{name}")}, {}


def make_leftovers(folder, seen, want, means, tell):
    """Stop each, disable it, take its file away."""
    for name in seen or {}:
        tell(name)
        run.run(["systemctl", "disable", name], ok=(0, 1))
        state = units.bring(name, "stop", ("inactive", "failed"), means["stop_timeout_s"], tell)
        if state not in ("inactive", "failed"):
            raise run.Refused(f"{name} is {state} {means['stop_timeout_s']} s after systemd was asked to stop it")
        os.unlink(f"{folder}/{name}")
    run.run(["systemctl", "daemon-reload"])

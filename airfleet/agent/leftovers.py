"""Units of a service that a host is not to have, or not any more: stopped, disabled and taken away."""

from __future__ import annotations

import os

from airfleet.agent import run, units


def look_leftovers(folder, ask):
    """Return {unit file: "there"} for those of `ask["files"]` that are in systemd's folder; none of them is wanted.

    A file can be one that we put beside a unit of the distribution's: "nginx.service.d/airfleet.conf".
    """
    return {name: "there" for name in ask["files"] if os.path.lexists(f"{folder}/{name}")}, {}


def make_leftovers(folder, seen, want, means, tell):
    """Stop each, disable it, take its file away; a worker ends when its running tasks have."""
    for file in seen or {}:
        for name in _units_of(file):
            tell(name)
            run.run(["systemctl", "disable", name], ok=(0, 1))
            units.stop(name, means["stop_timeout_s"], tell)
        os.unlink(f"{folder}/{file}")
    run.run(["systemctl", "daemon-reload"])


def _units_of(file):
    """Return the units that a file is of: a template's that are enabled or run, or the one beside which it stands."""
    if "@." in file:
        return [f"{name}.service" for name in units.look_instances(file.partition("@")[0] + "@", {"beyond": 0})[0]]
    return [file.partition(".d/")[0]]

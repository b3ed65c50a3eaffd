"""What systemd and the kernel know of Airflow's units: beyond `active`, which proves nothing."""

from __future__ import annotations

import time

from airfleet.agent import processes, run, units

PROPERTIES = (
    *("Id", "LoadState", "ActiveState", "SubState", "Result", "UnitFileState", "NeedDaemonReload", "NRestarts"),
    *("ExecMainStatus", "ExecMainCode", "MainPID", "KillMode", "TimeoutStopUSec", "OOMPolicy", "DropInPaths", "Job"),
    *("StateChangeTimestampMonotonic", "ActiveEnterTimestampMonotonic", "InactiveEnterTimestampMonotonic"),
    *("ControlGroup", "ExecMainStartTimestampMonotonic"),
)
ENDLESS = "infinity"
SPANS = {"us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400}


def look(words):
    """Return {unit: {"active", "sub", "result", "enabled", "restarts", "since_s", "pid", "state", …}}."""
    text = run.run(["systemctl", "show", "--property", ",".join(PROPERTIES), "--", *words["units"]], errors=False)
    blocks = [dict(line.split("=", 1) for line in b.splitlines() if "=" in line) for b in text.split("\n\n") if b]
    if len(blocks) != len(words["units"]):
        raise run.Refused("systemd does not answer")
    return dict(zip(words["units"], map(_unit, blocks)))


def _unit(shown):
    pid = int(shown.get("MainPID") or 0)
    return {
        "load": shown["LoadState"],
        "active": shown["ActiveState"],
        "sub": shown["SubState"],
        "result": shown.get("Result"),
        "enabled": shown.get("UnitFileState") == "enabled",
        "reload": shown.get("NeedDaemonReload") == "yes",
        "restarts": int(shown.get("NRestarts") or 0),
        "status": int(shown.get("ExecMainStatus") or 0),
        "since_s": _age(shown.get("StateChangeTimestampMonotonic")),
        "started_s": _age(shown.get("ExecMainStartTimestampMonotonic")),
        "ended_s": _age(shown.get("InactiveEnterTimestampMonotonic")),
        "pid": pid,
        "state": processes.state(pid) if pid else None,
        "stopped": processes.stopped_in(shown.get("ControlGroup", "")) if pid else [],
        "kill_mode": shown.get("KillMode"),
        "stop_timeout_s": _seconds(shown.get("TimeoutStopUSec", "")),
        "oom_policy": shown.get("OOMPolicy"),
        "drop_ins": shown.get("DropInPaths", "").split(),
        "job": shown.get("Job") or None,
        "orphans": processes.orphans(shown.get("ControlGroup", ""), pid) if pid else [],
        "drained": units.is_drained(units.stamp_of(shown["Id"])),
    }


def _age(monotonic_us):
    if not monotonic_us or monotonic_us == "0":
        return None
    return round(time.monotonic() - int(monotonic_us) / 1e6, 1)


def _seconds(span):
    """Return the seconds of a span as systemd writes it, such as `1h 5min`; None where it never ends."""
    if not span or span == ENDLESS:
        return None
    total = 0.0
    for word in span.split():
        number = word.rstrip("abcdefghijklmnopqrstuvwxyz")
        total += float(number) * SPANS.get(word[len(number) :], 0)
    return round(total, 3)

"""What systemd and the kernel know of Airflow's units: beyond `active`, which proves nothing."""

from __future__ import annotations

import re
import time

from airfleet.agent import processes, run, units

PROPERTIES = (
    *("Id", "LoadState", "ActiveState", "SubState", "Result", "UnitFileState", "NeedDaemonReload", "NRestarts"),
    *("ExecMainStatus", "ExecMainCode", "MainPID", "KillMode", "TimeoutStopUSec", "OOMPolicy", "DropInPaths", "Job"),
    *("StateChangeTimestampMonotonic", "ActiveEnterTimestampMonotonic", "InactiveEnterTimestampMonotonic"),
    *("ControlGroup", "ExecMainStartTimestampMonotonic"),
)
# as systemd shows them: see systemd.time(7)
SPANS = {"us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800, "month": 2629800, "y": 31557600}
SPAN = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)(%s)" % "|".join(SPANS))


def look(words):
    """Return {unit: {"active", "sub", "result", "enabled", "restarts", "since_s", "pid", "state", …}}."""
    return {name: facts(shown) for name, shown in units.show(words["units"], ",".join(PROPERTIES)).items()}


def facts(shown):
    """Return what a unit's properties tell."""
    pid = run.number(shown["MainPID"])
    return {
        "load": shown["LoadState"],
        "active": shown["ActiveState"],
        "sub": shown["SubState"],
        "result": shown.get("Result"),
        "enabled": shown.get("UnitFileState") == "enabled",
        "reload": shown.get("NeedDaemonReload") == "yes",
        "restarts": run.number(shown["NRestarts"]),
        "status": run.number(shown["ExecMainStatus"]),
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
    since = run.number(monotonic_us)
    return round(time.monotonic() - since / 1e6, 1) if since else None


def _seconds(span):
    """Return the seconds of a span as systemd writes it, such as `1h 5min`; None where it never ends."""
    words = [SPAN.fullmatch(word) for word in span.split()]
    if not words or not all(words):
        return None
    return round(sum(float(word.group(1)) * SPANS[word.group(2)] for word in words), 3)

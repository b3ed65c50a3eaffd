"""systemd units: what they are, what their running process read when it started, and how to change that."""

from __future__ import annotations

import glob
import os
import re
import time

from airfleet.agent import files, paths, run

PROPERTIES = "Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,ActiveEnterTimestampMonotonic,NRestarts"
SETTLE_S = 30
DOWN = ("inactive", "failed")
NAME_OF_STAMP = "started with "
# Celery forgets a queue that was cancelled and added again: when its connection to the broker is renewed, the worker
# consumes nothing and answers as if all were well (seen with 5.6.2). So a drain leaves a mark beside the stamp.
MARK = "drained"
DRAINED = "drained without a restart"
WHY = "(after a lost connection to Redis it would take no tasks)"
RUN = "/run/"  # a running unit has its folder there


def look_units(items):
    """Look at several units with one call; `items` is [(name, {"stamp": path or ""}), …]."""
    shown = show([name for name, _ in items])
    return [_state(shown[name], ask) for name, ask in items]


def show(names, properties=PROPERTIES, env=None):
    """Return {name: {property: value}} of the units, as systemd knows them; "" for what it does not tell."""
    text = run.run(["systemctl", "show", "--property", properties, "--", *names], errors=False, env=env)
    return told(text, names, properties)


def told(text, names, properties):
    """Return the same from what `systemctl show` has printed: a paragraph for each unit."""
    blocks = [dict(line.split("=", 1) for line in each.split("\n") if "=" in line) for each in text.split("\n\n")]
    blocks = [{**dict.fromkeys(properties.split(","), ""), **block} for block in blocks if block]
    if len(blocks) != len(names):
        raise run.Refused(
            "systemd does not answer on this host", remedy="is it booted with systemd as its first process?"
        )
    return dict(zip(names, blocks))


def _state(properties, ask):
    if properties.get("LoadState") == "not-found":
        return None, {}
    active = properties["ActiveState"]
    state = {"enabled": properties["UnitFileState"] or "static", "active": active}
    if active == "active":
        state["reload"] = properties["NeedDaemonReload"]
        if ask["stamp"]:
            state.update(read_stamp(ask["stamp"]))
            if is_drained(ask["stamp"]):
                state[DRAINED] = WHY
            _as_good(state, ask.get("release"))
    return state, {"sub": properties["SubState"], "restarts": properties.get("NRestarts", "")}


def is_drained(stamp):
    """Tell whether a drain has left its mark beside a unit's stamp."""
    return os.path.lexists(os.path.join(os.path.dirname(stamp), MARK))


def stamp_of(name):
    """Return where a unit leaves its stamp when it starts."""
    return RUN + name.replace(".service", "") + "/stamp"


def _as_good(state, release):
    """Let a process that started with another release count as started with this one, where it read the same of both.

    DAG files are parsed anew, by children, from wherever `current` leads: a running process has read only the plugins.
    `release` is {"path": the link, "commit": or null for the one in use, "plugins": their folder or ""}, or None.
    """
    name = NAME_OF_STAMP + (release["path"] if release else "")
    if name not in state:
        return
    now = release["commit"]
    if not now:
        target = files.look_link(release["path"], {})[0]
        now = short(target["target"]) if target else state[name]
    if now != state[name]:
        from airfleet.agent import code  # the longest module, for the rarest question

        folder = os.path.join(os.path.dirname(release["path"]), "releases")
        if not release["plugins"] or code.same(folder, state[name], now, release["plugins"]):
            state[name] = now


def read_stamp(path):
    """Return `started with PATH`: the first 12 letters of what was read, for each line of a stamp."""
    try:
        lines = paths.read(path).splitlines()
    except FileNotFoundError:
        return {}
    pairs = [line.split("  ", 1) for line in lines if "  " in line]
    return {NAME_OF_STAMP + name: short(value) for value, name in pairs}


def short(value):
    """Return a digest's first letters, or the name that a link led to."""
    return value[:12] if len(value) == 64 else value.rsplit("/", 1)[-1]


def make_unit(name, seen, want, means, tell):
    """Reload, enable or disable, then start, restart or stop, and wait until it stays as it should be."""
    run.run(["systemctl", "daemon-reload"])
    now, _ = look_units([(name, {"stamp": ""})])[0]
    if now is None:
        raise run.Refused(f"systemd knows no unit {name}")
    if now["enabled"] != want["enabled"]:
        run.run(["systemctl", "enable" if want["enabled"] == "enabled" else "disable", name])
    if want["active"] == "active":
        _start(name, seen, want, means, tell)
    elif now["active"] not in DOWN:
        stop(name, means["stop_timeout_s"], tell)


def _start(name, seen, want, means, tell):
    running = seen is not None and seen["active"] == "active"
    asked = [k for k in {**want, **(seen or {})} if k in want or k == DRAINED]
    stale = running and any(seen.get(k) != want.get(k) for k in asked if k not in ("enabled", "active"))
    if running and not stale:
        return
    verb = "restart" if running else "start"
    again = [NAME_OF_STAMP + path for path in means.get("reloads", ())]
    if running and all(seen.get(k) == want.get(k) or k in again for k in asked if k not in ("enabled", "active")):
        bring(name, "reload", ("active", "failed"), means["stop_timeout_s"], tell)
        return
    # One that failed to start may be waiting for its next try ("activating"): restart takes that over as well.
    if not running and seen is not None and seen["active"] not in DOWN:
        verb = "restart"
    start(name, verb, means["stop_timeout_s"], tell)


def start(name, verb, stop_timeout_s, tell):
    """Start or restart a unit, or raise Refused with what its journal says since."""
    run.run(["systemctl", "reset-failed", name], ok=(0, 1))
    began = time.time()
    state = bring(name, verb, ("active", "failed"), stop_timeout_s + SETTLE_S, tell)
    if state != "active":
        told = _journal(name, began)
        raise run.Refused(f"{name} is {state} after {verb}", remedy=_port_holder(told), tail=told)


def stop(name, stop_timeout_s, tell):
    """Stop a unit and return its state, or raise Refused.

    What has not ended within the unit's own TimeoutStopSec is killed by systemd: that is waited for as well.
    """
    most = stop_timeout_s + SETTLE_S
    state = bring(name, "stop", DOWN, most, tell)
    if state not in DOWN:
        raise run.Refused(
            f"{name} is {state} {most} s after systemd was asked to stop it",
            remedy=f"look at `systemctl status {name}` there, then run again",
        )
    return state


def look_instances(prefix, ask):
    """Return the instances beyond a number that are enabled or running, such as {"airflow-worker@3": "enabled"}."""
    found = {}
    for state, pattern in (
        ("enabled", "/etc/systemd/system/*.wants/" + prefix + "*.service"),
        ("running", RUN + prefix + "*"),
    ):
        for path in glob.glob(pattern):
            name = os.path.basename(path).replace(".service", "")
            number = name[len(prefix) :]
            if number.isdigit() and int(number) > ask["beyond"]:
                found.setdefault(name, []).append(state)
    return {name: ", ".join(states) for name, states in sorted(found.items())}, {}


def make_instances(prefix, seen, want, means, tell):
    """Stop and disable the instances that are not wanted; a worker ends when its running tasks have."""
    for name in seen or {}:
        run.run(["systemctl", "disable", name + ".service"])
        stop(name + ".service", means["stop_timeout_s"], tell)


def bring(name, verb, wanted, timeout_s, tell):
    """Ask systemd for it without blocking and wait, telling why; return the state that was reached."""
    run.run(["systemctl", verb, "--no-block", name])
    began = time.monotonic()
    last = [began]

    def reached():
        now = show([name])[name]
        if now["ActiveState"] in wanted and _no_job(name):
            return now["ActiveState"]
        # Our units are never given up: one that ended at once is not "failed" but waits for its next try.
        if now["SubState"] == "auto-restart" and verb != "stop" and _no_job(name):
            return "failing"
        if time.monotonic() - last[0] > 5:
            last[0] = time.monotonic()
            tell(f"{verb}: {now['ActiveState']} ({now['SubState']}) for {last[0] - began:.0f} s, at most {timeout_s} s")
        return ""

    return run.wait_until(reached, timeout_s, poll_s=0.2) or show([name])[name]["ActiveState"]


def _no_job(name):
    text = run.run(["systemctl", "show", "--property", "Job", "--", name], errors=False)
    return text.strip() in ("", "Job=", "Job=0")


def _port_holder(told):
    """Return who has the port that a service could not get, when that is what its journal tells."""
    found = re.search(r":(\d+): .*[Aa]ddress already in use|[Aa]ddress already in use.*?\b(\d{2,5})\b", told)
    if not found:
        return ""
    port = found.group(1) or found.group(2)
    listening = run.run(["ss", "-ltnpH", f"sport = :{port}"], ok=(0, 1, 255)).split()
    holder = listening[-1] if listening else "a process that is gone again"
    return f"port {port} is taken by {holder}: stop it there, then run again"


def journal(words, tell):
    """Return the last lines of a unit's journal since a moment (seconds since the epoch)."""
    return {"text": _journal(words["unit"], words["since"], words.get("lines", 20))}


def _journal(name, since, lines=20):
    # What has just been said may still be on its way into the journal; and a moment is never rounded up past it.
    run.run(["journalctl", "--sync"], ok=(0, 1), errors=False)
    argv = [
        "journalctl",
        "--unit",
        name,
        "--since",
        f"@{int(since)}",
        "--lines",
        str(lines),
        "--output",
        "cat",
        "--no-pager",
    ]
    return run.run(argv, ok=(0, 1)).strip()

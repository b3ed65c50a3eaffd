"""A drill: break it as the runbook says, see the doctor name it, do what the runbook says, see that it is well."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field

from airfleet import runbooks
from airfleet.generations import generation_of

POLL_S = 1.0
NEVER = "Never drilled: "


@dataclass
class Drilled:
    """What a drill came to: seconds until the doctor named it, and until it was well again after the fix.

    `said` counts the doctor's answers between fault and fix: what it named, "" for nothing yet.
    """

    id: str
    detected_s: float = 0.0
    fixed_s: float = 0.0
    said: Counter[str] = field(default_factory=Counter)


def drillable(version):
    """Return the runbooks that have a drill on this version of Airflow, by name."""
    major = generation_of(version).major
    return [book for book in runbooks.all_of() if book.is_for(major) and book.of("inject", major)]


def never(version):
    """Return {runbook: why} of those that could befall this version and have none."""
    major = generation_of(version).major
    found = {}
    for book in runbooks.all_of():
        if book.is_for(major) and not book.of("inject", major):
            part = " ".join(book.text.partition("## Drill")[2].split())
            found[book.id] = part.partition(NEVER)[2].strip()
    return found


def look(installation):
    """Return the doctor's findings: {"causes": […], "latent": […], …}."""
    return json.loads(installation.fab("doctor", "--json", rc=None).stdout)


def named(diagnosis):
    """Return the names of the causes, or of what is latent where there is no cause."""
    return [each["id"] for each in diagnosis["causes"]] or [each["id"] for each in diagnosis["latent"]]


def run(installation, book):
    """Drill one runbook and return what was seen; an AssertionError says at which step it went wrong."""
    seen = Drilled(book.id)
    before = look(installation)
    assert named(before) == [], f"not healthy before the drill: {before}"
    _step(installation, book, "confirm", "af2", rc=9)  # it says no on a healthy installation
    try:
        _each(installation, book, "inject")
        began = time.monotonic()
        while book.id not in named(diagnosis := look(installation)):
            seen.said[_names(diagnosis)] += 1
            waited = time.monotonic() - began
            assert waited < book.detect_within_s, f"after {waited:.0f} s the doctor says {_short(diagnosis)}"
            time.sleep(POLL_S)
        seen.detected_s = time.monotonic() - began
        for _ in range(3):  # and it stays with it
            seen.said[_names(diagnosis)] += 1
            assert _names(diagnosis) == book.id, f"it names another cause, or more than one: {_short(diagnosis)}"
            diagnosis = look(installation)
        host = _host(installation, diagnosis, book)
        _step(installation, book, "confirm", host)
        began = time.monotonic()
        for _ in range(2):
            _step(installation, book, "fix", host)
    finally:
        _each(installation, book, "heal")
    after = _until(lambda: look(installation), lambda d: not named(d), book.fix_within_s)
    seen.fixed_s = time.monotonic() - began
    assert named(after) == [], f"not well {book.fix_within_s} s after the fix: {_short(after)}"
    _step(installation, book, "verify", host)
    return seen


def _until(ask, condition, timeout_s):
    deadline = time.monotonic() + timeout_s
    while True:
        answer = ask()
        if condition(answer) or time.monotonic() > deadline:
            return answer
        time.sleep(POLL_S)


def _host(installation, diagnosis, book):
    """Return the host that the doctor's finding is about, where it names one."""
    finding = next(each for each in [*diagnosis["causes"], *diagnosis["latent"]] if each["id"] == book.id)
    words = finding["where"].replace(":", " ").replace(",", " ").split()
    return next((name for name in ("af1", "af2") if name in words), "")


def _step(installation, book, step, host, rc=0):
    """Do a step as an operator would; what it said is shown where it ends otherwise."""
    installation.fab("runbook", book.id, "--run", step, *(["--host", host] if host else []), rc=rc)


def _each(installation, book, step):
    """Do a step of the drill: fences for svc, which is none of the inventory's hosts, as root on it."""
    fences = book.of(step, generation_of(installation.airflow).major)
    for fence in fences:
        if fence.on == "svc":
            installation.on("svc", "sh", "-eu", stdin=fence.text)
    if any(fence.on != "svc" for fence in fences):
        _step(installation, book, step, "af2")


def _names(diagnosis):
    """Return what it named, each once: a cause may be there on several hosts."""
    return ", ".join(dict.fromkeys(named(diagnosis)))


def _short(diagnosis):
    return json.dumps(
        {kind: [(each["id"], each["where"], each["says"]) for each in diagnosis[kind]] for kind in ("causes", "latent")}
        | {"unknown": diagnosis["unknown"]}
    )

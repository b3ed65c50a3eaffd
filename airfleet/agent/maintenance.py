"""Maintenance on this host: the record of which DAGs it pauses, written before any is paused, and removed last.

So an operator who is killed at any moment leaves behind what is needed to restore exactly the state before.
"""

from __future__ import annotations

import os

from airfleet.agent import inside, kept, paths, run, units

PATH = "/var/lib/airfleet/maintenance.json"
PROGRAM = "inside_maintenance"
BESIDE = ("inside_postgres",)
ASK_S = 120
BEGUN = "begun"
NEEDED = {"id", "phase", "mark", "dags"}


def maintenance_look(words, tell):
    """Return {"record": the record or None, "active": [DAGs that are active and not paused], "dags": {recorded: …}}."""
    record = _read(_path(words))
    known = {"ids": record["dags"], "mark": record["mark"]} if record else {"ids": [], "mark": 0}
    seen = _ask(words, "look", known, tell)
    return {"record": record, "active": seen["active"], "dags": seen["dags"]}


def record(words):
    """Return the record of the maintenance that is on, else None."""
    return _read(_path(words))


def now(words):
    """Return {"who", "since", "reason"} of the maintenance that is on by this host's record, else None."""
    there = record(words)
    return {name: there.get(name) for name in ("who", "since", "reason")} if there else None


def maintenance_recall(words, tell):
    """Have the record that a backup tells of again, unless there is one: its DAGs are paused in that database."""
    path = _path(words)
    if words["record"] and _read(path) is None:
        kept.write(path, words["record"])
    return {}


def maintenance_begin(words, tell):
    """Record which DAGs are about to be paused, then pause them; return {"record", "paused": [those changed now]}.

    `record` has who, since, reason and the workers with their queues. One that was begun and cut in the middle is gone
    on with: what it recorded stays, what is active by now is added.
    """
    path, record = _path(words), dict(words["record"])
    before = _read(path)
    if before and before["phase"] != BEGUN:
        raise run.Refused(
            f"maintenance is on already: by {before['who']} since {before['since']}",
            kind="refused",
            remedy="fab maintenance.off",
        )
    seen = _ask(words, "look", {"ids": [], "mark": 0}, tell)
    record.update(phase=BEGUN, mark=seen["mark"], dags=seen["active"])
    if before:
        added = sorted({*before["dags"], *record["dags"]})
        record = {**before, "dags": added, "workers": _merged(record["workers"], before["workers"])}
    kept.write(path, record)
    asked = {"ids": record["dags"], "who": record["who"], "reason": record["reason"], "id": record["id"]}
    return {"record": record, "paused": _ask(words, "pause", asked, tell)["paused"]}


def maintenance_note(words, tell):
    """Change the `phase` of the record; return the record."""
    path = _path(words)
    record = {**_there(path, words["id"]), "phase": words["phase"]}
    kept.write(path, record)
    return {"record": record}


def maintenance_unpause(words, tell):
    """Unpause the recorded DAGs, except those whose pause somebody else has the last word on.

    Return {"unpaused": [those changed], "dags": {recorded: how it was found}}.
    """
    record = _there(_path(words), words["id"])
    asked = {"ids": record["dags"], "mark": record["mark"], "who": words["who"], "reason": "", "id": record["id"]}
    return _ask(words, "unpause", asked, tell)


def maintenance_marks(words, tell):
    """Return {"marked": [those of the `units` that were drained and not restarted since]}."""
    return {"marked": [unit for unit in words["units"] if units.is_drained(units.stamp_of(unit))]}


def maintenance_forget(words, tell):
    """Remove the record: the last step."""
    path = _path(words)
    _there(path, words["id"])
    os.unlink(path)
    folder = paths.open_folder(os.path.dirname(path))
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return {}


def _merged(now, before):
    """Return the workers with their queues: as they were found first, where they were."""
    return {host: {**now.get(host, {}), **before.get(host, {})} for host in {*now, *before}}


def _path(words):
    return words.get("path", PATH)


def _there(path, wanted):
    record = _read(path)
    if record is None or record["id"] != wanted:
        raise run.Refused(
            f"{path} is not the record it was", kind="changed", remedy="look again: fab maintenance.status"
        )
    return record


def _read(path):
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, encoding="utf-8", errors="replace") as f:
        try:
            record = run.parsed(f.read())
        except ValueError as e:
            raise run.Refused(f"{path} is not a record of maintenance: {e}", remedy="look at what is in it") from e
    if not isinstance(record, dict) or not NEEDED <= record.keys():
        raise run.Refused(f"{path} is not a record of maintenance", remedy="look at what is in it")
    return record


def _ask(words, question, more, tell):
    known = {name: words[name] for name in ("dsn", "active_dag", "pause_events")}
    asked = {"question": question, **known, **more}
    return inside.ask(words["venv"], PROGRAM, asked, account=words["account"], timeout_s=ASK_S, tell=tell, also=BESIDE)

"""The backup that this host makes by itself when its timer says so: as `fab backup.create`, without an operator.

What it did last is remembered in a file, by which the doctor tells whether it does what it should. The password of the
database is that of airflow.cfg: nothing that is secret was written down for this.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import socket
import sys
import threading
import time

from airfleet.agent import backup, backup_bucket, backup_folder, effective, kept, lock, run, units

LOCK_WAIT_S = 3600
LOCK_POLL_S = 5
PROPERTIES = "LoadState,ActiveState,Result,LastTriggerUSec,NextElapseUSecRealtime"
SYSTEMDS = "%a %Y-%m-%d %H:%M:%S UTC"  # how systemd shows a moment


def main(path):
    """Make a backup as the words in a file say, remember what became of it, and return the exit status."""
    os.umask(0o022)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=run.lose).start())
    with open(path, encoding="utf-8") as f:
        words = json.load(f)
    began = time.time()
    record = {"began": began, "ok": False, "name": "", "problem": "", "removed": [], "place": _place(words)}
    try:
        _take_lock(words)
        record.update(_made(words, began))
    except (run.Refused, OSError, ValueError) as e:
        told = run.words_of(e)
        record["problem"] = told["error"]
        print("\n".join(filter(None, (told["error"], told["tail"], told["remedy"]))), file=sys.stderr)
    record["seconds"] = round(time.time() - began, 1)
    kept.write(words["record"], record)
    print(f"{record['name'] or 'no backup'} in {record['place']}, {record['seconds']} s")
    return 0 if record["ok"] else 1


def _made(words, began):
    """Make it, then remove those that are not kept any longer."""
    there, remove = _there(words)
    ours = [each for each in there if each["environment"] == words["environment"] and not each["lost"]]
    ours.sort(key=lambda each: (each["at"], each["name"]), reverse=True)
    at = dt.datetime.fromtimestamp(began, dt.timezone.utc)
    asked = {
        **words,
        "dsn": {**words["dsn"], "password": _password(words)},
        "name": f"{words['environment']}-{at:%Y%m%dT%H%M%SZ}",
        "who": f"the timer of {socket.gethostname()}",
        "at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "last": ours[0]["size"] if ours else 0,
    }
    manifest = backup.backup_create(asked, _quiet)["manifest"]
    gone = outdated([manifest, *ours], words["keep"], words["keep_days"], at)
    if gone:
        remove({**words, "names": gone}, None)
    return {"ok": True, "name": manifest["name"], "size": manifest["size"], "removed": gone}


def _quiet(part):
    """How far it is interests nobody at night; the journal gets one line in the end."""


def _there(words):
    """Return the manifests of the backups that are there, and what removes some."""
    if words["bucket"]:
        return backup_bucket.bucket_list(words, None)["backups"], backup_bucket.bucket_remove
    return backup_folder.backup_list(words, None)["backups"], backup_folder.backup_remove


def outdated(ours, keep, keep_days, now):
    """Return the names of those beyond the newest so many that are not younger than so many days; newest first."""
    youngest = f"{now - dt.timedelta(days=keep_days or 0):%Y-%m-%dT%H:%M:%SZ}"
    return [each["name"] for each in ours[keep:] if each["at"] <= youngest]


def _password(words):
    """Return the password of the database that Airflow's services use."""
    asked = {"settings": {"url": words["database_url"]}, "units": [], "config": words["config"]}
    url = effective.values(asked)[effective.DISK].get("url")
    if not url:
        raise run.Refused(f"{words['config']} names no database", kind="missing", remedy="run: fab bootstrap")
    return effective.address(url)["password"]


def _take_lock(words):
    """Take the lock of an installation whose first host this is, or wait until whoever has it is done."""
    began = f"{dt.datetime.now(dt.timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
    mine = {"who": f"the timer of {socket.gethostname()}", "since": began, "doing": "backup.create"}
    asked = {**mine, "path": words.get("lock", lock.PATH)}
    wait_s = words.get("lock_wait_s", LOCK_WAIT_S)
    if not run.wait_until(lambda: not lock.lock(dict(asked), None)["held_by"], wait_s, min(LOCK_POLL_S, wait_s)):
        who = lock.holder({"lock": asked["path"]}, None)["held_by"] or lock.SOMEBODY
        what = f"{who['who']} was at work for {wait_s} s: {who.get('doing', '?')}"
        raise run.Refused(what, kind="refused", remedy="it is tried again the next time")


def _place(words):
    return words["bucket"]["place"] if words["bucket"] else words["folder"]


def look(words):
    """Return {"timer", "service", "result", "triggered_s", "next_s", "last": what was remembered, with "ago_s"}.

    None where no backup is scheduled here; `timer` None where there is none, a span None where there is no moment.
    """
    asked = words.get("backup")
    if not asked:
        return None
    shown = units.show([asked["timer"], asked["service"]], PROPERTIES, {"TZ": "UTC"})
    timer, service = shown[asked["timer"]], shown[asked["service"]]
    return {
        "timer": None if timer["LoadState"] == "not-found" else timer["ActiveState"],
        "service": service["ActiveState"],
        "result": service.get("Result"),
        "triggered_s": _since(timer.get("LastTriggerUSec")),
        "next_s": _minus(_since(timer.get("NextElapseUSecRealtime"))),
        "last": _remembered(asked["record"]),
    }


def _remembered(path):
    try:
        with open(path, encoding="utf-8") as f:
            record = json.load(f)
    except FileNotFoundError:
        return None
    return {**record, "ago_s": round(time.time() - record["began"])}


def _since(shown):
    """Return how long ago a moment was that systemd shows; None where it shows none."""
    try:
        moment = dt.datetime.strptime(shown or "", SYSTEMDS).replace(tzinfo=dt.timezone.utc)
    except ValueError:
        return None
    return round(time.time() - moment.timestamp())


def _minus(seconds):
    return None if seconds is None else -seconds

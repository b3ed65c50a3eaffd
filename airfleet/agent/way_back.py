"""The way back: what a change would replace is kept, and put back by a timer unless somebody confirms the change.

Who confirms comes over a new connection. While a run is going on its operator's side beats, and each beat puts the
moment off; so a long drain is no reason to go back, and the death of the operator is one.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import glob
import json
import os
import pwd
import time

from airfleet.agent import files, history, kept, lock, run, snapshot, unconfirmed
from airfleet.agent.unconfirmed import ARMED, FOLDER, WENT

GUARD = "guard"
INSTALLED, UNITS = "/opt/airfleet", "/etc/systemd/system"
PROGRAM, SOURCES = "way-back.py", "way-back.sources"
SERVICE, TIMER = "airfleet-way-back.service", "airfleet-way-back.timer"
DOING, RESULT = "way back", "went back"
TRIED_S = 600  # how long what could not be put back is tried again
SECRET, FOLDER_MODE = "0600", "0700"


def way_back_arm(words, tell):
    """Keep what a change would replace and start the timer; return {"until": seconds since the epoch}.

    What an earlier run kept and nobody confirmed stays kept: only that is known to have been good.
    """
    folder, places = words.get("folder", FOLDER), words.get("places", {})
    _make_folder(os.path.dirname(folder), kept.FOLDER_MODE)
    _make_folder(folder, FOLDER_MODE)
    with _guarded(folder):
        before = unconfirmed.read(folder, ARMED)
        if before and before["going"]:
            raise run.Refused(
                "this host is just going back to what it was, because nobody confirmed what was changed",
                kind="refused",
                remedy="wait a minute, look at fab history, then run it again",
            )
        saved = snapshot.take(words["paths"], words["units"], places)
        if before:
            saved = {kind: {**saved[kind], **before[kind]} for kind in ("paths", "units")}
        armed = {name: words[name] for name in ("id", "host", "who", "doing", "confirm_s", "commit")}
        armed |= {"since": _now(), "going": False, "places": places, **saved}
        armed["commit"] = before["commit"] if before else words["commit"]
        armed["until"] = _in(words["confirm_s"])
        _install(words["program"], places)
        _write(folder, armed)
    _enable(places)
    snapshot.systemctl(places, "restart", TIMER)
    return {"until": armed["until"]["wall"]}


def way_back_beat(words, tell):
    """Put the moment off, as somebody is at work; return {"until": …, None where nothing is armed any more}."""
    folder = words.get("folder", FOLDER)
    with _guarded(folder):
        armed = unconfirmed.read(folder, ARMED)
        if not armed or armed["going"]:
            return {"until": None}
        armed["until"] = _in(armed["confirm_s"])
        _write(folder, armed)
    return {"until": armed["until"]["wall"]}


def way_back_disarm(words, tell):
    """Keep what was changed, and forget what was before; return {"confirmed", "says"}: it may be too late for that.

    Without `expected` nothing needs to be armed: only that this host went back is forgotten.
    """
    folder = words.get("folder", FOLDER)
    with _guarded(folder):
        armed, went = unconfirmed.read(folder, ARMED), unconfirmed.read(folder, WENT)
        if (armed and not armed["going"]) or not (armed or words["expected"]):
            _forget(folder, ARMED)
            _forget(folder, WENT)
            _stand_down(armed["places"] if armed else {})
            return {"confirmed": True, "says": "confirmed"}
    if armed:
        return {"confirmed": False, "says": "it is going back just now, since nobody had confirmed in time"}
    return {"confirmed": False, "says": unconfirmed.told(went) if went else "nothing was armed there any more"}


def main(folder):
    """Go back if it is time; the timer asks every few seconds. Return the exit status."""
    os.umask(0o022)
    armed = unconfirmed.read(folder, ARMED)
    if not armed:
        _stand_down({})  # whoever confirmed it was cut short before that
        return 0
    late_s = _late_s(armed["until"])
    if late_s < 0 and not armed["going"]:
        return 0
    mine = {"who": f"{armed['host']} itself", "since": _now(), "doing": "going back, as nobody confirmed a change"}
    asked = {**mine, "path": armed["places"].get("lock", lock.PATH)}
    # Who works here has so long to confirm or to be done: the next call looks again.
    if lock.lock(asked, None)["held_by"] and late_s < armed["confirm_s"] and not armed["going"]:
        return 0
    with _guarded(folder):
        armed = unconfirmed.read(folder, ARMED)
        if not armed or (_late_s(armed["until"]) < 0 and not armed["going"]):
            return 0
        if not armed["going"]:
            armed |= {"going": True, "began": _now(), "clock": time.time()}
            _write(folder, armed)
    return _go(folder, armed)


def _go(folder, armed):
    problems, down = snapshot.go_back(armed, armed["places"], print)
    took = time.time() - armed["clock"]
    for problem in (*problems, *down):
        print(problem)
    if problems and took < TRIED_S:
        return 1  # the next call tries again
    why = f"nobody confirmed the {armed['doing']} of {armed['who']} within {armed['confirm_s']} s"
    entry = {
        "id": f"{armed['id']}-{armed['host']}",
        "doing": DOING,
        "who": f"{armed['host']} itself",
        "began": armed["began"],
        "seconds": round(took, 1),
        "commit": armed["commit"],
        "result": RESULT,
        "hosts": {armed["host"]: "not all is as it was" if problems else "as it was before"},
        "problem": "; ".join([why, *problems, *down]),
    }
    where = armed["places"].get("history", history.PATH)
    history.record({"entry": entry, "path": where}, None)
    kept.write(os.path.join(folder, WENT), {"at": armed["began"], "why": entry["problem"], "id": armed["id"]})
    with _guarded(folder):
        _forget(folder, ARMED)
    print(f"went back: {entry['problem']}")
    _stand_down(armed["places"])
    return 1 if problems or down else 0


def _install(program, places):
    """Put the program and its units there, where they are not so already."""
    opt, units = places.get("installed", INSTALLED), places.get("units", UNITS)
    _make_folder(opt, "0755")
    texts = {
        f"{opt}/{PROGRAM}": program["launcher"],
        f"{opt}/{SOURCES}": program["sources"],
        f"{units}/{SERVICE}": program["service"],
        f"{units}/{TIMER}": program["timer"],
    }
    changed = [path for path, text in texts.items() if _put(path, text, "0644")]
    if any(path.startswith(units) for path in changed):
        snapshot.systemctl(places, "daemon-reload")


def _enable(places):
    """Have the timer started at the next boot too: by its link alone, which is all that `systemctl enable` makes."""
    wants = f"{places.get('units', UNITS)}/timers.target.wants"
    _make_folder(wants, "0755")
    if not os.path.lexists(f"{wants}/{TIMER}"):
        os.symlink(f"../{TIMER}", f"{wants}/{TIMER}")


def _stand_down(places):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{places.get('units', UNITS)}/timers.target.wants/{TIMER}")
    with contextlib.suppress(run.Refused):  # without anything armed it does no harm, and the next call tries again
        snapshot.systemctl(places, "stop", "--no-block", TIMER, ok=(0, 5))


def _make_folder(path, mode):
    if files.look_directory(path, {})[0] is None:
        files.make_directory(path, None, {**_me(), "mode": mode}, {}, None)


def _put(path, text, mode):
    """Write a file of root's, and tell whether it was another one."""
    seen, detail = files.look_file(path, {})
    if seen and detail.get("text") == text:
        return False
    files.make_file(path, seen, {**_me(), "mode": mode}, {"text": text}, None)
    return True


def _me():
    name = pwd.getpwuid(os.geteuid()).pw_name
    return {"owner": name, "group": name}


def _write(folder, armed):
    _put(os.path.join(folder, ARMED), json.dumps(armed), SECRET)


def _forget(folder, name):
    """Remove it, and what a killed process left of its writing: there are secrets in it."""
    for path in (os.path.join(folder, name), *glob.glob(os.path.join(folder, f".{name}.*"))):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


@contextlib.contextmanager
def _guarded(folder):
    """Let one process at a time read and write what is armed."""
    try:
        fd = os.open(os.path.join(folder, GUARD), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        yield  # nothing was ever armed here
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _in(seconds):
    """Return a moment from now: by the clock of this boot, which nobody sets, and by the wall's for the next one."""
    return {"boot": _boot(), "clock": time.monotonic() + seconds, "wall": time.time() + seconds}


def _late_s(until):
    """Return how long ago a moment was; negative while it is to come."""
    return time.monotonic() - until["clock"] if until["boot"] == _boot() else time.time() - until["wall"]


def _boot():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
        return f.read().strip()


def _now():
    return f"{dt.datetime.now(dt.timezone.utc):%Y-%m-%dT%H:%M:%SZ}"

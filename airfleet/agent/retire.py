"""Taking away from this host what was installed on it: found first, then removed; asked again, nothing is left.

Whatever lies in the account's home is removed as that account, so that no link of its own leads root's hands elsewhere.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import pwd
import shutil

from airfleet.agent import owned, run, units

ENDED_S = 10


def remains(words, tell):
    """Return {"units": […], "paths": […], "account": name or None}: what of an installation is on this host.

    `words`: `units` (patterns of names), `unit_files`, `own` (patterns of paths of the account's), `root` (of root's),
    `account`, `stop_timeout_s`, and `purge`: then the account itself counts.
    """
    account = words["account"] if words["purge"] and _exists(words["account"]) else None
    paths = [*words["unit_files"], *words["own"], *words["root"]]
    return {
        "units": _units(words),
        "paths": sorted({path for each in paths for path in _found(each)}),
        "account": account,
    }


def clear(words, tell):
    """Stop, disable and remove all of it; return what was there, as `remains` does. Workers must be drained before."""
    there = remains(words, tell)
    for unit in there["units"]:
        tell(f"stop {unit}")
        run.run(["systemctl", "disable", unit], ok=(0, 1))
        units.stop(unit, words["stop_timeout_s"], tell)
        run.run(["systemctl", "reset-failed", unit], ok=(0, 1))
    for pattern in (*words["unit_files"], *words["root"]):
        for path in _found(pattern):
            _remove(path)
    if there["units"] or there["paths"]:
        run.run(["systemctl", "daemon-reload"])
    if _exists(words["account"]):
        for pattern in words["own"]:
            for path in _found(pattern):
                owned.remove(path, words["account"])
    if there["account"]:
        tell(f"remove the account {there['account']}")
        _end_all(there["account"])
        run.run(["userdel", "--remove", there["account"]], ok=(0, 12))  # 12: its mail or home is not there
    return there


def _units(words):
    """Return the units of ours that run or are enabled, workers before what they need."""
    text = run.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "--", *words["units"]], errors=False)
    loaded = {line.split()[0]: line.split()[2] for line in text.splitlines() if len(line.split()) > 2}
    text = run.run(
        ["systemctl", "list-unit-files", "--plain", "--no-legend", "--", *words["units"]], errors=False, ok=(0, 1)
    )
    enabled = [line.split()[0] for line in text.splitlines() if line.split()[1:2] == ["enabled"]]
    # An instance that is enabled and does not run is only a link to its template.
    links = map(os.path.basename, glob.glob("/etc/systemd/system/*.wants/*.service"))
    linked = [name for name in links if any(fnmatch.fnmatch(name, pattern) for pattern in words["units"])]
    found = [name for name, state in loaded.items() if state not in units.DOWN] + enabled + linked
    names = {name for name in found if not name.endswith("@.service")}
    return sorted(names, key=lambda name: (not name.startswith("airflow-worker@"), name.startswith("redis"), name))


def _found(pattern):
    return [path for path in glob.glob(pattern) if os.path.lexists(path)]


def _remove(path):
    """Remove what is root's: a file, a link, or a tree."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _exists(account):
    try:
        pwd.getpwnam(account)
    except KeyError:
        return False
    return True


def _end_all(account):
    """End what still runs as this account: somebody's shell, or what a killed run left."""
    uid = pwd.getpwnam(account).pw_uid
    if left := owned.kill(lambda: _of(uid), ENDED_S):
        raise run.Refused(f"processes of {account} do not end: {', '.join(map(str, left))}", remedy="end them there")


def _of(uid):
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{name}").st_uid == uid:
                found.append(int(name))
        except OSError:
            continue  # it ended meanwhile
    return found

"""How this host is, for somebody who asks what is wrong: one answer, and nothing is changed but a Redis key of 5 s.

What cannot be found out is None or left out, never a good value. Secrets leave this host only as salted digests.
"""

from __future__ import annotations

import os
import threading
import time

from airfleet.agent import (
    effective,
    files,
    history,
    lock,
    maintenance,
    pages,
    processes,
    run,
    scheduled,
    signs,
    stores,
    unconfirmed,
    unitfacts,
)

KINDS_OF_MEMORY = {"MemTotal": "total_mb", "MemAvailable": "available_mb", "SwapFree": "swap_free_mb"}
EATERS = 5
FULL_PERCENT = 90


def vitals(words, tell):
    """Return all that is known of this host; `words` are those of airfleet.examine.

    The first thing told is this host's clock, so that whoever asks can compare it with its own. With "deep" also what
    takes longer: journals, ports, owners of logs, strays, and each secret tried out.
    """
    tell(f"clock {time.time():.3f}")
    found = {}
    jobs = {"host": host, "units": unitfacts.look, "release": release, "stores": stores.look, "web": pages.page}
    jobs["maintenance"] = maintenance.now
    jobs["operation"] = lock.now
    jobs["members"] = history.members
    jobs["way_back"] = lambda _: unconfirmed.look()
    jobs["backup"] = scheduled.look
    if words["deep"]:
        jobs.update(journal=signs.look, logs=foreign_logs, ports=processes.ports, strays=processes.strays)
        jobs.update(versions=versions, pidfiles=processes.pidfiles, effective=effective.look)
        jobs.update(certificate=pages.certificate)
    threads = [threading.Thread(target=_do, args=(found, name, job, words)) for name, job in jobs.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = ((found.get("stores") or {}).get("airflow") or {}).get("hosts_of_tasks")
    if words["log_port"] and names is not None:
        found["log_servers"] = pages.log_servers(names, words["log_port"])
    return found


def _do(found, name, job, words):
    try:
        found[name] = job(words)
    except Exception as e:  # noqa: BLE001  # told, and the others go on
        found[name] = None
        found.setdefault("unknown", {})[name] = run.words_of(e)["error"]


def host(words):
    """Return uptime, load, memory and disks."""
    with open("/proc/uptime") as f:
        uptime_s = float(f.read().split()[0])
    with open("/proc/meminfo") as f:
        lines = dict(line.split(":", 1) for line in f)
    memory = {ours: int(lines[name].split()[0]) // 1024 for name, ours in KINDS_OF_MEMORY.items() if name in lines}
    return {
        "uptime_s": round(uptime_s),
        "load": os.getloadavg()[0],
        "cpus": os.cpu_count(),
        "memory": memory,
        "disks": _disks(words["folders"], deep=words["deep"]),
    }


def _disks(folders, *, deep):
    """Return {folder: {"percent", "inodes_percent", "free_mb", "eaters"}}; what is not there is left out."""
    found = {}
    for folder in folders:
        try:
            s = os.statvfs(folder)
        except FileNotFoundError:
            continue
        usable = s.f_blocks - s.f_bfree + s.f_bavail
        disk = {
            "percent": round(100 * (s.f_blocks - s.f_bfree) / usable) if usable else 100,
            "inodes_percent": round(100 * (s.f_files - s.f_ffree) / s.f_files) if s.f_files else 0,
            "free_mb": s.f_bavail * s.f_frsize // 2**20,
            "device": os.stat(folder).st_dev,
        }
        if deep and max(disk["percent"], disk["inodes_percent"]) >= FULL_PERCENT:
            disk["eaters"] = _eaters(folder)
        found[folder] = disk
    return found


def _eaters(folder):
    """Return the largest folders below: [[MB, path], …]."""
    try:
        argv = ["du", "-0", "-x", "-m", "--max-depth=2", folder]  # whatever a name has in it, no NUL
        text = run.run(argv, ok=(0, 1), timeout_s=20, errors=False)
    except run.Refused:
        return []
    pairs = [each.split("\t", 1) for each in text.split("\0") if "\t" in each]
    return sorted(([int(size), path] for size, path in pairs if path != folder), reverse=True)[:EATERS]


def release(words):
    """Return which release and which environment the links lead to."""
    links = {name: files.look_link(words[name], {})[0] for name in ("current", "venv")}
    return {name: link["target"].rsplit("/", 1)[-1] if link else None for name, link in links.items()}


def foreign_logs(words):
    """Return the first thing in the folder of logs that the account does not own, or None."""
    if not os.path.isdir(words["logs"]):
        return {"foreign": None}
    argv = ["find", words["logs"], "!", "-user", words["account"], "-printf", "%u %p\n", "-quit"]
    return {"foreign": run.run(argv, errors=False, timeout_s=20).strip() or None}


def versions(words):
    """Return the versions of the packages of which a wrong set is known to break things, from their folders' names."""
    root = os.path.realpath(words["venv"])
    found = {}
    lib = f"{root}/lib"
    for python in os.listdir(lib) if os.path.isdir(lib) else []:
        for name in os.listdir(f"{lib}/{python}/site-packages"):
            if name.endswith(".dist-info"):
                package, _, version = name[: -len(".dist-info")].rpartition("-")
                package = package.lower().replace("_", "-").replace(".", "-")
                if package in words["packages"]:
                    found[package] = version
    return found

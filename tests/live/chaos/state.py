"""What is on the hosts, resource by resource, and how two looks at it differ."""

from __future__ import annotations

import json
import re

from tests.live.chaos.steps import steady

# Whole content where airfleet writes files that are the same after each run, names alone elsewhere.
LOOK = """
import glob, json, os, stat, subprocess
HOME = "/home/airflow/airflow"
WHOLE = [HOME, HOME + "/config", "/etc/systemd/system", "/etc/systemd/system/multi-user.target.wants", "/etc/redis"]
WHOLE += glob.glob("/etc/systemd/system/airflow-*.d") + glob.glob("/etc/systemd/system/redis-*.d")
NAMES = ["/home/airflow/dags", "/home/airflow/dags/releases", "/home/airflow/.pyenv/versions", "/opt/airfleet"]
NAMES += ["/var/lib/airfleet", "/var/lib/airfleet/way-back"]
found = {}
for folder in WHOLE + NAMES:
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        path = folder + "/" + name
        if name.endswith((".pid", ".log", ".out", ".err", ".db")) or name == "__pycache__":
            continue
        info, content = os.lstat(path), ""
        if stat.S_ISLNK(info.st_mode):
            content = os.readlink(path)
        elif stat.S_ISREG(info.st_mode) and folder in WHOLE:
            content = open(path, encoding="latin-1").read(1 << 20)
        found[path] = [oct(info.st_mode), info.st_uid, info.st_gid, content]
words = ["systemctl", "show", "--property=Id,ActiveState,UnitFileState", "airflow-*.service", "redis-server.service"]
for block in subprocess.run(words, stdout=subprocess.PIPE, text=True).stdout.split("\\n\\n"):
    told = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
    if told:
        found["unit " + told.pop("Id")] = sorted(told.items())
print(json.dumps(found))
"""
# How a host remembers what was done there, not what it is: that a way back was armed once, how long a page was away.
REMEMBERED = ("/var/lib/airfleet/", "/opt/airfleet/way-back", "/etc/systemd/system/airfleet-way-back")
TURNED = re.compile(r"(?m)^(parallelism = )\d+$")  # what a cell itself wishes for in turn


def look(installation, hosts):
    """Return {(host, resource): its state}, without what differs from run to run: secrets, commits, digests."""
    secrets = {name: value.strip() for name, value in installation.secret_values().items() if value.strip()}
    found = {}
    for host in hosts:
        for name, state in json.loads(installation.on(host, "python3", "-c", LOOK)).items():
            found[host, steady(name)] = _plain(state, secrets)
    return found


def _plain(state, secrets):
    if len(state) != 4 or not isinstance(state[3], str):
        return tuple(map(tuple, state))
    text = state[3]
    for name, value in sorted(secrets.items(), key=lambda item: -len(item[1])):
        text = text.replace(value, f"<{name}>")
    return (*state[:3], steady(TURNED.sub(r"\1…", text)))


def differing(one, other):
    """Return the names of the resources that are not the same in two looks."""
    keys = sorted(key for key in one.keys() | other.keys() if not key[1].startswith(REMEMBERED))
    return [f"{host} {name}" for host, name in keys if one.get((host, name)) != other.get((host, name))]


def half_written(now, before, after):
    """Return the files that are neither as before nor as at the end, but the beginning of one of them, or empty."""
    found = []
    for key, state in now.items():
        whole = [_text(each.get(key)) for each in (before, after)]
        text = _text(state)
        if text is None or text in whole:
            continue
        if any(each is not None and each.startswith(text) for each in whole):
            found.append(" ".join(key))
    return found


def _text(state):
    """Return a file's content; None for anything else."""
    if state is None or len(state) != 4 or not str(state[0]).startswith("0o100"):
        return None
    return state[3]

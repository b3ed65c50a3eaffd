"""Compiles an environment's packages, as its account, by its own Python; what a neighbour has compiled is taken over.

An Airflow is 14,000 files and most of a minute of a processor's time, which running tasks would miss. Two environments
of a host differ in a few of them. A compiled file holds no path that counts: Python sets that anew when it imports it.
"""

from __future__ import annotations

import filecmp
import importlib.util
import os
import stat
import struct
import subprocess
import sys

HEADER = 16  # magic, flags (0: valid by time and size of the source), time in s, size in bytes: 4 bytes each (PEP 552)


def inside(words, tell):
    """Compile all packages of words["venv"]; return {"taken": files taken over from a neighbour}."""
    venv, site, taken = words["venv"], words["site"], 0
    other = neighbour(venv, site, words["mark"])
    if other:
        taken = sum(_take(source, other + source[len(venv) :]) for source in sources(site))
        tell(f"{taken} compiled files taken over from {other}")
    # Packages have examples and templates that are no Python of today: what can't be compiled is nobody's fault.
    argv = [sys.executable, "-I", "-W", "ignore", "-m", "compileall", "-qq", "-j", "0", site]
    subprocess.run(argv, check=False, stderr=subprocess.DEVNULL)
    return {"taken": taken}


def neighbour(venv, site, mark):
    """Return the newest environment beside this one that has its mark and packages of the same Python, or None."""
    parent, own = os.path.split(venv)
    found = []
    for name in os.listdir(parent):
        other = f"{parent}/{name}"
        wanted = (f"{other}/{mark}", f"{other}/pyvenv.cfg", other + site[len(venv) :])
        if name != own and not os.path.islink(other) and all(map(os.path.exists, wanted)):
            found.append((os.stat(wanted[0]).st_mtime, other))
    return max(found)[1] if found else None


def sources(site):
    """Yield the path of each Python file."""
    for folder, _, names in os.walk(site):
        yield from (f"{folder}/{name}" for name in names if name.endswith(".py"))


def _take(source, other):
    """Take over what a file of the same content was compiled to; tell whether that was done."""
    compiled = importlib.util.cache_from_source(source)
    try:
        with open(importlib.util.cache_from_source(other), "rb", opener=_opener) as f:
            now, then = os.lstat(source), os.lstat(other)
            if f.read(HEADER) != _header(then) or not _same(source, now, other, then):
                return False
            os.makedirs(os.path.dirname(compiled), exist_ok=True)
            if int(now.st_mtime) == int(then.st_mtime):
                os.link(f.name, compiled)  # no room, either; whoever compiles anew replaces the name, not the content
            else:
                _write(compiled, _header(now) + f.read())
    except OSError:
        return False  # not there, or not to be had: it is compiled like all others
    return True


def _opener(path, flags):
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe there would hold us


def _header(info):
    low = 0xFFFFFFFF
    return importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, int(info.st_mtime) & low, info.st_size & low)


def _same(source, now, other, then):
    """Tell whether two sources have the same content: one file by two names, as uv links them, or equal bytes."""
    if not stat.S_ISREG(now.st_mode) or not stat.S_ISREG(then.st_mode) or now.st_size != then.st_size:
        return False
    return os.path.samestat(now, then) or filecmp.cmp(source, other, shallow=False)


def _write(path, data):
    with open(f"{path}.airfleet", "wb") as f:
        f.write(data)
    os.replace(f"{path}.airfleet", path)

"""Becomes the account with the environment of its units, and then a shell; reads that environment as systemd does.

A login sends this file as it stands in a command line, so it imports nothing of airfleet's and holds no value.
"""

from __future__ import annotations

import os
import pwd
import re
import sys

NAME = re.compile(r"[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*=")
QUOTED = re.compile(r"""[ \t]*(?:'([^']*)'|"((?:[^"\\]|\\.)*)")""", re.DOTALL)
PLAIN = re.compile(r"[ \t]*((?:[^\\\r\n]|\\.|\\\Z)*?)[ \t]*(?:\Z|[\r\n])", re.DOTALL)
LINE = re.compile(r"[^\n]*\n?")
SHELL = "/bin/bash"
KEPT = ("TERM", "COLORTERM")


def parse(text):
    """Return {name: value} of an EnvironmentFile, which is not written as for a shell: see systemd.exec(5)."""
    found, at = {}, 0
    while at < len(text):
        name = NAME.match(text, at)
        if not name:
            at = LINE.match(text, at).end()  # a comment, or nothing
            continue
        value, at = "", name.end()
        quoted = QUOTED.match(text, at)
        while quoted:
            value += _double(quoted.group(2)) if quoted.group(1) is None else quoted.group(1)
            at = quoted.end()
            quoted = QUOTED.match(text, at)
        plain = PLAIN.match(text, at)
        found[name.group(1)] = value + re.sub(r"\\(\n|.?)", lambda each: each.group(1).strip("\n"), plain.group(1))
        at = plain.end()
    return found


def _double(text):
    """Return what stands between double quotes: there a backslash means something only before these characters."""
    return re.sub(r'\\(\n|["\\`$])', lambda each: each.group(1).strip("\n"), text)


def become(account, path, first, *words):
    """Turn this process, which is root's, into a shell of the account's; the folder `first` leads its PATH."""
    try:
        entry = pwd.getpwnam(account)
        os.initgroups(account, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
        os.chdir(entry.pw_dir)
        with open(path, encoding="utf-8") as f:
            env = parse(f.read())
    except (KeyError, OSError) as e:
        sys.exit(f"airfleet: {e}: Airflow is not on this host yet: run fab bootstrap")
    mine = {"HOME": entry.pw_dir, "USER": account, "LOGNAME": account, "SHELL": SHELL}
    mine.update({name: os.environ[name] for name in KEPT if name in os.environ})
    folders = env.get("PATH", "/usr/local/bin:/usr/bin:/bin").split(":")
    env["PATH"] = ":".join([first, *(folder for folder in folders if folder != first)])
    os.execve(SHELL, ["bash", *words], {**mine, **env})

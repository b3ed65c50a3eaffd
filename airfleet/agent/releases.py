"""The releases that are on this host: which, since when, which one is in use; and those that nobody needs any more."""

from __future__ import annotations

import glob
import os
import re

from airfleet.agent import code, files, owned, paths
from airfleet.agent.git import git

MARKED = re.compile(r"\.([0-9a-f]{40}(?:[0-9a-f]{24})?)\.json")
STAMPS = "/run/airflow-*/stamp"


def releases(words, tell):
    """Return {"releases": [{"commit", "subject", "made_at", "current"}, …]}, the newest first."""
    folder = words["releases"]
    return {"releases": _releases(folder)}


def release_of(words, tell):
    """Return {"commit", "subject", "requirements"} of a commit, fetched only if the mirror does not have it."""
    mirror, commit, account = words["mirror"], words["commit"], words["account"]
    code.have(mirror, commit, words, tell)
    here = ["--git-dir", mirror]
    subject = git([*here, "show", "--no-patch", "--format=%s", commit], account=account, errors=False).strip()
    text = code.text_of(mirror, commit, words.get("requirements"), account)
    return {"commit": commit, "subject": subject, "requirements": text}


def prune(words, tell):
    """Remove the oldest releases beyond `count`; never one of `keep`, the current one, or one that a process runs.

    Patches that keep what was edited by hand stay.
    """
    folder, account, mirror = words["releases"], words["account"], words["mirror"]
    there = _releases(folder)
    kept = {*words["keep"], *_started_with(words.get("stamps", STAMPS))}
    kept |= {each["commit"] for each in there if each["current"]}
    room = max(0, words["count"] - len(kept & {each["commit"] for each in there}))
    removed = []
    for each in there:
        commit = each["commit"]
        if commit in kept:
            continue
        if room:
            room -= 1
            continue
        # The mark goes first: a release without one counts as not there, whatever is left of it.
        for path in (f"{folder}/.{commit}.json", f"{folder}/{commit}", f"{folder}/.{commit}.index"):
            owned.remove(path, account)
        git(["--git-dir", mirror, "update-ref", "-d", code.KEPT + commit], account=account)
        removed.append(commit)
    return {"removed": removed}


def _releases(folder):
    current = files.look_link(os.path.join(os.path.dirname(folder), "current"), {})[0]
    now = os.path.basename(current["target"]) if current else ""
    found = []
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        marked = MARKED.fullmatch(name)
        mark = marked and owned.read_mark(f"{folder}/{name}", subject=str, made_at=code.NUMBER)
        if mark and os.path.isdir(f"{folder}/{marked.group(1)}"):
            commit = marked.group(1)
            found.append(
                {
                    "commit": commit,
                    "subject": mark["subject"],
                    "made_at": mark["made_at"],
                    "current": commit == now,
                }
            )
    return sorted(found, key=lambda each: -each["made_at"])


def _started_with(pattern):
    """Return the commits that running processes started with, from the stamps that they left."""
    found = set()
    for path in glob.glob(pattern):
        try:
            text = paths.read(path)
        except (OSError, paths.Odd):
            continue  # it stopped meanwhile
        found.update(re.findall(r"^(?:releases/)?([0-9a-f]{40,64})  \S*/current$", text, re.MULTILINE))
    return found

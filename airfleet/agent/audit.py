"""The history, copied to a bucket: what was written since the last copy, as one object that nobody writes over.

An object is named by the numbers of its first and last line and the digest of the last one, which is that of all before
it. What speaks to Google is `inside_audit`, in Airflow's own environment and as its account: root runs none of it.
`bucket` in the words: as for `backup_bucket`.
"""

from __future__ import annotations

import json
import re

from airfleet.agent import chain, command, history, inside, kept

PROGRAM, BESIDE = "inside_audit", ("inside_storage",)
MARK = ".copied"
PATIENCE_S, TIMEOUT_S = 10, (5, 10)  # a command is not kept waiting for a bucket that is away
COPY_S, READ_S = 45, 300
NAME = re.compile(r"(\d{8,})-\d{8,}-[0-9a-f]{16}\.jsonl")
NAMED = 20  # lost lines are named at most


def audit_copy(words, tell):
    """Copy the lines that are new; return {"copied": how many}. Before the first environment there is none to do it."""
    path, bucket = words.get("path", history.PATH), words["bucket"]
    lines = history.text_of(path).splitlines()
    first = _copied(path, bucket["place"], lines)
    if first == len(lines) or not inside.there(bucket["venv"]):
        return {"copied": 0}
    name = f"{first + 1:08d}-{len(lines):08d}-{chain.digest(lines[-1])[:16]}.jsonl"
    text = "".join(f"{line}\n" for line in lines[first:])
    _ask(bucket, "write", COPY_S, name=name, text=text)
    mark = {"place": bucket["place"], "n": len(lines), "digest": chain.digest(lines[-1])}
    kept.write(f"{path}{MARK}", mark)
    return {"copied": len(lines) - first}


def audit_compare(words, tell):
    """Return {"there": how many of this host's lines the bucket has, "lost": [{"line", "what"}], "more": not named}.

    Lost is what the bucket has and the host has not: it was removed here, or changed.
    """
    lines = history.text_of(words.get("path", history.PATH)).splitlines()
    own, lost, there = {chain.digest(line) for line in lines}, {}, set()
    place = words["bucket"]["place"]
    for name, text in _ask(words["bucket"], "read", READ_S)["objects"]:
        found = NAME.fullmatch(name)
        if not found:
            continue  # not ours
        for number, line in enumerate(text.splitlines(), int(found[1])):
            digest = chain.digest(line)
            if digest in own:
                there.add(digest)
            else:
                lost.setdefault((number, digest), f"is not there any more ({_says(line)}): {place}/{name} has it")
    named = [{"line": number, "what": what} for (number, _), what in sorted(lost.items())]
    return {"there": len(there), "lost": named[:NAMED], "more": len(named[NAMED:])}


def _copied(path, place, lines):
    """Return how many lines have been copied: none where the last of these is not what it was, or went elsewhere."""
    try:
        mark = json.loads(history.text_of(f"{path}{MARK}") or "{}")
    except ValueError:
        mark = {}
    number = mark.get("n", 0)
    same = 0 < number <= len(lines) and mark.get("digest") == chain.digest(lines[number - 1])
    return number if same and mark.get("place") == place else 0


def _says(line):
    try:
        entry = json.loads(line)
        return f"{entry['doing']} by {entry['who']}, {entry['began']}"
    except (ValueError, KeyError, TypeError):
        return "cut short"


def _ask(bucket, do, limit_s, **more):
    known = {name: bucket[name] for name in ("place", "bucket", "prefix")}
    patience_s = bucket.get("patience_s", PATIENCE_S)
    asked = {**known, "python": bucket["venv"], "patience_s": patience_s, "timeout_s": TIMEOUT_S, "do": do, **more}
    env = command.environment_of(bucket["environment"])
    return inside.ask(
        bucket["venv"], PROGRAM, asked, account=bucket["account"], env=env, timeout_s=limit_s, also=BESIDE
    )

"""The chain of the history: each line has its number and the digest of the line before it, so that none goes unseen.

A head beside the file has number and digest of the last line: without it, lines could be cut off at the end. Who is
root on a host can make all of it anew; the other hosts' lines then tell another story.
"""

from __future__ import annotations

import hashlib
import json
import os

from airfleet.agent import files

FIRST = "0" * 64
NUMBER, AFTER = "n", "after"
HEAD_MODE = 0o640


def linked(entry, text):
    """Return an entry as the next line of this text of a history, without its line break."""
    lines = text.splitlines()
    after = digest(lines[-1]) if lines else FIRST
    return json.dumps({**entry, NUMBER: len(lines) + 1, AFTER: after}, sort_keys=True)


def bare(entry):
    """Return an entry without its place in the chain: what it says is the same on every host."""
    return {key: value for key, value in entry.items() if key not in (NUMBER, AFTER)}


def digest(line):
    """Return the SHA-256 of a line."""
    return hashlib.sha256(line.encode("utf-8", "surrogateescape")).hexdigest()


def write_head(path, line, number):
    """Note beside the history which line is its last, whole or not at all."""
    text = json.dumps({NUMBER: number, "digest": digest(line)})
    files.write(f"{path}.head", text, (os.geteuid(), os.getegid()), HEAD_MODE)


def faults(text, head):
    """Return (how many lines are in the chain, [{"line": number in the file, "what": …}]); `head` is {} without one.

    Lines from before there was a chain are passed over.
    """
    lines, found, chained, before = text.splitlines(), [], 0, None
    for position, line in enumerate(lines):
        entry = _read(line)
        number = entry.get(NUMBER)
        if not isinstance(number, int):
            if chained and entry:
                found.append(_fault(position, "is not in the chain: an older airfleet wrote it, or somebody else"))
            continue
        chained += 1
        after = digest(lines[position - 1]) if position else FIRST
        if entry.get(AFTER) != after:
            found.append(_broken(position, number, before))
        before = number
    return chained, found + _at_the_end(lines, before, head)


def _broken(position, number, before):
    """Return what a line tells that is not behind the line which was there when it was written."""
    if before is not None and number <= before:
        return _fault(position, f"stands out of its order: it is number {number}, behind number {before}")
    gone = number - 1 - (position if before is None else before)
    if gone > 0:
        return _fault(position, f"{gone} before it are gone: it is number {number}")
    return _fault(max(position - 1, 0), "was changed")


def _at_the_end(lines, last, head):
    number = head.get(NUMBER) if isinstance(head, dict) else None
    if last is None:
        return [_fault(len(lines), f"{number} lines are gone from the end")] if isinstance(number, int) else []
    if not isinstance(number, int):
        return [_fault(len(lines), "there is no head, which tells what the last line is")]
    if number > last:
        return [_fault(len(lines), f"{number - last} are gone from the end")]
    # A crash between the line and its head leaves the head one behind.
    if number == last and head.get("digest") != digest(lines[-1]):
        return [_fault(len(lines) - 1, "was changed")]
    return [] if last - number <= 1 else [_fault(len(lines), f"the head knows {number} lines only")]


def _fault(position, what):
    return {"line": position + 1, "what": what}


def _read(line):
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}

"""Writes docs/drills.md: what was broken on purpose, what the doctor made of it, and how soon it was well again."""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import json
import re

from sandbox.site import REPOSITORY

PAGE = REPOSITORY / "docs" / "drills.md"
KEPT = REPOSITORY / ".sandbox" / "drills"
HEAD = """\
# Drills

Written by `make drills`; do not edit. Each fault was injected on two booted machines as its runbook says; then
`fab doctor` was asked again and again until it named it, and twice more, and had to name it and nothing else; the
runbook's Confirm had to say yes (and no before the fault); its Fix was done twice; then the doctor had to find nothing
any more, and Verify to agree. A drill counts for its runbook's present text: what was changed since is drilled again.

"Said before" is what the doctor answered between the fault and that: some signs take a while to show.
"""
SECTION = re.compile(r"^## Airflow (\S+)\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def keep(version, book, drilled):
    """Keep what a drill came to, for this text of the runbook: one that was changed is to be drilled again."""
    KEPT.mkdir(parents=True, exist_ok=True)
    words = {**vars(drilled), "on": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}", "of": _digest(book)}
    (KEPT / f"{version}-{book.id}.json").write_text(json.dumps(words))


def write(version, books, never):
    """Put one version's part into the page, in place of what it had, and return the runbooks whose drill it lacks."""
    kept = {book.id: words for book in books if (words := _kept(version, book))}
    with (KEPT / "lock").open("w") as lock:  # two processes may do so at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        old = PAGE.read_text() if PAGE.exists() else ""
        parts = {found[1]: found[0].rstrip() for found in SECTION.finditer(old)}
        parts[version] = section(version, kept, books, never)
        PAGE.write_text("\n\n".join([HEAD.rstrip(), *(parts[each] for each in sorted(parts, reverse=True))]) + "\n")
    return [book.id for book in books if book.id not in kept]


def section(version, kept, books, never):
    """Return the part of the page about one version: `kept` is {runbook: what its drill came to}."""
    wrong = sorted({name for each in kept.values() for name in each["said"] if name not in ("", each["id"])})
    lines = [
        f"## Airflow {version}",
        "",
        f"{len(kept)} of {len(books)} faults were named right, each alone. Taken for something else at first:"
        f" {', '.join(wrong) or 'none'}.",
        "",
        "| fault | said before | named after | well again after | on |",
        "|---|---|---:|---:|---|",
    ]
    for book in books:
        link, words = f"[{book.id}](runbooks/{book.id}.md)", kept.get(book.id)
        if words is None:
            lines.append(f"| {link} | **not passed** | – | – | – |")
            continue
        before = [f"{name or 'nothing yet'} ({n} ×)" for name, n in words["said"].items() if name != book.id]
        took = f"{words['detected_s']:.0f} s | {words['fixed_s']:.0f} s | {words['on']}"
        lines.append(f"| {link} | {', '.join(before) or '–'} | {took} |")
    lines += ["", "Never drilled:", ""]
    lines += [f"* [{name}](runbooks/{name}.md): {why}" for name, why in sorted(never.items())]
    return "\n".join(lines)


def _kept(version, book):
    path = KEPT / f"{version}-{book.id}.json"
    words = json.loads(path.read_text()) if path.exists() else {}
    return words if words.get("of") == _digest(book) else None


def _digest(book):
    return hashlib.sha256(book.text.encode()).hexdigest()

"""Writes docs/drills.md: what was broken on purpose, how soon it was named, and how soon it was well again."""

from __future__ import annotations

import datetime as dt

from sandbox.site import REPOSITORY

PAGE = REPOSITORY / "docs" / "drills.md"
SEEN: dict = {}


def write(books, never):
    """Write the page from the drills of this run."""
    lines = [
        "# Drills",
        "",
        "Written by `make drills`; do not edit. Each fault was injected on booted machines as its runbook says; then"
        " `fab doctor`",
        "was asked until it named it, the runbook's fix was done twice, and the doctor had to find nothing any more.",
        "",
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, Airflow 2.11.2, two hosts.",
        "",
        "| fault | the doctor said | after | well again after |",
        "|---|---|---:|---:|",
    ]
    for book in books:
        seen = SEEN.get(book.id)
        if seen is None:
            lines.append(f"| [{book.id}](runbooks/{book.id}.md) | **the drill failed** | – | – |")
        else:
            said = ", ".join([book.id, *seen.others])
            lines.append(
                f"| [{book.id}](runbooks/{book.id}.md) | {said} | {seen.detected_s:.0f} s | {seen.fixed_s:.0f} s |"
            )
    lines += ["", "## Never drilled", ""]
    lines += [f"* [{name}](runbooks/{name}.md): {why}" for name, why in sorted(never.items())]
    PAGE.write_text("\n".join(lines) + "\n")

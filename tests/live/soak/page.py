"""Writes the soak's part of docs/reliability.md from what was seen, and keeps the figures as JSON."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
from statistics import median

from sandbox.site import REPOSITORY

PAGE = REPOSITORY / "docs" / "reliability.md"
KEPT = REPOSITORY / ".sandbox" / "soak"
SOAK = re.compile(r"^## Soak\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
PART = re.compile(r"^### ([^\n]+)\n.*?(?=^### |\Z)", re.MULTILINE | re.DOTALL)
HEAD = """\
## Soak

This part is written by `make soak`; do not edit. Two machines are kept under the ledger's load
([lossless.md](lossless.md)), and every minute, or as soon as the one before has ended, an operator types a command
that chance chooses: each kind once before any a second time. A fault strikes at a step of a deploy, and is one of those
above that end no task by themselves. The memory of each service (PSS) is sampled every five seconds; what it grows by
is the slope within the lives of its processes, after their warm-up. Flower remembers 200 tasks (`flower.max_tasks`), so
that it has filled up by about the thousandth, after a quarter of an hour: a shorter life of it grows. Ten minutes of it
all, the same commands each time, are among the tests.
"""


def keep(figures, version):
    """Keep all figures as JSON, and return where: a run that fails has them too."""
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / f"{version}-{figures['seconds']}.json"
    path.write_text(json.dumps(figures, indent=1, default=dataclasses.asdict))
    return path


def write(title, lines):
    """Put one run into the page, in place of the one with the same title."""
    PAGE.write_text(put(PAGE.read_text(), title, lines))


def put(text, title, lines):
    """Return the page's text with this run in it; what others have written stays as it is."""
    old = found[0] if (found := SOAK.search(text)) else ""
    parts = {each[1]: each[0].strip() for each in PART.finditer(old)}
    parts[title] = "\n".join([f"### {title}", "", *lines])
    new = "\n".join([HEAD, "\n\n".join(parts[each] for each in sorted(parts)), ""])
    if not old:
        return f"{text.rstrip()}\n\n{new}"
    before, after = text.split(old)
    return before + new + ("\n" + after if after else "")


def title(version, seconds):
    """Return what a run is called."""
    return f"Airflow {version}, {seconds / 60:.0f} minutes"


def body(figures):
    """Return the lines about one run."""
    verdict, most = figures["verdict"], figures["most_mib_h"]
    return [
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, seed {figures['seed']}, {figures['cores']} cores for all of it."
        f" {verdict.tasks} tasks asked for, {verdict.lost} lost, {verdict.twice} run twice, {verdict.failed} failed,"
        f" {verdict.retried} tried more than once;",
        f"{figures['unacked']} messages without an answer at the end.",
        "",
        "| command | times | median | longest |",
        "|---|---:|---:|---:|",
        *_commands(figures["commands"]),
        "",
        _judged(most),
        "",
        "| part | lives | mean | highest | MiB an hour |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {each.part} | {each.lives} | {each.mean:.0f} MiB | {each.highest:.0f} MiB | {_growth(each)} |"
            for each in figures["memory"]
        ),
    ]


def _commands(done):
    kinds = sorted({each.kind for each in done})
    for kind in kinds:
        took = [each.seconds for each in done if each.kind == kind]
        yield f"| {kind} | {len(took)} | {median(took):.0f} s | {max(took):.0f} s |"


def _judged(most):
    if most is None:
        return "MiB an hour with its standard error: so short a run is not judged by it."
    return f"MiB an hour with its standard error: less twice that, no part may grow by more than {most}."


def _growth(trend):
    return "too short a life" if trend.slope is None else f"{trend.slope:+.1f} ± {trend.error:.1f}"

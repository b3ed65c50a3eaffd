"""Writes the matrix of docs/reliability.md from docs/data/chaos.jsonl, into which the cells that were run are taken.

python -m tests.live.chaos.table
"""

from __future__ import annotations

import re
from collections import Counter

from sandbox.site import REPOSITORY
from tests.live.chaos import record
from tests.live.chaos.faults import NAMES
from tests.live.chaos.record import KILLED, NOT_REACHED, WELL

PAGE = REPOSITORY / "docs" / "reliability.md"
DATA = REPOSITORY / "docs" / "data" / "chaos.jsonl"
BEGIN, END = "<!-- written by `python -m tests.live.chaos.table`: do not edit -->", "<!-- end of what is written -->"
PART = re.compile(re.escape(BEGIN) + r"\n(.*?)" + re.escape(END), re.DOTALL)
NOTHING = "No cell has been run yet.\n"
LONGEST = 100
ENDS_WELL = "(it ends as it does without the fault)"


def part(cells):
    """Return what the page has between its two marks."""
    run = [cell for cell in cells if cell.outcome != NOT_REACHED]
    if not run:
        return f"\n{NOTHING}\n"
    wrong = sum(cell.outcome != WELL for cell in run)
    tasks = sum(cell.tasks for cell in run)
    lines = [
        f"{len(run)} cells were run, {len(run) - wrong} of them well; {tasks} tasks ran meanwhile,"
        f" {sum(cell.lost for cell in run)} were lost."
    ]
    for command in dict.fromkeys(cell.command for cell in cells):
        lines += ["", *_section([cell for cell in cells if cell.command == command])]
    return "\n" + "\n".join(lines) + "\n\n"


def _section(cells):
    steps = cells[-1].steps or list(dict.fromkeys(cell.step for cell in cells))
    # A step of another version of the command has no row any more.
    known = {(cell.step, cell.fault): cell for cell in cells if cell.step in steps and cell.outcome != NOT_REACHED}
    yield f"### `fab {cells[-1].command}`, Airflow {cells[-1].airflow}"
    yield ""
    yield f"{len(known)} of {len(steps) * len(NAMES)} cells."
    yield ""
    yield f"| step | {' | '.join(NAMES)} |"
    yield "|---|" + "---|" * len(NAMES)
    for step in steps:
        yield f"| {_plain(step)} | {' | '.join(_short(known.get((step, fault))) for fault in NAMES)} |"
    yield ""
    yield "| fault | exit | what is said, most often | cells |"
    yield "|---|---:|---|---:|"
    yield from _said(known.values())


def _short(cell):
    """Return a cell in a few words: its exit code, and what was not well."""
    if cell is None:
        return "–"
    code = "killed" if cell.rc == KILLED else f"{cell.rc}, {cell.seconds:.0f} s"
    return code if cell.outcome == WELL else f"{code}: **{_plain(cell.outcome)}**"


def _said(cells):
    for fault in NAMES:
        codes = Counter(cell.rc for cell in cells if cell.fault == fault and cell.rc != KILLED)
        for code in sorted(codes, key=str):
            said = Counter(cell.message for cell in cells if (cell.fault, cell.rc) == (fault, code))
            message = said.most_common(1)[0][0] if code else ENDS_WELL
            yield f"| {fault} | {code} | {_plain(message)} | {codes[code]} |"


def _plain(text):
    short = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return short.replace("|", "\\|").replace("<", "&lt;")


def on_page(text):
    """Return what a page has between the marks."""
    return PART.search(text)[1]


def write():
    """Take in what was run since, and write the page."""
    cells = record.read(DATA, record.KEPT)
    DATA.parent.mkdir(parents=True, exist_ok=True)
    DATA.write_text("")
    for cell in cells:
        record.keep(cell, DATA)
    PAGE.write_text(PART.sub(lambda _: f"{BEGIN}\n{part(cells)}{END}", PAGE.read_text()))
    return cells


if __name__ == "__main__":
    print(f"{len(write())} cells: {PAGE.relative_to(REPOSITORY)}")

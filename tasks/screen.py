"""What an operator sees: plans with diffs, progress, results. Rich on a terminal, plain lines without one."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from contextlib import contextmanager
from json import dumps
from typing import TYPE_CHECKING, Any

from airfleet.answers import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airfleet.model import Change, Key, Outcome
    from airfleet.plan import Plan

QUIET_S = 15
HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # of characters: no byte that was escaped
LONG, SHORT = 120, 20
COLOURS = {"+": "green", "-": "red", "~": "yellow", "@": "cyan"}


class Screen:
    """Prints for one command."""

    def __init__(self) -> None:
        self._writing = threading.Lock()
        self._began = time.monotonic()
        self._spoke: dict[str, float] = {}
        self._height = 0

    @property
    def elapsed_s(self) -> float:
        """Seconds since the command began."""
        return time.monotonic() - self._began

    def say(self, text: str, style: str = "") -> None:
        """Print one line, at once."""
        text = printable(text)
        with self._writing:
            if style and sys.stdout.isatty():
                _console().print(text, style=style, markup=False, highlight=False, soft_wrap=True)
            else:
                print(text, flush=True)

    def board(self, lines: Sequence[tuple[str, str]], *, whole: bool) -> None:
        """Show a board of (line, style) in the place of the one before; without a terminal only a `whole` one."""
        terminal = sys.stdout.isatty()
        if not whole and not terminal:
            return
        if terminal and self._height:
            sys.stdout.write(f"\x1b[{self._height}F\x1b[0J")
        for text, style in lines:
            self.say(text, style)
        self._height = len(lines)

    def plans(self, plans: Sequence[Plan], mask: Callable[[str], str], *, whole: bool) -> None:
        """Print what would change on each host, stage by stage; `whole` shows long diffs, and those of new files."""
        from airfleet.plan import describe, diff

        for plan in plans:
            if not plan:
                continue
            self.say(f"{plan.host}: {len(plan.changes)} changes", "bold")
            for stage in plan.stages:
                if stage.changes:
                    self.say(f"  {stage.stage}")
                for change in stage.changes:
                    line = describe(change)
                    self.say(f"    {line}", COLOURS.get(line[0], ""))
                    if change.seen.state is None and not whole:
                        continue
                    for text in diff(change, mask, LONG if whole else SHORT):
                        self.say(f"        {text}", COLOURS.get(text[:1], ""))

    def stage(self, name: str, changes: Mapping[str, Sequence[Change]]) -> None:
        """Say that a stage begins."""
        count = sum(len(made) for made in changes.values())
        self.say(f"[{self.elapsed_s:5.0f} s] {name}: {count} changes on {', '.join(changes)}", "bold")

    def step(self, host: str, key: Key, text: str) -> None:
        """Say what a host is doing: each change as it begins, and what a long one tells now and then."""
        if not text:
            self._spoke[host] = time.monotonic()
            self.say(f"[{self.elapsed_s:5.0f} s]   {host}: {' '.join(key).strip()}")
        elif sys.stdout.isatty() or time.monotonic() - self._spoke.get(host, 0) > QUIET_S:
            self._spoke[host] = time.monotonic()
            self.say(f"[{self.elapsed_s:5.0f} s]     {host}: {text}", "dim")

    def done(self, host: str, outcome: Outcome) -> None:
        """Say nothing when all went well: the next stage, or the error, says it."""

    def probed(self, says: str) -> None:
        """Say what a probe saw."""
        self.say(f"[{self.elapsed_s:5.0f} s]   ok: {says}", "green")


def write(text: str, *, error: bool = False) -> None:
    """Write what somebody else has said as it is, at once: bytes that are no UTF-8 stand in it as lone surrogates."""
    stream = sys.stderr if error else sys.stdout
    stream.flush()
    stream.buffer.write(HALF.sub("\ufffd", text).encode("utf-8", "surrogateescape"))
    stream.buffer.flush()


def line(text: str) -> None:
    """Print a line that tells what hosts have told."""
    print(printable(text))


def json(value: object) -> None:
    """Print a value as JSON."""
    print(printable(dumps(value, indent=2, ensure_ascii=False)))


def foreign(text: str, *, error: bool = False) -> None:
    """Write the same; on a terminal what might steer it is made visible."""
    terminal = (sys.stderr if error else sys.stdout).isatty()
    write(printable(text) if terminal else text, error=error)


def notice(text: str) -> None:
    """Say something beside what was asked for."""
    print(printable(text), file=sys.stderr, flush=True)


@contextmanager
def piped() -> Iterator[None]:
    """Let a reader who has read enough, such as `head`, end a command in peace."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more at its end


_made: list[Any] = []


def _console() -> Any:
    if not _made:
        from rich.console import Console

        _made.append(Console())
    return _made[0]

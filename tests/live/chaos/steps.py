"""The steps of a command as it tells them itself, and the cells, step by fault, that come of them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

LINE = re.compile(r"^\[ *\d+ s\] (?P<indent> *)(?P<text>\S.*)$")
OF_STAGE = re.compile(r": \d+ changes on ")  # its first step comes at the same moment
PHASE = re.compile(r"^(phase \d+) of \d+: (.*)$")
STAMP = re.compile(r"\d{8}T\d{6}Z?")
DIGEST = re.compile(r"\b[0-9a-f]{12,64}\b")
STEP_INDENT = 2


@dataclass(frozen=True)
class Step:
    """One step: `part` of the command that it is in, what is said as it begins, and the how manieth of that it is."""

    part: str
    text: str
    nth: int = 1

    def __str__(self):
        again = f" ({self.nth})" if self.nth > 1 else ""
        return f"{self.part}: {self.text}{again}" if self.part else f"{self.text}{again}"

    @property
    def host(self):
        """The host that it is on; empty where it is on all of them."""
        return self.text.partition(": ")[0] if ": " in self.text else ""


class Reader:
    """Tells which step each line of a command's output begins."""

    def __init__(self):
        self._part = ""
        self._count = {}

    def feed(self, line):
        """Return the step that begins with this line, or None."""
        found = LINE.match(line.rstrip("\n"))
        if not found or OF_STAGE.search(found["text"]) or found["text"].startswith("ok: "):
            return None
        indent, text = len(found["indent"]), steady(found["text"])
        if indent not in (0, STEP_INDENT):
            return None  # what a long step tells now and then
        if indent == 0:
            phase = PHASE.match(text)
            self._part, text = phase.groups() if phase else (text, "begins")
        nth = self._count[self._part, text] = self._count.get((self._part, text), 0) + 1
        return Step(self._part, text, nth)


def steady(text):
    """Return a text without what differs from run to run: commits, digests, moments."""
    return DIGEST.sub("…", STAMP.sub("…", text))


def steps_of(output):
    """Return the steps of a command that was not disturbed, in their order."""
    reader = Reader()
    return [step for line in output.splitlines() if (step := reader.feed(line))]


def cells_of(steps, faults):
    """Return all (step, fault), so ordered that the first of them have every step once, and every fault."""
    return [
        (step, faults[(position + turn) % len(faults)])
        for turn in range(len(faults))
        for position, step in enumerate(steps)
    ]


def words_of(asked):
    """Return the words, and the slice of what has them, of a wish such as `deploy,sshd,0:10`."""
    words, part = [], slice(None)
    for word in filter(None, map(str.strip, asked.split(","))):
        if found := re.fullmatch(r"(\d*):(\d*)", word):
            part = slice(*(int(number) if number else None for number in found.groups()))
        else:
            words.append(word)
    return words, part


def chosen(names, asked):
    """Return those of the cells, given by name, that are asked for; nothing asked: all of them."""
    words, part = words_of(asked)
    return [name for name in names if all(word in name for word in words)][part]

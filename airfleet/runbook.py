"""A runbook: Markdown for a human, whose tagged fences say what may be done with them; and what a good one has. Pure.

A fence's first words are its language and its step: `sh`, `redis`, `sql` or `fab`, then `confirm` (looks only), `fix`,
`verify`, `inject` or `heal` (drills, on sandboxes only). A fence without a step is only to be read; one with
`airflow=2` or `airflow=3` is only for that generation.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import yaml

from airfleet.errors import UsageError
from airfleet.generations import GENERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

Step = Literal["confirm", "fix", "verify", "inject", "heal"]
STEPS: tuple[Step, ...] = ("confirm", "fix", "verify", "inject", "heal")
DRILL: tuple[Step, ...] = ("inject", "heal")
LANGUAGES = ("sh", "redis", "sql", "fab")
SECTIONS = ("Confirm", "Fix", "Verify", "If not", "Drill")
SEEN, MEANS = "**You see**", "**It means**"
MAJORS = tuple(each.major for each in GENERATIONS)
LONGEST = 80
FIRST_SCREEN = 24
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEAD = re.compile(r"\A---\n(.*?)^---\n", re.MULTILINE | re.DOTALL)
KEYS = frozenset({"id", "severity", "applies", "detect_within_s", "fix_within_s", "source"})
# What `confirm` may do on a host. Each looks; none of them writes.
LOOKS = re.compile(
    r"^(systemctl (show|status|is-active|is-enabled|cat|--failed)|journalctl|ss|df|du|find|stat|ls|cat|grep|getent"
    r"|readlink|date|ps|head|tail|sort|cut|tr|wc|awk|sed -n|git (-C \S+ )?(status|log|show|rev-parse)|test|echo|id"
    r"|openssl (s_client|x509)|timeout \d+ (bash -c '</dev/tcp|openssl))"
)
REDIS_LOOKS = re.compile(
    r"(?i)^(ping|info|llen|hlen|dbsize|type|exists|ttl|memory usage|client list"
    r"|set airfleet:probe \w+ ex \d+)\b"
)
WRITES = re.compile(r"(^|\s)(-delete|-exec|-execdir|-ok)(\s|$)|(?<![0-9&])>(?!&|/dev/null|\s*/dev/null)")


@dataclass(frozen=True, slots=True)
class Fence:
    """One fence with a step: `on` is a role of the inventory's, the host {host}, or `svc` in drills."""

    language: str
    step: Step
    text: str
    line: int
    on: str = "scheduler"
    expect: str = ""
    name: str = ""
    timeout_s: int = 60
    major: int = 0

    @property
    def commands(self) -> list[str]:
        """The lines that are not empty and no comments."""
        return [line.strip() for line in self.text.splitlines() if line.strip() and not line.strip().startswith("#")]


@dataclass(frozen=True, slots=True)
class Runbook:
    """One runbook, read."""

    id: str
    title: str
    severity: str
    applies: tuple[str, ...]
    detect_within_s: int
    fix_within_s: int
    source: tuple[str, ...]
    text: str
    fences: tuple[Fence, ...]

    def of(self, step: Step, major: int = 0) -> tuple[Fence, ...]:
        """Return the fences of a step, in order: those of all generations, or those that one of them has done."""
        majors = {0, major} if major else {0, *MAJORS}
        return tuple(fence for fence in self.fences if fence.step == step and fence.major in majors)

    def is_for(self, major: int) -> bool:
        """Whether what it describes can befall this generation of Airflow."""
        return any(each.startswith(f"{major}.") for each in self.applies)

    @property
    def symptoms(self) -> tuple[str, ...]:
        """What the pager or a page says: the quoted lines under `You see`."""
        part = self.text.partition(SEEN)[2].partition(MEANS)[0]
        return tuple(line[1:].strip() for line in part.splitlines() if line.startswith(">"))


def parse(text: str, name: str) -> Runbook:
    """Return the runbook in a text; a UsageError names the place of what can't be read."""
    head = HEAD.match(text)
    try:
        words: Any = yaml.safe_load(head[1]) if head else None
    except yaml.YAMLError as e:
        raise UsageError(f"its head is no YAML: {e}", place=name) from e
    if not isinstance(words, dict) or set(words) != KEYS:
        raise UsageError(f"its head needs the keys {', '.join(sorted(KEYS))}", place=name)
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    return Runbook(
        id=str(words["id"]),
        title=title[1] if title else "",
        severity=str(words["severity"]),
        applies=tuple(map(str, words["applies"])),
        detect_within_s=int(words["detect_within_s"]),
        fix_within_s=int(words["fix_within_s"]),
        source=tuple(map(str, words["source"] or ())),
        text=text[head.end() :] if head else text,
        fences=tuple(_fences(text, name)),
    )


def _fences(text: str, name: str) -> Iterator[Fence]:
    for found in FENCE.finditer(text):
        language, tags = found[1], shlex.split(found[2])
        if not tags:
            continue
        line = text.count("\n", 0, found.start()) + 1
        step, options = tags[0], dict(tag.partition("=")[::2] for tag in tags[1:])
        if step not in STEPS or language not in LANGUAGES:
            raise UsageError(f"a fence `{language} {step}`: know {', '.join(LANGUAGES)} and {', '.join(STEPS)}",
                             place=f"{name}:{line}")  # fmt: skip
        unknown = set(options) - {"on", "expect", "name", "timeout", "airflow"}
        if unknown:
            raise UsageError(f"a fence knows no {', '.join(sorted(unknown))}", place=f"{name}:{line}")
        yield Fence(
            language,
            step,
            found[3],
            line,
            on=options.get("on", "scheduler"),
            expect=options.get("expect", ""),
            name=options.get("name", ""),
            timeout_s=int(options.get("timeout", 60)),
            major=int(options.get("airflow", 0)),
        )


def problems(book: Runbook, name: str, commands: frozenset[str]) -> list[str]:
    """Return what a runbook lacks to be good; `commands` are the names of airfleet's commands."""
    found = []
    if f"{book.id}.md" != name:
        found.append(f"its id is {book.id}, its file {name}")
    lines = book.text.splitlines()
    if len(lines) > LONGEST:
        found.append(f"has {len(lines)} lines, {LONGEST} at most: what is longer is to be automated")
    places = [book.text.find(word) for word in (SEEN, MEANS, *(f"\n## {section}" for section in SECTIONS))]
    if -1 in places or places != sorted(places):
        found.append(f"needs, in this order: {SEEN}, {MEANS}, {', '.join(SECTIONS)}")
    elif book.text.count("\n", 0, places[2]) > FIRST_SCREEN:
        found.append("its first screen should reach to Confirm")
    if not book.symptoms:
        found.append("quotes no symptom under You see (lines that begin with >)")
    for major in filter(book.is_for, MAJORS):
        found += [f"has no `{step}` for {major}" for step in ("confirm", "fix", "verify") if not book.of(step, major)]
    for fence in book.fences:
        found += [f"line {fence.line}: {problem}" for problem in _wrong(fence, commands)]
    return found


def _wrong(fence: Fence, commands: frozenset[str]) -> Iterator[str]:
    if fence.major not in (0, *MAJORS):
        yield f"there is no Airflow {fence.major}"
    if fence.expect:
        try:
            re.compile(fence.expect)
        except re.error as e:
            yield f"expect is no regular expression: {e}"
    if fence.language == "fab":
        for command in fence.commands:
            words = shlex.split(command)
            if words[:1] != ["fab"] or len(words) < 2 or words[1] not in commands:  # noqa: PLR2004  # fab and its name
                yield f"`{command}` is no command of airfleet"
    elif fence.step == "fix" and len(fence.commands) != 1:
        yield "a fix is fab commands, or one exact command"
    if fence.step == "confirm":
        yield from _more_than_a_look(fence)


def _more_than_a_look(fence: Fence) -> Iterator[str]:
    if not fence.expect and not fence.name:
        yield "a confirm needs expect= (a regular expression) or a name= to be referred to by"
    if fence.language == "sh":
        for command in fence.commands:
            parts = re.split(r"\s*(?:\|\||\||&&|;)\s*", command)
            if any(part and not LOOKS.match(part) for part in parts) or WRITES.search(command):
                yield f"`{command}` may do more than look"
    statements = fence.text.strip().split(";\n") if fence.language == "sql" else []
    if any(not re.match(r"(?i)(select|with|show)\b", statement) for statement in statements):
        yield "a confirm only selects"
    if fence.language == "redis" and any(not REDIS_LOOKS.match(command) for command in fence.commands):
        yield "a confirm only reads, or writes the key airfleet:probe for some seconds"

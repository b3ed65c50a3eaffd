"""From what should be and what is to what would change: one comparison for every kind of resource. Pure."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airfleet.model import Change, Facts, Resource, Stage
from airfleet.resources import File

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

CONTEXT_LINES = 2
TOLD = "way_back"  # what is seen of it is a sentence
NO_NEWLINE = "\\ No newline at end of file"
SENSITIVE = re.compile(
    r"(?i)^([+\- ]\s*(?:export )?[\w.-]*"
    r"(?:pass|secret|fernet|token|jwt|private|broker_url|result_backend|alchemy_conn|airflow_conn|storage_uri|basic_auth)"
    r"[\w.-]*[ \t]*[= ][ \t]*)\S.*$"
)


@dataclass(frozen=True, slots=True)
class StagePlan:
    """The changes of one stage on one host, in the order in which they are made."""

    stage: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that would change on one host; falsy when it is in order."""

    host: str
    stages: tuple[StagePlan, ...]

    def __bool__(self) -> bool:
        """Tell whether anything would change."""
        return any(stage.changes for stage in self.stages)

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes, stage by stage."""
        return tuple(change for stage in self.stages for change in stage.changes)


def differing(resources: Iterable[Resource], facts: Facts) -> tuple[Change, ...]:
    """Return a change for each resource that is not as it should be: the one decision of airfleet."""
    seen = [(resource, facts[resource.kind, resource.key]) for resource in resources]
    return tuple(Change(resource, fact) for resource, fact in seen if fact.state != resource.state)


def make_plan(host: str, stages: Iterable[Stage], facts: Facts) -> Plan:
    """Return what would change on a host, given what was seen there."""
    return Plan(host, tuple(StagePlan(stage.name, differing(stage.resources, facts)) for stage in stages))


def describe(change: Change) -> str:
    """Return one line for a change: what is done, to what, and why."""
    resource, seen = change.resource, change.seen.state
    if resource.state is None:
        told = ", ".join(f"{name}: {value}" for name, value in (seen or {}).items()) if resource.kind == TOLD else ""
        return f"- {told or f'{resource.kind} {resource.key}'}"
    if seen is None:
        return f"+ {resource.kind} {resource.key}{_new(change)}"
    return f"~ {resource.kind} {resource.key}: {', '.join(_words(change))}"


def _new(change: Change) -> str:
    if change.resource.kind == "packages":
        return f": {' '.join(change.resource.state or {})}"
    if change.resource.kind in ("link", "release", "venv", "python", "pyenv", "mirror"):
        return f": {', '.join(f'{name} {value}' for name, value in (change.resource.state or {}).items())}"
    return ""


def _words(change: Change) -> Iterator[str]:
    differing = list(change.differing)
    if change.resource.kind == "unit" and (now := (change.seen.state or {}).get("active")) != "active":
        # What a process that does not run has read is no news.
        yield f"is {now}"
        differing = [item for item in differing if item[0] == "enabled"]
    for name, have, want in differing:
        if name == "sha256":
            yield "content"
        elif name.startswith("started with "):
            if have is None:
                yield "its process does not say what it started with"
                return
            if want is not None:
                yield f"its process started with an older {name.removeprefix('started with ').rsplit('/', 1)[-1]}"
        elif have is None:
            yield f"{name} {want}" if change.resource.kind != "packages" else f"{name} is missing"
        elif want is None:
            yield f"{name} {have} is not wanted"
        else:
            yield f"{name} {have} → {want}"


def diff(change: Change, mask: Callable[[str], str], longest: int = 120) -> list[str]:
    """Return the unified diff of a file's text, without its header; `mask` hides the secrets that are known.

    In a file that holds secrets, the value of every line whose name sounds like one is hidden as well: what was
    there before may be a secret that nobody knows any more. A diff of more lines than `longest` is cut, and says so.
    """
    resource = change.resource
    if not isinstance(resource, File) or not any(name == "sha256" for name, _, _ in change.differing):
        return []
    before = _lines(str(change.seen.detail.get("text", "")))
    after = _lines(resource.text)
    lines = list(difflib.unified_diff(before, after, lineterm="", n=CONTEXT_LINES))[2:]
    if len(lines) > longest:
        lines = [*lines[:longest], f"… and {len(lines) - longest} more lines"]
    if resource.secret:
        lines = [SENSITIVE.sub(r"\1<secret>", mask(line)) for line in lines]
    return [mask(line) for line in lines]


def _lines(text: str) -> list[str]:
    """Return the lines of a text; one that is not ended is followed by git's remark on that."""
    lines = text.split("\n")
    return lines[:-1] if not lines[-1] else [*lines, NO_NEWLINE]

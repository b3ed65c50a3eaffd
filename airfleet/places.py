"""YAML text as plain values that remember their lines: what the inventory and the secrets file are read with.

Lists become tuples, keys are always text. Anchors, tags of Python and duplicate keys are refused: each is an
error with its line. Reading takes time in proportion to the text, whatever the text is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from airfleet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

Path = tuple[str | int, ...]
_DEEPEST = 20
_LONGEST_KEY = 80
_TAGGED = "tags (!) are not read here: write the value in quotes"
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong in a file, and where."""

    file: str
    line: int
    path: Path
    problem: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, dotted(self.path), self.problem) if part)


class BadFile(UsageError):
    """A file that the operator wrote has errors; all of them are told at once."""

    def __init__(self, complaints: Iterable[Complaint], *, remedy: str = "") -> None:
        found = sorted(set(complaints), key=lambda each: (each.line, dotted(each.path), each.problem))
        super().__init__("\n".join(map(str, found)), remedy=remedy, state="nothing was contacted")
        self.complaints = tuple(found)


@dataclass(slots=True)
class Document:
    """What a YAML text says, on which line each value stands, and what is wrong with it."""

    file: str
    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    complaints: list[Complaint] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """Return the line of the value at this path, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def complain(self, path: Path, problem: str, *, line: int = 0) -> None:
        """Note that something is wrong at this path."""
        self.complaints.append(Complaint(self.file, line or self.line(path), path, problem))

    def rename(self, path: Path, to: Path) -> None:
        """Know the lines of what stands at one path by another path too."""
        under = [(each, line) for each, line in self.lines.items() if each[: len(path)] == path]
        self.lines.update({(*to, *each[len(path) :]): line for each, line in under})


def read(text: str, file: str) -> Document:
    """Return the plain values of the text with their lines; what is wrong with it is in `complaints`."""
    document = Document(file)
    try:
        loader = _Loader(text)
        try:
            _Reading(loader, document).run()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        column = f" (column {mark.column + 1})" if mark else ""
        if e.context_mark and mark and e.context_mark.line != mark.line:
            column = f" (column {mark.column + 1}; it begins on line {e.context_mark.line + 1})"
        said = " ".join(part for part in (e.context, e.problem) if part)
        document.complain((), f"not YAML: {said}{column}", line=mark.line + 1 if mark else 1)
    except (yaml.YAMLError, UnicodeError) as e:
        at = getattr(e, "position", 0)
        document.complain((), "not YAML: a character that YAML does not allow", line=text.count("\n", 0, at) + 1)
    return document


def dotted(path: Path) -> str:
    """Return a path as it is written in messages: `hosts.af1.roles[2]`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{_shown(step)}" for step in path).removeprefix(".")


def _shown(key: str) -> str:
    """Return a key on one line, whatever is in it."""
    return key if key and key.isprintable() and len(key) <= _LONGEST_KEY else repr(key[:_LONGEST_KEY])


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?`, or nothing when no known word is near."""
    found = closest(word, known)
    return f"; did you mean '{found}'?" if found else ""


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most like this one, or None when no one is."""
    from difflib import get_close_matches  # only an error needs it

    candidates = {each.lower(): each for each in known}
    close = get_close_matches(word.lower()[:100], candidates, n=1, cutoff=0.6)
    return candidates[close[0]] if close else None


class _Stop(Exception):
    """The rest of the text is not read: what follows can't be trusted."""


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end was not reached yet; `key` waits for its value, `again` says that it stood before."""

    value: dict[str, Any] | list[Any]
    path: Path
    key: str | None = None
    again: bool = False


class _Reading:
    """One pass over the parser's events, without recursion: a text can't make it deep or slow."""

    def __init__(self, loader: Any, document: Document) -> None:
        self.loader = loader
        self.document = document
        self.open: list[_Open] = []
        self.seen = False

    def run(self) -> None:
        """Fill the document."""
        try:
            while self.loader.check_event():
                self._take(self.loader.get_event())
        except _Stop:
            self.document.value = None

    def _take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            if self.seen:
                self._refuse(event, "a second document begins here (`---`)")
            self.seen = True
        elif isinstance(event, yaml.AliasEvent):
            self._refuse(event, "anchors and aliases (& and *) are not read here: write the value itself")
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._begin(event)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._end()

    def _begin(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        if self._key_is_next():
            self._refuse(event, "a key must be a word")
        if len(self.open) >= _DEEPEST:
            self._refuse(event, f"nested more than {_DEEPEST} deep")
        path = self._mark(event)
        if event.tag not in {None, "!"}:
            self._refuse(event, _TAGGED, path)
        self.open.append(_Open({} if isinstance(event, yaml.MappingStartEvent) else [], path))

    def _end(self) -> None:
        done = self.open.pop()
        self._put(done.value if isinstance(done.value, dict) else tuple(done.value))

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        if self._key_is_next():
            self._key(event)
            return
        path = self._mark(event)
        if event.tag not in {None, "!"}:
            self._refuse(event, _TAGGED, path)
        tag = self.loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        node = yaml.ScalarNode(tag, event.value)
        value: object = None
        try:
            value = self.loader.construct_object(node)
        except (yaml.YAMLError, ValueError, LookupError):
            self.document.complain(path, "YAML can't read this value: write it in quotes", line=_line(event))
        self._put(value)

    def _key(self, event: yaml.ScalarEvent) -> None:
        mapping = self.open[-1]
        key = event.value
        path = (*mapping.path, key)
        mapping.again = path in self.document.lines
        if mapping.again:
            before = self.document.lines[path]
            self.document.complain(
                path, f"the key stands here a second time (first on line {before})", line=_line(event)
            )
        else:
            self.document.lines[path] = _line(event)
        mapping.key = key

    def _key_is_next(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1].value, dict) and self.open[-1].key is None

    def _mark(self, event: yaml.Event) -> Path:
        """Return the path of the value that begins here, and note its line."""
        if not self.open:
            path: Path = ()
        else:
            around = self.open[-1]
            path = (*around.path, around.key if around.key is not None else len(around.value))
        if self.open and self.open[-1].again:
            path = (*path, -_line(event))  # apart from the first value, so that each of its keys is no second one
        self.document.lines.setdefault(path, _line(event))
        return path

    def _put(self, value: object) -> None:
        if not self.open:
            self.document.value = value
            return
        around = self.open[-1]
        if isinstance(around.value, list):
            around.value.append(value)
        elif around.key is not None:
            around.value.setdefault(around.key, value)
            around.key = None

    def _refuse(self, event: yaml.Event, problem: str, path: Path = ()) -> None:
        around = self.open[-1].path if self.open else ()
        self.document.complain(path or around, problem, line=_line(event))
        raise _Stop


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1

"""Values put into a YAML text at their places; every other character of it, its comments too, stays as it is.

A value that is there already, however it is written, is left alone. What is replaced by another is written on one line,
and a comment behind it keeps its column where there is room. Reading and refusing is the business of `places`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STEP = "  "
_AS_LINES = 2  # so deep a mapping that is new is written as lines; what is in those, in braces
Edit = tuple[int, int, str]


class NotAsLines(ValueError):
    """A mapping that is written in braces can't be changed as it is asked for."""


def merged(text: str, wanted: Mapping[str, Any], without: Mapping[str, frozenset[str]] | None = None) -> str:
    """Return the text with these values in it, and without those keys of its sections.

    Mappings are merged, all else is replaced where it differs. The text is a mapping that `places` has no complaint of.
    """
    if text and not text.endswith("\n"):
        text += "\n"
    root = yaml.compose(text, Loader=_Loader)
    edits = []
    for section, names in (without or {}).items():
        found = _pair(root, section)
        edits += [_removed(text, found[1], name) for name in sorted(names)] if found and names else []
    edits += _merge(text, root, wanted, depth=0)
    return _applied(text, edits)


def _merge(text: str, mapping: Any, wanted: Mapping[str, Any], *, depth: int) -> Iterator[Edit]:
    new = {}
    for key, value in wanted.items():
        found = _pair(mapping, key)
        if found is None:
            new[key] = value
        elif isinstance(value, dict) and isinstance(found[1], yaml.MappingNode) and found[1].value:
            yield from _merge(text, found[1], value, depth=depth + 1)
        elif _value(found[1]) != value:
            yield _replaced(text, *found, value)
    if new and mapping.flow_style:
        inside = "".join(f", {_flow(key)}: {_flow(value)}" for key, value in new.items())
        at = _end(mapping.value[-1][1]) if mapping.value else mapping.start_mark.index + 1
        yield at, at, inside if mapping.value else inside[2:]
    elif new:
        at = _after_line(text, _end(mapping))
        indent = " " * mapping.value[0][0].start_mark.column
        yield at, at, "".join(_lines(key, value, indent, depth) for key, value in new.items())


def _lines(key: str, value: Any, indent: str, depth: int) -> str:
    if not isinstance(value, dict) or depth >= _AS_LINES:
        return f"{indent}{_flow(key)}: {_flow(value)}\n"
    inside = "".join(_lines(each, inner, indent + _STEP, depth + 1) for each, inner in value.items())
    return f"{indent}{_flow(key)}:\n{inside}"


def _replaced(text: str, key: Any, node: Any, value: Any) -> Edit:
    """Return the edit that writes another value behind a key."""
    new, start, end = _flow(value), node.start_mark.index, _end(node)
    if start == end or node.start_mark.line != key.end_mark.line:  # nothing behind the colon, or lines below it
        start = text.index(":", key.end_mark.index) + 1
        end = max(start, end)
        new = f" {new}"
    if spaces := re.compile(r"( +)#").match(text, end):
        grown = len(new) - (end - start) if "\n" not in text[start:end] else 0
        new += " " * max(1, len(spaces[1]) - grown)
        end = spaces.end(1)
    return start, end, new


def _removed(text: str, mapping: Any, name: str) -> Edit:
    """Return the edit that takes a key away with its value, not with the comments around it."""
    found = _pair(mapping, name)
    if found is None or mapping.flow_style:
        raise NotAsLines(name)
    start = text.rfind("\n", 0, found[0].start_mark.index) + 1
    return start, _after_line(text, _end(found[1])), ""


def _applied(text: str, edits: list[Edit]) -> str:
    done, at = [], 0
    for start, end, new in sorted(edits, key=lambda edit: edit[:2]):
        done += [text[at:start], new]
        at = max(at, end)
    return "".join([*done, text[at:]])


def _pair(mapping: Any, key: str) -> tuple[Any, Any] | None:
    return next((pair for pair in mapping.value if pair[0].value == key), None)


def _end(node: Any) -> int:
    """Return where the last character of a value is; a block's own mark is where the next thing begins."""
    if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
        index: int = node.end_mark.index
        return index
    last = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last)


def _after_line(text: str, index: int) -> int:
    """Return where the next line begins; a block scalar ends there itself."""
    if index and text[index - 1] == "\n":
        return index
    return text.index("\n", index) + 1


def _value(node: Any) -> Any:
    loader = yaml.SafeLoader("")
    return loader.construct_document(node)


def _flow(value: Any) -> str:
    """Return a value as YAML on one line, fit to stand in braces too."""
    written = yaml.safe_dump([value], default_flow_style=True, sort_keys=False, width=1_000_000_000)
    return written.strip()[1:-1]

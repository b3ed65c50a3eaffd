"""What pydantic says about an inventory, in the operator's words: one complaint for each place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from airfleet import patterns
from airfleet.places import BadFile, closest, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic_core import ErrorDetails

    from airfleet.places import Document, Path

M = TypeVar("M", bound=BaseModel)
_SECRETS = ("password", "secret", "key", "token")
_LONGEST = 60
_ROUNDS = 20
_STAND_INS: Final = {
    "database": {"host": "localhost"},
    "dags": {"repository": "https://localhost/stand-in"},
    "hosts": {"stand-in": {"address": "stand-in", "roles": ("triggerer",)}},
    "repository": "https://localhost/stand-in",
    "roles": ("triggerer",),
}


def reading(document: Document, model: type[M]) -> tuple[M, set[Path]]:
    """Return what the document says, and the places where it is wrong; these are complained about.

    A wrong value is replaced by its default, an unknown key that is nearly a known one is read as that, and a missing
    value gets a stand-in, so that one run finds all errors. With complaints, the values are good for checking alone.
    """
    bad: set[Path] = set()
    for _ in range(_ROUNDS):
        try:
            return model.model_validate(document.value), bad
        except ValidationError as e:
            errors = e.errors(include_url=False)
        for error in sorted(errors, key=lambda each: each["type"] == "missing"):
            path = error["loc"] if error["type"] == "missing" else _written(document, error["loc"])
            if error["type"] == "missing" and _stands(document, path):
                continue  # a misspelt key was taken for it
            if not any(each[: len(path)] == path for each in bad):
                document.complain(path, _problem(path, error, model))
                bad.add(path)
            _mend(document, path, error["type"], model)
    document.complain((), "is wrong in so many ways that reading it was given up: compare it with inventory.yaml")
    raise BadFile(document.complaints)


def _inside(around: Any, step: str | int) -> Any:
    """Return the value at one step in keys with values or in a list, or None where there is none."""
    values = dict(enumerate(around)) if isinstance(around, tuple) else around
    return values.get(step) if isinstance(values, dict) else None


def _stands(document: Document, path: Path) -> bool:
    """Whether there is a value at the path."""
    around: Any = document.value
    for step in path:
        if not isinstance(around, dict) or step not in around:
            return False
        around = around[step]
    return around is not None


def _mend(document: Document, path: Path, kind: str, model: type[BaseModel]) -> None:
    """Change the value at the path so that reading can go on."""
    around: Any = document.value
    for at, step in enumerate(path[:-1]):
        inner = _inside(around, step)
        if inner is None:
            return
        if isinstance(inner, tuple) and not (len(path) > at + 2 and isinstance(_inside(inner, path[at + 1]), dict)):
            path = path[: at + 1]
            break
        around = inner
    key = path[-1]
    value = around.pop(key, None)
    if kind == "missing":
        around[key] = _STAND_INS.get(str(key)) or f"stand-in-{len(document.complaints)}"
    elif kind == "extra_forbidden":
        known = closest(str(key), _fields(model, path[:-1]))
        if known and known not in around:
            around[known] = value
            document.rename(path, (*path[:-1], known))


def _written(document: Document, path: Path) -> Path:
    """Return as much of the path as stands in the file: pydantic adds the member of a union, or `[key]`."""
    while path and path not in document.lines:
        path = path[:-1]
    return path


def _problem(path: Path, error: ErrorDetails, model: type[BaseModel]) -> str:
    kind, value, words = error["type"], error["input"], error.get("ctx", {})
    if error["loc"][-1:] == ("[key]",):
        return f"is not {patterns.WORDS[words['pattern']]}"
    if kind == "extra_forbidden":
        return _unknown_key(str(path[-1]), _fields(model, path[:-1]))
    if kind == "missing":
        return "is missing, and has no default"
    if len(error["loc"]) > len(path):
        return f"needs text, a number or true/false, not {shown(value)}"
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", words["expected"])
        return f"{shown(value)} is not one of {', '.join(known)}{nearest(str(value), known)}"
    return _of_value(kind, value, words)


def _of_value(kind: str, value: object, words: Mapping[str, Any]) -> str:
    if kind == "string_pattern_mismatch":
        if words["pattern"] == patterns.WEBHOOK:
            return f"this text (not shown: it may hold a token) is not {patterns.WORDS[patterns.WEBHOOK]}"
        return f"{shown(value)} is not {patterns.WORDS[words['pattern']]}"
    if kind in {"greater_than_equal", "less_than_equal"}:
        bound = f"at least {words['ge']}" if "ge" in words else f"at most {words['le']}"
        return f"{shown(value)} is out of range: {bound}"
    if kind == "too_short":
        return "is empty: at least one is needed"
    needs = _NEEDS.get(kind, "another kind of value")
    if kind == "string_type" and str(value)[:2] in {"2.", "3."}:
        return f"YAML reads {value} as a number, and it is not a full version: write three numbers, as in 3.11.13"
    hint = ": write it in quotes" if kind == "string_type" and not isinstance(value, (dict, tuple)) else ""
    return f"needs {needs}, not {shown(value)}{hint}"


_NEEDS = {
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "path_type": "a path",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
    "dict_type": "keys with values",
    "tuple_type": "a list, as in [a, b]",
}


def shown(value: object) -> str:
    """Return a value as it may be printed: short, and never one that can hold a password."""
    if isinstance(value, dict):
        return "keys with values"
    if isinstance(value, tuple):
        return "a list"
    if isinstance(value, bool):
        return f"the yes/no value {str(value).lower()}"
    if value is None:
        return "nothing"
    text = repr(value) if isinstance(value, (str, int, float)) else f"the value {value}"
    if isinstance(value, str) and "@" in value and ":" in value:
        return "this text (not shown: it may hold a password)"
    if isinstance(value, (int, float)):
        text = f"the number {text}"
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _unknown_key(key: str, known: list[str]) -> str:
    hint = nearest(key, known)
    if not hint and closest(key.rpartition("_")[2], _SECRETS):
        return "unknown key; secrets are not written here but in secrets.yaml, see docs/inventory.md"
    return f"unknown key{hint or '; known: ' + ', '.join(known)}"


def _fields(model: type[BaseModel], path: Path) -> list[str]:
    """Return the keys that are known at a path of the inventory."""
    for step in path:
        field = model.model_fields.get(str(step))
        if field is not None:
            model = next(_models(field.annotation), model)
    return list(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if hasattr(annotation, "model_fields"):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)

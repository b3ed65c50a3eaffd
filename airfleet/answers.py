"""What a host answers, read: one that is broken or hostile is not taken at its word. Pure.

An answer has the form that the agent's answers have, or it is refused as a whole, with what is wrong. What it says is
never interpreted; and before it reaches a terminal, whatever might steer that is made visible.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from airfleet.answer_shapes import ANSWERS, PARTS
from airfleet.errors import HostUnreachable

LONGEST_PROBLEM = 200
LARGEST = 2**63
COLOUR_CODE = re.compile(r"\x1b\[[0-9;]*m")
# Control characters, what turns the direction of writing around, line breaks of others' making, and half characters.
UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f]"
)
# The words that each kind of line has, and of which type they are.
LINES: Mapping[str, Mapping[str, Any]] = {
    "seen": {"kind": str, "key": str, "state": (dict,), "detail": dict},
    "begin": {"kind": str, "key": str},
    "progress": {"kind": str, "key": str, "text": str},
    "done": {"kind": str, "key": str, "told": dict},
    "failed": {"kind": str, "key": str, "error": str, "class": str, "remedy": str, "tail": str},
    "part": {"words": dict},
    "answer": {"words": dict},
    "ready": {},
    "end": {},
    "free": {},
}


class Strange(Exception):
    """No answer of an agent's: what is wrong with it."""


def read(line: bytes, op: str, host: str) -> dict[str, Any]:
    """Return the answer of a host to `op` that a line is, or raise HostUnreachable with what is wrong with it."""
    try:
        answer = parse(line)
        check_words(op, answer)
    except Strange as e:
        raise HostUnreachable(
            f"what answers there is not airfleet's agent, or was tampered with: {one_line(str(e))[:LONGEST_PROBLEM]}",
            place=host,
            remedy="look at who is root on that host, and at its python3",
            state=f"what was asked of it ({op}) may have been done",
        ) from e
    return answer


def parse(line: bytes) -> dict[str, Any]:
    """Return the answer that a line is, or raise Strange."""
    try:
        answer = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError) as e:
        raise Strange(f"no JSON: {type(e).__name__}") from e
    kind = answer.get("t") if isinstance(answer, dict) else None
    if not isinstance(kind, str) or kind not in LINES:
        raise Strange("no answer of the agent's")
    check(answer, LINES[kind], kind)
    if kind == "seen" and not all(_flat(value) for value in (answer["state"] or {}).values()):
        raise Strange("a state that is not flat")
    return dict(answer)


def check_words(name: str, answer: Mapping[str, Any]) -> None:
    """Raise Strange unless the words of a call's or a stream's answer have the form of that one's."""
    shapes = {"answer": ANSWERS, "part": PARTS}.get(str(answer["t"]), {})
    if name in shapes:
        check(answer["words"], shapes[name], name)


def check(value: Any, shape: Any, place: str) -> None:
    """Raise Strange unless a value has a shape, as `answer_shapes` explains them."""
    if isinstance(shape, tuple):
        if value is not None:
            check(value, shape[0], place)
    elif isinstance(shape, list):
        _typed(value, list, place)
        for each in value:
            check(each, shape[0], place)
    elif isinstance(shape, Mapping) and 0 in shape:
        _typed(value, list, place)
        _check_row(value, shape, place)
    elif isinstance(shape, Mapping):
        _typed(value, dict, place)
        if str in shape:
            for name, each in value.items():
                check(each, shape[str], f"{place}.{name}")
        else:
            _check_names(value, shape, place)
    elif shape is not object:
        _typed(value, shape, place)


def fits(value: Any, shape: Any) -> bool:
    """Tell whether a value has a shape."""
    try:
        check(value, shape, "")
    except Strange:
        return False
    return True


def _check_row(value: Sequence[Any], shape: Mapping[int, Any], place: str) -> None:
    if len(value) != len(shape):
        raise Strange(f"{place} of {len(value)} instead of {len(shape)}")
    for number, inner in shape.items():
        check(value[number], inner, place)


def _check_names(value: Mapping[str, Any], shape: Mapping[str, Any], place: str) -> None:
    for name, inner in shape.items():
        bare = name.removesuffix("?")
        if bare in value:
            check(value[bare], inner, f"{place}.{bare}")
        elif bare == name:
            raise Strange(f"{place} without {name}")


def _typed(value: Any, kind: type, place: str) -> None:
    kinds = (int, float) if kind is float else kind
    if not isinstance(value, kinds) or (isinstance(value, bool) and kind is not bool):
        raise Strange(f"{place} is no {kind.__name__}")
    if isinstance(value, (int, float)) and not abs(value) < LARGEST:
        raise Strange(f"{place} is too large")


def _flat(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float))


def _no_number(name: str) -> None:
    raise ValueError(name)


def printable(text: str) -> str:
    """Return the text without colours, and with what else might steer a terminal made visible; line breaks stay."""
    plain = COLOUR_CODE.sub("", text.replace("\r\n", "\n"))
    return UNPRINTABLE.sub(_named, plain)


def one_line(text: str) -> str:
    """Return the same with its line breaks made visible as well."""
    return printable(text).replace("\n", "\\n")


def _named(found: re.Match[str]) -> str:
    if found[0] < " ":
        return f"\\x{ord(found[0]):02x}"
    pairs = found[0].encode("utf-16-be", "surrogatepass")  # as in JSON, which stays JSON by this
    return "".join(f"\\u{pairs[at : at + 2].hex()}" for at in range(0, len(pairs), 2))

"""The stamp that a unit leaves when it starts: the words of the command that writes it, safe in a unit file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PLAIN_WORD = re.compile(r"[A-Za-z0-9_./:@,+=-]+")

STAMP = (
    'umask 077; for p; do if [ -L "$p" ]; then v=$(readlink "$p"); else v=$(sha256sum < "$p" | cut -c 1-64); fi;'
    ' echo "$v  $p"; done > '
)


def stamp_words(paths: Iterable[str], *, runtime: str) -> str:
    """Return the command, as words of a unit file, that writes the stamp of these paths into a runtime folder."""
    script = STAMP.replace("$", "$$") + f"/run/{runtime}/stamp"
    return f"/bin/sh -c '{script}' stamp {' '.join(systemd_word(path) for path in paths)}"


def systemd_word(value: str) -> str:
    """Return the value as one word of a unit file's command: no specifier, variable or quote in it means anything."""
    escaped = value.replace("%", "%%").replace("$", "$$")
    if PLAIN_WORD.fullmatch(value):
        return escaped
    escaped = escaped.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'

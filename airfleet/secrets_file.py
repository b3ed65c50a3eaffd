"""How the secrets file is written: what the operator wrote is kept, and nobody else can read a byte of it."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from airfleet import places

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_HEADER: Final = """\
# Secrets of an airfleet installation. Keep this file at mode 0600, out of git, and in a backup:
# without fernet_key the connections and variables in the database can't be read any more.
"""


def with_values(text: str, values: Mapping[str, str], gone: Collection[str] = ()) -> str:
    """Return the text of a secrets file with these values, without those of `gone`, and all else in it as it was."""
    document = places.read(text, "")
    before = document.value if isinstance(document.value, dict) else {}
    changed = {name: value for name, value in values.items() if _same(before.get(name)) != _same(value)}
    lost = [name for name in gone if name in before]
    if not changed and not lost:
        return text
    kept = _without(text, document, [*changed, *lost])
    new = (kept if kept.endswith("\n") else kept + "\n") if kept.strip() else kept or _HEADER
    new += "".join(_entry(name, value) for name, value in changed.items())
    wanted = {name: value for name, value in {**before, **changed}.items() if name not in lost}
    if places.read(new, "").value == wanted:
        return new
    return _HEADER + yaml.safe_dump(wanted, width=2**31, sort_keys=False)


def write_privately(path: Path, text: str) -> None:
    """Put the text in place of the file at once: mode 0600 before the first byte, on disk before the name changes."""
    place = Path(os.path.realpath(path))
    handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(place)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _same(value: object) -> object:
    """Return what a value is compared by: a line break at the end of a key makes no other key."""
    return value.strip() if isinstance(value, str) else value


def _without(text: str, document: places.Document, names: Collection[str]) -> str:
    """Return the text without the entries of these names; the comments after them stay."""
    lines = text.splitlines(keepends=True)
    begins = sorted(line for path, line in document.lines.items() if len(path) == 1)
    gone: set[int] = set()
    for name in names:
        if (name,) in document.lines:
            begin = document.lines[name,]
            end = next((line for line in begins if line > begin), len(lines) + 1)
            while end - 1 > begin and re.match(r"\s*(#.*)?$", lines[end - 2]):
                end -= 1
            gone.update(range(begin, end))
    return "".join(line for number, line in enumerate(lines, 1) if number not in gone)


def _entry(name: str, value: str) -> str:
    # A block that ends with an empty line would end the document, too.
    style = "|" if "\n" in value and not f"\n{value}".endswith("\n\n") else '"'
    return f"{name}: " + yaml.dump(value, default_style=style, width=2**31, Dumper=yaml.SafeDumper)

"""Where the hosts of an inventory are, remembered: nobody has touched it since, so they can be connected to at once.

What an inventory says is known only once it was read and checked, which takes as long as a connection. It is read and
checked all the same: only a host that it has to this very day, in this very place, is ever asked for anything.
No secret is remembered, and no program that leads to a host.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airfleet.address import Address
from airfleet.inventory_file import PREFIX, secrets_beside

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OURS = Path(__file__).resolve().parent
PATHS = ("identity", "ssh_config", "known_hosts")


class Memory:
    """What is remembered of one inventory: the `places` of hosts; none where it may not be what it was."""

    def __init__(self, inventory: Path, environ: Mapping[str, str]) -> None:
        # Before anything of them is read.
        self._now = {str(path): _state(path) for path in (inventory, secrets_beside(inventory))}
        given = any(name.startswith(PREFIX) for name in environ)  # what is wrong with these nobody knows before
        self._file = None if given else _file_of(inventory, environ)
        self._before = self._recall()
        self.places: dict[str, Address] = {}
        with contextlib.suppress(TypeError, AttributeError, LookupError, ValueError):  # of another airfleet
            if self._before["ours"] == _ours() and all(_state(path) == then for path, then in self._before["files"]):
                self.places = {name: _address(words) for name, words in self._before["hosts"].items()}

    def keep(self, places: Mapping[str, Address], beside: Iterable[Path]) -> None:
        """Remember these places, the inventory having been accepted; `beside` are the files that it names and reads."""
        from airfleet.secrets_file import write_privately

        states = [*self._now.items(), *((str(path), _state(path)) for path in beside)]
        plain = all(place.proxy_command is None for place in places.values())
        hosts = {name: _words(place) for name, place in places.items()} if plain else {}
        new = {"ours": _ours(), "files": [list(each) for each in states], "hosts": hosts}
        if self._file is None or new == self._before:
            return
        with contextlib.suppress(OSError):  # where nothing can be written nothing is remembered
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_privately(self._file, json.dumps(new))

    def _recall(self) -> Any:
        """Return what the file says; nothing where there is none, or where somebody else could have written it."""
        try:
            if self._file is None:
                return None
            with self._file.open(encoding="utf-8") as file:
                found = os.fstat(file.fileno())
                return json.load(file) if found.st_uid == os.geteuid() and not found.st_mode & 0o077 else None
        except (OSError, ValueError):
            return None


def _file_of(inventory: Path, environ: Mapping[str, str]) -> Path | None:
    home = environ.get("XDG_CACHE_HOME") or (environ.get("HOME") and f"{environ['HOME']}/.cache")
    name = hashlib.sha256(os.fsencode(inventory.absolute())).hexdigest()[:32]
    return Path(home) / "airfleet" / f"{name}.json" if home else None


def _state(path: Path | str) -> list[int] | None:
    """Return what differs once anybody has written to a file, replaced it, or let others read it; None without one."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode, found.st_uid]


def _ours() -> int:
    """Return when airfleet was changed last: another one may accept what this one refuses."""
    with os.scandir(OURS) as entries:
        return max(entry.stat().st_mtime_ns for entry in entries)


def _words(place: Address) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(place).items()}


def _address(words: Mapping[str, Any]) -> Address:
    paths = {name: Path(words[name]) if words[name] else None for name in PATHS}
    return Address(**{**words, **paths, "jumps": tuple(words["jumps"])})

"""Where backups are kept: in a folder of the first scheduler's host, or in one of the operator's computer.

A bucket is in `bucket_store`. Each place is a `Store`: nobody else knows where a backup is.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from airfleet.errors import ApplyFailed, GateRefused, UsageError
from airfleet.manifest import NAME, make_backups, size_of
from airfleet.secrets_file import write_privately

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from airfleet.manifest import Backup
    from airfleet.model import Words
    from airfleet.remote import Host

    Say = Callable[[str], None]

PART = ".airfleet-part"
RESERVE = 256 * 1024 * 1024
CHUNK = 256 * 1024
SPEAK_EVERY = 64 * 1024 * 1024


class Store(Protocol):
    """A place of backups. `where` is its name in messages."""

    where: str

    def look(self) -> tuple[tuple[Backup, ...], tuple[str, ...]]:
        """Return the backups, the newest first, and the names of dumps that have no manifest."""

    def create(self, words: Words, say: Say) -> Words:
        """Have a backup made and kept here; return its manifest."""

    def note(self, backup: Backup, verified: Words) -> None:
        """Write what a trial has shown into its manifest."""

    def remove(self, names: tuple[str, ...]) -> None:
        """Remove backups."""

    def on_host(self, backup: Backup, say: Say) -> AbstractContextManager[str]:
        """Have it on the database's host as long as the block lasts; yield its path there."""


class HostStore:
    """A folder of the host itself."""

    def __init__(self, host: Host, folder: str) -> None:
        self.host, self.folder = host, folder
        self.where = f"{host.name}:{folder}"

    def look(self) -> tuple[tuple[Backup, ...], tuple[str, ...]]:
        """Return what is there."""
        answer: Any = self.host.call("backup_list", {"folder": self.folder})
        return make_backups(answer["backups"]), tuple(answer["strays"])

    def create(self, words: Words, say: Say) -> Words:
        """Have it made there."""

        def take(part: Any) -> None:
            say(part["say"])

        answer: Any = self.host.stream("backup_create", {**words, "folder": self.folder}, take)
        manifest: Words = answer["manifest"]
        return manifest

    def note(self, backup: Backup, verified: Words) -> None:
        """Write it down there."""
        words: Words = {"folder": self.folder, "name": backup.name, "sha256": backup.sha256, "verified": verified}
        self.host.call("backup_note", words)

    def remove(self, names: tuple[str, ...]) -> None:
        """Remove them there."""
        self.host.call("backup_remove", {"folder": self.folder, "names": list(names)})

    @contextmanager
    def on_host(self, backup: Backup, say: Say) -> Iterator[str]:  # noqa: ARG002  # nothing of it takes time
        """Yield its path: it is there."""
        yield f"{self.folder}/{backup.name}.dump"


class LocalStore:
    """A folder of the operator's computer. What passes through is never whole in memory.

    `passing` is the folder of the host that a backup is in while it is restored from here.
    """

    def __init__(self, host: Host, passing: str, folder: Path) -> None:
        self.host, self.passing, self.folder = host, passing, folder.expanduser().absolute()
        self.where = str(self.folder)
        if not self.folder.parent.is_dir() or (self.folder.exists() and not self.folder.is_dir()):
            raise UsageError(
                f"{self.folder} is no folder, or {self.folder.parent} is not there",
                place="--local",
                state="nothing was contacted",
            )

    def look(self) -> tuple[tuple[Backup, ...], tuple[str, ...]]:
        """Return what is there."""
        dumps = sorted(self.folder.glob("*.dump"))
        strays = tuple(path.name for path in dumps if not path.with_suffix(".json").exists())
        found = [self._read(path) for path in sorted(self.folder.glob("*.json")) if NAME.fullmatch(path.stem)]
        return make_backups(found), strays

    def create(self, words: Words, say: Say) -> Words:
        """Have it made on the host and sent here as it is made."""
        name = str(words["name"])
        part = self.folder / f".{name}{PART}"
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            for left in self.folder.glob(f".*{PART}"):
                left.unlink()  # of one that was killed: whoever is here holds the lock
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                taking = _Taking(file, self.folder, say)
                answer: Any = self.host.stream("backup_create", {**words, "folder": None}, taking)
                file.flush()
                os.fsync(file.fileno())
            manifest: Words = answer["manifest"]
            if (taking.digest.hexdigest(), taking.size) != (manifest["sha256"], manifest["size"]):
                raise ApplyFailed("what arrived is not what was sent", place=self.where, remedy="run it again")
            part.rename(self.folder / f"{name}.dump")
        except OSError as e:
            raise _unwritable(e, self.where) from e
        finally:
            part.unlink(missing_ok=True)
        self._write(manifest)
        return manifest

    def note(self, backup: Backup, verified: Words) -> None:
        """Write it down here."""
        self._write({**backup.words, "verified": verified})

    def remove(self, names: tuple[str, ...]) -> None:
        """Remove them here, the manifest first."""
        for name in names:
            for suffix in (".json", ".dump"):
                (self.folder / f"{name}{suffix}").unlink(missing_ok=True)

    @contextmanager
    def on_host(self, backup: Backup, say: Say) -> Iterator[str]:
        """Send it there, and take it away again."""
        words: Words = {"folder": self.passing, "name": backup.name, "size": backup.size}
        given = self._chunks(backup, say)
        answer: Any = self.host.stream("backup_receive", words, lambda _: None, given)
        try:
            yield str(answer["path"])
        finally:
            with suppress(Exception):  # the next backup that is written there takes it away, too
                self.host.call("backup_clear", {"folder": self.passing})

    def _chunks(self, backup: Backup, say: Say) -> Iterator[bytes]:
        sent = 0
        with (self.folder / f"{backup.name}.dump").open("rb") as file:
            while data := file.read(CHUNK):
                yield data
                sent += len(data)
                if sent % SPEAK_EVERY < CHUNK:
                    say(f"sent {size_of(sent)} of {size_of(backup.size)}")

    def _read(self, path: Path) -> Words:
        try:
            words: Words = json.loads(path.read_text(encoding="utf-8"))
            size = path.with_suffix(".dump").stat().st_size
        except FileNotFoundError:
            return {**words, "lost": "the file is missing"}
        except ValueError as e:
            raise ApplyFailed(f"is no manifest of a backup: {e}", place=str(path), remedy="move it away") from e
        return {**words, "lost": "" if size == words["size"] else f"the file has {size} bytes, not {words['size']}"}

    def _write(self, manifest: Words) -> None:
        text = json.dumps(manifest, sort_keys=True, indent=1) + "\n"
        try:
            write_privately(self.folder / f"{manifest['name']}.json", text)
        except OSError as e:
            raise _unwritable(e, self.where) from e


class _Taking:
    """Takes the parts of a backup that comes, and counts its checksum on the way."""

    def __init__(self, file: Any, folder: Path, say: Say) -> None:
        self.file, self.folder, self.say = file, folder, say
        self.digest, self.size = hashlib.sha256(), 0

    def __call__(self, part: Any) -> None:
        if "about" in part:
            free = shutil.disk_usage(self.folder).free
            if free - part["about"] < RESERVE:
                raise GateRefused(
                    f"{size_of(free)} are free, and the backup takes about {size_of(part['about'])}",
                    place=str(self.folder),
                    remedy="make room, or name another folder",
                )
        if "say" in part:
            self.say(part["say"])
        if "data" in part:
            data = base64.b64decode(part["data"])
            self.file.write(data)
            self.digest.update(data)
            self.size += len(data)


def _unwritable(error: OSError, where: str) -> ApplyFailed:
    return ApplyFailed(f"can't be written: {error.strerror}", place=where, remedy="make room, or mend its rights")

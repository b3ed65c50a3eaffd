"""Backups as their manifests tell of them: their names, which one is meant, which go, what speaks against one. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airfleet.errors import ApplyFailed, GateRefused, UsageError
from airfleet.places import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airfleet.model import Words
    from airfleet.sections_backup import Backup as Kept

FORMAT = 1
LATEST = "latest"
NAME = re.compile(r"(?P<environment>[A-Za-z0-9_][A-Za-z0-9_.-]*)-(?P<at>\d{8}T\d{6}Z)")
STAMP = "%Y%m%dT%H%M%SZ"
MIB = 1024 * 1024
UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup; `words` is its manifest as it was written, `lost` says what is wrong with its file."""

    name: str
    environment: str
    at: str
    size: int
    sha256: str
    airflow: str | None
    postgres: str
    tables: Mapping[str, int]
    verified: Mapping[str, Any] | None
    lost: str
    words: Words = field(repr=False)

    @property
    def made(self) -> datetime:
        """When it was made."""
        return datetime.fromisoformat(self.at)

    def __str__(self) -> str:
        rows = sum(self.tables.values())
        return (
            f"{self.name} ({size_of(self.size)}, {len(self.tables)} tables with {rows} rows,"
            f" Airflow {self.airflow}, PostgreSQL {self.postgres})"
        )


def make_backup(words: Mapping[str, Any]) -> Backup:
    """Return the backup that a manifest tells of; ApplyFailed for a manifest that a newer airfleet has written."""
    if words.get("format") != FORMAT:
        raise ApplyFailed(
            f"its manifest has the format {words.get('format')}, not {FORMAT}",
            place=str(words.get("name")),
            remedy="use the airfleet that wrote it",
        )
    manifest = {key: value for key, value in words.items() if key != "lost"}
    lost = str(words.get("lost") or "")
    named = {key: words[key] for key in Backup.__slots__ if key not in ("lost", "words")}
    return Backup(**named, lost=lost, words=manifest)


def make_backups(found: Iterable[Mapping[str, Any]]) -> tuple[Backup, ...]:
    """Return the backups of these manifests, the newest first."""
    return tuple(sorted(map(make_backup, found), key=lambda each: (each.at, each.name), reverse=True))


def name_of(environment: str, now: datetime) -> str:
    """Return the name of a backup that is made now."""
    return f"{environment}-{now:{STAMP}}"


def check_name(name: str, command: str) -> None:
    """Refuse what can't be the name of a backup before anybody is asked for it."""
    if name != LATEST and not NAME.fullmatch(name):
        what = f"{name!r} is no name of a backup" if name else "which backup?"
        remedy = f"fab {command} NAME, or `latest`; fab backup.list names them"
        raise UsageError(what, place="NAME", remedy=remedy, state="nothing was contacted")


def chosen(backups: Sequence[Backup], name: str, environment: str, where: str) -> Backup:
    """Return the backup with this name, or the newest whole one of the environment for `latest`."""
    if name == LATEST:
        found = next((each for each in backups if each.environment == environment and not each.lost), None)
        what = f"there is no backup of {environment} in {where}"
    else:
        found = next((each for each in backups if each.name == name), None)
        what = f"there is no backup {name!r} in {where}{nearest(name, [each.name for each in backups])}"
    if found is None:
        raise GateRefused(what, place="NAME", remedy="fab backup.list names them all")
    if found.lost:
        raise GateRefused(found.lost, place=f"{where}/{found.name}", remedy="take another one: fab backup.list")
    return found


def outdated(backups: Iterable[Backup], environment: str, kept: Kept, now: datetime) -> tuple[str, ...]:
    """Return the names of those to be removed: beyond the newest so many, and not younger than so many days.

    Another environment's backups in the same folder are not ours to count; of ours, those whose file is lost don't.
    """
    ours = [each for each in backups if each.environment == environment and not each.lost]
    youngest = now - timedelta(days=kept.keep_days) if kept.keep_days else now
    return tuple(each.name for each in ours[kept.keep :] if each.made <= youngest)


def refuse_version(backup: Backup, wanted: str) -> None:
    """Refuse a backup of another Airflow than the inventory's: its tables are others."""
    if backup.airflow != wanted:
        raise GateRefused(
            f"it is a backup of Airflow {backup.airflow}, and the inventory says {wanted}",
            place=backup.name,
            remedy=f"to go back to that: airflow.version: {backup.airflow} in the inventory, then this restore, then"
            " fab bootstrap",
        )


def size_of(size: int) -> str:
    """Return an amount of bytes as text."""
    return f"{size / MIB:.1f} MiB" if size < 10 * MIB else f"{size / MIB:.0f} MiB"


def age(at: str, now: datetime) -> str:
    """Return how long ago that was, in its largest unit."""
    seconds = max(0, int((now - datetime.fromisoformat(at)).total_seconds()))
    size, unit = next(((size, unit) for size, unit in UNITS if seconds >= size), UNITS[-1])
    return f"{seconds // size} {unit}"


def row(backup: Backup, now: datetime) -> tuple[str, ...]:
    """Return a backup as a row of the list."""
    return (
        backup.name,
        age(backup.at, now),
        size_of(backup.size),
        f"Airflow {backup.airflow}",
        f"PostgreSQL {backup.postgres}",
        state(backup, now),
    )


def state(backup: Backup, now: datetime) -> str:
    """Return what is known of whether it can be restored."""
    if backup.lost:
        return f"LOST: {backup.lost}"
    if backup.verified is None:
        return "never tried"
    ago = age(str(backup.verified["at"]), now)
    if backup.verified["ok"]:
        return f"restored on trial {ago} ago"
    return f"NOT RESTORABLE {ago} ago: {str(backup.verified['problem']).splitlines()[0]}"


def as_json(backup: Backup) -> Words:
    """Return a backup for `--json`: its manifest without the marks of the keys, and what is wrong with its file."""
    return {key: value for key, value in backup.words.items() if key != "fernet"} | {"lost": backup.lost}


def verdict(answer: Mapping[str, Any], who: str, now: datetime) -> Words:
    """Return what a manifest says of a trial."""
    said = {key: answer[key] for key in ("ok", "problem", "seconds")}
    return {**said, "at": f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", "who": who}

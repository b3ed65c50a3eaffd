"""The flows of backups of the metadata database: made, listed, tried. How one is put back is in `restore`."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airfleet import manifest, patterns, records, session
from airfleet.backup_stores import HostStore, LocalStore
from airfleet.bucket_store import BucketStore
from airfleet.errors import FleetError, NotHealthy, RolloutStopped, UsageError
from airfleet.generations import generation_of
from airfleet.layout import layout_of
from airfleet.metadata import database_host, dsn
from airfleet.remote import local_user
from airfleet.schedule import bucket_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airfleet.backup_stores import Store
    from airfleet.manifest import Backup
    from airfleet.model import Words
    from airfleet.session import Fleet
    from airfleet.workers import Screen

HOST = "host"
KEY = "keep the Fernet key too (fernet_key in the secrets file): without it connections and variables can't be read"


@dataclass(frozen=True)
class Where:
    """Where the backups are, and how long to wait for whoever is at work.

    `local` is a folder of this computer, `place` gs://… or `host`; without either it is where the inventory says.
    """

    local: str = ""
    lock_wait_s: int = 0
    place: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no place before anybody is asked for it."""
        if self.place and (self.local or not re.fullmatch(f"{HOST}|{patterns.PLACE}", self.place)):
            raise UsageError(
                "--local or --place: which?" if self.local else f"{self.place!r} is no place of backups",
                place="--place",
                remedy=f"`{HOST}`, or {patterns.WORDS[patterns.PLACE]}",
                state="nothing was contacted",
            )

    @property
    def options(self) -> str:
        """What is to be typed to mean the same place again."""
        return f" --local {self.local}" if self.local else f" --place {self.place}" if self.place else ""


class Backups:
    """The backups of one installation."""

    def __init__(self, fleet: Fleet, screen: Screen, where: Where) -> None:
        self.fleet = fleet
        self.screen = screen
        self.environment = fleet.inventory.environment
        self.host = fleet.everyone[database_host(fleet.inventory)]
        self.kept = fleet.inventory.backup
        self.store = self._store(where)
        self._looked: tuple[tuple[Backup, ...], tuple[str, ...]] | None = None

    def _store(self, where: Where) -> Store:
        inventory, folder = self.fleet.inventory, self.kept.folder
        place = where.place or self.kept.place or HOST
        if where.local:
            return LocalStore(self.host, folder, Path(where.local))
        if place == HOST:
            return HostStore(self.host, folder)
        return BucketStore(self.host, folder, bucket_words(inventory, place))

    @property
    def there(self) -> tuple[Backup, ...]:
        """The backups, the newest first, as they were when first looked at."""
        return self._look()[0]

    @property
    def strays(self) -> tuple[str, ...]:
        """Dumps without a manifest, of which nothing is known."""
        return self._look()[1]

    def _look(self) -> tuple[tuple[Backup, ...], tuple[str, ...]]:
        if self._looked is None:
            self._looked = self.store.look()
        return self._looked

    def find(self, name: str) -> Backup:
        """Return the backup with this name, or the newest one."""
        return manifest.chosen(self.there, name, self.environment, self.store.where)

    def create(self, name: str) -> Backup:
        """Make a backup with this name; the lock is held."""
        self.fleet.check_lock()
        ours = [each for each in self.there if each.environment == self.environment and not each.lost]
        words: Words = {
            **self.words(),
            "name": name,
            "environment": self.environment,
            "who": local_user(),
            "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "last": ours[0].size if ours else 0,
        }
        self.screen.step(self.host.name, ("backup", self.store.where), "")
        return manifest.make_backup(self.store.create(words, self.tell(name)))

    @property
    def halves(self) -> tuple[str, ...]:
        """The names of those of this environment that were cut short: their dump is there, and no manifest."""
        names = [
            (name.removesuffix(".dump"), manifest.NAME.fullmatch(name.removesuffix(".dump"))) for name in self.strays
        ]
        return tuple(name for name, found in names if found and found["environment"] == self.environment)

    def remove_old(self, made: Backup) -> tuple[str, ...]:
        """Remove those that are not kept any longer, now that there is a new one; return their names."""
        gone = manifest.outdated((made, *self.there), self.environment, self.kept, datetime.now(UTC))
        if gone:
            self.store.remove(gone)
        return gone

    def verify(self, backup: Backup) -> Any:
        """Restore a backup on trial, write down what became of it, and return that; the lock is held."""
        self.fleet.check_lock()
        self.screen.step(self.host.name, ("verify", backup.name), "")
        tell = self.tell(backup.name)
        with self.store.on_host(backup, tell) as path:
            answer = self.ask("backup_verify", backup, path)
        self.store.note(backup, manifest.verdict(answer, local_user(), datetime.now(UTC)))
        return answer

    def ask(self, name: str, backup: Backup, path: str) -> Any:
        """Ask the database's host something about a backup."""
        tell = self.tell(backup.name)
        words: Words = {**self.words(), "path": path, "manifest": backup.words}
        return self.host.call(name, words, lambda _, text: tell(text))

    def tell(self, name: str) -> Callable[[str], None]:
        """Return what tells the screen how far a long step is."""
        return lambda text: self.screen.step(self.host.name, ("", name), text)

    def words(self) -> Words:
        """Return what the database's host needs to know, in the agent's words."""
        inventory, layout = self.fleet.inventory, layout_of(self.fleet.inventory)
        return {
            "dsn": dsn(inventory, self.fleet.secrets),
            "account": inventory.airflow.account,
            "venv": layout.venv,
            "config": layout.config,
            "current": layout.current,
            "fernet": list(generation_of(inventory.airflow.version).places["fernet_key"]),
        }


def create(env: str, where: Where, screen: Screen) -> None:
    """Make a backup, then remove those that are not kept any longer."""
    with session.opened(env, doing="backup.create") as fleet:
        backups = Backups(fleet, screen, where)
        with fleet.locked(wait_s=where.lock_wait_s, say=screen.say):
            name = manifest.name_of(backups.environment, datetime.now(UTC))
            with records.recorded(fleet, records.entry("backup.create", backup=name), screen.say):
                with left("no backup was made; those that are there are as they were"):
                    made = backups.create(name)
                with left(f"{name} was made; those that should go are still there"):
                    gone = backups.remove_old(made)
    if gone:
        screen.say(f"  removed, as backup.keep says: {', '.join(gone)}")
    screen.say(f"done: {made} in {backups.store.where}", "bold green")
    screen.say(f"  {KEY}")
    screen.say("  a backup that was never restored is a hope: fab backup.verify latest" + where.options)


def look(env: str, where: Where, screen: Screen) -> Backups:
    """Return the backups, having looked at them."""
    with session.opened(env, doing="backup.list") as fleet:
        backups = Backups(fleet, screen, where)
        _ = backups.there
        return backups


def clear(env: str, where: Where, screen: Screen) -> None:
    """Remove what was cut short: dumps of this environment without a manifest."""
    with session.opened(env, doing="backup.clear") as fleet:
        backups = Backups(fleet, screen, where)
        with fleet.locked(wait_s=where.lock_wait_s, say=screen.say), left("no whole backup was touched"):
            halves = backups.halves
            if halves:
                with records.recorded(fleet, records.entry("backup.clear", removed=list(halves)), screen.say):
                    backups.store.remove(halves)
    screen.say(f"done: removed {', '.join(halves)}" if halves else "nothing to do: no backup was cut short", "green")


def verify(env: str, name: str, where: Where, screen: Screen) -> None:
    """Restore a backup into a scratch database on trial; NotHealthy where it can't be, or is another."""
    manifest.check_name(name, "backup.verify")
    with session.opened(env, doing=f"backup.verify {name}") as fleet:
        backups = Backups(fleet, screen, where)
        with fleet.locked(wait_s=where.lock_wait_s, say=screen.say), left("the database is as it was"):
            backup = backups.find(name)
            answer = backups.verify(backup)
    if not answer["ok"]:
        raise NotHealthy(
            f"it can't be restored: {answer['problem']}",
            place=backup.name,
            remedy="make another one: fab backup.create" + where.options,
            state="its manifest says so from now on; the database is as it was, the scratch database is gone",
        )
    screen.say(
        f"done: {backup} was restored into a scratch database in {answer['seconds']} s: every row of"
        f" {answer['tables']} tables, the same revisions; the scratch database is gone",
        "bold green",
    )


@contextmanager
def left(state: str) -> Iterator[None]:
    """Say of whatever goes wrong in the block how it leaves the world."""
    try:
        yield
    except KeyboardInterrupt:
        raise RolloutStopped("interrupted", state=state) from None
    except FleetError as e:
        e.state = state
        raise

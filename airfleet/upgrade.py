"""The flow of `fab upgrade`: rehearse on a copy; then maintenance, stop, backup, flip, migrate, start, maintenance off.

How far it came decides what a failure means: before the migration everything goes back by itself, after it only the
backup leads back (`undo`), since no migration of Airflow's can be undone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airfleet import bootstrap_run, manifest, records, session
from airfleet.backups import Backups, Where
from airfleet.errors import FleetError, RolloutStopped
from airfleet.maintenance_on import On
from airfleet.maintenance_on import Wish as Pause
from airfleet.rehearsal import Rehearsal, refuse
from airfleet.upgrade_steps import end_maintenance, forget_messages, stop_all
from airfleet.upgrade_undo import put_back, undo_remedy
from airfleet.upgrade_versions import both, write_version

if TYPE_CHECKING:
    from airfleet.bootstrap_run import Screen
    from airfleet.model import Words
    from airfleet.session import Fleet


LAST = "maintenance off"


@dataclass(frozen=True)
class Wish:
    """What an operator may want of an upgrade."""

    to: str
    rehearse: bool = False
    restore_on_failure: bool = False
    accepted: frozenset[str] = field(default_factory=frozenset)
    max_wait_s: int = 3600


def upgrade(env: str, wish: Wish, screen: Screen) -> None:
    """Bring an installation to a newer Airflow; with `rehearse` try on a copy what can be tried, and stop."""
    with session.opened(env, doing="upgrade") as old:
        new = both(old, wish.to)
        old.connect()
        with old.locked():
            run = _Upgrade(old, new, screen, wish)
            run.rehearse()
            if not wish.rehearse:
                entry = records.entry("upgrade", ref=wish.to, before=old.inventory.airflow.version)
                with records.recorded(old, entry, screen.say):
                    run.bring(entry)


class _Upgrade:
    """One upgrade; the lock is held."""

    def __init__(self, old: Fleet, new: Fleet, screen: Screen, wish: Wish) -> None:
        self.old, self.new = old, new
        self.screen, self.wish = screen, wish
        self.backups = Backups(old, screen, Where())
        self.made: manifest.Backup | None = None
        self.at = "maintenance"

    def rehearse(self) -> None:
        """Install beside what runs, lint, migrate a copy, parse the DAGs; refuse where something speaks against it."""
        rehearsal = Rehearsal(self.old, self.new, self.screen)
        rehearsal.in_order()
        rehearsal.prepare()
        found = rehearsal.lint()
        backup = self._backup()
        report = rehearsal.on_a_copy(self.backups, backup)
        found += report.found
        say = self.screen.say
        for line in report.lines(float(str(backup.words["seconds"]))):
            say(f"  {line}")
        refuse(found, self.wish.accepted, self.wish.to)
        say(f"go: Airflow {self.wish.to} is installed beside {self._from}, nothing that runs was touched", "bold green")

    def bring(self, entry: Words) -> None:
        """Do it; put everything back where that is still possible."""
        try:
            self._steps()
        except (FleetError, KeyboardInterrupt) as e:
            error = e if isinstance(e, FleetError) else RolloutStopped("interrupted", place="upgrade")
            raise self._failed(error, entry) from e
        write_version(self.old, self.wish.to, self.screen)
        self.screen.say(f"done: every host runs Airflow {self.wish.to}, and every service is well", "bold green")
        if self.made:
            self.screen.say(f"  the way back, as long as nothing new must be kept: {undo_remedy(self.made.name)}")

    def _steps(self) -> None:
        self._begin("maintenance")
        on = On(self.old, self.screen, Pause(reason=self._reason, max_wait_s=self.wish.max_wait_s))
        on.plan()
        on.bring({})
        self._begin("stop")
        stop_all(self.old, self.screen)
        self._begin("backup")
        self.made = self._backup()
        self._begin("flip")
        forget_messages(self.old, self.new, self.screen)
        bootstrap_run.converge_to(self.new, self.screen, self.wish.max_wait_s)
        self._begin(LAST)
        end_maintenance(self.new, self.screen)

    def _begin(self, step: str) -> None:
        self.at = step
        self.old.check_lock()
        self.screen.say(f"[{self.screen.elapsed_s:5.0f} s] {step}", "bold")

    def _failed(self, error: FleetError, entry: Words) -> FleetError:
        """Return the error to raise, having put back what can be put back."""
        self.screen.say(f"not well, at {self.at}: {error.place}: {error.problem.splitlines()[0]}", "bold red")
        if self.at == "maintenance":
            return error  # that has put everything back itself
        if self.at == LAST:
            write_version(self.old, self.wish.to, self.screen)
            error.remedy = "mend that, then: fab maintenance.off"
            error.state = f"Airflow {self.wish.to} runs and is well; {error.state}"
            return error
        return put_back(
            error,
            self.old,
            self.new,
            self.screen,
            entry,
            backup=self.made,
            restore=self.wish.restore_on_failure,
        )

    def _backup(self) -> manifest.Backup:
        return self.backups.create(manifest.name_of(self.backups.environment, datetime.now(UTC)))

    @property
    def _from(self) -> str:
        return self.old.inventory.airflow.version

    @property
    def _reason(self) -> str:
        return f"upgrade from Airflow {self._from} to {self.wish.to}"

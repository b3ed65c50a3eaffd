"""The flow that puts a backup back: what speaks against it first, then services stopped, restored, started again."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airfleet import manifest, records, services, session, terminal
from airfleet.backups import Backups, Where
from airfleet.errors import FleetError, GateRefused, HostUnreachable, RolloutStopped, UsageError
from airfleet.generations import generation_of
from airfleet.rollout import on_each
from airfleet.workers import Wish
from airfleet.worklist import COMES_BACK, GOES_ON, Worklist

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airfleet.manifest import Backup
    from airfleet.remote import Host
    from airfleet.services import Step
    from airfleet.session import Fleet
    from airfleet.workers import Screen

AS_IT_WAS = "the database is as it was"
IN_DOUBT = "in doubt: the database is as it was, or all of the backup is in it; never half of it"
MOST = 5


@dataclass(frozen=True)
class Plan:
    """What an operator wants of a restore."""

    yes: bool = False
    stop: bool = False
    allow_running: bool = False
    max_wait_s: int = 3600
    where: Where = field(default_factory=Where)


def restore(env: str, name: str, plan: Plan, screen: Screen) -> None:
    """Put a backup in the place of what is in the metadata database."""
    manifest.check_name(name, "backup.restore")
    if plan.stop and plan.allow_running:
        raise UsageError("--stop and --allow-running: which?", place="backup.restore", state="nothing was contacted")
    if not plan.yes:
        remedy = "--yes restores without asking"
        terminal.require("ask for a confirmation", place="backup.restore", remedy=remedy)
    with session.opened(env, doing=f"backup.restore {name}") as fleet:
        run = _Restore(fleet, screen, plan)
        backup = run.backups.find(name)
        manifest.refuse_version(backup, fleet.inventory.airflow.version)
        if not plan.yes and not terminal.confirmed(f"put {backup} in the place of what is in {run.place}?"):
            raise RolloutStopped("not confirmed", place="backup.restore")
        with fleet.locked(wait_s=plan.where.lock_wait_s, say=screen.say):
            entry = records.entry("backup.restore", backup=backup.name)
            tell = run.backups.tell(backup.name)
            with records.recorded(fleet, entry, screen.say), run.backups.store.on_host(backup, tell) as path:
                run.all(backup, path)


class _Restore:
    """One restore; the lock is held."""

    def __init__(self, fleet: Fleet, screen: Screen, plan: Plan) -> None:
        self.fleet = fleet
        self.screen = screen
        self.plan = plan
        self.backups = Backups(fleet, screen, plan.where)
        self.wish = Wish(plan.max_wait_s, allow_gap=True)
        self.stopped: list[Step] = []

    @property
    def place(self) -> str:
        """Where the database is, for messages."""
        database = self.fleet.inventory.database
        return f"{database.host}:{database.port}/{database.name}"

    def all(self, backup: Backup, path: str) -> None:
        """Look what speaks against it, stop what runs, restore, start what was stopped."""
        say = self.screen.say
        ready = self.backups.ask("backup_ready", backup, path)
        self._tell(backup, ready)
        running = self._running()
        if running and not (self.plan.stop or self.plan.allow_running):
            raise GateRefused(
                f"Airflow runs: {', '.join(map(str, running))}",
                place=self.place,
                remedy="--stop stops these, workers after their tasks, and starts them again; --allow-running goes on",
            )
        if self.plan.stop:
            self._stop(running)
        with self._put_back_or_started():
            answer = self._restored(backup, path)
        others = sorted({f"{each['user']} from {each['from']} ({each['what'] or '?'})" for each in answer["others"]})
        if others and not self.plan.allow_running:
            say(f"  was connected meanwhile, and is no service of the inventory: {_some(others)}", "yellow")
        say(f"  restored in {answer['seconds']} s: {answer['rows']} rows in {answer['tables']} tables", "green")
        with _state(f"{backup.name} was restored; not all that was stopped runs again"):
            self._start(ready["airflow"])
        say(f"done: {backup} is what is in {self.place}", "bold green")
        self._next(running, ready["airflow"])

    def _tell(self, backup: Backup, ready: Any) -> None:
        say = self.screen.say
        if backup.environment != self.backups.environment:
            say(f"  it is a backup of {backup.environment}, not of {self.backups.environment}", "yellow")
        if ready["extra"]:
            say(f"  not in the backup, and gone with the restore: {_some(ready['extra'])}", "yellow")

    def _running(self) -> list[Step]:
        """Return the services of Airflow that run, on all hosts, in the order in which they are stopped."""
        inventory = self.fleet.inventory
        mine = generation_of(inventory.airflow.version).services
        words = {"patterns": [service.unit_file.replace("@.", "@*.") for service in mine]}

        def work(host: Host) -> list[str]:
            answer: Any = host.call("active_units", dict(words))
            return list(answer["active"])

        active = on_each(self.fleet.everyone, work, parallel=inventory.ssh.parallel)
        steps = services.steps_of(inventory, tuple(self.fleet.everyone), "stop", services.ALL)
        return [step for step in steps if step.service in mine and _runs(step, active[step.host])]

    def _stop(self, running: Sequence[Step]) -> None:
        steering = services.Steering(self.fleet, self.screen, self.wish, "stop")
        worklist = Worklist([str(step) for step in running])
        with _state("", before=AS_IT_WAS):
            for step in running:
                with worklist.doing(str(step), COMES_BACK if step.service.instances else GOES_ON):
                    steering.steer(step)
                self.stopped.append(step)

    def _restored(self, backup: Backup, path: str) -> Any:
        self.fleet.check_lock()
        self.screen.step(self.backups.host.name, ("restore", backup.name), "")
        return self.backups.ask("backup_restore", backup, path)

    @contextmanager
    def _put_back_or_started(self) -> Iterator[None]:
        """Say how a failure leaves the world; where that is as it was, start again what was stopped."""
        down = f"; stopped: {', '.join(map(str, self.stopped))}: fab start --service all" if self.stopped else ""
        try:
            yield
        except KeyboardInterrupt:
            raise RolloutStopped("interrupted", place=self.place, state=IN_DOUBT + down) from None
        except (HostUnreachable, RolloutStopped) as e:
            e.state = IN_DOUBT + down
            raise
        except FleetError as e:
            e.state = AS_IT_WAS + down
            if self.stopped:
                self.screen.say(f"not restored: {e.problem.splitlines()[0]}", "bold red")
                self._start(self.fleet.inventory.airflow.version)
                e.state = f"{AS_IT_WAS}, and what was stopped runs again"
            raise

    def _start(self, installed: str | None) -> None:
        """Start what was stopped, unless what is installed is not the Airflow of this database."""
        wanted = self.fleet.inventory.airflow.version
        if installed != wanted:
            return
        steering = services.Steering(self.fleet, self.screen, self.wish, "start")
        for step in self.stopped[::-1]:
            steering.steer(step)

    def _next(self, running: Sequence[Step], installed: str | None) -> None:
        say, wanted = self.screen.say, self.fleet.inventory.airflow.version
        if installed != wanted:
            say(
                f"  Airflow {installed} is installed, and this is a database of {wanted}: next: fab bootstrap",
                "yellow",
            )
        elif not running:
            say("  nothing ran before, and nothing was started; next: fab start --service all")
        elif not self.stopped:
            say("  what runs may still know what is gone; next: fab restart --service all", "yellow")


def _runs(step: Step, units: Sequence[str]) -> bool:
    prefix = step.service.unit_file.partition("@")[0] + "@"
    return any(unit == step.service.unit_file or (step.service.instances and unit.startswith(prefix)) for unit in units)


def _some(words: Sequence[str]) -> str:
    more = f" and {len(words) - MOST} more" if len(words) > MOST else ""
    return ", ".join(words[:MOST]) + more


@contextmanager
def _state(state: str, *, before: str = "") -> Iterator[None]:
    """Say of whatever goes wrong in the block how it leaves the world; with `before`, in front of what is said."""
    try:
        yield
    except FleetError as e:
        e.state = f"{before}; {e.state}" if before else state
        raise

"""Maintenance as its record has it, and the flow that ends it: workers back, then DAGs unpaused, then forgotten.

A run that is killed anywhere in between leaves the record, and the next `off` goes on from there. How maintenance
begins is in `maintenance_on`.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airfleet import records, rollout, session
from airfleet.errors import FleetError, RolloutStopped
from airfleet.generations import generation_of
from airfleet.layout import layout_of
from airfleet.metadata import database_host, dsn
from airfleet.pauses import ENDING, count, judge, make_record, some
from airfleet.remote import local_user
from airfleet.workers import Wish, Workers
from airfleet.worklist import LATER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airfleet.crew import Worker
    from airfleet.model import Words
    from airfleet.pauses import Record
    from airfleet.remote import Host
    from airfleet.session import Fleet
    from airfleet.workers import Screen

SILENT_S = 600  # how long a worker that does not answer may take to stop
IDLE_S = 5


def switch_off(env: str, only: str, screen: Screen) -> None:
    """Put back what `switch_on` changed, or what is left of it to put back; say so where maintenance is off."""
    with session.opened(env, doing="maintenance.off", only=only, connect=True) as fleet:
        run = Maintenance(fleet, screen)
        with fleet.locked():
            record = run.look()
            if record is None:
                screen.say(f"{fleet.inventory.environment}: maintenance is off", "green")
                return
            screen.say(f"{fleet.inventory.environment}: maintenance {record}", "bold")
            entry = records.entry("maintenance.off", hosts=run.became)
            with records.recorded(fleet, entry, screen.say), run.goes_on():
                run.note(ENDING)
                run.restore()
        screen.say("done: maintenance is off", "bold green")


def status(env: str, screen: Screen) -> Words:
    """Return whether maintenance is on, by whom, since when, why, and how each recorded DAG is now."""
    with session.opened(env, doing="maintenance.status") as fleet:
        run = Maintenance(fleet, screen)
        record = run.look()
        answer: Words = {"on": record is not None, "host": run.host.name}
        if record is None:
            return answer
        verdict = judge(record.dags, run.dags)
        return answer | {
            "phase": record.phase,
            "who": record.who,
            "since": record.since,
            "reason": record.reason,
            "paused": list(verdict.ours),
            "others": dict(verdict.others),
            "workers": {host: sorted(record.drained(host)) for host in record.workers},
        }


class Maintenance:
    """The maintenance of an installation as its record has it; whoever changes anything holds the lock."""

    def __init__(self, fleet: Fleet, screen: Screen) -> None:
        self.fleet = fleet
        self.screen = screen
        self.host = fleet.everyone[database_host(fleet.inventory)]
        self.record: Record | None = None
        self.active: list[str] = []
        self.dags: Mapping[str, Any] = {}
        self.became: dict[str, str] = {}
        self.unpaused = False

    def look(self) -> Record | None:
        """Look at the record, the DAGs that it names and those that are active; return the record."""
        answer: Any = self.host.call("maintenance_look", self.words())
        self.record, self.active, self.dags = make_record(answer["record"]), answer["active"], answer["dags"]
        return self.record

    def note(self, phase: str) -> None:
        """Write down how far it is."""
        answer: Any = self.call("maintenance_note", phase=phase)
        self.record = make_record(answer["record"])

    def restore(self) -> None:
        """Give the workers back, unpause the DAGs, forget the record."""
        record = self.record
        if record is None:
            return
        self._give_back(record)
        answer: Any = self.call("maintenance_unpause", who=local_user())
        self.unpaused = True
        for line in judge(record.dags, answer["dags"]).lines():
            self.screen.say(f"  {line}", "yellow")
        self.screen.probed(f"unpaused {count(answer['unpaused'], 'DAG')}: {some(answer['unpaused'])}")
        self.call("maintenance_forget")
        self.record = None

    def call(self, name: str, **more: object) -> Words:
        """Ask the host of the record, as long as the lock is ours."""
        self.fleet.check_lock()
        known = {"id": self.record.id} if self.record else {}
        step = self.screen.step
        return self.host.call(name, self.words() | known | more, lambda _, text: step(self.host.name, ("", name), text))

    def words(self) -> Words:
        """Return how the host of the record reaches the database, and what a pause is to this Airflow."""
        inventory = self.fleet.inventory
        tables = generation_of(inventory.airflow.version).tables
        return {
            "venv": layout_of(inventory).venv,
            "account": inventory.airflow.account,
            "dsn": dsn(inventory, self.fleet.secrets),
            "active_dag": tables.active_dag,
            "pause_events": list(tables.pause_events),
        }

    def how_far(self) -> str:
        """Return how the world is while there still is a record."""
        dags = "unpaused" if self.unpaused else "still paused"
        parts = [f"{host} {became}" for host, became in self.became.items()]
        return "; ".join([*parts, f"the DAGs that are recorded on {self.host.name} are {dags}"])

    @contextmanager
    def goes_on(self) -> Iterator[None]:
        """Say in every error how the world is, and that the next `off` goes on from there."""
        try:
            yield
        except KeyboardInterrupt:
            raise RolloutStopped("interrupted", place="maintenance.off", state=self._goes_on()) from None
        except FleetError as e:
            e.state = self._goes_on()
            raise

    def _goes_on(self) -> str:
        return f"{self.how_far()}; fab maintenance.off goes on from here"

    def _give_back(self, record: Record) -> None:
        """Restart the workers that maintenance drained: all hosts at the same time, since nothing runs on them.

        Celery forgets a queue that was cancelled and added back, so that a restart is what puts them in order.
        """
        here = set(self.fleet.hosts) & set(self.fleet.inventory.with_role("worker"))
        hosts = {name: host for name, host in self.fleet.hosts.items() if name in here and record.drained(name)}
        for name in sorted(set(record.workers) - here):
            self.screen.say(f"  left alone: the workers of {name}", "yellow")
        if not hosts:
            return
        workers = Workers(replace(self.fleet, hosts=hosts), self.screen, Wish(max_wait_s=SILENT_S, allow_gap=True))

        def work(host: Host) -> None:
            mine = [each for each in workers.seen[host.name] if each.node in record.drained(host.name)]
            marked: Any = host.call("maintenance_marks", {"units": [_unit(each) for each in mine]})["marked"]
            for worker in mine:
                self._give_back_one(workers, worker, marked=_unit(worker) in marked)
            self.became[host.name] = "takes tasks" if any(each.active == "active" for each in mine) else "was stopped"

        try:
            workers.look()
            rollout.on_each(hosts, work, parallel=self.fleet.inventory.ssh.parallel, alone=True)
        except FleetError as e:
            e.remedy = f"{e.remedy}; or leave its host out: fab maintenance.off --only OTHERS".removeprefix("; or ")
            raise

    def _give_back_one(self, workers: Workers, worker: Worker, *, marked: bool) -> None:
        """Let one worker take tasks as it did; one that somebody stopped, or restarted, meanwhile is left alone."""
        say = self.screen.say
        if worker.active != "active":
            say(f"  {worker.node} is {worker.active}: left so", "yellow")
        elif not worker.queues and not worker.tasks:
            workers.restart(worker)
        elif not worker.queues:
            one = Workers(workers.fleet, self.screen)
            one.seen = {worker.host: (worker,)}
            one.resume(worker.host)
            say(f"  {worker.node}: {LATER}", "yellow")
        elif not marked:
            self.screen.probed(f"{worker.node} takes tasks already")
        else:
            self._restart_if_idle(workers, worker)

    def _restart_if_idle(self, workers: Workers, worker: Worker) -> None:
        """Restart a worker that has its queues back already, unless it runs tasks: then that has time."""
        one = Workers(workers.fleet, self.screen, Wish(max_wait_s=IDLE_S, allow_gap=True))
        one.seen = workers.seen
        try:
            if not worker.tasks:
                one.restart(worker)
                return
        except RolloutStopped:
            pass  # a task has come in between: it takes tasks, which is what is wanted
        self.screen.say(f"  {worker.node} takes tasks already; {LATER}", "yellow")


def _unit(worker: Worker) -> str:
    return f"airflow-worker@{worker.instance}.service"

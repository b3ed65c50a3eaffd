"""Asks all hosts how they are, at the same time: each in one conversation, the Celery workers in one more."""

from __future__ import annotations

import json
import secrets
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from airfleet import board, bootstrap_run, gates, rollout
from airfleet.checkup import Checkup, crew_words, vitals_words
from airfleet.desired import Target, stages_of
from airfleet.doctor.diagnosis import CHECKS, QUICK, Diagnosis, diagnose
from airfleet.doctor.operation import HELD_BACK
from airfleet.errors import FleetError
from airfleet.metadata import database_host
from airfleet.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airfleet.doctor.finding import Check
    from airfleet.model import Facts, Key, Resource, Words
    from airfleet.plan import Plan
    from airfleet.remote import Host
    from airfleet.session import Fleet


ASKERS = 3  # where these can't ask the workers, the broker is what is wrong: forty more would say so after forty waits


class Screen(Protocol):
    """What the flows need of the screen."""

    def say(self, text: str, style: str = "") -> None:
        """Print one line."""

    def board(self, lines: Sequence[tuple[str, str]], *, whole: bool) -> None:
        """Show a screen in the place of the one before; one that is not `whole` is soon replaced."""


class Examination:
    """One look at everything: `first` is quick, `whole` waits for the Celery workers and what else is slower."""

    def __init__(self, fleet: Fleet, *, deep: bool) -> None:
        self.fleet = fleet
        self.deep = deep
        self._salt = secrets.token_hex(16)
        self._pool = ThreadPoolExecutor(max_workers=2)
        self._crew: Future[Mapping[str, Any]] = self._pool.submit(self._ask_crew)
        self._plans: Future[dict[str, Plan]] | None = self._pool.submit(self._look) if deep else None

    def first(self) -> Checkup:
        """Return what the hosts themselves tell, without the Celery workers."""
        hosts: dict[str, Mapping[str, Any]] = {}
        unreachable: dict[str, str] = {}
        clocks: dict[str, tuple[float, float]] = {}

        def work(host: Host) -> None:
            try:
                hosts[host.name], clock = self._ask(host)
            except FleetError as e:
                unreachable[host.name] = e.problem
                return
            if clock:
                clocks[host.name] = clock

        rollout.on_each(self.fleet.hosts, work, parallel=self.fleet.inventory.ssh.parallel)
        ordered = {name: hosts[name] for name in self.fleet.hosts if name in hosts}
        lock_host = next(iter(self.fleet.everyone))
        operation = hosts[lock_host].get("operation") if lock_host in hosts else self._holder()
        return Checkup(self.fleet.inventory, ordered, unreachable, clocks, operation=operation)

    def whole(self, first: Checkup) -> Checkup:
        """Return the same with what the Celery workers tell, and in a deep look with what `fab plan` would change."""
        crew = self._crew.result()
        plans = self._plans.result() if self._plans else {}
        self._pool.shutdown()
        return replace(first, crew=crew, plans=plans)

    def judged(self, checkup: Checkup, checks: Sequence[Check] = CHECKS) -> tuple[Checkup, Diagnosis]:
        """Return what the rules say; where somebody may have begun to work meanwhile, the lock is looked at again."""
        diagnosis = diagnose(checkup, checks)
        if checkup.operation is None and any(cause.id in HELD_BACK for cause in diagnosis.causes):
            checkup = replace(checkup, operation=self._holder())
            diagnosis = diagnose(checkup, checks)
        return checkup, diagnosis

    def _holder(self) -> Mapping[str, Any] | None:
        """Return who has the installation's lock; None also where its host can't be asked."""
        try:
            answer: Any = next(iter(self.fleet.everyone.values())).call("holder", {})
        except FleetError:
            return None
        return answer["held_by"]  # type: ignore[no-any-return]

    def _ask(self, host: Host) -> tuple[Mapping[str, Any], tuple[float, float] | None]:
        """Return a host's answer, and its clock against ours: (offset, how far off that may be), in seconds."""
        inventory = self.fleet.inventory
        host.open()
        sent, told = time.time(), list[tuple[float, float]]()

        def tell(_: Key, text: str) -> None:
            if text.startswith("clock ") and not told:
                told.append((float(text.split()[1]), time.time()))

        words = vitals_words(inventory, inventory.hosts[host.name], deep=self.deep, salt=self._salt, now=sent)
        answer = host.call("vitals", words, tell)
        if not told:
            return answer, None
        theirs, received = told[0]
        return answer, (theirs - (sent + received) / 2, (received - sent) / 2)

    def _ask_crew(self) -> Mapping[str, Any]:
        """Ask the workers from the scheduler's host, or from the first of a few others that can."""
        inventory = self.fleet.inventory
        order = sorted(self.fleet.hosts, key=lambda name: name != database_host(inventory))
        why = "no host could ask"
        for name in order[:ASKERS]:
            try:
                answer: Words = self.fleet.hosts[name].call("crew", crew_words(inventory, twice=self.deep))
            except FleetError as e:
                why = f"{name}: {e.problem}"
                continue
            return answer
        return {"error": why, "nodes": {}, "queues": {}, "unacked": None}

    def _look(self) -> dict[str, Plan]:
        """Return what `fab plan` would change on each host that answers."""
        inventory = self.fleet.inventory
        target = Target(inventory, self.fleet.secrets, gates.constraints_of(inventory))

        def ask(wanted: Mapping[str, Sequence[Resource]]) -> dict[str, Facts]:
            found: dict[str, Facts] = {}

            def work(host: Host) -> None:
                with suppress(FleetError):  # said by the host's own answer
                    found[host.name] = host.look(wanted[host.name])

            rollout.on_each(self.fleet.hosts, work, parallel=inventory.ssh.parallel)
            return found

        target, facts = bootstrap_run.look(target, self.fleet.hosts, ask)
        return {name: make_plan(name, stages_of(target, inventory.hosts[name]), fact) for name, fact in facts.items()}


def status(fleet: Fleet, screen: Screen) -> Diagnosis:
    """Show the status: what the hosts themselves tell first, then the whole; return what is wrong."""
    began = time.monotonic()
    examination = Examination(fleet, deep=False)
    first = examination.first()
    took = f"{time.monotonic() - began:.1f} s"
    screen.board(_board(first, diagnose(first, QUICK), took), whole=False)
    checkup, diagnosis = examination.judged(examination.whole(first), QUICK)
    took += f", with the workers {time.monotonic() - began:.1f} s"
    screen.board(_board(checkup, diagnosis, took), whole=True)
    return diagnosis


def _board(checkup: Checkup, diagnosis: Diagnosis, took: str) -> list[tuple[str, str]]:
    inventory = checkup.inventory
    head = f"{inventory.environment}   Airflow {inventory.airflow.version}   {datetime.now(UTC):%H:%M:%S} UTC   {took}"
    body = board.lines(checkup, diagnosis)
    return [(head, "bold"), *((line, "red" if board.BAD in line else "") for line in body)]


def status_json(fleet: Fleet) -> str:
    """Return the status as JSON."""
    examination = Examination(fleet, deep=False)
    checkup, diagnosis = examination.judged(examination.whole(examination.first()), QUICK)
    return json.dumps(board.as_json(checkup, diagnosis), indent=1, default=str)


def whole_diagnosis(fleet: Fleet) -> Diagnosis:
    """Return what is wrong, having looked at everything."""
    examination = Examination(fleet, deep=True)
    return examination.judged(examination.whole(examination.first()))[1]


def checks() -> list[str]:
    """Return what is looked at, in order."""
    return [check.title for check in CHECKS]


def good(diagnosis: Diagnosis) -> bool:
    """Tell whether nothing is wrong, as far as could be looked."""
    return not diagnosis.causes and not diagnosis.crashed

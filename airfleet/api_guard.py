"""The guard of Airflow 3's API server: it is never taken away for longer than the tasks that run now outlive."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

from airfleet import patience, rollout
from airfleet.doctor.finding import shown
from airfleet.errors import GateRefused
from airfleet.generations import generation_of
from airfleet.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airfleet.crew import Worker
    from airfleet.plan import Plan
    from airfleet.session import Fleet
    from airfleet.workers import Screen


def refuse_long_outage(fleet: Fleet, screen: Screen, host: str, verb: str) -> None:
    """Raise GateRefused where a restart (or stop) of the API server on this host could end tasks that run.

    What runs decides, not what is on disk: each worker has left the settings that it read when it started.
    """
    if not generation_of(fleet.inventory.airflow.version).patience:
        return
    busy = [worker for worker in _everyone(fleet, screen) if worker.tasks]
    if not busy:
        return
    answers = _ask(fleet, {host, *(worker.host for worker in busy)})
    budgets = {worker.node: _budget_s(worker, answers[worker.host]) for worker in busy}
    node = min(budgets, key=lambda each: budgets[each])
    measured: list[float] = answers[host]["outages_s"]
    expected = patience.expected_s(measured) if verb == "restart" else inf
    tasks = shown(sum(worker.tasks for worker in busy), "task")
    if expected < budgets[node]:
        screen.probed(
            f"{host}: {tasks} in progress: what runs outlives {budgets[node]:.0f} s without the API server,"
            f" which is expected to be away for {expected:.0f} s at most"
        )
        return
    away = f"for up to {expected:.0f} s ({_spoken(measured)})" if expected < inf else "for good"
    raise GateRefused(
        f"{tasks} in progress, and those of {node} outlive {budgets[node]:.0f} s without the API server;"
        f" a {verb} takes it away {away}",
        place=host,
        remedy="wait for the tasks, or drain the workers first: fab drain-workers; where [workers] was changed,"
        " fab restart-workers has them read what the inventory says now",
        state="the API server was not touched",
    )


def refuse_before_switch(fleet: Fleet, screen: Screen, plans: Sequence[Plan]) -> None:
    """Raise GateRefused where a plan restarts an API server that may not be restarted now; nothing is switched yet."""
    unit = generation_of(fleet.inventory.airflow.version).web.unit_file
    for plan in plans:
        if any(change.resource.key == unit for change in plan.changes):
            try:
                refuse_long_outage(fleet, screen, plan.host, "restart")
            except GateRefused as e:
                e.state = "nothing was switched"
                raise


def _everyone(fleet: Fleet, screen: Screen) -> list[Worker]:
    """Return the workers of all hosts, chosen or not, but for those that have been left out: these don't answer."""
    left_out = fleet.failures.found
    if left_out:
        screen.say(f"  tasks on {', '.join(left_out)}, left out before, can't be counted", "yellow")
    hosts = {name: host for name, host in fleet.everyone.items() if name not in left_out}
    return Workers(replace(fleet, hosts=hosts), screen).look()


def _ask(fleet: Fleet, names: set[str]) -> Mapping[str, Mapping[str, Any]]:
    hosts = {name: fleet.everyone[name] for name in fleet.everyone if name in names}
    return rollout.on_each(hosts, lambda host: host.call("patience", {}), parallel=fleet.inventory.ssh.parallel)


def _budget_s(worker: Worker, answer: Mapping[str, Any]) -> float:
    lines = answer["workers"].get(f"airflow-worker@{worker.instance}", [])
    return patience.budget_s(patience.read_settings(lines))


def _spoken(measured: list[float]) -> str:
    if not measured:
        return "not measured here yet"
    return f"twice the {max(measured):.1f} s that were measured here"

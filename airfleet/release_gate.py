"""The gate of a deploy: a release is parsed on the scheduler's host, in the environment that it would run in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airfleet import findings
from airfleet.airflow_cfg import environment
from airfleet.generations import generation_of
from airfleet.layout import layout_of, release_target, venv_target
from airfleet.metadata import database_host, dsn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airfleet.bootstrap_run import Screen
    from airfleet.desired import Target
    from airfleet.inventory import Inventory
    from airfleet.model import Words
    from airfleet.session import Fleet


def words_of(target: Target, current: str) -> Words:
    """Return what the gate needs to know of the release that a target has, and of the one that runs; not the database.

    Where `current` is the target's own release, there is nothing to compare it with.
    """
    inventory, layout = target.inventory, layout_of(target.inventory)
    generation = generation_of(inventory.airflow.version)
    venv = f"{layout.versions}/{venv_target(target.venv_digest)}"
    return {
        "account": inventory.airflow.account,
        "env": dict(environment(inventory)),
        "timeout_s": inventory.dags.parse_timeout_s,
        "dagbag": generation.dagbag,
        "active_dag": generation.tables.active_dag,
        "candidate": _place(target, str(target.release), venv),
        "current": _place(target, current, layout.venv) if current != target.release else None,
    }


def served_queues(inventory: Inventory) -> set[str]:
    """Return the queues that some worker of the inventory takes tasks from."""
    return {queue for each in inventory.with_role("worker") for queue in inventory.hosts[each].celery.queues}


def parsed(fleet: Fleet, target: Target, current: str, screen: Screen) -> list[findings.Finding]:
    """Return what speaks against the target's release, which must be on the host; nothing that runs is touched."""
    inventory, dags = fleet.inventory, fleet.inventory.dags
    name = database_host(inventory)
    words = {**words_of(target, current), "dsn": dsn(inventory, fleet.secrets)}
    screen.say(f"[{screen.elapsed_s:5.0f} s] gate: the DAGs are parsed on {name}, in {dags.parse_timeout_s} s at most")
    fleet.check_lock()
    answer: Mapping[str, Any] = fleet.hosts[name].call(
        "gate", words, lambda _, text: screen.step(name, ("", "gate"), text)
    )
    known = answer["known_errors"]
    if known:
        screen.say(f"  broken already in the release that runs: {', '.join(known)}", "yellow")
    screen.probed(f"{name}: {answer['files']} files with {len(answer['dags'])} DAGs parsed in {answer['seconds']} s")
    return findings.of_parsing(answer, dags.folder, served_queues(inventory), dags.parse_timeout_s)


def _place(target: Target, commit: str, venv: str) -> Words:
    layout, dags = layout_of(target.inventory), target.inventory.dags
    tree = f"{layout.dags}/{release_target(commit)}"
    return {
        "venv": venv,
        "folder": tree if dags.folder == "." else f"{tree}/{dags.folder}",
        "plugins": f"{tree}/{dags.plugins}" if dags.plugins else "",
    }

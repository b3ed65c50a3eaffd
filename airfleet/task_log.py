"""The flow of `fab task-log`: the log of one try, asked of Airflow itself where the web pages are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airfleet import session
from airfleet.errors import UsageError
from airfleet.generations import generation_of
from airfleet.layout import layout_of
from airfleet.metadata import dsn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airfleet.model import Words
    from airfleet.remote import Host
    from airfleet.session import Fleet

UNMAPPED = -1


@dataclass(frozen=True)
class Wish:
    """Which try: `run` "" is the latest run with one, `number` 0 the latest try, `map_index` None the only one."""

    dag: str
    task: str
    run: str = ""
    number: int = 0
    map_index: int | None = None


def show_task_log(env: str, wish: Wish, write: Callable[[str], None], notice: Callable[[str], None]) -> None:
    """Write the try's log, without our secrets; `notice` says first which try it is."""
    if wish.number < 0 or (wish.map_index or 0) < 0:
        place, first = ("--try", 1) if wish.number < 0 else ("--map-index", 0)
        raise UsageError(f"they are counted from {first} on", place=place, state="nothing was contacted")
    with session.opened(env, doing="task-log") as fleet:
        mask = fleet.secrets.mask

        def take(part: Words) -> None:
            if "found" in part:
                found: Any = part["found"]
                notice(described(found))
            else:
                write(mask(str(part["text"])))

        reader(fleet).stream("task_log", log_words(fleet, wish), take)


def reader(fleet: Fleet) -> Host:
    """Return the host that reads logs: log servers answer to those with web pages alone."""
    return fleet.everyone[fleet.inventory.with_role("webserver")[0]]


def log_words(fleet: Fleet, wish: Wish) -> Words:
    """Return the question for a try's log in the agent's words."""
    inventory = fleet.inventory
    layout = layout_of(inventory)
    return {
        "program": generation_of(inventory.airflow.version).task_log,
        "venv": layout.venv,
        "environment": layout.environment,
        "account": inventory.airflow.account,
        "dsn": dsn(inventory, fleet.secrets),
        "dag": wish.dag,
        "task": wish.task,
        "run": wish.run,
        "try": wish.number,
        "map_index": wish.map_index,
    }


def described(found: Mapping[str, Any]) -> str:
    """Return which try this is, in a line."""
    task = f"{found['dag']}.{found['task']}" + (f"[{found['map_index']}]" if found["map_index"] != UNMAPPED else "")
    place = f" on {found['hostname']}" if found["hostname"] else ""
    return f"{task} ({found['run']}) try {found['try']} of {found['tries']}: {found['state'] or 'no state'}{place}"

"""What hosts are asked when somebody wants to know how they are, and the answers, kept together. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airfleet import history, schedule
from airfleet.auth_proxy import AUTH_PROXY_UNIT, runs_on
from airfleet.generations import generation_of
from airfleet.layout import REDIS_DATA, layout_of
from airfleet.metadata import database_host
from airfleet.units import BESIDE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airfleet.inventory import Host, Inventory
    from airfleet.model import Words
    from airfleet.plan import Plan

SETTINGS = ("fernet_key", "secret_key", "jwt_secret", "broker_url", "result_backend", "database_url")
PACKAGES = (
    *("apache-airflow", "apache-airflow-core", "apache-airflow-task-sdk", "apache-airflow-providers-celery"),
    *("apache-airflow-providers-fab", "celery", "kombu", "redis", "sqlalchemy"),
)
SINCE_S = 3600


@dataclass(frozen=True)
class Checkup:
    """What was seen of an installation; what is not known is None or left out, never a good value.

    `hosts` holds the answers of `airfleet.agent.vitals`, `crew` that of `airfleet.agent.crew`, `unreachable` why a host
    could not be asked, `plans` what `fab plan` would change (only in a deep look), `clocks` each host's clock against
    the operator's: (offset, uncertainty) in seconds; `operation` who has the installation's lock, as the lock's host
    tells it ({"who", "doing", "since", "age_s"}), None where nobody has.
    """

    inventory: Inventory
    hosts: Mapping[str, Mapping[str, Any]]
    unreachable: Mapping[str, str] = field(default_factory=dict)
    clocks: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    crew: Mapping[str, Any] | None = None
    plans: Mapping[str, Plan] = field(default_factory=dict)
    operation: Mapping[str, Any] | None = None

    @property
    def airflow(self) -> Mapping[str, Any]:
        """What the metadata database told; empty where nobody could ask it."""
        found = [host["stores"]["airflow"] for host in self.hosts.values() if host.get("stores")]
        return next((each for each in found if each and "tasks" in each), {})

    @property
    def nodes(self) -> Mapping[str, Mapping[str, Any]]:
        """What each Celery worker told of itself."""
        nodes: Mapping[str, Mapping[str, Any]] = (self.crew or {}).get("nodes", {})
        return nodes

    @property
    def maintenance(self) -> Mapping[str, Any] | None:
        """Who has put the installation into maintenance, since when and why; None where it is not."""
        found = [host["maintenance"] for host in self.hosts.values() if host.get("maintenance")]
        return found[0] if found else None

    @property
    def left_behind(self) -> tuple[str, ...]:
        """The hosts that the history knows, that were not retired, and that the inventory has no more."""
        told = [host["members"] for host in self.hosts.values() if host.get("members")]
        return tuple(history.left_behind(told, self.inventory.hosts))

    @property
    def way_back(self) -> Mapping[str, Mapping[str, str]]:
        """The hosts that went back by themselves, or will unless somebody confirms: what each tells of that."""
        return {name: host["way_back"] for name, host in self.hosts.items() if host.get("way_back")}

    def unit(self, host: str, name: str) -> Mapping[str, Any]:
        """Return what is known of a unit of a host; empty where nothing is."""
        found: Mapping[str, Any] = ((self.hosts.get(host) or {}).get("units") or {}).get(name) or {}
        return found


def units_of(inventory: Inventory, host: Host) -> list[str]:
    """Return the names of all units that a host should run."""
    names = [unit for unit, role in BESIDE.items() if role in host.roles]
    names += [AUTH_PROXY_UNIT] if runs_on(inventory, host) else []
    for service in generation_of(inventory.airflow.version).services_of(set(host.roles)):
        instances = range(1, host.celery.instances + 1) if service.instances else (0,)
        names += [service.unit(each) for each in instances]
    return names


def expected_nodes(inventory: Inventory) -> list[str]:
    """Return the names of all Celery workers that there should be."""
    return [
        f"worker{number}@{name}"
        for name in inventory.with_role("worker")
        for number in range(1, inventory.hosts[name].celery.instances + 1)
    ]


def vitals_words(inventory: Inventory, host: Host, *, deep: bool, salt: str, now: float) -> Words:
    """Return what a host is asked by `vitals`."""
    layout = layout_of(inventory)
    generation = generation_of(inventory.airflow.version)
    whole = database_host(inventory)
    health = generation.health
    ports = (inventory.airflow.web_port, health.log_port, health.trigger_log_port, inventory.redis.port)
    return {
        "units": units_of(inventory, host),
        "folders": _folders(inventory, host),
        "current": layout.current,
        "venv": layout.venv,
        "config": layout.config,
        "environment": layout.environment,
        "home": layout.home,
        "logs": layout.logs,
        "account": inventory.airflow.account,
        "settings": {name: list(generation.places[name]) for name in SETTINGS if name in generation.places},
        "packages": list(PACKAGES),
        "ports": [str(port) for port in ports],
        "page": _page(inventory, host),
        "log_port": health.log_port if "webserver" in host.roles else 0,
        "certificate": inventory.airflow.base_url if "webserver" in host.roles else "",
        "database": "whole" if host.name == whole else ("login" if deep else ""),
        "tables": {name: getattr(generation.tables, name) for name in ("active_dag", "silent", "silent_join")},
        "backup": schedule.look_words() if schedule.is_scheduled(inventory, host.name, whole) else None,
        "deep": deep,
        "salt": salt,
        "now": now,
        "since_s": SINCE_S,
    }


def crew_words(inventory: Inventory, *, twice: bool) -> Words:
    """Return what the workers are asked by `crew`."""
    layout = layout_of(inventory)
    queues = {queue for name in inventory.with_role("worker") for queue in inventory.hosts[name].celery.queues}
    return {
        "venv": layout.venv,
        "account": inventory.airflow.account,
        "config": layout.config,
        "nodes": expected_nodes(inventory),
        "queues": sorted(queues),
        "twice": twice,
    }


def _page(inventory: Inventory, host: Host) -> str:
    if "webserver" not in host.roles:
        return ""
    path = generation_of(inventory.airflow.version).health.web_path
    return f"http://127.0.0.1:{inventory.airflow.web_port}{path}"


def _folders(inventory: Inventory, host: Host) -> Sequence[str]:
    layout = layout_of(inventory)
    folders = ["/", "/tmp", layout.account_home, layout.home, layout.logs]  # noqa: S108  # looked at, not written to
    return [*folders, REDIS_DATA] if "redis" in host.roles else folders

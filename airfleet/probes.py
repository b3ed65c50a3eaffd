"""Is it well? Asked of the running services themselves after a change; a unit that is `active` proves nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airfleet.errors import NotHealthy
from airfleet.generations import generation_of
from airfleet.layout import layout_of
from airfleet.rollout import on_each

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airfleet.inventory import Inventory
    from airfleet.model import Words
    from airfleet.remote import Host
    from airfleet.secrets import Secrets

TIMEOUT_S = 120


@dataclass(frozen=True)
class Probe:
    """One question to one host: `name` is the agent's word for it, `unit` whose journal explains a bad answer."""

    host: str
    name: str
    unit: str
    words: Words


def probes_of(
    stage: str, inventory: Inventory, secrets: Secrets, hosts: Sequence[str], login: Words | None
) -> list[Probe]:
    """Return what to ask these hosts after this stage. `login` is the new user whose login is to be tried."""
    make = {
        "redis": _redis,
        "database": _database,
        "scheduler": _scheduler,
        "web": _web,
        "workers": _workers,
        "flower": _flower,
    }
    if stage not in make:
        return []
    found = [make[stage](inventory, secrets, name, login) for name in hosts]
    return [probe for probes in found for probe in probes]


def ask(hosts: Mapping[str, Host], probes: Sequence[Probe], say: Callable[[str], None], *, parallel: int) -> None:
    """Ask all of them and say what was seen, or raise NotHealthy with the journal of the unit that is not well."""

    def work(host: Host) -> None:
        for probe in probes:
            if probe.host != host.name:
                continue
            answer = host.call(probe.name, dict(probe.words))
            if not answer["ok"]:
                journal = host.call("journal", {"unit": probe.unit, "since": 0, "lines": 15})["text"]
                raise NotHealthy(
                    f"{answer['says']}\n    journal of {probe.unit}:\n    " + str(journal).replace("\n", "\n    "),
                    place=host.name,
                    remedy="mend what the journal names, then run again",
                    state="everything is in place; this is not well",
                )
            say(f"{host.name}: {answer['says']}")

    concerned = {probe.host: hosts[probe.host] for probe in probes}
    on_each(concerned, work, parallel=parallel)


def dsn(inventory: Inventory, secrets: Secrets) -> Words:
    """Return how Airflow's own role reaches its database."""
    database = inventory.database
    return {
        "host": database.host,
        "port": database.port,
        "name": database.name,
        "user": database.user,
        "password": secrets.database_password.reveal(),
        "sslmode": database.sslmode,
    }


def redis_address(inventory: Inventory) -> str:
    """Return where the hosts reach Redis."""
    return inventory.redis.bind


def _with_venv(inventory: Inventory, secrets: Secrets) -> Words:
    layout = layout_of(inventory)
    return {
        "dsn": dsn(inventory, secrets),
        "venv": layout.venv,
        "account": inventory.airflow.account,
        "timeout_s": TIMEOUT_S,
    }


def _redis(inventory: Inventory, secrets: Secrets, name: str, login: Words | None) -> list[Probe]:
    if "redis" not in inventory.hosts[name].roles:
        return []
    words: Words = {
        "host": redis_address(inventory),
        "port": inventory.redis.port,
        "password": secrets.redis_password.reveal(),
        "timeout_s": 30,
    }
    return [Probe(name, "probe_redis", "redis-server.service", words)]


def _database(inventory: Inventory, secrets: Secrets, name: str, login: Words | None) -> list[Probe]:
    return [Probe(name, "probe_database", "airflow-scheduler.service", _with_venv(inventory, secrets))]


def _scheduler(inventory: Inventory, secrets: Secrets, name: str, login: Words | None) -> list[Probe]:
    roles = inventory.hosts[name].roles
    found = []
    for role in ("scheduler", "triggerer"):
        if role in roles:
            words = {**_with_venv(inventory, secrets), "job": role}
            found.append(Probe(name, "probe_scheduler", f"airflow-{role}.service", words))
    return found


def _web(inventory: Inventory, secrets: Secrets, name: str, login: Words | None) -> list[Probe]:
    if "webserver" not in inventory.hosts[name].roles:
        return []
    health = generation_of(inventory.airflow.version).health
    words: Words = {
        "base": f"http://127.0.0.1:{inventory.airflow.web_port}",
        "health_path": health.web_path,
        "login_path": health.login_path,
        "timeout_s": TIMEOUT_S,
        **(login or {}),
    }
    return [Probe(name, "probe_web", "airflow-webserver.service", words)]


def _workers(inventory: Inventory, secrets: Secrets, name: str, login: Words | None) -> list[Probe]:
    host = inventory.hosts[name]
    if "worker" not in host.roles:
        return []
    layout = layout_of(inventory)
    words: Words = {
        "venv": layout.venv,
        "account": inventory.airflow.account,
        "config": layout.config,
        "home": layout.home,
        "instances": host.celery.instances,
        "queues": list(host.celery.queues),
        "timeout_s": TIMEOUT_S,
    }
    return [Probe(name, "probe_workers", "airflow-worker@1.service", words)]


def _flower(inventory: Inventory, secrets: Secrets, name: str, login: Words | None) -> list[Probe]:
    if "flower" not in inventory.hosts[name].roles:
        return []
    words: Words = {
        "url": f"http://{inventory.flower.bind}:{inventory.flower.port}/",
        "username": inventory.flower.user,
        "password": secrets.flower_password.reveal(),
        "timeout_s": TIMEOUT_S,
    }
    return [Probe(name, "probe_flower", "airflow-flower.service", words)]

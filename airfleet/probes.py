"""Is it well? Asked of the running services themselves after a change; a unit that is `active` proves nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airfleet import auth_proxy, tls_proxy
from airfleet.airflow_cfg import execution_api_url
from airfleet.errors import NotHealthy
from airfleet.generations import generation_of
from airfleet.layout import layout_of
from airfleet.metadata import dsn
from airfleet.redis_access import USER
from airfleet.redis_conf import redis_address
from airfleet.rollout import on_each
from airfleet.units import PROXY_UNIT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airfleet.failures import Failures
    from airfleet.generations.kinds import Health
    from airfleet.inventory import Inventory
    from airfleet.model import Words
    from airfleet.remote import Host
    from airfleet.secrets import Secrets

TIMEOUT_S = 180  # a web server on two busy cores takes 50 s from its start to its first page
QUICK_S = 30


@dataclass(frozen=True)
class Probe:
    """One question to one host: `name` is the agent's word for it, `unit` whose journal explains a bad answer."""

    host: str
    name: str
    unit: str
    words: Words


@dataclass(frozen=True)
class Known:
    """What the questions are made from; `login` is the new user whose login is to be tried, if there is one."""

    inventory: Inventory
    secrets: Secrets
    login: Words | None = None


def probes_of(stage: str, known: Known, hosts: Sequence[str]) -> list[Probe]:
    """Return what to ask these hosts after this stage."""
    make = MAKERS.get(stage)
    return [probe for name in hosts for probe in make(known, name)] if make else []


def ask(
    hosts: Mapping[str, Host],
    probes: Sequence[Probe],
    say: Callable[[str], None],
    *,
    parallel: int,
    failures: Failures | None = None,
) -> None:
    """Ask all of them and say what was seen, or raise NotHealthy with the journal of the unit that is not well.

    With `failures` a host that is not well may be left out instead.
    """

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
    on_each(concerned, work, parallel=parallel, failures=failures)


def _with_venv(known: Known) -> Words:
    layout, account = layout_of(known.inventory), known.inventory.airflow.account
    return {
        "dsn": dsn(known.inventory, known.secrets),
        "venv": layout.venv,
        "account": account,
        "timeout_s": TIMEOUT_S,
    }


def _redis(known: Known, name: str) -> list[Probe]:
    if "redis" not in known.inventory.hosts[name].roles:
        return []
    words: Words = {
        "host": redis_address(known.inventory),
        "port": known.inventory.redis.port,
        "user": USER,
        "password": known.secrets.redis_password.reveal(),
        "timeout_s": QUICK_S,
    }
    return [Probe(name, "probe_redis", "redis-server.service", words)]


def _auth_proxy(known: Known, name: str) -> list[Probe]:
    inventory = known.inventory
    if not auth_proxy.runs_on(inventory, inventory.hosts[name]):
        return []
    words: Words = {"url": auth_proxy.health(inventory, "readiness"), "timeout_s": QUICK_S}
    return [Probe(name, "probe_auth_proxy", auth_proxy.AUTH_PROXY_UNIT, words)]


def _database(known: Known, name: str) -> list[Probe]:
    if set(known.inventory.hosts[name].roles) == {"redis"}:
        return []  # nothing there asks it
    return [Probe(name, "probe_database", "airflow-scheduler.service", _with_venv(known))]


def _scheduler(known: Known, name: str) -> list[Probe]:
    services = generation_of(known.inventory.airflow.version).services_of(set(known.inventory.hosts[name].roles))
    words = _with_venv(known)
    return [
        Probe(name, "probe_scheduler", each.unit_file, {**words, "service": each.name, "job_type": each.job})
        for each in services
        if each.job
    ]


def _web(known: Known, name: str) -> list[Probe]:
    if "webserver" not in known.inventory.hosts[name].roles:
        return []
    generation = generation_of(known.inventory.airflow.version)
    words: Words = {
        "base": f"http://127.0.0.1:{known.inventory.airflow.web_port}",
        **web_words(generation.health),
        "timeout_s": TIMEOUT_S,
        **(known.login or {}),
    }
    return [Probe(name, "probe_web", generation.web.unit_file, words)]


def _tls(known: Known, name: str) -> list[Probe]:
    if tls_proxy.ROLE not in known.inventory.hosts[name].roles:
        return []
    health, public = generation_of(known.inventory.airflow.version).health, tls_proxy.public(known.inventory)
    words: Words = {"port": public.port, "host": public.name, "origin": public.origin, "path": health.web_path}
    return [Probe(name, "probe_proxy", PROXY_UNIT, {**words, "timeout_s": QUICK_S})]


def web_words(health: Health) -> Words:
    """Return where the pages tell how they are and let somebody in, in the agent's words."""
    return {
        "health_path": health.web_path,
        "login_path": health.login_path,
        "token_path": health.token_path,
        "allowed_path": health.allowed_path,
    }


def _workers(known: Known, name: str) -> list[Probe]:
    host, layout = known.inventory.hosts[name], layout_of(known.inventory)
    if "worker" not in host.roles:
        return []
    words: Words = {
        "venv": layout.venv,
        "account": known.inventory.airflow.account,
        "config": layout.config,
        "home": layout.home,
        "instances": host.celery.instances,
        "queues": list(host.celery.queues),
        "timeout_s": TIMEOUT_S,
    }
    found = [Probe(name, "probe_workers", "airflow-worker@1.service", words)]
    if "execution_api_url" in generation_of(known.inventory.airflow.version).places:
        # What the workers ran was Celery's own task: Airflow's tasks need the API server besides.
        api = {"url": f"{execution_api_url(known.inventory, host)}health", "timeout_s": TIMEOUT_S}
        found.append(Probe(name, "probe_api", "airflow-worker@1.service", api))
    return found


def _flower(known: Known, name: str) -> list[Probe]:
    if "flower" not in known.inventory.hosts[name].roles:
        return []
    flower = known.inventory.flower
    words: Words = {
        "url": f"http://{flower.bind}:{flower.port}/",
        "username": flower.user,
        "password": known.secrets.flower_password.reveal(),
        "timeout_s": TIMEOUT_S,
    }
    return [Probe(name, "probe_flower", "airflow-flower.service", words)]


MAKERS: Mapping[str, Callable[[Known, str], list[Probe]]] = {
    "redis": _redis,
    "cloud-sql": _auth_proxy,
    "database": _database,
    "scheduler": _scheduler,
    "web": _web,
    "tls": _tls,
    "workers": _workers,
    "flower": _flower,
}

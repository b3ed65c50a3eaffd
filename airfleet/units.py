"""The systemd units of a host: their files, and what each running service should have read when it started.

Every unit leaves a stamp in its runtime folder when it starts: a line for each file (its SHA-256) and link (where it
leads) that the process reads. `Unit.reads` says what those lines should be, so that 'stale' is a fact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airfleet import airflow_cfg, layout, log_servers, tls_proxy, unit_overrides
from airfleet.generations import GENERATIONS, PRIVILEGED_PORTS, Service, generation_of
from airfleet.patience import DEFAULTS
from airfleet.redis_access import AT_START, USER, rules
from airfleet.redis_conf import accepted, redis_address, render_redis_conf
from airfleet.resources import Directory, File, Made, Unit, digest
from airfleet.stamps import stamp_words, systemd_word
from airfleet.templates import fill

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airfleet.inventory import Host, Inventory
    from airfleet.model import Words
    from airfleet.secrets import Secrets

REDIS_UNIT, PROXY_UNIT = "redis-server.service", "nginx.service"
BESIDE = {REDIS_UNIT: "redis", PROXY_UNIT: "proxy"}  # those of the distribution, as an operator calls them
STOP_S = 90
PAGES_STOP_S = 30  # a request that does not end holds the pages no longer
AFTER_THE_LONGEST_TASK_S = 300


def directories(inventory: Inventory, host: Host) -> list[Directory]:
    """Return the folders that the services of this host need."""
    where, account = layout.layout_of(inventory), inventory.airflow.account
    found = [Directory(layout.REDIS_DROP_IN.rpartition("/")[0])] if "redis" in host.roles else []
    if generation_of(inventory.airflow.version).services_of(set(host.roles)):
        paths = (where.home, where.modules, where.logs, where.plugins)
        found += [Directory(path, owner=account, group=account, mode="0750") for path in paths]
    return found


def config_files(inventory: Inventory, host: Host, secrets: Secrets) -> list[File]:
    """Return the files that the services of this host read, secrets in them."""
    where, account = layout.layout_of(inventory), inventory.airflow.account

    def own(path: str, text: str, *, secret: bool) -> File:
        return File(path, text, owner=account, group=account, mode="0600", secret=secret)

    found = []
    if "redis" in host.roles:
        text = render_redis_conf(inventory, secrets)
        found.append(File(layout.REDIS_CONF, text, owner="redis", group="redis", mode="0640", secret=True))
    services = generation_of(inventory.airflow.version).services_of(set(host.roles))
    if services:
        settings = airflow_cfg.settings(inventory, host, secrets)
        found.append(own(where.config, airflow_cfg.render_cfg(settings), secret=True))
        found.append(own(where.environment, airflow_cfg.render_environment(inventory), secret=False))
        if inventory.database.authority:
            # No service reads it at its start, but with each new connection: a new one takes effect without a restart.
            found.append(own(where.database_ca, inventory.database.authority, secret=False))
        found.append(own(where.host_module, airflow_cfg.render_host_module(inventory, host), secret=False))
    if any(service.web_config for service in services):
        found.append(own(where.webserver_config, airflow_cfg.render_webserver_config(inventory, secrets), secret=True))
    return found


def unit_files(inventory: Inventory, host: Host) -> list[File]:
    """Return the unit files of this host, and the drop-in for the distribution's Redis."""
    found = []
    if "redis" in host.roles:
        found.append(File(layout.REDIS_DROP_IN, _redis_drop_in(inventory)))
    services = generation_of(inventory.airflow.version).services_of(set(host.roles))
    return found + [File(f"{layout.UNITS}/{each.unit_file}", render_unit(inventory, host, each)) for each in services]


def units(
    inventory: Inventory,
    host: Host,
    secrets: Secrets,
    venv_digest: str,
    commit: str,
    release: tuple[tuple[str, str | None], ...] = (),
) -> list[Unit]:
    """Return the units of this host in the order in which they are started, each with what it should have read.

    `release` is what lets a process that started with another release count as started with this one (see Unit).
    """
    where = layout.layout_of(inventory)
    files = [*config_files(inventory, host, secrets), *unit_files(inventory, host)]
    seen = {file.path: digest(file.text) for file in files}
    seen |= {where.venv: layout.venv_target(venv_digest), where.current: layout.release_target(commit)}
    found = []
    if "redis" in host.roles:
        reads = tuple((path, seen[path]) for path in (layout.REDIS_CONF, layout.REDIS_DROP_IN))
        found.append(Unit(REDIS_UNIT, reads=reads))
    for service in generation_of(inventory.airflow.version).services_of(set(host.roles)):
        reads = tuple((path, seen[path]) for path in read_by(inventory, service))
        stop_s = stop_timeout_s(service, host)
        instances = range(1, host.celery.instances + 1) if service.instances else (0,)
        other = release if service.reads_dags else ()
        found += [Unit(service.unit(each), reads=reads, stop_timeout_s=stop_s, release=other) for each in instances]
    return found


def redis_user(inventory: Inventory, host: Host, secrets: Secrets) -> list[Made]:
    """Return that the services' user is known to a Redis that runs: before anything is told to log in with it."""
    if "redis" not in host.roles:
        return []
    password = secrets.redis_password.reveal()
    place: Words = {"host": redis_address(inventory), "port": inventory.redis.port, "password": password}
    means: Words = {**place, "rules": rules(*accepted(secrets))}
    return [Made("redis_user", USER, {"login": "works"}, ask=place, means=means)]


def no_more_instances(inventory: Inventory, host: Host) -> list[Made]:
    """Return, for each service with instances, that none beyond the inventory's number is enabled or running."""
    services = generation_of(inventory.airflow.version).services_of(set(host.roles))
    return [
        Made(
            "instances",
            f"airflow-{service.name}@",
            {},
            ask={"beyond": host.celery.instances},
            means={"stop_timeout_s": stop_timeout_s(service, host)},
        )
        for service in services
        if service.instances
    ]


def no_leftovers(inventory: Inventory, host: Host, also: Iterable[str] = ()) -> Made:
    """Return that none of `also` is there, and no unit of a service that the host is not to have.

    That is one of a role that it had once, or of another generation of Airflow.
    """
    services = generation_of(inventory.airflow.version).services
    own = {service.unit_file for service in services if service.role in host.roles}
    others = {service.unit_file for each in GENERATIONS for service in each.services} - own
    patience = max((stop_timeout_s(each, host) for each in services if each.role not in host.roles), default=STOP_S)
    return Made(
        "leftovers", layout.UNITS, {}, ask={"files": sorted({*others, *also})}, means={"stop_timeout_s": patience}
    )


def read_by(inventory: Inventory, service: Service) -> tuple[str, ...]:
    """Return the paths of all that a service reads when it starts: files first, then links."""
    where = layout.layout_of(inventory)
    files = [f"{layout.UNITS}/{service.unit_file}", where.config, where.environment, where.host_module]
    if service.web_config:
        files.append(where.webserver_config)
    links = [where.venv, where.current] if service.reads_dags else [where.venv]
    return (*files, *links)


def stop_timeout_s(service: Service, host: Host) -> int:
    """Return how long a stop may take, in seconds: a worker waits for its tasks, however long they may run."""
    if service.drains:
        return host.celery.time_limit_s + AFTER_THE_LONGEST_TASK_S
    return PAGES_STOP_S if service.listens else STOP_S


def render_unit(inventory: Inventory, host: Host, service: Service) -> str:
    """Return the text of the service's unit file."""
    where = layout.layout_of(inventory)
    values = {
        "bin": where.bin,
        "run": "/run/%N",
        "web_port": str(inventory.airflow.web_port),
        "queues": ",".join(host.celery.queues),
        "concurrency": str(host.celery.concurrency),
    }
    quoted = {name: value if name == "run" else systemd_word(value) for name, value in values.items()}
    # Without it, Airflow 3 takes nobody's word that the visitor came by TLS, and its cookies are not Secure.
    quoted["proxied"] = "--proxy-headers" if tls_proxy.public(inventory).scheme == "https" else ""
    return fill(
        "airflow.service.j2",
        title=service.title,
        proxy=inventory.database.proxy is not None,
        account=inventory.airflow.account,
        home=systemd_word(where.home),
        environment=systemd_word(where.environment),
        pyenv=systemd_word(where.pyenv),
        dags=systemd_word(where.dags),
        stamp=stamp_words(read_by(inventory, service), runtime="%N"),
        command=" ".join(filter(None, (word.format_map(quoted) for word in service.command))),
        stop_timeout_s=stop_timeout_s(service, host),
        drains=service.drains,
        supervises=service.supervises,
        leave=_patience(where.config) if service.drains and generation_of(inventory.airflow.version).patience else "",
        readers=" ".join(log_servers.readers(inventory, host)) if service.shows_logs else "",
        privileged_port=service.listens and inventory.airflow.web_port < PRIVILEGED_PORTS,
        overrides=unit_overrides.lines(inventory.units, f"airflow-{service.name}"),
    )


def _redis_drop_in(inventory: Inventory) -> str:
    stamp = stamp_words((layout.REDIS_CONF, layout.REDIS_DROP_IN), runtime="redis-server")
    overrides = unit_overrides.lines(inventory.units, unit_overrides.REDIS)
    return fill("redis-airfleet.conf.j2", stamp=stamp, access=AT_START, overrides=overrides)


def _patience(config: str) -> str:
    """Return the command that leaves, beside the stamp, what a worker reads of its patience with the API server."""
    script = f'umask 077; grep -E "^({"|".join(DEFAULTS)}) = " < "$$1" > /run/%N/patience || :'
    return f"/bin/sh -c '{script}' patience {systemd_word(config)}"

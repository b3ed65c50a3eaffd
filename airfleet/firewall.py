"""What must be reachable from where, computed from the inventory, and what a probe of it means. Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airfleet import log_servers, tls_proxy
from airfleet.airflow_cfg import execution_api_url
from airfleet.auth_proxy import API, INSTANCE_PORT, runs_on
from airfleet.generations import generation_of
from airfleet.metadata import database_host
from airfleet.openssh import place_of_jump
from airfleet.redis_conf import ANY, LOOPBACK, redis_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from airfleet.inventory import Inventory, Role

OPEN, REFUSED, SILENT, UNKNOWN, UNASKED = "open", "refused", "no answer", "unknown name", "not asked"
OPERATOR, USERS = "operator", "users"
SSH_PORT, HTTP_PORT, HTTPS_PORT, GIT_PORT = 22, 80, 443, 9418
PORTS = {"http": HTTP_PORT, "https": HTTPS_PORT, "ssh": SSH_PORT, "git": GIT_PORT}
ON_REDIS = frozenset({"webserver", "scheduler", "worker", "flower"})
SSH = "SSH: every command"
IAP, IAP_TUNNEL = "IAP 35.235.240.0/20", "start-iap-tunnel"
MEANING = {
    OPEN: "open",
    REFUSED: "refused: the way is free, nothing listens",
    SILENT: "no answer: filtered, or the machine is down",
    UNKNOWN: "the name is unknown there",
    UNASKED: "the host itself can't be asked",
}


@dataclass(frozen=True, slots=True)
class Way:
    """A TCP connection that must be possible: `source` and `target` are hosts or what their names say."""

    source: str
    target: str
    address: str
    port: int
    why: str


@dataclass(frozen=True, slots=True)
class Listening:
    """Something that a host lets in at an address where nobody needs it."""

    host: str
    address: str
    port: int
    what: str

    def __str__(self) -> str:
        return f"{self.host}: {self.what} listens on {self.address}:{self.port}"


def ways(inventory: Inventory) -> list[Way]:
    """Return every connection that the installation needs; what a host asks of itself is none."""
    found = [*_people(inventory), *_services(inventory), *_outside(inventory)]
    return [way for way in dict.fromkeys(found) if way.source != way.target]


def probed(inventory: Inventory, host: str) -> list[Way]:
    """Return the ways that can be tried from this host: the address of a Cloud SQL instance is known to its proxy."""
    return [way for way in ways(inventory) if way.source == host and way.target != "Cloud SQL"]


def table(found: Sequence[Way], seen: Mapping[Way, str]) -> Iterator[str]:
    """Yield the lines of a table; ways that differ in their source alone share a line, unless a probe tells them apart.

    `seen` is what was seen of the ways that were probed.
    """
    together: dict[tuple[str, str, str, str], list[str]] = {}
    for way in found:
        result = MEANING[seen[way]] if way in seen else ""
        together.setdefault((way.target, f"{way.address}:{way.port}", way.why, result), []).append(way.source)
    rows = [(", ".join(sources), target, place, why, said) for (target, place, why, said), sources in together.items()]
    rows.insert(0, ("FROM", "TO", "ADDRESS", "WHAT FOR", "PROBE" if seen else ""))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]).rstrip()


def as_json(found: Sequence[Way], seen: Mapping[Way, str], beyond: Sequence[Listening]) -> dict[str, object]:
    """Return the same as plain values; `probe` is null where nobody tried."""
    needed = [
        {
            "from": way.source,
            "to": way.target,
            "address": way.address,
            "port": way.port,
            "protocol": "tcp",
            "what_for": way.why,
            "probe": seen.get(way),
        }
        for way in found
    ]
    listening = [{"host": b.host, "address": b.address, "port": b.port, "what": b.what} for b in beyond]
    return {"needed": needed, "open_beyond_need": listening}


def beyond_need(inventory: Inventory, host: str, listening: Iterable[Sequence[object]]) -> list[Listening]:
    """Return what listens on a host where it need not: Redis or Flower on more addresses than the inventory says.

    A log server listens on all of them, and is named where no filter keeps strangers from it. `listening` is (address,
    port) of each socket there.
    """
    roles = inventory.hosts[host].roles
    ours = []
    if "redis" in roles:
        ours.append((inventory.redis.port, inventory.redis.bind, "Redis"))
    if "flower" in roles:
        ours.append((inventory.flower.port, inventory.flower.bind, "Flower"))
    if log_servers.are_open(inventory):
        own = inventory.hosts[host].address
        ours += [(port, own, "a log server") for role, port, _ in _logs(inventory) if role in roles]
    found = []
    for port, bind, what in ours:
        for address, at in listening:
            if at == port and _is_beyond(str(address), bind):
                found.append(Listening(host, str(address), port, what))
    return found


def _is_beyond(address: str, bind: str) -> bool:
    """Tell whether this is neither loopback nor where it is told to listen; anywhere means the internet too."""
    if address in ANY:
        return True
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return False
    return known.is_global or not (known.is_loopback or address == bind or not _is_ip(bind))


def _people(inventory: Inventory) -> Iterator[Way]:
    before, jumps = OPERATOR, inventory.ssh.jumps
    for jump in jumps:
        _, address, port = place_of_jump(jump)
        yield Way(before, jump, address, port or SSH_PORT, SSH)
        before = jump
    for name, host in inventory.hosts.items():
        through = before
        if host.proxy_command:
            through = IAP if IAP_TUNNEL in host.proxy_command else "proxy command"
        yield Way(through, name, host.address, host.port or SSH_PORT, SSH)
        if "webserver" in host.roles and not inventory.with_role("proxy"):
            yield Way(USERS, name, host.address, inventory.airflow.web_port, "web pages and REST API")
        if "proxy" in host.roles:
            yield Way(USERS, name, host.address, tls_proxy.public(inventory).port, "web pages and REST API (TLS)")
            yield Way(USERS, name, host.address, tls_proxy.HTTP_PORT, "sends browsers to the same by TLS")
        if "flower" in host.roles and inventory.flower.bind not in (LOOPBACK, "localhost", "::1"):
            yield Way(USERS, name, host.address, inventory.flower.port, "Flower")


def _services(inventory: Inventory) -> Iterator[Way]:
    generation = generation_of(inventory.airflow.version)
    redis, database = inventory.with_role("redis")[0], inventory.database
    for name, host in inventory.hosts.items():
        if ON_REDIS & set(host.roles):
            yield Way(name, redis, redis_address(inventory), inventory.redis.port, "broker and results (Redis)")
        if runs_on(inventory, host):
            yield Way(name, "Cloud SQL", "its address", INSTANCE_PORT, "metadata (Auth Proxy)")
            yield Way(name, "Cloud SQL Admin API", API, HTTPS_PORT, "metadata (Auth Proxy)")
        elif set(host.roles) != {"redis"}:
            yield Way(name, "database", database.host, database.port, "metadata (PostgreSQL)")
        if "proxy" in host.roles and "webserver" not in host.roles:
            for other in inventory.with_role("webserver"):
                yield Way(
                    name, other, inventory.hosts[other].address, inventory.airflow.web_port, "the proxy asks them"
                )
        if "webserver" in host.roles:
            yield from _to_logs(inventory, name)
        if any(service.calls_api for service in generation.services_of(set(host.roles))):
            yield from _to_api(inventory, name)


def _to_logs(inventory: Inventory, name: str) -> Iterator[Way]:
    """Yield the ways of the web pages to the logs that are not in the bucket yet."""
    for role, port, why in _logs(inventory):
        for other in inventory.with_role(role):
            yield Way(name, other, inventory.hosts[other].address, port, why)


def _logs(inventory: Inventory) -> tuple[tuple[Role, int, str], ...]:
    """Return the role, the port and the use of each kind of log server."""
    health = generation_of(inventory.airflow.version).health
    return (
        ("worker", health.log_port, "logs of running tasks"),
        ("triggerer", health.trigger_log_port, "logs of the triggerer"),
    )


def _to_api(inventory: Inventory, name: str) -> Iterator[Way]:
    """Yield the way of a host's tasks to the API server, as its airflow.cfg says it."""
    servers = inventory.with_role("webserver")
    place = place_of(execution_api_url(inventory, inventory.hosts[name]))
    if place and name not in servers:
        yield Way(name, servers[0] if len(servers) == 1 else "base URL", *place, "task execution API")


def _outside(inventory: Inventory) -> Iterator[Way]:
    dags, airflow, pyenv = inventory.dags, inventory.airflow, inventory.pyenv
    urls = [(dags.repository, "git server", "DAG repository")]
    if airflow.python != "system":
        urls.append((pyenv.repository, "pyenv", "pyenv itself (when it is installed)"))
        urls += [(pyenv.mirror, "Python sources", "building Python")] if pyenv.mirror else []
    if airflow.constraints_are_remote:
        urls.append((airflow.constraints, "constraints", "when packages are installed"))
    if inventory.logging.bucket:
        urls.append((inventory.logging.emulator or "https://storage.googleapis.com/", "Cloud Storage", "task logs"))
    elif inventory.backup.place:
        yield Way(database_host(inventory), "Cloud Storage", "storage.googleapis.com", HTTPS_PORT, "backups")
    for url, target, why in urls:
        if place := place_of(url):
            for name in inventory.hosts:
                yield Way(name, target, *place, why)


def place_of(url: str) -> tuple[str, int] | None:
    """Return the address and port that a URL, or git's `user@host:path`, leads to; None for a file."""
    if found := re.match(r"(\w+)://(?:[^@/]*@)?(\[[^\]]+\]|[^:/]*)(?::(\d+))?", url):
        scheme, address, port = found.groups()
        return (address.strip("[]"), int(port or PORTS[scheme])) if scheme in PORTS else None
    found = re.match(r"(?:[^@/]*@)?([^:/]+):", url)
    return (found[1], SSH_PORT) if found else None


def _is_ip(text: str) -> bool:
    return re.fullmatch(r"[0-9.]+|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*", text) is not None

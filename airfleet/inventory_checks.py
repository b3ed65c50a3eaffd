"""What no single value of an inventory can show: hosts, roles, ports, versions that do not fit together. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from airfleet import tls_proxy, unit_overrides
from airfleet.generations import GENERATIONS
from airfleet.openssh import place_of_jump, proxy_words, wrong_tokens
from airfleet.places import nearest
from airfleet.secret_forms import NAMES
from airfleet.versions import PYTHONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airfleet.inventory import Inventory, Role
    from airfleet.places import Path
    from airfleet.sections import Airflow, Celery
    from airfleet.sections_database import Database, Proxy
    from airfleet.sections_secrets import SecretSource

Problem = tuple["Path", str]

SUPPORTED_VERSIONS: Final = tuple(version for generation in GENERATIONS for version in generation.versions)
SUPPORTED_PYTHONS: Final = PYTHONS
NEEDED_ROLES: Final[tuple[Role, ...]] = ("redis", "webserver", "scheduler", "worker")
_USES_REDIS: Final = {"webserver", "scheduler", "worker", "flower"}

LAST_PORT, FIRST_FREE_PORT = 65535, 1024
_WITHOUT_TLS: Final = ("disable", "allow", "prefer")
_NEEDED_EXTRAS: Final = ("celery", "redis", "postgres")


def cross_checks(inventory: Inventory) -> Iterator[Problem]:
    """Yield each contradiction with the path that it is best corrected at; the inventory is a resolved one."""
    yield from _ssh(inventory)
    yield from _airflow(inventory.airflow)
    if inventory.logging.bucket and "google" not in inventory.airflow.extras:
        yield ("airflow", "extras"), "`google` is missing: logging.bucket needs it"
    if inventory.backup.place and "google" not in inventory.airflow.extras:
        yield ("airflow", "extras"), "`google` is missing: backup.place needs it"
    yield from _database(inventory.database)
    yield from _redis(inventory)
    yield from _celery(("celery",), inventory.celery)
    yield from _roles(inventory)
    yield from _hosts(inventory)
    yield from _notify(inventory)
    yield from _secrets(inventory.secrets)
    yield from tls_proxy.problems(inventory)
    yield from unit_overrides.problems(inventory.units)
    for path, address in _addresses(inventory):
        if not _is_address(address):
            yield path, f"'{address}' is not an IP address"
    if ".." in inventory.backup.folder.split("/"):
        yield ("backup", "folder"), "`..` is not for a path that is written down"
    for path, revision in ((("dags", "branch"), inventory.dags.branch), (("pyenv", "tag"), inventory.pyenv.tag)):
        if not _is_revision(revision):
            yield path, f"'{revision}' can't be the name of a branch or tag"
    if ".." in inventory.dags.folder.split("/"):
        yield ("dags", "folder"), "`..` leads out of the repository"


def _ssh(inventory: Inventory) -> Iterator[Problem]:
    ssh = inventory.ssh
    for jump in ssh.jumps:
        if not 1 <= (place_of_jump(jump)[2] or 1) <= LAST_PORT:
            yield ("ssh", "proxy_jump"), f"'{jump}' has a port that does not exist"
    said: list[tuple[Path, str | None]] = [(("ssh", "proxy_command"), ssh.proxy_command)]
    said += [
        (("hosts", name, "proxy_command"), host.proxy_command)
        for name, host in inventory.hosts.items()
        if host.proxy_command != ssh.proxy_command
    ]
    for path, command in said:
        if command is None:
            continue
        if ssh.jumps:
            yield path, "ssh.proxy_jump is there too: which way? Leave one of them out"
        try:
            proxy_words(command, {})
        except ValueError as e:
            yield path, f"can't be read: {e}"
        for token in wrong_tokens(command):
            yield path, f"'{token}' means nothing here: %h, %p, %r and %n do, and %% is a percent sign"


def _airflow(airflow: Airflow) -> Iterator[Problem]:
    if airflow.version not in SUPPORTED_VERSIONS:
        hint = nearest(airflow.version, SUPPORTED_VERSIONS)
        known = ", ".join(SUPPORTED_VERSIONS)
        yield ("airflow", "version"), f"'{airflow.version}' is not a version that airfleet installs ({known}){hint}"
    elif airflow.python_minor:
        pythons = SUPPORTED_PYTHONS[airflow.version]
        newer = [int(part) for part in airflow.python_minor.split(".")] > [int(part) for part in pythons[-1].split(".")]
        if airflow.python_minor not in pythons:
            reason = f" ({_slips_through(airflow.version, pythons[-1])})" if newer else ""
            yield (
                ("airflow", "python"),
                f"Airflow {airflow.version} runs on {pythons[0]} to {pythons[-1]}, not on {airflow.python}{reason}",
            )
    if airflow.account == "root":
        yield ("airflow", "account"), "root must not run Airflow"
    for path in ("home", "uv_cache"):
        if ".." in str(getattr(airflow, path)).split("/"):
            yield ("airflow", path), "`..` is not for a path that is written down"
    missing = [extra for extra in _NEEDED_EXTRAS if extra not in airflow.extras]
    if missing:
        yield ("airflow", "extras"), f"{', '.join(missing)} missing: workers, broker and database need them"
    yield from _twice(("airflow", "extras"), airflow.extras)


def _slips_through(version: str, newest: str) -> str:
    """Return why the first Python that is too new has to be refused here: pip would take it."""
    major, minor = newest.split(".")
    after = f"{major}.{int(minor) + 1}"
    return (
        f"Airflow {version} excludes {after} only as the exact version {after},"
        f" so that {after}.1 slips through, installs and breaks"
    )


def _database(database: Database) -> Iterator[Problem]:
    if database.proxy:
        yield from _proxy(database, database.proxy)
        return
    if database.sslmode.startswith("verify-") and not database.ca:
        yield (
            ("database", "sslmode"),
            f"{database.sslmode} needs `ca`, the file with the certificate of the server's authority",
        )
    if database.ca and database.sslmode in _WITHOUT_TLS:
        yield ("database", "ca"), f"sslmode {database.sslmode} does not look at it: write sslmode: verify-ca"


def _proxy(database: Database, proxy: Proxy) -> Iterator[Problem]:
    if database.host != "127.0.0.1":
        yield ("database", "host"), "with database.proxy the services go to the proxy on their own host: 127.0.0.1"
    if database.port < FIRST_FREE_PORT:
        yield ("database", "port"), f"the proxy can't listen below {FIRST_FREE_PORT}: it is nobody's and may nothing"
    if database.port == proxy.health_port:
        yield ("database", "proxy", "health_port"), f"{proxy.health_port} is database.port already"
    if database.sslmode not in _WITHOUT_TLS:
        yield (
            ("database", "sslmode"),
            f"{database.sslmode} has no place here: the proxy encrypts, and its clients speak plainly; leave it out",
        )
    if database.ca:
        yield ("database", "ca"), "has no place here: the proxy knows the server by itself; leave it out"
    if bool(proxy.url) == bool(proxy.path):
        yield ("database", "proxy"), "needs `url` or `path`" + (", not both" if proxy.url else "")
    if ".." in (proxy.path or "").split("/"):
        yield ("database", "proxy", "path"), "`..` is not for a path that is written down"


def _redis(inventory: Inventory) -> Iterator[Problem]:
    redis = inventory.redis
    taken: dict[int, str] = {}
    for key in ("broker_db", "rate_limit_db", "result_db"):
        number = getattr(redis, key)
        if number in taken:
            yield ("redis", key), f"{number} is redis.{taken[number]} already: each needs a database of its own"
        taken.setdefault(number, key)
    on_redis = set(inventory.with_role("redis"))
    if not on_redis or not _is_loopback(redis.bind):
        return
    for name, host in inventory.hosts.items():
        users = [role for role in host.roles if role in _USES_REDIS]
        if name not in on_redis and users:
            yield (
                ("redis", "bind"),
                (
                    f"Redis listens on {redis.bind} alone, but hosts.{name} ({', '.join(users)}) must reach it:"
                    " leave it out, or name the address of the redis host"
                ),
            )


def _celery(path: Path, celery: Celery) -> Iterator[Problem]:
    if celery.time_limit_s < celery.soft_time_limit_s:
        yield (
            (*path, "time_limit_s"),
            (
                f"{celery.time_limit_s} is less than soft_time_limit_s ({celery.soft_time_limit_s}):"
                " tasks would be killed before they are told to stop"
            ),
        )
    yield from _twice((*path, "queues"), celery.queues)


def _roles(inventory: Inventory) -> Iterator[Problem]:
    for role in NEEDED_ROLES:
        if not inventory.with_role(role):
            yield ("hosts",), f"no host has the role {role}"
    for name in inventory.with_role("redis")[1:]:
        first = inventory.with_role("redis")[0]
        yield ("hosts", name, "roles"), f"a second redis: hosts.{first} is the broker already"


def _hosts(inventory: Inventory) -> Iterator[Problem]:
    addresses: dict[tuple[str, int], str] = {}
    for name, host in inventory.hosts.items():
        place = (host.address.lower(), host.port or 22)
        if place in addresses:
            yield ("hosts", name, "address"), f"{host.address} is the address of hosts.{addresses[place]} already"
        addresses.setdefault(place, name)
        yield from _twice(("hosts", name, "roles"), host.roles)
        yield from _celery_of_host(inventory, name)
        ports: dict[int, str] = {}
        for role, key, port in (
            ("webserver", "airflow.web_port", inventory.airflow.web_port),
            ("redis", "redis.port", inventory.redis.port),
            ("flower", "flower.port", inventory.flower.port),
        ):
            if role in host.roles and port in ports:
                yield ("hosts", name, "roles"), f"{ports[port]} and {key} are both {port}, and both run here"
            elif role in host.roles:
                ports[port] = key
        yield from _ports_of_proxy(inventory, name, ports)


def _ports_of_proxy(inventory: Inventory, name: str, ports: Mapping[int, str]) -> Iterator[Problem]:
    proxy = inventory.database.proxy
    if proxy is None or set(inventory.hosts[name].roles) == {"redis"}:
        return
    for path, port in (("database.port", inventory.database.port), ("database.proxy.health_port", proxy.health_port)):
        if port in ports:
            yield ("hosts", name, "roles"), f"{ports[port]} and {path} are both {port}, and both are used here"


def _celery_of_host(inventory: Inventory, name: str) -> Iterator[Problem]:
    own = inventory.hosts[name].celery
    if own != inventory.celery:
        yield from _celery(("hosts", name, "celery"), own)


def _notify(inventory: Inventory) -> Iterator[Problem]:
    for at, entry in enumerate(inventory.notify):
        if bool(entry.command) == bool(entry.webhook):
            yield ("notify", at), "needs `command` or `webhook`" + (", not both" if entry.command else "")
        yield from _twice(("notify", at, "on"), entry.on)


def _secrets(source: SecretSource) -> Iterator[Problem]:
    if source.provider == "gcp" and not source.project:
        yield ("secrets",), "provider gcp needs `project`"
    for name in source.versions:
        if name not in NAMES:
            yield ("secrets", "versions", name), f"unknown secret{nearest(name, NAMES)}"


def _addresses(inventory: Inventory) -> Iterator[tuple[Path, str]]:
    yield ("database", "host"), inventory.database.host
    yield ("redis", "bind"), inventory.redis.bind
    yield ("flower", "bind"), inventory.flower.bind
    for name, host in inventory.hosts.items():
        yield ("hosts", name, "address"), host.address


def _twice(path: Path, words: Iterable[str]) -> Iterator[Problem]:
    seen: set[str] = set()
    for at, word in enumerate(words):
        if word in seen:
            yield (*path, at), f"'{word}' stands in this list twice"
        seen.add(word)


def _is_address(address: str) -> bool:
    """Whether it is a host name, or an IP address that exists: no name consists of numbers and dots alone."""
    if ":" not in address and not address.replace(".", "").isdigit():
        return True
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address in {"localhost", "::1"}


def _is_revision(name: str) -> bool:
    """Whether git allows the name (git-check-ref-format); its characters were checked before."""
    return not ("//" in name or ".." in name or "@{" in name or name.endswith(("/", ".", ".lock")) or "/." in name)

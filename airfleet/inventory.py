"""The inventory of one installation: `inventory.yaml`, read once, checked whole, then trusted.

Its sections are in `sections`, what no single value can show in `inventory_checks`, the words of the errors in
`inventory_errors`. Every error is told at once, with its line; nothing is contacted here.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr

from airfleet import patterns, places
from airfleet.errors import UsageError
from airfleet.inventory_checks import SUPPORTED_PYTHONS, SUPPORTED_VERSIONS, cross_checks
from airfleet.inventory_errors import reading
from airfleet.inventory_file import path_of
from airfleet.inventory_paths import with_paths
from airfleet.sections import (
    Address,
    Admin,
    Airflow,
    Celery,
    Dags,
    Directives,
    Flower,
    Line,
    Logging,
    Login,
    Port,
    Pyenv,
    Redis,
    Section,
)
from airfleet.sections_backup import Backup
from airfleet.sections_database import Database
from airfleet.sections_notify import Notify
from airfleet.sections_secrets import SecretSource
from airfleet.sections_ssh import Ssh
from airfleet.sections_tls import Tls

__all__ = [
    "SUPPORTED_PYTHONS",
    "SUPPORTED_VERSIONS",
    "Admin",
    "Airflow",
    "Backup",
    "Celery",
    "Dags",
    "Database",
    "Flower",
    "Host",
    "HostName",
    "Inventory",
    "Logging",
    "Notify",
    "Pyenv",
    "Redis",
    "Role",
    "SecretSource",
    "Ssh",
    "Tls",
    "example_hosts",
    "examples",
    "is_example",
    "load",
    "parse",
    "path_of",
    "refuse_examples",
    "summary",
    "text_of",
]

Role = Literal["redis", "proxy", "webserver", "scheduler", "triggerer", "worker", "flower"]
HostName = Annotated[str, Field(pattern=patterns.HOST)]

_EXAMPLE = re.compile(  # RFC 5737, 3849, 2606
    r"(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+|2001:db8:.*|(.+\.)?example\.(com|net|org)|(.+\.)?(example|test|invalid)",
    re.IGNORECASE,
)


class Host(Section):
    """One machine. What it does not say is as in the sections above."""

    address: Address = Field(
        description="name or IP address; with several hosts: the one that they reach each other by"
    )
    roles: tuple[Role, ...] = Field(min_length=1, description="what runs there")
    user: Login | None = Field(default=None, description="overrides `ssh.user`")
    port: Port | None = Field(default=None, description="overrides `ssh.port`")
    proxy_command: Line | None = Field(default=None, description="overrides `ssh.proxy_command`")
    celery: Celery = Field(default_factory=Celery, description="overrides keys of `celery` for this host")
    _name: str = PrivateAttr("")

    @property
    def name(self) -> str:
        """The key of the host in the inventory."""
        return self._name

    def resolved(self, name: str, ssh: Ssh, celery: Celery) -> Self:
        """Return the host with all that it did not say for itself."""
        said = {key: getattr(self.celery, key) for key in self.celery.model_fields_set}
        host = self.model_copy(
            update={
                "user": self.user or ssh.user,
                "port": self.port or ssh.port,
                "proxy_command": self.proxy_command or ssh.proxy_command,
                "celery": celery.model_copy(update=said),
            }
        )
        host._name = name  # noqa: SLF001  # a copy of itself
        return host


class Inventory(Section):
    """The whole installation."""

    environment: Annotated[str, Field(pattern=patterns.WORD)] = Field(
        default="production", description="shown in every plan and message"
    )
    sandbox: bool = Field(default=False, description="these hosts are throwaway machines: drills may break them")
    ssh: Ssh = Field(default_factory=Ssh)
    airflow: Airflow = Field(default_factory=Airflow)
    pyenv: Pyenv = Field(default_factory=Pyenv)
    database: Database
    redis: Redis = Field(default_factory=Redis)
    celery: Celery = Field(default_factory=Celery)
    flower: Flower = Field(default_factory=Flower)
    logging: Logging = Field(default_factory=Logging)
    dags: Dags
    backup: Backup = Field(default_factory=Backup)
    tls: Tls = Field(default_factory=Tls)
    admin: Admin = Field(default_factory=Admin)
    secrets: SecretSource = Field(default_factory=SecretSource)
    units: dict[Annotated[str, Field(pattern=patterns.WORD)], Directives] = Field(
        default={}, description="by service, systemd's directives for tasks that need more: docs/hardening.md"
    )
    notify: tuple[Notify, ...] = Field(default=(), description="whom to tell what became of a run")
    hosts: dict[HostName, Host] = Field(min_length=1, description="each machine, by the name that it has in messages")

    def with_role(self, role: Role) -> tuple[str, ...]:
        """Return the names of the hosts that have a role, in the order of the inventory."""
        return tuple(name for name, host in self.hosts.items() if role in host.roles)

    @property
    def redis_host(self) -> Host:
        """The host with the role `redis`."""
        return self.hosts[self.with_role("redis")[0]]

    @property
    def redis_address(self) -> str:
        """Where all hosts reach Redis."""
        everywhere = self.redis.bind in {"0.0.0.0", "::"}  # noqa: S104  # compared, not bound
        return self.redis_host.address if everywhere else self.redis.bind

    def resolved(self) -> Self:
        """Return the inventory with each default that hangs on other values filled in."""
        hosts = {name: host.resolved(name, self.ssh, self.celery) for name, host in self.hosts.items()}
        reach = [host.address for host in hosts.values() if "redis" in host.roles] if len(hosts) > 1 else []
        return self.model_copy(
            update={
                "airflow": self.airflow.resolved(),
                "redis": self.redis.model_copy(update={"bind": self.redis.bind or (*reach, "127.0.0.1")[0]}),
                "hosts": hosts,
            }
        )


def load(path: Path) -> Inventory:
    """Return the inventory in this file; a UsageError tells everything that is wrong with it."""
    return parse(text_of(path), path)


def text_of(path: Path) -> str:
    """Return what stands in the file."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = bytes(e.object[: e.start]).count(b"\n") + 1
        raise places.BadFile([places.Complaint(path.name, line, (), "not UTF-8 text")]) from e
    except OSError as e:
        raise UsageError(f"can't be read: {e.strerror}", place=path.name, state="nothing was contacted") from e


def parse(text: str, path: Path) -> Inventory:
    """Return the inventory that a text says; `path` is where it stands, for messages and relative paths."""
    document = places.read(text, path.name)
    if document.complaints and document.value is None:
        raise places.BadFile(document.complaints)
    if not isinstance(document.value, dict):
        document.complain((), "is empty" if document.value is None else "needs keys with values")
        raise places.BadFile(document.complaints)
    written, bad = reading(document, Inventory)
    inventory = with_paths(written.resolved(), path.parent, document)
    _cross_check(inventory, document, bad)
    if document.complaints:
        raise places.BadFile(document.complaints)
    return inventory


def example_hosts(inventory: Inventory) -> tuple[str, ...]:
    """Return the names of the hosts whose address is only an example (RFC 5737, 3849, 2606)."""
    return tuple(name for name, host in inventory.hosts.items() if is_example(host.address))


def examples(inventory: Inventory) -> dict[str, str]:
    """Return each place that a command would go to and that still is an example, with its address."""
    places_to_go = {f"hosts.{name}.address": inventory.hosts[name].address for name in example_hosts(inventory)}
    if is_example(inventory.database.host):
        places_to_go["database.host"] = inventory.database.host
    repository = re.search(r"(?:://|^)(?:[^@/]*@)?([^:/]+)", inventory.dags.repository)
    if repository and is_example(repository[1]):
        places_to_go["dags.repository"] = inventory.dags.repository
    return places_to_go


def refuse_examples(inventory: Inventory, file: str = "inventory.yaml") -> None:
    """Raise a UsageError when the inventory still names example addresses where a command would go."""
    if found := examples(inventory):
        raise UsageError(
            f"these are example addresses: {', '.join(f'{place} ({address})' for place, address in found.items())}",
            place=file,
            remedy=f"edit {file}, or try `make demo`",
            state="nothing was contacted",
        )


def summary(inventory: Inventory) -> dict[str, Any]:
    """Return what an operator wants to see of an inventory at a glance, as plain values."""
    hosts = {
        name: {"address": host.address, "roles": list(host.roles), "instances": host.celery.instances}
        for name, host in inventory.hosts.items()
    }
    return {
        "environment": inventory.environment,
        "sandbox": inventory.sandbox,
        "airflow": inventory.airflow.version,
        "python": inventory.airflow.python,
        "hosts": hosts,
        "examples": list(examples(inventory)),
    }


def is_example(address: str) -> bool:
    """Whether the address is only an example (RFC 5737, 3849, 2606)."""
    return _EXAMPLE.fullmatch(address.rstrip(".")) is not None


def _cross_check(inventory: Inventory, document: places.Document, bad: set[places.Path]) -> None:
    """Complain about contradictions, except those that only a value which is wrong already brings about."""
    for path, problem in cross_checks(inventory):
        if not any(path[: len(each)] == each[: len(path)] for each in bad):
            document.complain(path, problem)

"""What each host should be: from the inventory, the secrets, the constraints and the release to resources. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airfleet import auth_proxy, schedule, tls_proxy, units, versions, way_back_files
from airfleet.airflow_cfg import environment
from airfleet.generations import filled, generation_of
from airfleet.layout import layout_of, release_target, venv_target
from airfleet.metadata import database_host, dsn
from airfleet.model import Resource, Stage, Words
from airfleet.resources import Account, Directory, File, Link, Made, Packages

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airfleet.inventory import Host, Inventory
    from airfleet.model import Facts
    from airfleet.secrets import Secrets

UV_VERSION = "0.13.9"
NEEDED_MB = 4096
NO_END = "9999"
SYSTEM_PYTHON = "/usr/bin/python3"
UNKNOWN_COMMIT = "the newest of its branch"
BASE_PACKAGES = ("ca-certificates", "curl", "git", "openssh-client", "openssl", "python3-venv")
BACKUP_PACKAGE = "postgresql-client"  # nobody wants to find it missing on the day of the restore
BUILD_PACKAGES = (
    *("build-essential", "libbz2-dev", "libffi-dev", "liblzma-dev", "libncurses-dev", "libreadline-dev"),
    *("libsqlite3-dev", "libssl-dev", "xz-utils", "zlib1g-dev"),
)


@dataclass(frozen=True)
class Target:
    """All that decides what the hosts should be; `release` None means that no host has one yet.

    `requirements` is the text of the repository's own requirements file in that release, `late` says that it became
    known only when the first environment was there already. With `every_release` a process that started with another
    release is stale even where it has read nothing else of it.
    """

    inventory: Inventory
    secrets: Secrets
    constraints: Words
    release: str | None = None
    requirements: str = ""
    late: bool = False
    every_release: bool = False

    @property
    def venv_digest(self) -> str:
        """The name of the virtual environment: a digest of all that decides its contents."""
        airflow = self.inventory.airflow
        contents: list[object] = [airflow.version, airflow.python, airflow.extras, airflow.requirements]
        contents += [self.constraints, *([self.requirements] if self.requirements else [])]
        return hashlib.sha256(json.dumps(contents).encode()).hexdigest()[:12]


def learned(target: Target, facts: Iterable[Facts]) -> Target:
    """Return the target with the release that most hosts have: bootstrap brings hosts to it, only deploy changes it."""
    layout = layout_of(target.inventory)
    texts: dict[str, str] = {}
    commits = []
    for fact in facts:
        if state := fact["link", layout.current].state:
            commits.append(str(state["target"]).rpartition("/")[2])
            texts[commits[-1]] = str(fact["release", layout.releases].detail.get("requirements") or "")
    if not commits:
        return target
    release = max(commits, key=commits.count)
    return replace(target, release=release, requirements=texts[release])


def stages_of(target: Target, host: Host) -> tuple[Stage, ...]:
    """Return what a host should be, in the order in which it is brought about."""
    running = units.units(
        target.inventory,
        host,
        target.secrets,
        venv_digest=target.venv_digest,
        commit=target.release or UNKNOWN_COMMIT,
        release=_as_good(target),
    )

    services = generation_of(target.inventory.airflow.version).services
    begins = {
        name: tuple(each.unit_file.partition(".service")[0] for each in services if each.stage == name)
        for name in ("scheduler", "web", "workers", "flower")
    }

    def of(stage: str, also: Sequence[Resource] = ()) -> Stage:
        return Stage(stage, (*(unit for unit in running if unit.name.startswith(begins[stage])), *also))

    return (
        Stage("system", tuple(_system(target, host))),
        Stage("python", tuple(_python(target))),
        Stage("config", tuple(_config(target, host))),
        Stage("code", tuple(_code(target))),
        Stage("release", tuple(_release(target))),
        Stage("requirements", (_python(target)[-1], _venv_link(target)) if target.late and target.requirements else ()),
        Stage("redis", tuple(unit for unit in running if unit.name == units.REDIS_UNIT)),
        Stage("cloud-sql", tuple(auth_proxy.resources(target.inventory, host))),
        Stage("database", tuple(_database(target, host))),
        of("scheduler"),
        of("web"),
        Stage("tls", tuple(tls_proxy.unit(target.inventory, host, target.secrets))),
        of("workers", also=units.no_more_instances(target.inventory, host)),
        of("flower"),
        Stage("backup", (schedule.timer(),) if _is_scheduled(target, host) else ()),
        Stage(way_back_files.STAGE, (way_back_files.confirmed(),)),
    )


def _system(target: Target, host: Host) -> Sequence[Resource]:
    airflow, layout = target.inventory.airflow, layout_of(target.inventory)
    names: tuple[str, ...] = BASE_PACKAGES
    if airflow.python != "system":
        names += BUILD_PACKAGES
    if "redis" in host.roles:
        names += ("redis-server",)
    if "proxy" in host.roles:
        names += ("nginx",)
    if host.name == database_host(target.inventory):
        names += (BACKUP_PACKAGE,)
    room: Words = {"free_mb": NEEDED_MB, "unless": f"{layout.versions}/{venv_target(target.venv_digest)}"}
    return [
        Made("disk", layout.account_home, {"room": "enough"}, ask=room, means=room),
        Packages(tuple(sorted(names))),
        Account(airflow.account, layout.account_home),
        Directory(layout.account_home, airflow.account, airflow.account, "0750"),
    ]


def _python(target: Target) -> Sequence[Resource]:
    inventory, layout = target.inventory, layout_of(target.inventory)
    airflow, pyenv = inventory.airflow, inventory.pyenv
    account = airflow.account
    found: list[Resource] = []
    if airflow.python == "system":
        python = SYSTEM_PYTHON
        minors: Words = {"minors": list(versions.PYTHONS[airflow.version])}
        found.append(Made("system_python", python, {"supported": "yes"}, ask=minors, means=minors))
        found += [Directory(path, account, account) for path in (layout.pyenv, layout.versions)]
    else:
        python = f"{layout.versions}/{airflow.python}"
        source: Words = {"account": account}
        built: Words = {
            "account": account,
            "root": layout.pyenv,
            "mirror": pyenv.mirror,
            "cache": pyenv.cache,
            "tag": pyenv.tag,
        }
        found.append(
            Made("pyenv", layout.pyenv, {"tag": pyenv.tag, "repository": pyenv.repository}, ask=source, means=source)
        )
        found.append(Made("python", python, {"version": airflow.python, "imports": "ok"}, ask=built, means=built))
        python += "/bin/python"
    uv = f"/opt/airfleet/uv-{UV_VERSION}"
    found.append(Directory("/opt/airfleet"))
    found.append(Made("uv", uv, {"version": UV_VERSION}))
    means: Words = {
        "account": account,
        "python": python,
        "uv": f"{uv}/bin/uv",
        "requirements": [*airflow.packages, *target.requirements.splitlines()],
        "constraints": target.constraints,
        "digests": versions.all_have_digests(target.constraints),
        "cache": airflow.uv_cache,
        "refuse": [
            [broken["package"], broken["at_least"], broken["below"] or NO_END, broken["reason"]]
            for broken in versions.refused_ranges(airflow.version)
        ],
    }
    state = {"digest": target.venv_digest, "packages": "as installed"}
    found.append(
        Made(
            "venv",
            f"{layout.versions}/{venv_target(target.venv_digest)}",
            dict(state),
            ask={"account": account},
            means=means,
        )
    )
    return found


def _config(target: Target, host: Host) -> Sequence[Resource]:
    inventory, secrets = target.inventory, target.secrets
    scheduled = _is_scheduled(target, host)
    return [
        *units.redis_user(inventory, host, secrets),
        *units.directories(inventory, host),
        *units.config_files(inventory, host, secrets),
        units.no_leftovers(
            inventory,
            host,
            (
                *(() if scheduled else schedule.UNITS),
                *auth_proxy.leftovers(inventory, host),
                *tls_proxy.leftovers(inventory, host),
            ),
        ),
        *units.unit_files(inventory, host),
        *tls_proxy.directories(host),
        *tls_proxy.files(inventory, host, secrets),
        *(schedule.files(inventory, dsn(inventory, secrets)) if scheduled else ()),
        _venv_link(target),
    ]


def _is_scheduled(target: Target, host: Host) -> bool:
    return schedule.is_scheduled(target.inventory, host.name, database_host(target.inventory))


def _venv_link(target: Target) -> Link:
    inventory = target.inventory
    return Link(layout_of(inventory).venv, venv_target(target.venv_digest), owner=inventory.airflow.account)


def _code(target: Target) -> Sequence[Resource]:
    layout, dags, account = layout_of(target.inventory), target.inventory.dags, target.inventory.airflow.account
    git = git_words(target)
    found: list[Resource] = [
        Directory(layout.dags, account, account, "0750"),
        Directory(layout.releases, account, account, "0750"),
        Directory(layout.ssh, account, account, "0700"),
        File(layout.git_known_hosts, f"{(dags.known_hosts or '').strip()}\n", account, account, "0600"),
    ]
    if dags.needs_key:
        key = target.secrets.deploy_key.reveal()
        found.append(File(layout.deploy_key, key, account, account, "0600", secret=True))
    found.append(Made("mirror", layout.mirror, {"url": dags.repository}, ask=git, means=git))
    return found


def _release(target: Target) -> Sequence[Resource]:
    layout = layout_of(target.inventory)
    commit = target.release or UNKNOWN_COMMIT
    words: Words = {**git_words(target), "commit": target.release, "requirements": target.inventory.dags.requirements}
    return [
        Made("release", layout.releases, {"commit": commit}, ask=words, means=words),
        Link(layout.current, release_target(commit), owner=target.inventory.airflow.account),
    ]


def _as_good(target: Target) -> tuple[tuple[str, str | None], ...]:
    if target.every_release:
        return ()
    plugins = target.inventory.dags.plugins or ""
    return (("path", layout_of(target.inventory).current), ("commit", target.release), ("plugins", plugins))


def git_words(target: Target) -> Words:
    """Return how a host reaches the git server, in the agent's words."""
    layout = layout_of(target.inventory)
    return {
        "account": target.inventory.airflow.account,
        "mirror": layout.mirror,
        "ssh": {
            "key": layout.deploy_key if target.inventory.dags.needs_key else None,
            "known_hosts": layout.git_known_hosts,
        },
    }


def _database(target: Target, host: Host) -> Sequence[Resource]:
    inventory = target.inventory
    if host.name != database_host(inventory):
        return []
    words: Words = {
        "dsn": dsn(inventory, target.secrets),
        "venv": layout_of(inventory).venv,
        "account": inventory.airflow.account,
        "env": dict(environment(inventory)),
    }
    if inventory.database.proxy:
        words["through"] = auth_proxy.AUTH_PROXY_UNIT
    admin = inventory.admin
    create = generation_of(inventory.airflow.version).commands.create_user
    person: Words = {"create": filled(create, role="Admin", **admin.model_dump())}
    return [
        Made("schema", "metadata", {"revision": "head", "tables": "there"}, ask=words, means=words),
        Made("admin", admin.username, {"role": "Admin"}, ask=words, means={**words, **person}),
    ]

"""The inventory and the secrets of the sandbox, written for the commands that then treat it like any installation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airfleet.generations import generation_of
from sandbox import sources, svc
from sandbox.personal import CACHES
from sandbox.site import SVC, fixed_number, write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.site import Machine, Site
    from sandbox.sources import PyenvSource

AIRFLOW = "3.3.2"
ALL_ROLES = ["redis", "webserver", "scheduler", "triggerer", "worker", "flower"]
HEAD = "# Written by `fab sandbox.up`, removed by `fab sandbox.down`; the keys are explained in inventory.yaml.\n"


def make_inventory(site: Site, machines: dict[str, Machine], pyenv: PyenvSource | None, version: str) -> dict[str, Any]:
    """The inventory as plain values: af1 with every role, the other hosts as workers, svc in Google's place."""
    service = machines[SVC]
    hosts = sorted((m for name, m in machines.items() if fixed_number(name) and name != SVC), key=_number)
    airflow: dict[str, Any] = {
        "version": version,
        "python": sources.PYTHON if pyenv else "system",
        "constraints": sources.constraints(),
        "uv_cache": CACHES["uv"],
        "base_url": f"http://{hosts[0].address}",
        "web_port": 80,
    }
    value: dict[str, Any] = {
        "sandbox": True,
        "environment": "sandbox",
        "ssh": {
            "user": "ops",
            "identity": _beside(site, site.identity),
            "known_hosts": _beside(site, site.known_hosts),
            "config": "/dev/null",
        },
        "airflow": airflow,
        "database": {"host": service.address, "name": svc.DATABASE, "user": svc.ROLE},
        "dags": {
            "repository": svc.dags_url(service),
            "branch": "main",
            "folder": "dags",
            "known_hosts": svc.git_known_host(site, service),
        },
        "hosts": {m.name: {"address": m.address, "roles": ALL_ROLES if m.name == "af1" else ["worker"]} for m in hosts},
    }
    if pyenv:
        value["pyenv"] = {
            "repository": f"{svc.http_url(service)}/pyenv.git",
            "tag": pyenv.tag,
            "mirror": f"{svc.http_url(service)}/python",
            "cache": CACHES["python"],
        }
    return value


def make_yaml(value: dict[str, Any], indent: str = "") -> str:
    """Mappings as YAML blocks, everything else as JSON, which YAML contains."""
    lines = []
    for key, item in value.items():
        if isinstance(item, dict) and item:
            lines.append(f"{indent}{key}:\n{make_yaml(item, indent + '  ')}")
        else:
            lines.append(f"{indent}{key}: {json.dumps(item)}\n")
    return "".join(lines)


def choose_airflow(site: Site, asked: str) -> str:
    """The version of Airflow that is asked for, else the one that the inventory has already; a known one."""
    import yaml

    if not asked and site.inventory.is_file():
        asked = str(yaml.safe_load(site.inventory.read_text())["airflow"]["version"])
    generation_of(asked or AIRFLOW)
    return asked or AIRFLOW


def write_inventory(site: Site, machines: dict[str, Machine], pyenv: PyenvSource | None, version: str) -> None:
    """Write inventory.sandbox.yaml when it is not already so."""
    text = HEAD + make_yaml(make_inventory(site, machines, pyenv, version))
    if not site.inventory.is_file() or site.inventory.read_text() != text:
        write_whole(site.inventory, text)


def write_secrets(site: Site) -> None:
    """Give the secrets file the sandbox's two secrets; what else stands in it, such as generated ones, stays."""
    import yaml

    old = yaml.safe_load(site.secrets.read_text()) if site.secrets.is_file() else None
    known: dict[str, Any] = old if isinstance(old, dict) else {}
    ours = {"database_password": svc.database_password(site), "deploy_key": site.deploy_key.read_text()}
    if known != known | ours:
        write_whole(site.secrets, make_yaml(known | ours), mode=0o600)


def _number(machine: Machine) -> int:
    return fixed_number(machine.name) or 0


def _beside(site: Site, path: Path) -> str:
    """A path as the inventory names it: relative to the inventory where that is possible."""
    return str(path.relative_to(site.root)) if path.is_relative_to(site.root) else str(path)

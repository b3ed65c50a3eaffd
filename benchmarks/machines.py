"""The machines of the benchmark, and the inventories that name them: the same hosts for every tool."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import sandbox
from benchmarks.state import FOLDER
from sandbox import network
from sandbox.inventory import ALL_ROLES, make_yaml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sandbox import Machine, Site

USER = "ops"


def names(count: int) -> list[str]:
    """The names of the first machines of the benchmark."""
    return [f"bench{number:02}" for number in range(1, count + 1)]


def folder(count: int) -> Path:
    """Where the inventories of that many hosts are."""
    return FOLDER / f"hosts-{count}"


def write_inventories(site: Site, machines: Sequence[Machine]) -> Path:
    """Write the inventories of these machines for airfleet, pyinfra and Ansible; returns their folder."""
    there = folder(len(machines))
    there.mkdir(parents=True, exist_ok=True)
    (there / "inventory.yaml").write_text(make_yaml(airfleet_inventory(site, machines)))
    hosts = [(m.name, {"ssh_hostname": m.address, **pyinfra_words(site)}) for m in machines]
    (there / "pyinfra_inventory.py").write_text(f"hosts = {hosts!r}\n")
    ansible = {"all": {"hosts": {m.name: {"ansible_host": m.address} for m in machines}, "vars": ansible_words(site)}}
    (there / "ansible_inventory.json").write_text(json.dumps(ansible, indent=1))
    return there


def airfleet_inventory(site: Site, machines: Sequence[Machine]) -> dict[str, object]:
    """A whole inventory, as a user has one; the benchmark uses its hosts and how to reach them."""
    return {
        "sandbox": True,
        "environment": "benchmark",
        "ssh": {"user": USER, "identity": str(site.identity), "known_hosts": str(site.known_hosts), "parallel": 20},
        "database": {"host": "10.77.0.2"},
        "dags": {"repository": "ssh://git@10.77.0.2/srv/git/dags.git"},
        "hosts": {
            m.name: {"address": m.address, "roles": ["worker"] if place else ALL_ROLES}
            for place, m in enumerate(machines)
        },
    }


def pyinfra_words(site: Site) -> dict[str, object]:
    """How pyinfra reaches a host: the same user, key and trusted host keys."""
    return {
        "ssh_user": USER,
        "ssh_key": str(site.identity),
        "ssh_known_hosts_file": str(site.known_hosts),
        "ssh_strict_host_key_checking": "yes",
    }


def ansible_words(site: Site) -> dict[str, object]:
    """How Ansible reaches a host: the same user, key and trusted host keys."""
    return {
        "ansible_user": USER,
        "ansible_ssh_private_key_file": str(site.identity),
        "ansible_ssh_common_args": " ".join(ssh_options(site)),
        "ansible_python_interpreter": "/usr/bin/python3",
    }


def ssh_options(site: Site) -> list[str]:
    """The options of `ssh`: no configuration of the user's, only host keys that are known."""
    settings = {"UserKnownHostsFile": site.known_hosts, "GlobalKnownHostsFile": "/dev/null"}
    settings |= {"StrictHostKeyChecking": "yes", "IdentitiesOnly": "yes", "BatchMode": "yes"}
    return ["-F", "none", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]


def boot(site: Site, count: int, say: object = print) -> list[Machine]:
    """That many running machines; those that run already are kept."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(lambda name: sandbox.boot(name, site=site), names(count)))


def destroy(site: Site, count: int) -> None:
    """Take the benchmark's machines away, and their network where no other machine is in it."""
    for name in names(count):
        sandbox.destroy(name, site=site)
    with site.lock():
        if not site.machines():
            network.remove_network(site)

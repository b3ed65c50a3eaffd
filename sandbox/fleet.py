"""The whole sandbox: bring it up, take it down, tell how it is."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from airfleet.errors import UsageError
from sandbox import cgroup, network, sources
from sandbox.computer import check_computer
from sandbox.image import remove_unfinished
from sandbox.inventory import choose_airflow, write_inventory, write_secrets
from sandbox.machine import HERE, boot, destroy, running, ssh_answers
from sandbox.personal import public_key
from sandbox.site import RELEASES, SVC, Machine, Site, check_release, fleet_names
from sandbox.svc import boot_svc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

BOOTS_AT_ONCE = 4


def up(
    workers: int = 0,
    release: str = "",
    extra: Sequence[str] = (),
    *,
    airflow: str = "",
    site: Site = HERE,
    say: Callable[[str], None] = print,
) -> dict[str, Machine]:
    """All machines of the sandbox by name, running, and an inventory that names them.

    `workers`: worker hosts af2, af3 … beside af1, which has every role; hosts that run already are kept.
    `release`: of new hosts; without one they are what the running ones are, else bookworm.
    `extra`: further bare machines, which the inventory does not name.
    `airflow`: its version in the inventory; without one it stays what it is there.
    """
    began = time.monotonic()
    check_computer()
    version = choose_airflow(site, airflow)
    network.claim(site)
    wanted = [SVC, *fleet_names(workers), *extra]
    release = choose_release(release, {n: m for n, m in site.machines().items() if n in wanted and n != SVC})
    for name in wanted:
        site.tagged(name)
    already = [name for name in wanted if running(name, site=site)]
    with site.lock():
        public_key(site.identity)
        public_key(site.deploy_key)
        network.raise_network(site)
        pyenv = sources.pyenv_source(site, say)
    for notice in pyenv.notices if pyenv else ():
        say(notice)
    say(f"constraints: {sources.constraints()}")

    def ensure(name: str) -> Machine:
        machine = boot_svc(site, say) if name == SVC else boot(name, release, site=site, say=say)
        if name not in already:
            say(f"{name}: up at {machine.address} ({machine.release}) after {time.monotonic() - began:.0f} s")
        return machine

    with ThreadPoolExecutor(max_workers=BOOTS_AT_ONCE) as pool:
        list(pool.map(ensure, wanted))
    with site.lock():
        machines = {name: machine for name, machine in site.machines().items() if running(name, site=site)}
        write_inventory(site, machines, pyenv, version)
        write_secrets(site)
    said = "was up already" if len(already) == len(wanted) else "is up"
    say(f"the sandbox {said}: {', '.join(wanted)} ({time.monotonic() - began:.1f} s); see {site.inventory.name}")
    return machines


def choose_release(asked: str, known: Mapping[str, Machine]) -> str:
    """The release of new hosts; UsageError when hosts that are kept are of another one than was asked for."""
    if asked:
        check_release(asked)
        other = [f"{name} is {machine.release}" for name, machine in known.items() if machine.release != asked]
        if other:
            raise UsageError(f"not {asked}: {', '.join(other)}", place="--release", remedy="fab sandbox.down first")
    return asked or next((machine.release for machine in known.values()), RELEASES[0])


def down(*, purge: bool = False, site: Site = HERE, say: Callable[[str], None] = print) -> None:
    """Take everything away that the sandbox runs or set up here; images and caches stay unless purged.

    It goes by what is there, not by what was written down, so it also clears what a crash left.
    """
    check_computer()
    network.claim(site)
    began = time.monotonic()
    with site.lock():
        left = {name.removeprefix(site.cgroup("")) for name in cgroup.names(site.cgroup(""))}
        names = sorted(left | set(site.machines()))
    for name in names:
        destroy(name, site=site)
    with site.lock():
        network.remove_network(site)
        if (site.state / "machines").is_dir():
            shutil.rmtree(site.state / "machines")
        for path in (site.inventory, site.secrets, site.known_hosts):
            path.unlink(missing_ok=True)
    remove_unfinished(site)
    if purge:
        shutil.rmtree(site.state)
    say(f"the sandbox is down: {', '.join(names) or 'nothing ran'} ({time.monotonic() - began:.1f} s)")


def status(*, site: Site = HERE) -> list[dict[str, Any]]:
    """Each machine that is written down: name, address, release, whether it runs and whether sshd answers."""
    return [
        {
            "name": name,
            "address": machine.address,
            "release": machine.release,
            "running": (runs := running(name, site=site)),
            "ssh": runs and ssh_answers(machine.address),
        }
        for name, machine in site.machines().items()
    ]

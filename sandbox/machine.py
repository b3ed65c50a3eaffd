"""One machine: boot it, look at it, run something in it, freeze it, take it away.

The machine's cgroup is the truth about it: all its processes are in there and nobody else's. The record beside
its root is written before anything is started, so that `down` finds what a crash left.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from airfleet.errors import ApplyFailed, UsageError
from sandbox import cgroup, network
from sandbox.command import run
from sandbox.computer import check_computer
from sandbox.image import ENVIRONMENT, bare_image
from sandbox.personal import make_binds, make_disk, mount_options, personalise, write_known_hosts
from sandbox.site import Machine, Site, check_release, choose_address
from sandbox.trees import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    class Builder(Protocol):
        """Gives the image of a new machine, and says so when that takes long."""

        def __call__(self, site: Site, *, say: Callable[[str], None]) -> Path:
            """Return the folder of the image."""


HERE = Site()
BOOT_TIMEOUT_S = 120
POLL_S = 0.05
PATIENCE_S = 3
NSPAWN = Path("/run/systemd/nspawn")


def silent(_: str) -> None:
    """Say nothing."""


def boot(
    name: str,
    release: str = "bookworm",
    *,
    site: Site = HERE,
    image: Builder | None = None,
    binds: Mapping[Path, str] | None = None,
    prepare: Callable[[Site, Machine], None] | None = None,
    say: Callable[[str], None] = silent,
) -> Machine:
    """A running machine of that name, waited for until its systemd and sshd are up.

    One that was cut off after its first boot comes back with its disk; one that never came so far is made anew.
    `image` gives the image of a new machine, the release's bare one by default; `binds`: folder here -> read-only
    folder there; `prepare` writes onto a new disk before the first boot.
    """
    check_computer()
    network.claim(site)
    check_release(release)
    site.tagged(name)
    known = site.machines().get(name)
    if known and known.release != release:
        raise UsageError(f"{name} is a {known.release}, not a {release}", place="sandbox", remedy="destroy it first")
    if not running(name, site=site):
        fresh = None if bootable(known, site=site) else (image or partial(bare_image, release=release))(site, say=say)
        with site.lock() as lock:
            if not running(name, site=site):
                machine = site.machines()[name] if fresh is None else _make(site, name, release, fresh)
                if fresh is not None and prepare:
                    prepare(site, machine)
                _start(site, machine, binds or {}, lock)
    return wait_until_ready(name, site=site)


def destroy(name: str, *, site: Site = HERE) -> None:
    """Take one machine away: processes, cgroup, disk and host key. A machine that is not there is no error."""
    site.tagged(name)
    network.claim(site)
    with site.lock():
        _remove(site, name)
        write_known_hosts(site)


def running(name: str, *, site: Site = HERE) -> bool:
    """Does a process of the machine run?"""
    return name in site.machines() and cgroup.populated(site.cgroup(name))


def bootable(machine: Machine | None, *, site: Site = HERE) -> bool:
    """Has the machine booted before, and does the image below its disk still exist?"""
    return machine is not None and machine.booted and (site.images / machine.image).is_dir()


def leader(name: str, *, site: Site = HERE) -> int:
    """The pid, on this computer, of the machine's systemd; 0 when there is none."""
    for pid in cgroup.processes(site.cgroup(name)):
        try:
            lines = (Path("/proc") / str(pid) / "status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        numbers = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
        if len(numbers) > 1 and numbers[-1] == "1":
            return pid
    return 0


def run_in(
    name: str, argv: Sequence[str], *, stdin: str = "", check: bool = True, timeout_s: float = 120, site: Site = HERE
) -> subprocess.CompletedProcess[str]:
    """Run a command as root in the machine, by its namespaces and not by SSH."""
    pid = leader(name, site=site)
    if not pid:
        raise UsageError(f"machine {name} does not run", place="sandbox", remedy="fab sandbox.up")
    words = ["nsenter", "--target", str(pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"]
    return run([*words, *argv], stdin=stdin, env=ENVIRONMENT, check=check, timeout_s=timeout_s)


def kill(name: str, *, site: Site = HERE) -> None:
    """Cut the machine's power: every process gone at once; `boot` brings it back with its disk."""
    _cut_off(site, name)


def pause(name: str, *, site: Site = HERE) -> None:
    """Freeze the machine: it keeps its connections and answers nothing."""
    cgroup.freeze(site.cgroup(name), frozen=True)


def resume(name: str, *, site: Site = HERE) -> None:
    """Let a frozen machine go on."""
    cgroup.freeze(site.cgroup(name), frozen=False)


def ssh_answers(address: str) -> bool:
    """Does an SSH server greet at that address?"""
    try:
        with socket.create_connection((address, 22), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def wait_until_ready(name: str, *, site: Site = HERE, timeout_s: float = BOOT_TIMEOUT_S) -> Machine:
    """The machine, once its systemd says `running` and its sshd greets."""
    machine = site.machines()[name]
    deadline = time.monotonic() + timeout_s
    while not ssh_answers(machine.address):
        if not running(name, site=site):
            raise ApplyFailed(f"machine {name} ended while it booted\n{console_end(site, name)}", place="sandbox")
        if time.monotonic() > deadline:
            raise ApplyFailed(f"no SSH after {timeout_s:.0f} s\n{console_end(site, name)}", place=name)
        time.sleep(POLL_S)
    said = run_in(name, ["systemctl", "is-system-running", "--wait"], check=False, site=site, timeout_s=timeout_s)
    if said.stdout.strip() not in (["running", "degraded"] if machine.booted else ["running"]):
        failed = run_in(name, ["systemctl", "--failed", "--plain", "--no-legend"], check=False, site=site).stdout
        raise ApplyFailed(f"systemd says {said.stdout.strip()!r}\n{failed}", place=name, state="the machine runs on")
    if not machine.booted:
        machine = replace(machine, booted=True)
        site.record(machine)
    return machine


def console_end(site: Site, name: str, lines: int = 20) -> str:
    """The last lines of the machine's console."""
    path = site.folder(name) / "console.log"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.is_file() else ""


def _make(site: Site, name: str, release: str, image: Path) -> Machine:
    _remove(site, name)
    network.raise_network(site)
    subnet = network.subnet_of(site)
    address = choose_address(name, subnet, (m.address for m in site.machines().values()))
    machine = Machine(name=name, address=address, release=release, image=image.name)
    site.record(machine)
    make_disk(site, machine)
    personalise(site, machine, subnet)
    write_known_hosts(site)
    return machine


def _start(site: Site, machine: Machine, binds: Mapping[Path, str], lock: int) -> None:
    network.raise_network(site)
    name, folder = machine.name, site.folder(machine.name)
    root, overlay = mount_options(folder, site.images / machine.image)
    shared = [f"--bind={here}:{there}" for here, there in make_binds(site, machine.release).items()]
    served = [f"--bind-ro={here}:{there}" for here, there in binds.items()]
    argv = ["systemd-nspawn", "--quiet", f"--directory={root}", "--boot", "--register=no", "--keep-unit"]
    argv += ["--console=read-only", f"--machine={site.tagged(name)}", f"--hostname={name}"]
    argv += [f"--network-bridge={site.bridge}", "--resolv-conf=off", "--link-journal=no", *shared, *served]
    argv += ["--system-call-filter=bpf"]  # by which a machine's systemd keeps to a unit's IPAddressDeny
    order = {
        "cgroups": [str(path) for path in cgroup.create(site.cgroup(name))],
        "lock": lock,
        "overlay": overlay,
        "root": str(root),
        "argv": argv,
        # one hierarchy in every machine, as Debian has had since version 11, also where this computer has the older two
        "env": {**ENVIRONMENT, "UNIFIED_CGROUP_HIERARCHY": "1"},
    }
    program = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py"))]
    with (folder / "console.log").open("w") as console:
        child = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "--", *program],
            stdin=subprocess.PIPE,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock],
            cwd="/",
        )
    if child.stdin is None:
        raise ApplyFailed("no pipe to the launcher", place="sandbox")
    child.stdin.write(json.dumps(order).encode())
    child.stdin.close()
    _wait_for_processes(site, name, child)


def _wait_for_processes(site: Site, name: str, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + BOOT_TIMEOUT_S
    while not cgroup.populated(site.cgroup(name)):
        if child.poll() is not None or time.monotonic() > deadline:
            raise ApplyFailed(f"machine {name} did not start\n{console_end(site, name)}", place="sandbox")
        time.sleep(POLL_S)


def _remove(site: Site, name: str) -> None:
    _cut_off(site, name)
    cgroup.remove(site.cgroup(name))
    if site.folder(name).is_dir():
        remove_tree(site.folder(name))


def _cut_off(site: Site, name: str) -> None:
    if _kill_systemd(site, name):
        cgroup.wait_until_empty(site.cgroup(name), PATIENCE_S)
    cgroup.kill(site.cgroup(name))
    link = f"vb-{site.tagged(name)}"
    deadline = time.monotonic() + BOOT_TIMEOUT_S
    while (Path("/sys/class/net") / link).exists() and time.monotonic() < deadline:
        time.sleep(POLL_S)  # the kernel takes the cable away a moment after the last process
    tunnel = NSPAWN / "propagate" / site.tagged(name)
    if tunnel.is_dir():  # systemd-nspawn itself was cut off
        tunnel.rmdir()


def _kill_systemd(site: Site, name: str) -> bool:
    """End the machine's first process, after which systemd-nspawn clears up after itself; false when there is none."""
    pid = leader(name, site=site)
    if not pid:
        return False
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            if leader(name, site=site) == pid:  # so the handle is on that very process and on no later one
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)
    return True

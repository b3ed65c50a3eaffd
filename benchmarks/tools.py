"""The tools that are compared: how each is called, and how each says that nothing had to be changed."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import machines, playbook
from benchmarks.measure import BenchmarkFailed
from benchmarks.state import FOLDER, ITEMS
from sandbox.site import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sandbox import Machine, Site

VENV = REPOSITORY / ".sandbox" / "bench-venv"
PYTHON = REPOSITORY / ".venv" / "bin" / "python"
FAB = REPOSITORY / ".venv" / "bin" / "fab"
UV = REPOSITORY / ".venv" / "bin" / "uv"
RIVALS = ("pyinfra>=3.10,<4", "ansible-core>=2.19,<2.20")


@dataclass(frozen=True)
class Tool:
    """One tool on some hosts: its commands, which run at the same time, and the check of what they printed."""

    name: str
    commands: Sequence[Sequence[str]]
    env: Mapping[str, str]
    unchanged: Callable[[str, int], bool]

    def check(self, output: str, hosts: int) -> None:
        """Raise unless the tool said that every host is in order."""
        if not self.unchanged(output, hosts):
            raise BenchmarkFailed(f"{self.name} does not say that {hosts} hosts are in order:\n{output[-3000:]}")


def install_rivals() -> None:
    """Install pyinfra and ansible-core into an environment of the benchmark's own."""
    if not (VENV / "bin" / "python").exists():
        subprocess.run([UV, "venv", "--quiet", "--python", PYTHON, VENV], check=True)
    words = ["--quiet", "--compile-bytecode", "--python", str(VENV / "bin" / "python")]
    subprocess.run([UV, "pip", "install", *words, *RIVALS], check=True)


def versions() -> dict[str, str]:
    """The versions of what is compared, and of what it stands on."""
    ask = "import sys, importlib.metadata as m; print(*[m.version(n) for n in sys.argv[1:]])"
    theirs = _said([VENV / "bin" / "python", "-c", ask, "pyinfra", "ansible-core", "paramiko"])
    ours = _said([PYTHON, "-c", ask, "fabric", "paramiko"])
    return {
        "python": _said([PYTHON, "--version"])[1],
        "fabric": ours[0],
        "paramiko": ours[1],
        "pyinfra": theirs[0],
        "ansible": theirs[1],
        "ssh": subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr.split(",")[0],
    }


def _said(words: list[str | Path]) -> list[str]:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()


def environment(**more: str) -> dict[str, str]:
    """This process's environment, with bytecode written and read as usual, and our modules to be found."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ANSIBLE", "AIRFLEET"))}
    return {**ours, "PYTHONPATH": str(REPOSITORY), **more}


def airfleet_command(task: str, hosts: int) -> tuple[list[str], dict[str, str]]:
    """A command of the benchmark's fabfile, and its environment."""
    return [str(FAB), "--search-root", str(REPOSITORY / "benchmarks"), task], environment(
        AIRFLEET_ROOT=str(machines.folder(hosts))
    )


def tools(site: Site, there: Sequence[Machine]) -> list[Tool]:
    """Every tool, ready for these hosts."""
    folder = machines.folder(len(there))
    playbook.write(FOLDER)
    command, env = airfleet_command("plan", len(there))
    binaries = VENV / "bin"
    deploy = [binaries / "pyinfra", "-y", folder / "pyinfra_inventory.py", REPOSITORY / "benchmarks/pyinfra_deploy.py"]
    play = [binaries / "ansible-playbook", "-i", folder / "ansible_inventory.json", FOLDER / "playbook.json"]
    ssh = ["ssh", *machines.ssh_options(site), "-i", str(site.identity)]
    probes = [[*ssh, f"{machines.USER}@{machine.address}", "true"] for machine in there]
    configuration = environment(ANSIBLE_CONFIG=str(FOLDER / "ansible.cfg"))
    return [
        Tool("ssh", probes, environment(), lambda output, _: not output),
        Tool("airfleet", [command], env, airfleet_unchanged),
        Tool("status", [airfleet_command("status", len(there))[0]], env, airfleet_answered),
        Tool("pyinfra", [list(map(str, deploy))], environment(), pyinfra_unchanged),
        Tool("ansible", [list(map(str, play))], configuration, ansible_unchanged),
    ]


def airfleet_unchanged(output: str, hosts: int) -> bool:
    """Does our own plan say that nothing would change on any host?"""
    return output.strip() == f"{hosts * ITEMS} resources on {hosts} hosts: 0 changes"


def airfleet_answered(output: str, hosts: int) -> bool:
    """Did every host answer what `fab status` asks?"""
    return output.startswith(f"{hosts} hosts answered, 0 did not; ")


def pyinfra_unchanged(output: str, hosts: int) -> bool:
    """Does pyinfra's table end with as many operations without a change as there are?"""
    total = re.search(r"Grand total +(\d+) +(\S+) +(\S+) +(\d+)", re.sub(r"\x1b\[[0-9;]*m", "", output))
    return total is not None and total.groups() == (str(hosts * ITEMS), "-", "-", str(hosts * ITEMS))


def ansible_unchanged(output: str, hosts: int) -> bool:
    """Does Ansible's recap say ok for every task on every host, and changed for none?"""
    recap = re.findall(r"ok=4 +changed=0 +unreachable=0 +failed=0 ", output)
    return len(recap) == hosts and len(re.findall(r"changed=", output)) == hosts

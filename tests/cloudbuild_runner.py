"""Runs the steps of a Cloud Build file here: each by its argument list, in a clean root, with what it would have there.

A step sees /usr and /etc of this machine (read-only, in place of its image), what `Place.lend` names, an empty /tmp,
and of /workspace and /builder/home what the steps before it have left. Nothing else: no home folder, no repository.
Secrets come by name, variables by substitution, as in a build; the network is this machine's. Takes root on Linux.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from tests.cloudbuild_check import USE, seconds

if TYPE_CHECKING:
    from pathlib import Path

ROOT_OF_ITS_OWN = """
set -eu
root=$1 work=$2 home=$3 dir=$4; shift 4
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$root"
cd "$root"
mkdir usr etc opt proc dev tmp run root var var/log var/lib workspace builder builder/home
chmod 1777 tmp
for name in bin sbin lib lib64; do if [ -L "/$name" ]; then ln -s "usr/$name" "$name"; fi; done
for name in usr etc opt; do mount --bind "/$name" "$name"; mount -o remount,bind,ro "$name"; done
mount --rbind /dev dev
mount -t proc proc proc
mount --bind "$work" workspace
mount --bind "$home" builder/home
while [ "$1" != -- ]; do mkdir -p ".$1"; mount --bind "$1" ".$1"; mount -o remount,bind,ro ".$1"; shift; done
shift
exec /usr/sbin/chroot . /bin/sh -c 'cd "$1"; shift; exec "$@"' sh "$dir" "$@"
"""
UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ROOT_OF_ITS_OWN, "sh")
REGISTRY = re.compile(r"(PIP|UV|SSL|REQUESTS)_\w+|(https?|no|all)_proxy", re.IGNORECASE)


def possible(*programs: str) -> str:
    """Return why nothing that takes these programs can be run here; empty where it can."""
    for name in ("unshare", *programs):
        if shutil.which(name) is None:
            return f"there is no {name} here"
    if os.geteuid():
        return "a clean root takes root"
    done = subprocess.run(["unshare", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
    return "this machine lets nobody mount" if done.returncode else ""


@dataclass
class Done:
    """A step that was run."""

    id: str
    code: int
    output: str


@dataclass
class Place:
    """Where one build runs: `folder` keeps its workspace and its home; what is in `lend` is seen at its own path."""

    folder: Path
    lend: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        for path in (self.root, self.workspace, self.home):
            path.mkdir(parents=True, exist_ok=True)

    @property
    def root(self) -> Path:
        """Where the clean root is mounted, in a namespace of its own: empty for everybody else."""
        return self.folder / "root"

    @property
    def workspace(self) -> Path:
        """/workspace."""
        return self.folder / "workspace"

    @property
    def home(self) -> Path:
        """/builder/home."""
        return self.folder / "home"

    def words(self, argv: list[str], folder: str = "/workspace") -> list[str]:
        """Return the command line that runs a program there."""
        where = [str(path) for path in (self.root, self.workspace, self.home)]
        return [*UNSHARE, *where, folder, *map(str, self.lend), "--", *argv]

    def run(self, argv, env, *, folder="/workspace", timeout_s=600.0) -> subprocess.CompletedProcess:
        """Run a program there, with this environment and the way to the registry of packages."""
        registry = {name: value for name, value in os.environ.items() if REGISTRY.fullmatch(name)}
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/builder/home", **registry, **env}
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.run(self.words(argv, folder), env=env, timeout=timeout_s, text=True, **pipes)


def run(build: dict, place: Place, substitutions: dict[str, str], secrets: dict[str, str], steps=None) -> list[Done]:
    """Run the steps, or those of these ids, until one fails; `secrets` are by their names in Secret Manager.

    Raises AssertionError when a line of a secret stands in what a step prints.
    """
    known = {**build.get("substitutions", {}), **substitutions}
    values = {
        each["env"]: secrets[substituted(each["versionName"], known).split("/")[3]]
        for each in build.get("availableSecrets", {}).get("secretManager", [])
    }
    found = []
    for step in build["steps"]:
        if steps is not None and step["id"] not in steps:
            continue
        env = dict(substituted(each, known).split("=", 1) for each in step.get("env", []))
        env |= {name: values[name] for name in step.get("secretEnv", [])}
        argv = [step["entrypoint"], *(substituted(each, known) for each in step.get("args", []))]
        folder = f"/workspace/{step.get('dir', '')}"
        done = place.run(argv, env, folder=folder, timeout_s=seconds(step.get("timeout"), 600))
        shown = [
            line for text in values.values() for line in text.splitlines() if len(line) > 8 and line in done.stdout
        ]
        assert len(shown) == 0, f"a secret is in the log of {step['id']}"
        found.append(Done(step["id"], done.returncode, done.stdout))
        if done.returncode:
            break
    return found


def load(path: Path) -> dict:
    """Return a build as it is written."""
    return yaml.safe_load(path.read_text())


def substituted(text: str, known: dict[str, str]) -> str:
    """Return a text as Cloud Build hands it on: `$$` is a dollar, a name that it does not know is empty."""
    return USE.sub(lambda m: "$" if m[1] else known.get(m[2] or m[3], ""), text)

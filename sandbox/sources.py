"""What the machine `svc` gives to the others, made from what this computer has: pyenv, CPython's source, the DAGs."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.aptsources import read_mirror
from sandbox.command import run
from sandbox.site import REPOSITORY, Site

if TYPE_CHECKING:
    from collections.abc import Callable

PYTHON = "3.11.2"
TARBALL = f"pool/main/p/python3.11/python3.11_{PYTHON}.orig.tar.gz"
DEFINITION = f"plugins/python-build/share/python-build/{PYTHON}"
DAGS = Path(__file__).parent / "dags"
FETCH_TIMEOUT_S = 120
AUTHOR = {
    "GIT_AUTHOR_NAME": "airfleet sandbox",
    "GIT_AUTHOR_EMAIL": "sandbox@airfleet.invalid",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "airfleet sandbox",
    "GIT_COMMITTER_EMAIL": "sandbox@airfleet.invalid",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


@dataclass(frozen=True)
class PyenvSource:
    """A pyenv that can be served: its tag, and the sentences that say where its parts come from."""

    tag: str
    notices: tuple[str, ...]


def git(*argv: str | Path, cwd: Path | None = None, stdin: str = "") -> str:
    """What a git command printed, free of this computer's own git settings."""
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": os.devnull, **AUTHOR}
    return run(["git", "-c", "safe.directory=*", *argv], cwd=cwd, stdin=stdin, env=env).stdout.strip()


def pyenv_clone() -> Path | None:
    """This computer's git clone of pyenv, when it has one that can build the sandbox's Python."""
    for root in (os.environ.get("PYENV_ROOT", ""), str(Path.home() / ".pyenv")):
        if root and (Path(root) / ".git").exists() and (Path(root) / DEFINITION).is_file():
            return Path(root)
    return None


def read_checksum(definition: str) -> str:
    """The sha256 that python-build wants of the .tgz, from the text of its definition; empty when it names none."""
    found = re.search(r"\.tgz#([0-9a-f]{64})", definition)
    return found[1] if found else ""


def www(site: Site) -> Path:
    """The folder that svc serves over HTTP."""
    return site.state / "www"


def pyenv_source(site: Site, say: Callable[[str], None]) -> PyenvSource | None:
    """Put a pyenv mirror and CPython's source into the served folder; None, said aloud, when this computer has none."""
    clone = pyenv_clone()
    if clone is None:
        say("pyenv: no git clone at $PYENV_ROOT or ~/.pyenv; machines use their distribution's Python")
        return None
    checksum = read_checksum((clone / DEFINITION).read_text())
    source = _python_source(site, checksum)
    if source is None:
        say(f"pyenv: no mirror has the source of CPython {PYTHON}; machines use their distribution's Python")
        return None
    commit = git("rev-parse", "HEAD", cwd=clone)
    version = re.search(r"\d+\.\d+\.\d+", run([clone / "bin" / "pyenv", "--version"]).stdout)
    tag = f"v{version[0]}" if version else f"v0-{commit[:7]}"
    _pyenv_mirror(site, clone, commit, tag)
    return PyenvSource(
        tag, (f"pyenv: {tag} from {clone} (commit {commit[:12]})", f"CPython {PYTHON}: {source}, sha256 checked")
    )


def _pyenv_mirror(site: Site, clone: Path, commit: str, tag: str) -> None:
    """A bare repository of one commit with the clone's files.

    The clone may be shallow, which git's plain HTTP protocol can't serve: so its tree gets a commit without parents.
    """
    mirror = www(site) / "pyenv.git"
    if mirror.is_dir() and (mirror / "airfleet-source").read_text() == f"{commit} {tag}\n":
        return
    building = www(site) / ".pyenv.git"
    shutil.rmtree(building, ignore_errors=True)
    git("init", "--quiet", "--bare", "--initial-branch=master", building)
    git("fetch", "--quiet", "--depth=1", f"file://{clone}", commit, cwd=building)
    root = git("commit-tree", f"{commit}^{{tree}}", "-m", f"pyenv {tag}, the files of {commit}", cwd=building)
    git("update-ref", "refs/heads/master", root, cwd=building)
    git("tag", tag, root, cwd=building)
    (building / "shallow").unlink(missing_ok=True)
    (building / "FETCH_HEAD").unlink(missing_ok=True)
    git("gc", "--quiet", "--prune=now", cwd=building)
    git("update-server-info", cwd=building)
    (building / "airfleet-source").write_text(f"{commit} {tag}\n")
    shutil.rmtree(mirror, ignore_errors=True)
    building.rename(mirror)


def _python_source(site: Site, checksum: str) -> str | None:
    """Where the tarball came from, once it lies under its checksum; None when it can't be had."""
    if not checksum:
        return None
    folder = www(site) / "python"
    folder.mkdir(parents=True, exist_ok=True)
    address = f"{read_mirror().debian}/{TARBALL}"
    if (folder / checksum).is_file():
        return address
    part = folder / f".{checksum}"
    try:
        with urllib.request.urlopen(address, timeout=FETCH_TIMEOUT_S) as answer, part.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except (urllib.error.URLError, TimeoutError):
        return None
    with part.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != checksum:
            return None
    part.rename(folder / checksum)
    return address


def dag_repository(site: Site) -> Path:
    """A bare git repository, branch main, with the folder `dags/`; the same commit for the same files."""
    bare = site.state / "services" / "dags.git"
    work = site.state / "services" / "dags"
    shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(bare, ignore_errors=True)
    work.mkdir(parents=True)
    shutil.copytree(DAGS, work / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    git("init", "--quiet", "--initial-branch=main", cwd=work)
    git("add", "--all", cwd=work)
    git("commit", "--quiet", "--message", "A DAG that says where its tasks ran", cwd=work)
    git("clone", "--quiet", "--bare", work, bare)
    git("remote", "remove", "origin", cwd=bare)
    shutil.rmtree(work)
    return bare


def constraints() -> str:
    """The sandbox's constraints as the inventory names them: beside the inventory, by version."""
    folder = (Path(__file__).parent / "constraints").relative_to(REPOSITORY)
    return f"{folder}/airflow-{{version}}-py{{python}}.txt"

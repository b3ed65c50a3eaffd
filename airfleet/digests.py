"""Constraints with digests: uv on this computer resolves what the inventory asks for, and notes what each file is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airfleet import versions
from airfleet.errors import ApplyFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airfleet.inventory import Airflow

NAME = "constraints-{version}-py{python}.txt"
TAIL_LINES = 15
NO_FILE = "nothing was written"
# The hosts are Linux, whatever this computer is; the digests are those of all files of a version, for every processor.
WORDS = ("--generate-hashes", "--python-platform", "linux", "--no-header", "--no-annotate", "--quiet")
HEAD = """\
# What `{source}` means for these packages, each with the digests of its files.
# Written by `fab inventory.constraints --write`; a host then installs nothing whose digest is not here.
"""


def wanted(airflow: Airflow, to: str, source: str) -> Airflow:
    """Return the section as it is meant: another version (before an upgrade), versions from another place."""
    found = airflow.model_copy(update={"version": to or airflow.version})
    if source:
        place = source if "://" in source else str(Path(source).expanduser().absolute())
        found = found.model_copy(update={"constraints": place})
    if found.version not in versions.PYTHONS:
        raise UsageError(
            f"Airflow {found.version} is unknown here", place="--to", remedy=f"one of {', '.join(versions.PYTHONS)}"
        )
    return found


def python_of(airflow: Airflow, asked: str) -> str:
    """Return for which Python (such as 3.11): the inventory's, or the one that is asked for."""
    known = versions.PYTHONS[airflow.version]
    minor = asked or airflow.python_minor
    if minor is None:
        remedy = f"--python with that of your hosts: {', '.join(known)}"
        raise UsageError(
            "the hosts' own Python is meant, and each may have another", place="airflow.python", remedy=remedy
        )
    if minor not in known:
        raise UsageError(f"Airflow {airflow.version} does not run on {minor}", remedy=f"one of {', '.join(known)}")
    return minor


def place_of(airflow: Airflow, python: str, folder: Path) -> Path:
    """Return where the file belongs: beside the inventory."""
    return folder / NAME.replace("{version}", airflow.version).replace("{python}", python)


def lines_of(name: str) -> list[str]:
    """Return the lines of a requirements file on this computer."""
    try:
        return Path(name).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        why = getattr(e, "strerror", None) or e
        raise UsageError(f"{name} can't be read: {why}", place="--requirements", state=NO_FILE) from e


def resolved(airflow: Airflow, python: str, more: Sequence[str] = ()) -> str:
    """Return the constraints of all that is wanted, with digests where the registry gives them.

    `more` are further lines, those of the requirements file of a DAG repository. Raises ApplyFailed with uv's own words
    when it finds no such set, or can't reach the registry.
    """
    source = airflow.constraints_for(python)
    if not airflow.constraints_are_remote and not Path(source).is_file():
        remedy = "--source with an address, such as that of Airflow's own constraints, or with another file"
        raise UsageError(f"there is no {source}", place="airflow.constraints", remedy=remedy, state=NO_FILE)
    argv = [uv(), "pip", "compile", *WORDS, "--python-version", python, "--constraints", source, "-"]
    env = {**os.environ, "UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}
    wanted = "\n".join((*airflow.packages, *more)) + "\n"
    done = subprocess.run(argv, check=False, input=wanted, env=env, capture_output=True, text=True)
    if done.returncode:
        said = "\n    ".join(done.stderr.strip().splitlines()[-TAIL_LINES:])
        raise ApplyFailed(f"uv resolves no such set:\n    {said}", place="airflow.constraints", state=NO_FILE)
    shown = airflow.constraints if airflow.constraints_are_remote else Path(source).name
    return HEAD.replace("{source}", shown) + done.stdout


def write(path: Path, text: str) -> None:
    """Replace the file in one step."""
    part = path.with_name(f".{path.name}.new")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def uv() -> str:
    """Return the path of uv on this computer: that of the virtual environment, else another."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.is_file() else shutil.which("uv")
    if found is None:
        raise UsageError("there is no uv on this computer", remedy="make setup", state=NO_FILE)
    return found

"""git and uv, run here by their argument lists, with an error that tells what they said."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from airfleet.errors import ApplyFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TAIL_LINES = 10
# What a release is made of must not depend on whose computer makes it.
PLAIN = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "TZ": "UTC", "LC_ALL": "C"}
GIT = ("git", "-c", "tar.umask=0022", "-c", "core.autocrlf=false", "-c", f"core.attributesFile={os.devnull}")


def run(argv: Sequence[str], *, cwd: Path) -> str:
    """Return what a program printed; ApplyFailed with the end of its errors when it failed."""
    return run_bytes(argv, cwd=cwd).decode()


def run_bytes(argv: Sequence[str], *, cwd: Path) -> bytes:
    """Return the bytes that a program printed; ApplyFailed as above."""
    done = subprocess.run(argv, cwd=cwd, env={**os.environ, **PLAIN}, check=False, capture_output=True)
    if done.returncode:
        said = "\n".join(done.stderr.decode(errors="replace").strip().splitlines()[-TAIL_LINES:])
        raise ApplyFailed(f"exit code {done.returncode} from {' '.join(argv[:4])} …\n{said}", place=str(cwd))
    return done.stdout


def git(*words: str, cwd: Path) -> str:
    """Return what git printed, free of this computer's own settings."""
    return run([*GIT, *words], cwd=cwd).strip()

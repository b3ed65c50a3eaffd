"""Terraform's outputs, from a file, from stdin or from terraform itself, and an inventory file written anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from airfleet.errors import UsageError

_NOTHING = "nothing was contacted, nothing was written"


def outputs(file: str, folder: Path) -> tuple[str, str]:
    """Return the text of the outputs and what it is called: a file's, stdin's (`-`), or terraform's in the folder."""
    if not file:
        return _of_terraform(folder), "terraform output"
    try:
        return (sys.stdin.read(), "stdin") if file == "-" else (Path(file).read_text(encoding="utf-8"), file)
    except OSError as e:
        raise UsageError(f"can't be read: {e.strerror}", place=file, state=_NOTHING) from e
    except UnicodeDecodeError as e:
        raise UsageError("is not UTF-8 text", place=file, state=_NOTHING) from e


def _of_terraform(folder: Path) -> str:
    argv = ["terraform", f"-chdir={folder}", "output", "-json", "-no-color"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError as e:
        raise UsageError(
            "terraform is not installed here",
            remedy="where it is: terraform output -json > outputs.json; then --file outputs.json",
            state=_NOTHING,
        ) from e
    if done.returncode:
        said = " ".join(done.stderr.split())[:500]
        raise UsageError(
            f"terraform output ended with {done.returncode}: {said}",
            place=str(folder),
            remedy="terraform init there, or --file outputs.json",
            state=_NOTHING,
        )
    return done.stdout


def write(path: Path, text: str) -> None:
    """Put the text in the place of the file, whole or not at all; its mode stays."""
    path = path.resolve()
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.touch(mode=0o600)
        beside.write_text(text, encoding="utf-8")
        beside.chmod(path.stat().st_mode & 0o777)
        beside.replace(path)
    except OSError as e:
        beside.unlink(missing_ok=True)
        raise UsageError(f"can't be written: {e.strerror}", place=str(path), state="it is as it was") from e

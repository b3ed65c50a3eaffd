"""Commands on this computer: words, never shell text, with an error that tells what the command said."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

from airfleet.errors import ApplyFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TAIL_LINES = 25


def run(
    argv: Sequence[str | Path],
    *,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    check: bool = True,
    timeout_s: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """The finished command; ApplyFailed with the end of its output when `check` and it failed."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words, input=stdin, env=env, cwd=cwd, check=False, timeout=timeout_s, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired as e:
        raise ApplyFailed(
            f"no end after {timeout_s:.0f} s: {shlex.join(words)}",
            place="this computer",
            state="see `fab sandbox.status`",
        ) from e
    if check and done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-TAIL_LINES:])
        raise ApplyFailed(
            f"exit code {done.returncode} from {shlex.join(words)}\n{said}",
            place="this computer",
            state="the sandbox is as far as it came; `fab sandbox.down` takes everything away",
        )
    return done

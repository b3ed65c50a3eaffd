"""A real Redis with the users of the installation's own redis.conf."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
from typing import TYPE_CHECKING

from agent_services import redis

from airfleet import redis_access

if TYPE_CHECKING:
    from pathlib import Path

OVERSEER = "user overseer on >overseer ~* +@all"  # the tests' own


def access(folder: Path) -> Path:
    """Run the command that a unit runs before Redis starts, and return the file that it writes."""
    words = shlex.split(redis_access.AT_START.replace("$$", "$"))
    subprocess.run([*words[:-1], folder], check=True)
    return folder / "access.conf"


def admin(folder: Path) -> str:
    """Return the password of root's own user."""
    return (folder / "admin").read_text().strip()


@contextlib.contextmanager
def guarded(folder: Path, password: str, *words: str):
    """Run Redis as redis.conf has it: the user of the services, and nobody else; yield its port."""
    rules = " ".join(redis_access.rules(password))
    users = folder / "users.conf"
    users.write_text(f"user default off\nuser {redis_access.USER} {rules}\ninclude {access(folder)}\n{OVERSEER}\n")
    with redis(folder, *words, "--include", str(users)) as port:
        yield port

"""The flow of `fab shell`: OpenSSH's own client, which knows how to treat a terminal, in the place of this process."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airfleet import session
from airfleet.errors import UsageError
from airfleet.layout import layout_of
from airfleet.openssh import command_line
from airfleet.places import nearest

if TYPE_CHECKING:
    from airfleet.inventory import Inventory

# Who logs in as root has perhaps no sudo; sudo may ask for its password, there is a terminal.
AS_ROOT = 'if [ "$(id -u)" = 0 ]; then exec "$@"; fi; exec sudo -- "$@"'
PROGRAM = Path(__file__).parent / "agent" / "become.py"


def shell_command(env: str, host: str, *, root: bool) -> list[str]:
    """Return the words that open a shell on the host: as the account with its units' environment, or as root."""
    with session.opened(env, doing=f"shell {host}") as fleet:
        inventory = fleet.inventory
        if host not in inventory.hosts:
            raise UsageError(
                f"there is no host {host!r}{nearest(host, inventory.hosts)}",
                place="fab shell",
                remedy=f"one of: {', '.join(inventory.hosts)}",
                state="nothing was contacted",
            )
        words = ["bash", "-l"] if root else _as_account(inventory)
        remote = ["sh", "-c", AS_ROOT, "sh", *words]
        return command_line(inventory, host, remote, config=inventory.ssh.config.exists())


def become(command: list[str]) -> None:
    """Go on as this program; its exit status is then ours."""
    sys.stdout.flush()
    try:
        os.execvp(command[0], command)  # noqa: S606  # no shell is meant to see the words
    except FileNotFoundError:
        raise UsageError(
            "there is no OpenSSH client here", place=command[0], remedy="install it: apt-get install openssh-client"
        ) from None


def written(command: list[str]) -> str:
    """Return the command as it can be typed."""
    return shlex.join(command)


def _as_account(inventory: Inventory) -> list[str]:
    layout = layout_of(inventory)
    program = f"{PROGRAM.read_text()}\nbecome(*sys.argv[1:])\n"
    return ["python3", "-I", "-c", program, inventory.airflow.account, layout.environment, layout.bin]

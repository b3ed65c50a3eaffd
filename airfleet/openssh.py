"""The command line of OpenSSH's own client for a host, as strict with host keys as airfleet itself. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airfleet.inventory import Inventory

NO_CONFIG = "none"


def command_line(inventory: Inventory, host: str, remote: Sequence[str], *, config: bool) -> list[str]:
    """Return the words that run `remote` in a terminal of the host; `config` says whether the file ssh.config exists.

    What the inventory leaves open is left to that file, as by every other command.
    """
    mine = inventory.hosts[host]
    words = ["ssh", "-t", *_options(inventory, config=config)]
    words += ["-o", f"ProxyCommand={_through(inventory, config=config)}"] if inventory.ssh.proxy_jump else []
    words += ["-l", mine.user] if mine.user else []
    words += ["-p", str(mine.port)] if mine.port else []
    return [*words, "--", mine.address, *([shlex.join(remote)] if remote else [])]


def _options(inventory: Inventory, *, config: bool) -> list[str]:
    ssh = inventory.ssh
    settings = {
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": _path(str(ssh.known_hosts)),
        "GlobalKnownHostsFile": "/dev/null",
        "ConnectTimeout": str(ssh.connect_timeout_s),
    }
    if ssh.identity:
        settings |= {"IdentityFile": _path(str(ssh.identity)), "IdentitiesOnly": "yes"}
    words = ["-F", str(ssh.config) if config else NO_CONFIG]
    for name, value in settings.items():
        words += ["-o", f"{name}={value}"]
    return words


def _through(inventory: Inventory, *, config: bool) -> str:
    """Return the command that reaches a host through the jump host.

    `-J` would take neither our key nor our known hosts to the jump host itself (ssh(1)), and so trust other host keys
    there than airfleet does.
    """
    user, _, place = str(inventory.ssh.proxy_jump).rpartition("@")
    name, _, port = place.rpartition(":") if _has_port(place) else (place, "", "")
    words = ["ssh", *_options(inventory, config=config)]
    words += ["-l", user] if user else []
    words += ["-p", port] if port else []
    words += ["-W", "\0", "--", name.strip("[]")]
    return shlex.join(word.replace("%", "%%") for word in words).replace("\0", "[%h]:%p")


def _has_port(place: str) -> bool:
    return ":" in place and (place.count(":") == 1 or "]:" in place)


def _path(path: str) -> str:
    """Return a path as OpenSSH's settings take it: `%` begins a token there, and blanks part two files."""
    path = path.replace("%", "%%")
    return f'"{path}"' if any(letter.isspace() for letter in path) else path

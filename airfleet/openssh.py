"""The command line of OpenSSH's own client for a host, as strict with host keys as airfleet itself. Pure."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airfleet.inventory import Inventory

NO_CONFIG = "none"
TOKENS = ("h", "p", "r", "n", "%")


def command_line(inventory: Inventory, host: str, remote: Sequence[str], *, config: bool) -> list[str]:
    """Return the words that run `remote` in a terminal of the host; `config` says whether the file ssh.config exists.

    What the inventory leaves open is left to that file, as by every other command.
    """
    mine = inventory.hosts[host]
    words = ["ssh", "-t", *_options(inventory, config=config)]
    if mine.proxy_command:
        words += ["-o", f"ProxyCommand={shlex.join(proxy_words(mine.proxy_command, {'n': host}))}"]
    elif inventory.ssh.jumps:
        words += ["-o", f"ProxyCommand={_through(inventory, inventory.ssh.jumps, config=config)}"]
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


def _through(inventory: Inventory, jumps: Sequence[str], *, config: bool) -> str:
    """Return the command that reaches a host through the jump hosts, the last of which reaches it.

    `-J` would take neither our key nor our known hosts to the jump hosts themselves (ssh(1)), and so trust other host
    keys there than airfleet does.
    """
    *before, last = jumps
    user, name, port = place_of_jump(last)
    words = ["ssh", *_options(inventory, config=config)]
    words += ["-o", f"ProxyCommand={_through(inventory, before, config=config)}"] if before else []
    words += ["-l", user] if user else []
    words += ["-p", str(port)] if port else []
    words += ["-W", "\0", "--", name]
    return shlex.join(word.replace("%", "%%") for word in words).replace("\0", "[%h]:%p")


def place_of_jump(jump: str) -> tuple[str, str, int | None]:
    """Return the user, the name and the port of `user@bastion:port`; what is left out is empty or None."""
    user, _, place = jump.rpartition("@")
    name, _, port = place.rpartition(":") if _has_port(place) else (place, "", "")
    return user, name.strip("[]"), int(port) if port else None


def proxy_words(command: str, tokens: Mapping[str, str]) -> list[str]:
    """Return the words of a proxy command with these tokens (`h` for %h) filled in; a ValueError says what is wrong.

    A value stays in its word, whatever is in it: no shell reads them, here or in `fab shell`.
    """
    words = shlex.split(command)
    if not words:
        raise ValueError("it is empty")
    return [re.sub(r"%(.)", lambda found: tokens.get(found[1], found[0]), word) for word in words]


def wrong_tokens(command: str) -> list[str]:
    """Return the tokens in a proxy command that mean nothing."""
    return [found for found in re.findall(r"%.?", command) if found[1:] not in TOKENS]


def _has_port(place: str) -> bool:
    return ":" in place and (place.count(":") == 1 or "]:" in place)


def _path(path: str) -> str:
    """Return a path as OpenSSH's settings take it: `%` begins a token there, and blanks part two files."""
    path = path.replace("%", "%%")
    return f'"{path}"' if any(letter.isspace() for letter in path) else path

"""What the sandbox needs of this computer, and what it carries over from it: packages, name servers, CAs."""

from __future__ import annotations

import ipaddress
import os
import platform
import shutil
from pathlib import Path

from airfleet.errors import UsageError

PROGRAMS = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "nft": "nftables",
    "ssh-keygen": "openssh-client",
    "git": "git",
}
INSTEAD = (
    "any Debian or Ubuntu VM that you reach by SSH will do instead: systemd, sshd, python3 >= 3.9 and a user with "
    "sudo; write its address into an inventory of your own"
)
AUTHORITIES = Path("/usr/local/share/ca-certificates")


def check_computer() -> None:
    """UsageError unless this is Linux, we are root and the programs are there."""
    if platform.system() != "Linux":
        raise UsageError(f"the sandbox needs Linux, this is {platform.system()}", place="sandbox", remedy=INSTEAD)
    if os.geteuid() != 0:
        raise UsageError(
            "the sandbox needs root: it boots machines and builds a bridge",
            place="sandbox",
            remedy=f"sudo; or {INSTEAD}",
        )
    if missing := missing_packages():
        raise UsageError(
            f"missing Debian packages: {', '.join(missing)}",
            place="this computer",
            remedy=f"apt-get install --no-install-recommends {' '.join(missing)}",
        )


def missing_packages() -> list[str]:
    """The Debian packages whose programs this computer does not have."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return sorted({package for program, package in PROGRAMS.items() if not shutil.which(program, path=path)})


def authorities() -> list[Path]:
    """The certificates of this computer's own authorities, such as that of an intercepting proxy."""
    return sorted(AUTHORITIES.glob("*.crt"))


def choose_name_servers(*texts: str) -> list[str]:
    """The name servers of the first resolv.conf that has one outside loopback: a machine has a loopback of its own."""
    for text in texts:
        words = [line.split() for line in text.splitlines()]
        servers = [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]
        outside = [s for s in servers if not ipaddress.ip_address(s.partition("%")[0]).is_loopback]
        if outside:
            return outside
    raise UsageError(
        "every name server is on loopback, where machines can't reach it",
        place="/etc/resolv.conf",
        remedy="name one that is reachable from outside this computer",
    )


def name_servers() -> list[str]:
    """The name servers that a machine can use; systemd-resolved keeps the real ones in a file of its own."""
    paths = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
    return choose_name_servers(*(path.read_text() for path in paths if path.is_file()))

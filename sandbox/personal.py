"""What makes a copy of an image one particular machine: its disk, name, address, keys and the folders it shares."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from airfleet.errors import UsageError
from sandbox.command import run
from sandbox.computer import name_servers
from sandbox.site import GATEWAY_NUMBER, SVC, Machine, Site, fixed_number, fleet_names, write_whole

if TYPE_CHECKING:
    import ipaddress

HOST_KEY = "etc/ssh/ssh_host_ed25519_key"
OPS = 1000  # the first account of the image: see image.py
NAMED = 20  # fleet hosts that every machine knows by name, as a cloud's own DNS would
CACHES = {"uv": "/var/cache/airfleet/uv", "python": "/var/cache/airfleet/python"}


class Disk:
    """A machine's disk before it boots: the image below, and over it what is the machine's own."""

    def __init__(self, own: Path, image: Path) -> None:
        self.own = own
        self.image = image

    def folder(self, path: str, *, mode: int = 0o755, owner: int = 0) -> Path:
        """A folder of the machine; one that the image has keeps the image's owner and mode."""
        made = self.own
        below = self.image
        for part in Path(path).parts:
            made, below = made / part, below / part
            if made.is_dir():
                continue
            made.mkdir()
            stat = below.stat() if below.is_dir() else None
            os.chown(made, stat.st_uid if stat else owner, stat.st_gid if stat else owner)
            made.chmod(stat.st_mode & 0o7777 if stat else mode)
        return made

    def file(self, path: str, content: str, *, mode: int = 0o644, owner: int = 0) -> Path:
        """A file of the machine; one that the image has keeps the image's owner and mode."""
        below = self.image / path
        stat = below.stat() if below.is_file() and not below.is_symlink() else None
        at = self.folder(str(Path(path).parent), owner=owner) / Path(path).name
        write_whole(at, content, stat.st_mode & 0o7777 if stat else mode)
        os.chown(at, stat.st_uid if stat else owner, stat.st_gid if stat else owner)
        return at


def mount_options(folder: Path, image: Path) -> tuple[Path, str]:
    """The machine's root and the options of its overlay mount; empty for a root that is a copy."""
    upper, work = folder / "upper", folder / "work"
    return folder / "root", f"lowerdir={image},upperdir={upper},workdir={work}" if upper.is_dir() else ""


def make_disk(site: Site, machine: Machine) -> None:
    """An empty layer over the machine's image; a copy of the image where overlays don't work."""
    folder, image = site.folder(machine.name), site.images / machine.image
    for path in (image, folder):
        if set(str(path)) & set(",:\\"):
            raise UsageError("comma, colon and backslash can't stand in the path of a sandbox", place=str(path))
    for name in ("root", "upper", "work"):
        (folder / name).mkdir()
        (folder / name).chmod(0o755)
    root, options = mount_options(folder, image)
    trial: list[str | Path] = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "mount",
        "-t",
        "overlay",
        "-o",
        options,
        "overlay",
        root,
    ]
    if run(trial, check=False).returncode != 0:
        shutil.rmtree(folder / "work")
        (folder / "upper").rmdir()
        run(["cp", "-a", "--reflink=auto", f"{image}/.", root])


def disk_of(site: Site, machine: Machine) -> Disk:
    """The disk of a machine as it lies in its folder."""
    folder = site.folder(machine.name)
    own = folder / "upper" if (folder / "upper").is_dir() else folder / "root"
    return Disk(own, site.images / machine.image)


def personalise(site: Site, machine: Machine, subnet: ipaddress.IPv4Network) -> None:
    """Write the machine's own files onto its disk."""
    disk = disk_of(site, machine)
    disk.file("etc/machine-id", f"{uuid.uuid4().hex}\n", mode=0o444)
    disk.file("etc/hostname", f"{machine.name}\n")
    disk.file("etc/hosts", make_hosts(machine, subnet))
    disk.file("etc/resolv.conf", "".join(f"nameserver {server}\n" for server in name_servers()))
    disk.file("etc/systemd/network/10-host0.network", make_network(machine, subnet))
    key = disk.folder("etc/ssh") / Path(HOST_KEY).name
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", machine.name, "-f", key])
    disk.folder("home/ops/.ssh", mode=0o700, owner=OPS)
    disk.file("home/ops/.ssh/authorized_keys", public_key(site.identity), mode=0o600, owner=OPS)
    for path in CACHES.values():
        disk.folder(path.lstrip("/"))


def make_hosts(machine: Machine, subnet: ipaddress.IPv4Network) -> str:
    """The machine's /etc/hosts: itself, and the fleet's hosts at their fixed addresses."""
    fixed = {name: str(subnet[fixed_number(name) or 0]) for name in [SVC, *fleet_names(NAMED - 1)]}
    known = {**fixed, machine.name: machine.address}
    return "127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in known.items())


def make_network(machine: Machine, subnet: ipaddress.IPv4Network) -> str:
    """The machine's static address, for systemd-networkd."""
    return (
        "[Match]\nName=host0\n\n[Network]\n"
        f"Address={machine.address}/{subnet.prefixlen}\nGateway={subnet[GATEWAY_NUMBER]}\n"
        "DHCP=no\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nLLDP=no\nEmitLLDP=no\n"
    )


def public_key(private: Path) -> str:
    """The public half of a key of the site; the pair is made at the first call."""
    if not private.is_file():
        private.parent.mkdir(parents=True, exist_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"airfleet sandbox {private.name}", "-f", private])
    return private.with_name(f"{private.name}.pub").read_text()


def host_key(site: Site, machine: Machine) -> str:
    """The machine's host key as its own disk has it: `ssh-ed25519 AAAA…`."""
    own = disk_of(site, machine).own
    return " ".join((own / f"{HOST_KEY}.pub").read_text().split()[:2])


def write_known_hosts(site: Site) -> None:
    """Write the host keys of all machines of the site, under address and name."""
    machines = [m for m in site.machines().values() if (disk_of(site, m).own / f"{HOST_KEY}.pub").is_file()]
    write_whole(site.known_hosts, "".join(f"{m.address},{m.name} {host_key(site, m)}\n" for m in machines))


def make_binds(site: Site, release: str) -> dict[Path, str]:
    """The folders that all machines of a release share: what uv downloaded and the Pythons that pyenv built.

    Releases have folders of their own: another libc, and the account that owns the files has another number there.
    """
    shared = {site.caches / release / name: path for name, path in CACHES.items()}
    for folder in shared:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o1777)
    return shared

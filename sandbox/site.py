"""Where a sandbox keeps its things and what it is called; names and addresses are decided here."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import re
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airfleet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REPOSITORY = Path(__file__).resolve().parent.parent
RELEASES = ("bookworm", "trixie")
SVC = "svc"
GATEWAY_NUMBER, SVC_NUMBER, FLEET_NUMBER, FREE_NUMBERS = 1, 2, 10, range(60, 255)
FLEET_SIZE = 40
MACHINE_LENGTH = 12  # the host's end of the cable is called vb-MACHINE, and Linux allows 15 characters


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One machine as it is written down before it is started; `booted`: its systemd has once said `running`."""

    name: str
    address: str
    release: str
    image: str
    booted: bool = False


@dataclass(frozen=True, kw_only=True)
class Site:
    """One sandbox: its folder, its bridge, its names.

    Two sites with different tags and folders live beside each other; they may share `images` and `caches`: what uv
    downloaded and the Pythons that pyenv built.
    """

    root: Path = REPOSITORY
    state: Path = REPOSITORY / ".sandbox"
    images: Path = REPOSITORY / ".sandbox" / "images"
    caches: Path = REPOSITORY / ".sandbox" / "cache"
    tag: str = ""

    @property
    def bridge(self) -> str:
        """The name of the bridge, which also begins the names of the site's cgroups."""
        return f"airfleet-{self.tag}" if self.tag else "airfleet0"

    @property
    def table(self) -> str:
        """The name of the site's own nftables table."""
        return self.bridge.replace("-", "_")

    @property
    def identity(self) -> Path:
        """The private key that logs in as `ops`."""
        return self.state / "id_ed25519"

    @property
    def deploy_key(self) -> Path:
        """The private key that may read and write the DAG repository."""
        return self.state / "deploy_key"

    @property
    def known_hosts(self) -> Path:
        """The host keys of all machines of the site."""
        return self.state / "known_hosts"

    @property
    def inventory(self) -> Path:
        """The inventory that `up` writes."""
        return self.root / "inventory.sandbox.yaml"

    @property
    def secrets(self) -> Path:
        """The secrets file that belongs to the inventory."""
        return self.root / "secrets.sandbox.yaml"

    def folder(self, name: str) -> Path:
        """The folder of one machine: its record, its console, its root."""
        return self.state / "machines" / name

    def tagged(self, name: str) -> str:
        """The name of a machine on this computer, where two sites must not meet."""
        check_name(name)
        tagged = f"{self.tag}-{name}" if self.tag else name
        if len(tagged) > MACHINE_LENGTH:
            raise UsageError(f"machine name {tagged!r} is longer than {MACHINE_LENGTH} characters", place="sandbox")
        return tagged

    def cgroup(self, name: str) -> str:
        """The name of a machine's own cgroup."""
        return f"{self.bridge}.{name}"

    def machines(self) -> dict[str, Machine]:
        """What is written down about machines, by name; whether they run is another question."""
        found = sorted((self.state / "machines").glob("*/machine.json"))
        return {m.name: m for m in (Machine(**json.loads(path.read_text())) for path in found)}

    def record(self, machine: Machine) -> None:
        """Write a machine down, whole or not at all."""
        folder = self.folder(machine.name)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "machine.json", json.dumps(asdict(machine), indent=1))

    @contextmanager
    def lock(self) -> Iterator[int]:
        """Hold the site alone; yields the descriptor, which a child may inherit to hold it a little longer."""
        self.state.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield fd
        finally:
            os.close(fd)


def write_whole(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file in one step, with its mode before its content."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(fd, "w") as file:
        file.write(text)
    temporary.chmod(mode)
    temporary.rename(path)


def check_name(name: str) -> None:
    """UsageError unless the name can be a host name, a file name and part of an interface's name."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*[a-z0-9]|[a-z]", name):
        raise UsageError(f"machine name {name!r} is not lower-case letters, digits and inner dashes", place="sandbox")


def check_release(release: str) -> None:
    """UsageError unless the sandbox can build that Debian release."""
    if release not in RELEASES:
        raise UsageError(
            f"unknown Debian release {release!r}", place="sandbox", remedy=f"one of: {', '.join(RELEASES)}"
        )


def fleet_names(workers: int) -> list[str]:
    """The names of the fleet's hosts: af1 and as many worker hosts."""
    if not 0 <= workers < FLEET_SIZE:
        raise UsageError(f"{workers} worker hosts", place="--workers", remedy=f"0 to {FLEET_SIZE - 1}")
    return [f"af{number}" for number in range(1, workers + 2)]


def fixed_number(name: str) -> int | None:
    """The last byte of the address that a machine of the fleet always has; None for all others."""
    if name == SVC:
        return SVC_NUMBER
    found = re.fullmatch(r"af([1-9]\d?)", name)
    return FLEET_NUMBER + int(found[1]) if found and int(found[1]) <= FLEET_SIZE else None


def choose_address(name: str, subnet: ipaddress.IPv4Network, taken: Iterable[str]) -> str:
    """The address of a machine: its fixed one, else the first that is free."""
    number = fixed_number(name)
    if number is not None:
        return str(subnet[number])
    used = set(taken)
    free = (str(subnet[number]) for number in FREE_NUMBERS if str(subnet[number]) not in used)
    address = next(free, None)
    if address is None:
        raise UsageError(f"no address left in {subnet} for {name}", place="sandbox", remedy="destroy machines first")
    return address


def choose_subnet(taken: Iterable[str]) -> ipaddress.IPv4Network:
    """The first of 10.77.0.0/24, 10.78.0.0/24 … that touches none of the networks in use here."""
    used = [ipaddress.ip_network(text, strict=False) for text in taken]
    for second in range(77, 256):
        subnet = ipaddress.IPv4Network(f"10.{second}.0.0/24")
        if not any(isinstance(other, ipaddress.IPv4Network) and subnet.overlaps(other) for other in used):
            return subnet
    raise UsageError("10.77.0.0/24 to 10.255.0.0/24 are all in use", place="this computer's routes")

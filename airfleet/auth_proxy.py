"""The Cloud SQL Auth Proxy on a host: the program by its checksum, its unit, and who needs it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airfleet.layout import UNITS
from airfleet.resources import File, Made, Unit, digest
from airfleet.stamps import stamp_words, systemd_word
from airfleet.templates import fill

if TYPE_CHECKING:
    from airfleet.inventory import Host, Inventory
    from airfleet.model import Resource, Words
    from airfleet.sections_database import Proxy

AUTH_PROXY_UNIT = "cloud-sql-proxy.service"
SERVICE = "cloud-sql-proxy"
PROGRAMS = "/opt/airfleet/cloud-sql-proxy"  # beside each other: what goes back by itself finds the old one
LOOPBACK = "127.0.0.1"
INSTANCE_PORT = 3307  # of Cloud SQL, for the proxy alone
API = "sqladmin.googleapis.com"


def runs_on(inventory: Inventory, host: Host) -> bool:
    """Return whether the host has the proxy: whoever uses the database does, where the inventory names one."""
    return inventory.database.proxy is not None and set(host.roles) != {"redis"}


def leftovers(inventory: Inventory, host: Host) -> tuple[str, ...]:
    """Return the unit that is not wanted on a host without a proxy."""
    return () if runs_on(inventory, host) else (AUTH_PROXY_UNIT,)


def program_of(proxy: Proxy) -> str:
    """Return where the program of this checksum is."""
    return f"{PROGRAMS}-{proxy.sha256[:12]}"


def resources(inventory: Inventory, host: Host) -> list[Resource]:
    """Return the program, the unit's file and the unit; none where the host has no proxy."""
    proxy = inventory.database.proxy
    if proxy is None or not runs_on(inventory, host):
        return []
    source: Words = {"url": proxy.url, "path": proxy.path}
    file, program = unit_file(inventory), program_of(proxy)
    reads = ((file.path, digest(file.text)), (program, proxy.sha256))
    return [Made("binary", program, {"sha256": proxy.sha256}, means=source), file, Unit(AUTH_PROXY_UNIT, reads=reads)]


def unit_file(inventory: Inventory) -> File:
    """Return the unit's file."""
    proxy, path = inventory.database.proxy, f"{UNITS}/{AUTH_PROXY_UNIT}"
    if proxy is None:
        raise ValueError("the inventory names no proxy")
    program = program_of(proxy)
    words = [program, f"--address={LOOPBACK}", f"--port={inventory.database.port}", "--structured-logs"]
    words += ["--health-check", f"--http-address={LOOPBACK}", f"--http-port={proxy.health_port}"]
    words += ["--private-ip"] if proxy.private_ip else []
    text = fill(
        "cloud-sql-proxy.service.j2",
        stamp=stamp_words((path, program), runtime="%N"),
        command=" ".join(map(systemd_word, [*words, proxy.instance])),
        started=health(inventory, "startup"),
    )
    return File(path, text)


def health(inventory: Inventory, question: str) -> str:
    """Return the address at which the proxy tells whether it has started, or is ready."""
    proxy = inventory.database.proxy
    return f"http://{LOOPBACK}:{proxy.health_port}/{question}" if proxy else ""

"""The reverse proxy before the web pages: nginx's file, its drop-in, its certificate, what Airflow is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from airfleet import layout, unit_overrides
from airfleet.generations import generation_of
from airfleet.redis_conf import LOOPBACK
from airfleet.resources import Directory, File, Made, Unit, digest
from airfleet.stamps import stamp_words
from airfleet.templates import fill

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airfleet.inventory import Host, Inventory
    from airfleet.secrets import Secrets

UNIT = "nginx.service"
ROLE: Final = "proxy"
FOLDER = "/etc/nginx/airfleet"
CONF, DROP_IN = "/etc/nginx/nginx.conf", f"{layout.UNITS}/nginx.service.d/airfleet.conf"
CERTIFICATE, KEY = f"{FOLDER}/certificate.pem", f"{FOLDER}/key.pem"
WATCH, RELOAD = "airfleet-tls.path", "airfleet-tls.service"
HTTP_PORT, HTTPS_PORT = 80, 443
EVERYWHERE = "0.0.0.0"  # noqa: S104  # written into a file of settings


@dataclass(frozen=True, slots=True)
class Public:
    """Where people find the pages, as `airflow.base_url` says it."""

    scheme: str
    name: str
    port: int
    origin: str


def public(inventory: Inventory) -> Public:
    """Return where people find the pages."""
    parts = urlsplit(inventory.airflow.base_url)
    port = parts.port or (HTTPS_PORT if parts.scheme == "https" else HTTP_PORT)
    return Public(parts.scheme, parts.hostname or "", port, f"{parts.scheme}://{parts.netloc}")


def directories(host: Host) -> list[Directory]:
    """Return the folders that a proxy needs."""
    return [Directory(DROP_IN.rpartition("/")[0]), Directory(FOLDER, mode="0700")] if ROLE in host.roles else []


def files(inventory: Inventory, host: Host, secrets: Secrets) -> list[File | Made]:
    """Return nginx's file, and the certificate with its key, unless an ACME client has put them there."""
    if ROLE not in host.roles:
        return []
    found: list[File | Made] = [File(CONF, _conf(inventory, host)), File(DROP_IN, _drop_in(inventory))]
    tls = inventory.tls
    if tls.chain:
        found.insert(0, File(KEY, secrets["tls_key"].reveal(), mode="0600", secret=True))
        found.insert(0, File(CERTIFICATE, tls.chain))
    elif tls.self_signed:
        found.insert(
            0,
            Made(
                "self_signed", CERTIFICATE, {"for": public(inventory).name, "time left": "enough"}, means={"key": KEY}
            ),
        )
    if tls.host_certificate:
        found += [File(f"{layout.UNITS}/{name}", text) for name, text in _watch(inventory).items()]
    return found


def unit(inventory: Inventory, host: Host, secrets: Secrets) -> list[Unit]:
    """Return the proxy's unit; a new file or certificate is read again without a connection that is dropped."""
    if ROLE not in host.roles:
        return []
    texts = {file.path: file.text for file in files(inventory, host, secrets) if isinstance(file, File)}
    reads = tuple((path, digest(texts[path])) for path in _read(inventory))
    reloads = tuple(path for path, _ in reads if path != DROP_IN)
    watch = [Unit(WATCH)] if inventory.tls.host_certificate else []
    return [Unit(UNIT, reads=reads, reloads=reloads), *watch]


def leftovers(inventory: Inventory, host: Host) -> tuple[str, ...]:
    """Return the files of units that are not wanted on a host: where it is no proxy any more, nginx is to stop."""
    if ROLE not in host.roles:
        return WATCH, RELOAD, DROP_IN.removeprefix(f"{layout.UNITS}/")
    return () if inventory.tls.host_certificate else (WATCH, RELOAD)


def web_host(inventory: Inventory, host: Host) -> str:
    """Return the address that the web server listens on: loopback, where nobody but a proxy on its host comes to it."""
    local = ROLE in host.roles
    proxies_elsewhere = any(ROLE in each.roles and "webserver" not in each.roles for each in inventory.hosts.values())
    tasks_elsewhere = "execution_api_url" in generation_of(inventory.airflow.version).places and any(
        "worker" in each.roles and each.name != host.name for each in inventory.hosts.values()
    )
    return LOOPBACK if local and not proxies_elsewhere and not tasks_elsewhere else EVERYWHERE


def trusted(inventory: Inventory) -> str:
    """Return whose word on the visitor's address is taken: the proxies', or, before a load balancer, anybody's."""
    proxies = [inventory.hosts[name].address for name in inventory.with_role(ROLE)]
    return ",".join([LOOPBACK, *proxies]) if proxies else "*"


def problems(inventory: Inventory) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield what is wrong with `tls`, the proxies, and the address of the pages, beyond the form of their words."""
    tls, proxies, ways = inventory.tls, inventory.with_role(ROLE), inventory.tls.ways
    if not proxies:
        if ways:
            yield ("tls", ways[0]), "no host has the role proxy, which would show it"
        return
    if len(ways) != 1:
        said = (
            "needs `certificate`, `host_certificate` or `self_signed`"
            if not ways
            else f"says {' and '.join(ways)}: one"
        )
        yield ("tls",), said
    if bool(tls.host_certificate) != bool(tls.host_key):
        yield ("tls", "host_key"), "`host_certificate` and `host_key` need each other"
    if public(inventory).scheme != "https":
        yield ("airflow", "base_url"), f"hosts.{proxies[0]} is a proxy for https: write https:// here"
    taken = {HTTP_PORT, public(inventory).port}
    for name in proxies:
        if "webserver" in inventory.hosts[name].roles and inventory.airflow.web_port in taken:
            yield ("airflow", "web_port"), f"{inventory.airflow.web_port} is the proxy's on hosts.{name}: write 8080"


def certificate_paths(inventory: Inventory) -> tuple[str, str]:
    """Return where the certificate and its key are on a host."""
    tls = inventory.tls
    return (str(tls.host_certificate), str(tls.host_key)) if tls.host_certificate else (CERTIFICATE, KEY)


def _read(inventory: Inventory) -> tuple[str, ...]:
    return (CONF, DROP_IN, CERTIFICATE, KEY) if inventory.tls.chain else (CONF, DROP_IN)


def _conf(inventory: Inventory, host: Host) -> str:
    local = "webserver" in host.roles
    servers = [host] if local else [inventory.hosts[name] for name in inventory.with_role("webserver")]
    addresses = (
        [LOOPBACK] if local else [f"[{each.address}]" if ":" in each.address else each.address for each in servers]
    )
    certificate, key = certificate_paths(inventory)
    return fill(
        "nginx.conf.j2",
        servers=[f"{address}:{inventory.airflow.web_port}" for address in addresses],
        public=public(inventory),
        ipv6=":" in host.address,
        certificate=certificate,
        key=key,
        hsts_s=inventory.tls.hsts_s,
    )


def _drop_in(inventory: Inventory) -> str:
    stamp = stamp_words(_read(inventory), runtime="nginx")
    return fill(
        "nginx-airfleet.conf.j2", stamp=stamp, overrides=unit_overrides.lines(inventory.units, unit_overrides.PROXY)
    )


def _watch(inventory: Inventory) -> dict[str, str]:
    return {
        WATCH: fill("airfleet-tls.path.j2", certificate=certificate_paths(inventory)[0]),
        RELOAD: fill("airfleet-tls.service.j2"),
    }

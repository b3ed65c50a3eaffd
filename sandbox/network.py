"""The network of a site: a bridge, a way out by masquerade, and kernel settings, put back when the last site goes."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airfleet.errors import UsageError
from sandbox import cgroup
from sandbox.command import run
from sandbox.site import GATEWAY_NUMBER, Site, choose_subnet, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = {"net/ipv4/ip_forward": 1, "fs/inotify/max_user_instances": 4096}
SAVED = Path("/run/airfleet-sandbox")  # gone after a reboot, like the settings themselves
BRIDGES = "airfleet"


def ip_json(*words: str) -> list[dict[str, Any]]:
    """What `ip -json` answers."""
    answer: list[dict[str, Any]] = json.loads(run(["ip", "-json", *words]).stdout or "[]")
    return answer


def subnet_of(site: Site) -> ipaddress.IPv4Network:
    """The site's subnet: the one that is written down, else a free one, which then is written down."""
    path = site.state / "network.json"
    if path.is_file():
        return ipaddress.IPv4Network(json.loads(path.read_text())["subnet"])
    routes = [str(route["dst"]) for route in ip_json("route", "show", "table", "all") if route["dst"] != "default"]
    subnet = choose_subnet(routes)
    write_whole(path, json.dumps({"subnet": str(subnet), "bridge": site.bridge}))
    return subnet


def gateway(site: Site) -> str:
    """This computer's own address on the site's bridge."""
    return str(subnet_of(site)[GATEWAY_NUMBER])


def bridges() -> list[str]:
    """The bridges of all sandboxes on this computer."""
    return [link["ifname"] for link in ip_json("link", "show", "type", "bridge") if link["ifname"].startswith(BRIDGES)]


def make_rules(table: str, subnet: ipaddress.IPv4Network) -> str:
    """The nftables table: machines leave under this computer's address, with segments that fit its way out."""
    return f"""table ip {table}
delete table ip {table}
table ip {table} {{
  chain out {{
    type nat hook postrouting priority srcnat;
    ip saddr {subnet} ip daddr != {subnet} masquerade
  }}
  chain pass {{
    type filter hook forward priority mangle;
    ip saddr {subnet} tcp flags syn tcp option maxseg size set rt mtu
  }}
}}
"""


def claim(site: Site) -> None:
    """Take the site's names on this computer; UsageError when another checkout's sandbox runs under them.

    What another one left that does not run any more, as after a crash or in a checkout that is gone, is taken away.
    """
    record = SAVED / f"{site.bridge}.owner"
    with _settings_lock():
        owner = record.read_text() if record.is_file() else ""
        if owner == str(site.state):
            return
        if owner and any(cgroup.populated(name) for name in cgroup.names(site.cgroup(""))):
            raise UsageError(
                f"the sandbox that runs on this computer belongs to another checkout: {owner}",
                place="sandbox",
                remedy="run `fab sandbox.down` there first",
            )
        if owner:
            _remove_bridge(site)
        write_whole(record, str(site.state))


def raise_network(site: Site) -> None:
    """Bridge, rules and settings, each only when it is not yet there. Call with the site's lock held."""
    subnet = subnet_of(site)
    with _settings_lock():
        _raise_settings()
        if site.bridge not in bridges():
            run(["ip", "link", "add", site.bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0"])
    run(["ip", "address", "replace", f"{gateway(site)}/{subnet.prefixlen}", "dev", site.bridge])
    run(["ip", "link", "set", site.bridge, "up"])
    if run(["nft", "list", "table", "ip", site.table], check=False).returncode != 0:
        run(["nft", "-f", "-"], stdin=make_rules(site.table, subnet))


def remove_network(site: Site) -> None:
    """Take rules, bridge and the record of the subnet away; the last site puts the kernel's settings back."""
    with _settings_lock():
        _remove_bridge(site)
        (SAVED / f"{site.bridge}.owner").unlink(missing_ok=True)
        if not bridges():
            _put_settings_back()
    (site.state / "network.json").unlink(missing_ok=True)


def _remove_bridge(site: Site) -> None:
    if run(["nft", "list", "table", "ip", site.table], check=False).returncode == 0:
        run(["nft", "delete", "table", "ip", site.table])
    if site.bridge in bridges():
        run(["ip", "link", "delete", site.bridge])


def network_up(site: Site) -> bool:
    """Is the site's bridge there?"""
    return (Path("/sys/class/net") / site.bridge).exists()


@contextmanager
def _settings_lock() -> Iterator[None]:
    SAVED.mkdir(parents=True, exist_ok=True)
    fd = os.open(SAVED / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _raise_settings() -> None:
    proc = Path("/proc/sys")
    now = {name: int((proc / name).read_text()) for name in SETTINGS}
    saved = SAVED / "settings.json"
    if not saved.is_file():
        write_whole(saved, json.dumps(now))
    for name, wanted in SETTINGS.items():
        if now[name] < wanted:
            (proc / name).write_text(str(wanted))


def _put_settings_back() -> None:
    saved = SAVED / "settings.json"
    if saved.is_file():
        for name, value in json.loads(saved.read_text()).items():
            (Path("/proc/sys") / name).write_text(str(value))
        saved.unlink()

"""Which units' journals are asked for, since when, and for what: the words of `fab logs`, checked. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airfleet import auth_proxy
from airfleet.errors import UsageError
from airfleet.generations import generation_of
from airfleet.places import nearest
from airfleet.units import BESIDE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from airfleet.generations import Service
    from airfleet.inventory import Inventory

AUTH_PROXY = auth_proxy.SERVICE
NOTHING = "nothing was contacted"
SPAN = re.compile(r"(\d+ *(s|sec|seconds?|m|min|minutes?|h|hr|hours?|d|days?|w|weeks?) *)+")
MOMENTS = ("now", "today", "yesterday", "tomorrow")


def units_of(inventory: Inventory, hosts: Sequence[str], service: str) -> dict[str, list[str]]:
    """Return the units whose journals are meant, for each host that has any; all of them without a service."""
    services = generation_of(inventory.airflow.version).services
    name, at, number = service.partition("@")
    if service:
        _check_service(service, services, has_auth_proxy=inventory.database.proxy is not None)
    found: dict[str, list[str]] = {}
    for host in hosts:
        roles, count = inventory.hosts[host].roles, inventory.hosts[host].celery.instances
        units = [unit for unit, each in BESIDE.items() if each in roles and name in ("", each)]
        if name in ("", AUTH_PROXY) and auth_proxy.runs_on(inventory, inventory.hosts[host]):
            units.append(auth_proxy.AUTH_PROXY_UNIT)
        for each in services:
            if each.role in roles and (not name or each.is_called(name)):
                units += [each.unit(int(number))] if at else _units(each, count)
        if units:
            found[host] = units
    if not found:
        raise UsageError(f"{service} does not run on {', '.join(hosts)}", place="--only", state=NOTHING)
    return found


def _units(service: Service, count: int) -> list[str]:
    """Return the unit of a service; or its instances one by one, and a pattern, since there may have been others."""
    if not service.instances:
        return [service.unit_file]
    return [*(service.unit(n) for n in range(1, count + 1)), service.unit_file.replace("@", "@*")]


def _check_service(text: str, services: Sequence[Service], *, has_auth_proxy: bool) -> None:
    known = {
        **dict.fromkeys(BESIDE.values(), False),
        **({AUTH_PROXY: False} if has_auth_proxy else {}),
        **{name: each.instances for each in services for name in (each.name, *each.also)},
    }
    name, at, number = text.partition("@")
    if name in known and (not at or (known[name] and re.fullmatch(r"[1-9]\d{0,3}", number))):
        return
    raise UsageError(
        f"there is no service {text!r}{nearest(name, known) if name not in known else ''}",
        place="--service",
        remedy=f"one of: {', '.join(f'{each} or {each}@N' if several else each for each, several in known.items())}",
        state=NOTHING,
    )


def since_of(text: str) -> str:
    """Return the time as journalctl takes it; a mere span, such as `2h`, is so long ago."""
    text = text.strip()
    if SPAN.fullmatch(text):
        return f"-{text}"
    if not text.isprintable() or not (re.search(r"\d", text) or text in MOMENTS):
        raise UsageError(
            f"{text!r} is no time",
            place="--since",
            remedy='such as "1 hour ago", 2h, 10:00, yesterday or "2026-11-25 10:00"',
            state=NOTHING,
        )
    return text


def moment_of(at: int) -> str:
    """Return a moment, in microseconds since the epoch, as journalctl takes it."""
    return f"@{at // 10**6}.{at % 10**6:06d}"


def check_pattern(text: str) -> str:
    """Return the pattern, or refuse what can't be one; it is the hosts' journalctl that searches for it."""
    try:
        re.compile(text)
    except re.error as e:
        raise UsageError(f"{text!r} is no regular expression: {e}", place="--grep", state=NOTHING) from None
    if not text.isprintable():
        raise UsageError(f"{text!r} has a control character in it", place="--grep", state=NOTHING)
    return text


def zone_of(offset: timedelta) -> str:
    """Return what TZ says for a place so far ahead of UTC: the operator's time of day is then the hosts' as well."""
    minutes = round(offset.total_seconds() / 60)
    shown = f"{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    ahead = minutes >= 0  # POSIX counts westward
    return f"<{'+' if ahead else '-'}{shown.replace(':', '')}>{'-' if ahead else '+'}{shown}"

"""The one screen of `fab status`, line by line, from what was seen; `?` stands for what is not known. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from airfleet.answers import one_line
from airfleet.checkup import Checkup, expected_nodes, units_of
from airfleet.doctor.finding import shown, span
from airfleet.doctor.report import operation_json
from airfleet.generations import generation_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airfleet.doctor.diagnosis import Diagnosis

WIDTH = 100
HOSTS_SHOWN = 8
GOOD, BAD, UNKNOWN = "✓", "✗", "?"
DISK_PERCENT = 90
BEAT_S = 30
CLOCK_S = 5


def lines(c: Checkup, diagnosis: Diagnosis) -> list[str]:
    """Return the screen: a verdict, tasks, queues, services, stores, and a table of the hosts."""
    return [
        one_line(line)[:WIDTH]
        for line in (*_verdict(c, diagnosis), "", *_work(c), *_core(c), *_stores(c), "", *_hosts(c))
    ]


def _verdict(c: Checkup, d: Diagnosis) -> Iterator[str]:
    if on := c.maintenance:
        yield f"! maintenance is on, by {on['who']} since {on['since']}: {on['reason'] or 'no reason given'}"
    if d.operation:
        held = ", ".join(dict.fromkeys(finding.id for finding, _ in d.held))
        yield f"{UNKNOWN if d.operation.stuck else '~'} {d.operation}" + ("; it holds back:" if held else "")
        if held:
            yield f"  {held}"
    yield from _of_hosts(c)
    if d.causes or d.crashed:
        effects = sum(map(len, d.effects.values()))
        yield f"{BAD} {shown(len(d.causes), 'cause')}, {shown(effects, 'effect')}   run: fab doctor"
        for cause in d.causes[:3]:
            yield f"  {BAD} {cause.id}: {cause.where}: {cause.says}"
    elif c.crew is None:
        yield f"{UNKNOWN} nothing wrong so far"
    elif d.unknown:
        yield f"{UNKNOWN} nothing wrong was seen, and not all could be looked at: {d.unknown[0]}"
    else:
        well = "well" if not d.held else "well but for what is held back"
        yield f"{GOOD} {well}" + (f"; {len(d.latent)} latent: fab doctor" if d.latent else "")


def _of_hosts(c: Checkup) -> Iterator[str]:
    for name, told in c.way_back.items():
        for what, how in told.items():
            yield f"! {name} {what} {how}" if what == "went back" else f"! {name} is {what}: {how}"
    for name in c.left_behind:
        yield f"! left behind: {name} is not in the inventory any more, and was not retired: fab retire {name}"


def _work(c: Checkup) -> Iterator[str]:
    tasks, queued, dags = c.airflow.get("tasks"), c.airflow.get("queued"), c.airflow.get("dags") or {}
    if tasks is None or queued is None:
        yield " TASKS   ?"
    else:
        oldest = max((each["oldest_s"] for each in queued), default=None)
        waits = f" (oldest {span(oldest)})" if oldest is not None else ""
        broken = len(c.airflow.get("import_errors") or ())
        yield (
            f" TASKS   running {tasks.get('running', 0)}   queued {tasks.get('queued', 0)}{waits}"
            f"   scheduled {tasks.get('scheduled', 0)}   failed last hour {tasks['failed_last_hour']}"
            f"   DAGs {dags.get('active', UNKNOWN)}, files broken {broken}"
        )
    yield from _queues(c)


def _queues(c: Checkup) -> Iterator[str]:
    if c.crew is None:
        yield " QUEUES  … (asking the workers)"
        return
    if c.crew.get("error"):
        yield f" QUEUES  ? ({c.crew['error']})"
        return
    served = Counter(queue for node in c.nodes.values() for queue in node["queues"] or ())
    holding = {queue: [n for n in c.nodes.values() if queue in (n["queues"] or ())] for queue in served}
    expected = len(expected_nodes(c.inventory))
    answering = sum(1 for node in c.nodes.values() if node["answers"])
    yield f" WORKERS {answering} of {expected} answer {GOOD if answering >= expected else BAD}"
    for queue, length in sorted(c.crew["queues"].items()):
        nodes = holding.get(queue, [])
        active = sum(node["active"] or 0 for node in nodes)
        reserved = sum(node["reserved"] or 0 for node in nodes)
        mark = GOOD if nodes else BAD
        took = f"active {active}   reserved {reserved}"
        yield f" QUEUES  {queue}: {length} waiting   {len(nodes)} workers {mark}   {took}"


def _core(c: Checkup) -> Iterator[str]:
    parts = []
    jobs = c.airflow.get("jobs")
    for service in generation_of(c.inventory.airflow.version).services:
        if not service.job or not c.inventory.with_role(service.role):  # type: ignore[arg-type]
            continue
        ages = [job["age_s"] for job in jobs or () if job["type"] == service.job]
        age = min(ages, default=None)
        mark = UNKNOWN if jobs is None else (GOOD if age is not None and age < BEAT_S else BAD)
        parts.append(f"{service.name} {mark} {span(age)}")
    dags = c.airflow.get("dags") or {}
    parts.append(f"DAGs parsed {span(dags.get('parsed_s'))}")
    for name in c.inventory.with_role("webserver"):
        page = (c.hosts.get(name) or {}).get("web")
        mark = UNKNOWN if page is None else (GOOD if page["ok"] else BAD)
        parts.append(f"web {mark} {page['ms'] if page and page['ms'] is not None else UNKNOWN} ms")
    yield " CORE    " + "   ".join(parts)


def _stores(c: Checkup) -> Iterator[str]:
    redis = _answers(c, "redis")
    database = _answers(c, "database")
    info: Mapping[str, Any] = next((answer["info"] for answer in redis if answer.get("info")), {})
    memory = f" {info['used_memory'] / 2**20:.0f}/{info['maxmemory'] / 2**20:.0f} MB" if info.get("maxmemory") else ""
    held = c.airflow.get("connections")
    connections = f" {held['count']}/{held['most']} connections" if held else ""
    blocked = c.airflow.get("blockers")
    yield (
        f" STORES  postgres {_mark(database)}{connections}, {UNKNOWN if blocked is None else len(blocked)} blocked"
        f"   redis {_mark(redis)} {'write ok' if _mark(redis) == GOOD else ''}{memory}"
    )


def _answers(c: Checkup, store: str) -> list[Mapping[str, Any]]:
    return [answer for host in c.hosts.values() for answer in ((host.get("stores") or {}).get(store) or {}).values()]


def _mark(answers: list[Mapping[str, Any]]) -> str:
    if not answers or any(answer["ok"] is None for answer in answers):
        return UNKNOWN
    return GOOD if all(answer["ok"] for answer in answers) else BAD


def _hosts(c: Checkup) -> Iterator[str]:
    wide = max((len(name) for name in c.inventory.hosts), default=4)
    numbers = f"{'SINCE':>6} {'RST':>3} {'DISK':>5} {'MEM':>4} {'CLOCK':>7}"
    yield f" {'HOST':<{wide}}  {'UNITS':<34} {numbers}  {'DAGS':<8} SAME"
    names = [*c.unreachable, *(name for name in c.hosts)]
    shown = sorted(names, key=lambda name: (_fine(c, name), list(c.inventory.hosts).index(name)))
    for name in shown[:HOSTS_SHOWN]:
        yield _host(c, name, wide)
    if rest := shown[HOSTS_SHOWN:]:
        fine = sum(_fine(c, name) for name in rest)
        yield f" and {len(rest)} more hosts, {fine} of them {GOOD}"


def _host(c: Checkup, name: str, wide: int) -> str:
    if name in c.unreachable:
        return f" {name:<{wide}}  {BAD} unreachable: {c.unreachable[name]}"
    host = c.hosts[name]
    units = host.get("units") or {}
    since = min((unit["since_s"] for unit in units.values() if unit["since_s"] is not None), default=None)
    restarts = sum(unit["restarts"] for unit in units.values())
    known = host.get("host") or {}
    disk = max((each["percent"] for each in known.get("disks", {}).values()), default=None)
    memory = known.get("memory") or {}
    used = round(100 * (1 - memory["available_mb"] / memory["total_mb"])) if memory else None
    clock = c.clocks.get(name)
    commit = (host.get("release") or {}).get("current")
    return (
        f" {name:<{wide}}  {_units(c, name):<34} {span(since):>6} {restarts:>3} {_percent(disk):>5} {_percent(used):>4}"
        f" {f'{clock[0]:+.2f} s' if clock else UNKNOWN:>7}  {str(commit or UNKNOWN)[:7]:<8} {_same(c, name)}"
    )


def _percent(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value}%"


def _units(c: Checkup, name: str) -> str:
    """Return the services of a host: those that do not run by name, the others counted."""
    known = (c.hosts[name].get("units")) or {}
    if not known:
        return UNKNOWN
    bad = [unit for unit in units_of(c.inventory, c.inventory.hosts[name]) if not _runs(known.get(unit) or {})]
    if not bad:
        return f"{GOOD} {len(known)} run"
    short = ", ".join(unit.removesuffix(".service").removeprefix("airflow-") for unit in bad)
    text = f"{BAD} {short}"
    return text if len(text) <= 34 else text[:33] + "…"  # noqa: PLR2004  # the column's width


def _runs(unit: Mapping[str, Any]) -> bool:
    return unit.get("active") == "active" and unit.get("state") != "T" and not unit.get("stopped")


def _same(c: Checkup, name: str) -> str:
    """Tell whether a host has the release, the environment and the versions that most have."""
    wrong = []
    for what in ("current", "venv"):
        values = {host: (each.get("release") or {}).get(what) for host, each in c.hosts.items()}
        usual = Counter(values.values()).most_common(1)[0][0]
        if values[name] != usual:
            wrong.append("code" if what == "current" else what)
    return f"{BAD} {', '.join(wrong)}" if wrong else GOOD


def _fine(c: Checkup, name: str) -> bool:
    if name in c.unreachable:
        return False
    known = c.hosts[name].get("units") or {}
    return bool(known) and all(map(_runs, known.values())) and _same(c, name) == GOOD


def as_json(c: Checkup, d: Diagnosis) -> dict[str, Any]:
    """Return the same for a machine."""
    return {
        "environment": c.inventory.environment,
        "well": not (d.causes or d.crashed),
        "causes": [{"id": each.id, "where": each.where, "says": each.says} for each in d.causes],
        **operation_json(d),
        "unknown": list(d.unknown),
        "left_behind": list(c.left_behind),
        "way_back": {name: dict(told) for name, told in c.way_back.items()},
        "tasks": c.airflow.get("tasks"),
        "queued": c.airflow.get("queued"),
        "jobs": c.airflow.get("jobs"),
        "dags": c.airflow.get("dags"),
        "workers": dict(c.nodes),
        "queues": (c.crew or {}).get("queues"),
        "hosts": {
            **{name: {"unreachable": why} for name, why in c.unreachable.items()},
            **{
                name: {
                    "units": {unit: seen["active"] for unit, seen in (host.get("units") or {}).items()},
                    "restarts": sum(seen["restarts"] for seen in (host.get("units") or {}).values()),
                    **(host.get("release") or {}),
                    "host": host.get("host"),
                    "clock_s": c.clocks[name][0] if name in c.clocks else None,
                }
                for name, host in c.hosts.items()
            },
        },
    }

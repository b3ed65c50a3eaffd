"""The services as systemd and the kernel see them: stopped, failing, frozen, doubled, or killed with their tasks."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from airfleet.checkup import units_of
from airfleet.doctor.finding import Check, CouldNotLook, Fact, Finding, Layer, service_of, shown, sign_of, span, told_by
from airfleet.generations import generation_of
from airfleet.units import BESIDE, REDIS_UNIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airfleet.checkup import Checkup

WORKER = "airflow-worker@"
AFTER_REDIS_S = 90
YOUNG_S = 120
RESTARTS = 3
DOWN = ("inactive", "failed")
STOP_TIMED_OUT = "stop-sigterm"
# What follows from a service that is stopped.
STOPPED = {
    "scheduler": ("scheduler-hung", "dag-processor-down"),
    "triggerer": ("triggerer-down",),
    "worker": ("queue-without-consumer", "worker-wedged"),
    "logs": ("log-unreachable",),
}


def _units(c: Checkup) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for name, host in c.hosts.items():
        if host.get("units") is None:
            raise CouldNotLook(f"units of {name}")
        for unit in units_of(c.inventory, c.inventory.hosts[name]):
            yield name, unit, host["units"][unit]


def _last_words(c: Checkup, name: str, unit: str) -> str:
    words = ((c.hosts[name].get("journal") or {}).get("last_words") or {}).get(unit) or ""
    lines = [line for line in str(words).splitlines() if line.strip()]
    telling = [line for line in lines if "Error" in line or "rror:" in line or "FATAL" in line]
    return (telling or lines or ["nothing"])[-1].strip()[:200]


def dead_after_broker(c: Checkup) -> Iterator[Finding]:
    """A worker ended with status 0 when Redis was restarted, and nobody started it again."""
    redis = c.unit(c.inventory.with_role("redis")[0], REDIS_UNIT)
    for name, unit, seen in _units(c):
        if not unit.startswith(WORKER) or seen["active"] != "inactive" or seen["result"] != "success":
            continue
        ended, began = seen["ended_s"], redis.get("started_s")
        if not seen["enabled"] or ended is None or began is None or abs(ended - began) > AFTER_REDIS_S:
            continue
        yield Finding(
            "worker-dead-after-broker-restart",
            Layer.UNITS,
            f"{name}: {unit}",
            "ended when Redis was restarted, and stays so",
            (
                Fact(f"systemctl status {unit}", f"inactive, Result=success, status 0, for {span(ended)}"),
                Fact("systemctl status redis-server", f"started {span(began)} ago"),
            ),
            "its slots are gone; the other workers go on",
            f"fab start --service worker --only {name}",
            host=name,
            explains=frozenset({"service-stopped", "queue-without-consumer", "unit-drift"}),
        )


def stopped(c: Checkup) -> Iterator[Finding]:
    """A service that should run has been stopped."""
    by_host: dict[str, list[tuple[str, Mapping[str, Any]]]] = defaultdict(list)
    for name, unit, seen in _units(c):
        if seen["active"] == "inactive" and seen["sub"] != "auto-restart":
            by_host[name].append((unit, seen))
    for name, units in by_host.items():
        unit, seen = units[0]
        names = ", ".join(each for each, _ in units)
        service = service_of(unit)
        facts = [Fact(f"systemctl status {each}", f"{s['active']} for {span(s['since_s'])}") for each, s in units]
        facts.append(Fact("its last run", f"ended with {seen['result']}, status {seen['status']}"))
        yield Finding(
            "service-stopped",
            Layer.UNITS,
            f"{name}: {names}",
            "is stopped" if len(units) == 1 else "are stopped",
            tuple(facts),
            _missed(service),
            f"fab start --service {service if len(units) == 1 else 'all'} --only {name}",
            host=name,
            explains=frozenset(effect for each, _ in units for effect in STOPPED.get(service_of(each), ())),
            about=frozenset(service_of(each) for each, _ in units),
            since_s=max((s["since_s"] or 0.0 for _, s in units), default=None),
        )


def _missed(service: str) -> str:
    return {
        "scheduler": "no new task is scheduled; those that run go on",
        "webserver": "the web pages are away; tasks go on",
        "api-server": "the web pages are away, and running tasks can't tell how they are",
        "dag-processor": "new code of DAGs does not arrive; those that are known run on",
        "triggerer": "deferred tasks stay deferred",
        "worker": "its slots are gone; other workers of its queues go on",
        "logs": "logs of running tasks can't be read in the web pages",
        "trigger-logs": "what deferred tasks log in the triggerer can't be read in the web pages",
        "flower": "Celery's monitor is away; tasks go on",
        "proxy": "the web pages are away for everybody who comes by TLS; tasks go on",
    }.get(service, "what it does is not done")


def crash_loop(c: Checkup) -> Iterator[Finding]:
    """A service ends again and again, or systemd has given up on it: an effect of whatever its last words name."""
    for name, unit, seen in _units(c):
        looping = seen["sub"] == "auto-restart" or seen["active"] == "failed"
        young = seen["started_s"] is not None and seen["started_s"] < YOUNG_S and seen["restarts"] >= RESTARTS
        if not looping and not young:
            continue
        facts = [Fact(f"systemctl status {unit}", f"{seen['active']} ({seen['sub']}), {seen['result']}")]
        facts.append(Fact("restarts", f"{seen['restarts']}, the last start {span(seen['started_s'])} ago"))
        facts.append(Fact(f"its last words (journalctl -u {unit})", _last_words(c, name, unit)))
        yield Finding(
            "crash-loop",
            Layer.UNITS,
            f"{name}: {unit}",
            "does not stay up" if looping else "was restarted again and again",
            tuple(facts),
            "what it does is not done",
            f"fab logs --service {_instance_of(unit)} --only {name} --since 15m",
            host=name,
            explains=frozenset({"scheduler-hung", "triggerer-down", "queue-without-consumer", "service-stopped"}),
        )


def _instance_of(unit: str) -> str:
    """Return a unit as `fab logs --service` takes it: a worker with its number."""
    return BESIDE.get(unit) or unit.removesuffix(".service").removeprefix("airflow-")


def port_taken(c: Checkup) -> Iterator[Finding]:
    """Somebody else has a port that a service needs, or a stale pid file says that it runs already."""
    health = generation_of(c.inventory.airflow.version).health
    web = generation_of(c.inventory.airflow.version).web
    wanted = {str(c.inventory.airflow.web_port): web.unit_file, str(health.log_port): "airflow-logs.service"}
    wanted |= {str(health.trigger_log_port): "airflow-trigger-logs.service"}
    for name, host in c.hosts.items():
        if host.get("ports") is None:
            raise CouldNotLook(f"ports of {name}")
        expected = units_of(c.inventory, c.inventory.hosts[name])
        for port, unit in wanted.items():
            holder = host["ports"].get(port)
            if unit not in expected or not holder or holder["unit"] == unit:
                continue
            facts = [
                Fact(
                    f"ss -ltnp sport = :{port}", f"{holder['name']}, pid {holder['pid']}, {holder['unit'] or 'no unit'}"
                ),
                Fact(f"systemctl status {unit}", f"{c.unit(name, unit)['active']} all the same"),
            ]
            facts += told_by(host, "bind")
            yield Finding(
                "port-or-pidfile",
                Layer.UNITS,
                f"{name}: port {port}",
                f"is held by {holder['name']} (pid {holder['pid']}), which is not {unit}",
                tuple(facts),
                "the service does not answer there, whatever systemd says",
                "fab runbook port-or-pidfile",
                host=name,
                explains=frozenset({"crash-loop", "web-silent", "log-unreachable"}),
            )
        for stale in host.get("pidfiles") or ():
            if not stale["alive"]:
                yield Finding(
                    "port-or-pidfile",
                    Layer.UNITS,
                    f"{name}: {stale['path']}",
                    "says that a service runs already, and none does",
                    (
                        Fact(stale["path"], f"pid {stale['pid']}"),
                        Fact(f"/proc/{stale['pid']}", "is no process of Airflow's"),
                    ),
                    "a service started by hand refuses to start; those of systemd keep their own elsewhere",
                    "fab runbook port-or-pidfile",
                    host=name,
                    latent=True,
                )


def doubled(c: Checkup) -> Iterator[Finding]:
    """Two workers of one name, or one that systemd did not start: commands for the one reach the other."""
    for name, host in c.hosts.items():
        if host.get("strays") is None:
            raise CouldNotLook(f"processes of {name}")
        by_node: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for each in host["strays"]:
            by_node[each["node"]].append(each)
        for node, found in by_node.items():
            outside = [each for each in found if not each["unit"].startswith(WORKER)]
            if len(found) < 2 and not outside:  # noqa: PLR2004  # two of a kind
                continue
            pids = ", ".join(f"pid {each['pid']} in {each['unit'] or 'no unit'}" for each in found)
            replies = c.nodes.get(node, {}).get("replies")
            yield Finding(
                "duplicate-worker-name",
                Layer.UNITS,
                f"{name}: {node}",
                "there are two workers of this name" if len(found) > 1 else "a worker runs that systemd did not start",
                (
                    Fact("processes with this name", pids),
                    Fact("celery inspect ping", f"{replies if replies is not None else '?'} answers to this name"),
                ),
                "a drain or a restart may hit the wrong one, and tasks with it",
                "fab runbook duplicate-worker-name",
                host=name,
                explains=frozenset({"worker-wedged"}),
            )


def killed_tasks(c: Checkup) -> Iterator[Finding]:
    """Tasks died with a worker that was stopped, or would with the next."""
    for name, host in c.hosts.items():
        mode = {u: s for n, u, s in _units(c) if n == name and u.startswith(WORKER) and s["kill_mode"] != "mixed"}
        sign = sign_of(host, "killed-tasks")
        if not mode and not sign:
            continue
        mended = sign is not None and not mode and _started_since(c, name, sign)
        facts = []
        if sign:
            facts.append(Fact(f"journal of {sign['unit']}, {span(sign['ago_s'])} ago", str(sign["last"])[:160]))
            facts.append(Fact("how often in the last hour", shown(sign["count"], "time")))
        facts += [Fact(f"systemctl show {unit}", f"KillMode={seen['kill_mode']}") for unit, seen in mode.items()]
        if sign and mended:
            facts.append(Fact(f"systemctl show {sign['unit']}", "KillMode=mixed, and started since"))
        says = "were stopped with their tasks in the last hour" + ("; mended since" if mended else "")
        yield Finding(
            "restart-killed-tasks",
            Layer.UNITS,
            f"{name}: workers",
            says if sign else "would be killed with their tasks by a restart",
            tuple(facts),
            "those tasks failed, or run again from the beginning" if sign else "none yet",
            "fab plan" if mode else "fab runbook restart-killed-tasks",
            host=name,
            latent=not sign or mended,
            explains=frozenset({"unit-drift"}),
        )


def _started_since(c: Checkup, name: str, sign: Mapping[str, Any]) -> bool:
    """Tell whether a worker whose tasks were killed by a signal runs anew; too short a stop is not mended by that."""
    started = c.unit(name, sign["unit"]).get("started_s")
    return STOP_TIMED_OUT not in str(sign["last"]) and started is not None and started < sign["ago_s"]


def lost_tasks(c: Checkup) -> Iterator[Finding]:
    """Tasks that Airflow believes to run and nobody hears of; and processes whose task it has given up."""
    orphans = {(n, u): s["orphans"] for n, u, s in _units(c) if u.startswith(WORKER) and s["orphans"]}
    silent = c.airflow.get("lost") or []
    if not orphans and not silent:
        return
    facts = [
        Fact("task instances that run", f"{t['dag']}.{t['task']} on {t['host']}: silent for {span(t['silent_s'])}")
        for t in silent[:3]
    ]
    for (name, unit), found in orphans.items():
        facts += [
            Fact(f"processes of {unit} on {name}", f"pid {pid} has lost its parent: {what}") for pid, what in found
        ]
    if silent and not orphans:
        facts.append(Fact("processes of the workers", "none has lost its parent: the task is gone"))
    where = ", ".join(sorted({name for name, _ in orphans} or {str(t["host"]) for t in silent}))
    yield Finding(
        "zombie-task",
        Layer.UNITS,
        where,
        "a task runs on that nobody watches" if orphans else "tasks are called running and give no sign of life",
        tuple(facts),
        "Airflow fails them after 5 minutes; a retry beside a process that lives on runs the work twice",
        "fab runbook zombie-task",
    )


CHECKS = (
    Check("workers after a restart of Redis", dead_after_broker),
    Check("services run", stopped, quick=True),
    Check("services stay up", crash_loop, quick=True),
    Check("ports and pid files", port_taken),
    Check("one worker of each name", doubled),
    Check("workers stop gracefully", killed_tasks),
    Check("tasks are watched", lost_tasks),
)

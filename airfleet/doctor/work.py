"""Is work done: hearts beat, workers take tasks and run them, queues are served and lose nothing."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from airfleet import log_servers
from airfleet.doctor.finding import STARTING_S, Check, CouldNotLook, Fact, Finding, Layer, shown, span, told_by
from airfleet.generations import generation_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airfleet.checkup import Checkup

BEAT_S = 30.0
QUEUED_S = 60.0


def beats(service: str, finding: str, impact: str) -> Check:
    """Return the check of a service's heart: its unit runs, and its job has been heard of lately."""

    def rule(c: Checkup) -> Iterator[Finding]:
        found = generation_of(c.inventory.airflow.version).service(service)
        if not c.airflow.get("jobs") and c.airflow.get("jobs") != []:
            raise CouldNotLook(f"heartbeat of the {service}")
        for name in c.inventory.with_role(found.role):  # type: ignore[arg-type]
            unit = found.unit_file
            seen = c.unit(name, unit)
            if not seen:
                continue
            host = c.inventory.hosts[name]
            here = (name, host.address, log_servers.address(c.inventory, host))
            jobs = [job for job in c.airflow["jobs"] if job["type"] == found.job and job["host"] in here]
            age = min((job["age_s"] for job in jobs), default=None)
            if age is not None and age < BEAT_S:
                continue
            if seen["active"] == "active" and (seen["started_s"] or 0) < STARTING_S:
                continue  # it has just been started
            facts = [
                Fact(f"the newest heartbeat of {found.job} on {name}", "none" if age is None else f"{span(age)} old"),
                Fact(f"systemctl status {unit}", f"{seen['active']} for {span(seen['since_s'])}"),
            ]
            if seen["state"] == "T" or seen["stopped"]:
                facts.append(Fact(f"/proc/{seen['pid']}/stat", "T: stopped by a signal"))
            active = seen["active"] == "active"
            yield Finding(
                finding,
                Layer.BEATS,
                f"{name}: {service}",
                "runs, but its heart does not beat" if active else "does not run",
                tuple(facts),
                impact,
                f"fab {'restart' if active else 'start'} --service {service} --only {name}",
                host=name,
                explains=frozenset({"dag-processor-down", "service-stopped", "queue-db-disagree"}),
                since_s=age,
            )

    return Check(f"{service}'s heartbeat", rule, quick=True, service=service)


def web_silent(c: Checkup) -> Iterator[Finding]:
    """The web pages do not answer though their unit runs."""
    web = generation_of(c.inventory.airflow.version).web
    unit = web.unit_file
    for name in c.inventory.with_role("webserver"):
        seen, page = c.unit(name, unit), (c.hosts.get(name) or {}).get("web")
        if not seen or page is None or page["ok"] or seen["active"] != "active":
            continue
        if (seen["started_s"] or 0) < STARTING_S:
            continue
        facts = [
            Fact(page["url"], str(page["says"])),
            Fact(f"systemctl status {unit}", f"active for {span(seen['since_s'])}"),
        ]
        if seen["stopped"]:
            facts.append(Fact(f"processes of {unit}", f"{seen['stopped']} are stopped by a signal"))
        yield Finding(
            "web-silent",
            Layer.BEATS,
            f"{name}: web pages",
            "do not answer though their service runs",
            tuple(facts),
            "nobody sees what happens; tasks go on",
            f"fab restart --service {web.name} --only {name}",
            host=name,
        )


def api_server_down(c: Checkup) -> Iterator[Finding]:
    """Airflow 3: tasks talk to the API server all the while they run, and end when they can't for long."""
    web = generation_of(c.inventory.airflow.version).web
    for name in c.inventory.with_role("webserver"):
        seen, page = c.unit(name, web.unit_file), (c.hosts.get(name) or {}).get("web")
        if not seen or page is None or page["ok"]:
            continue
        if seen["active"] == "active" and (seen["started_s"] or 0) < STARTING_S:
            continue
        running = (c.airflow.get("tasks") or {}).get("running")
        facts = [
            Fact(page["url"], str(page["says"])),
            Fact(f"systemctl status {web.unit_file}", f"{seen['active']} for {span(seen['since_s'])}"),
            Fact("tasks that run now", "not known" if running is None else str(running)),
        ]
        facts += [fact for each, host in c.hosts.items() for fact in told_by(host, "api-server", each)][:1]
        yield Finding(
            "api-server-down-kills-tasks",
            Layer.UNITS,
            f"{name}: {web.name}",
            "does not answer, and every running task needs it",
            tuple(facts),
            "tasks wait for it as long as [workers] allows, then they end; nobody sees the pages",
            f"fab {'restart' if seen['active'] == 'active' else 'start'} --service {web.name} --only {name}",
            host=name,
            explains=frozenset({"service-stopped", "crash-loop", "web-silent"}),
        )


def _crew(c: Checkup) -> Mapping[str, Any]:
    if c.crew is None or c.crew.get("error"):
        raise CouldNotLook(f"the Celery workers: {(c.crew or {}).get('error') or 'not asked'}")
    return c.crew


def _placed(node: str) -> tuple[str, str]:
    """Return (instance, host) of a worker's name."""
    number, _, name = node.removeprefix("worker").partition("@")
    return number, name


def _is_starting(c: Checkup, node: str) -> bool:
    """Tell whether a worker was started so lately that it may not answer yet."""
    number, name = _placed(node)
    unit = c.unit(name, f"airflow-worker@{number}.service")
    return unit.get("active") == "active" and (unit["started_s"] or 0) < STARTING_S


def _queues_of(c: Checkup, node: str) -> tuple[str, ...]:
    """Return the queues that a worker is to serve by the inventory."""
    host = c.inventory.hosts.get(_placed(node)[1])
    return host.celery.queues if host else ()


def wedged(c: Checkup) -> Iterator[Finding]:
    """A worker runs and does no work: it holds tasks that it never runs, or does not answer at all."""
    crew = _crew(c)
    for node, seen in c.nodes.items():
        number, name = _placed(node)
        unit = c.unit(name, f"airflow-worker@{number}.service")
        if unit.get("active") != "active" or _is_starting(c, node):
            continue
        frozen = unit.get("stopped")
        if seen["stuck"]:
            facts = [
                Fact("celery inspect ping, active_queues", f"answers, consumes {', '.join(seen['queues'] or [])}"),
                Fact("active and reserved, twice in 5 s", f"0 run, {seen['reserved']} are held, nothing moved"),
                *(Fact(f"length of {q}", f"{crew['queues'].get(q, 0)}, not falling") for q in seen["queues"] or []),
            ]
        elif not seen["answers"]:
            facts = [
                Fact("celery inspect ping", "no answer"),
                Fact(f"systemctl status airflow-worker@{number}", f"active for {span(unit['since_s'])}"),
            ]
        else:
            continue
        if frozen:
            facts.append(Fact("its processes", f"{len(frozen)} are stopped by a signal (state T)"))
        yield Finding(
            "worker-wedged",
            Layer.WORK,
            f"{name}: {node}",
            "answers, and runs nothing" if seen["answers"] else "runs, and does not answer",
            tuple(facts),
            "what it holds stays queued; nothing runs on it, so that a restart loses nothing"
            if seen["answers"]
            else "it may hold tasks; a restart waits for those that run",
            f"fab restart-workers --only {name} --max-wait 120 --allow-gap",
            host=name,
            explains=frozenset({"queue-db-disagree", "queue-without-consumer"}),
        )


def unserved(c: Checkup) -> Iterator[Finding]:
    """A queue with work, or one of the inventory's, that no worker takes tasks from."""
    crew = _crew(c)
    served = {queue for node in c.nodes.values() for queue in node["queues"] or []}
    ours = {queue for name in c.inventory.with_role("worker") for queue in c.inventory.hosts[name].celery.queues}
    waiting = {each["queue"]: each for each in c.airflow.get("queued") or ()}
    coming = {queue for node in c.nodes if _is_starting(c, node) for queue in _queues_of(c, node)}
    # One that answers and has not told its queues in time is busy, and serves them.
    busy = [node for node, seen in c.nodes.items() if seen["answers"] and seen["queues"] is None]
    coming |= {queue for node in busy for queue in _queues_of(c, node)}
    for queue in sorted((ours | set(waiting)) - served - coming):
        count = waiting.get(queue, {}).get("count", 0)
        length = crew["queues"].get(queue)
        drained = [node for node, seen in c.nodes.items() if seen["queues"] == []]
        near = difflib.get_close_matches(queue, served, n=1, cutoff=0.6)
        facts = [
            Fact("celery inspect active_queues", f"served are {', '.join(sorted(served)) or 'none'}"),
            Fact(f"queued for {queue}", f"{shown(count, 'task')}, {length if length is not None else '?'} in Redis"),
        ]
        facts += [Fact("workers that take no tasks", ", ".join(drained))] if drained else []
        facts += [Fact("the nearest name that is served", near[0])] if near else []
        known, on = queue in ours, c.maintenance
        if on and drained:
            facts.append(Fact("fab maintenance.status", f"on, by {on['who']} since {on['since']}"))
        yield Finding(
            "queue-without-consumer",
            Layer.WORK,
            f"queue {queue}",
            "no worker takes tasks from it",
            tuple(facts),
            f"{shown(count, 'task')} wait, the oldest for {span(waiting.get(queue, {}).get('oldest_s'))}",
            _served_again(known=known, drained=bool(drained), maintenance=bool(on)),
            latent=bool(on and drained),
            explains=frozenset({"queue-db-disagree", "unit-drift", "worker-drained"}),
            since_s=waiting.get(queue, {}).get("oldest_s"),
        )


def _served_again(*, known: bool, drained: bool, maintenance: bool) -> str:
    if drained:
        return "fab maintenance.off" if maintenance else "fab resume-workers"
    return "fab bootstrap" if known else "fab runbook queue-without-consumer"


def drained(c: Checkup) -> Iterator[Finding]:
    """A worker that takes no tasks while others of its queues do."""
    _crew(c)
    if c.maintenance:
        return  # they are meant to be
    for node, seen in c.nodes.items():
        if seen["answers"] and seen["queues"] == []:
            name = node.partition("@")[2]
            yield Finding(
                "worker-drained",
                Layer.WORK,
                f"{name}: {node}",
                "takes no tasks: it was drained",
                (
                    Fact("celery inspect active_queues", "consumes no queue"),
                    Fact("what it runs", f"{seen['active']} running, {seen['reserved']} about to"),
                ),
                "its slots are missing until it is resumed or restarted",
                f"fab resume-workers --only {name}",
                host=name,
                latent=True,
            )


def lost_messages(c: Checkup) -> Iterator[Finding]:
    """Airflow has queued more than there is in Redis and on the workers: messages were lost."""
    crew = _crew(c)
    if c.airflow.get("queued") is None:
        raise CouldNotLook("queued tasks")
    if any(node["reserved"] is None or node["active"] is None for node in c.nodes.values()):
        return  # a worker that did not answer may hold them
    held, active = (sum(node[what] for node in c.nodes.values()) for what in ("reserved", "active"))
    for each in c.airflow["queued"]:
        length = crew["queues"].get(each["queue"], 0)
        # What a worker has just begun is still queued in the database, or has begun since that was asked.
        missing = max(each["count"] - length - held - active, each["overtaken"] - held)
        if each["oldest_s"] < QUEUED_S or missing <= 0:
            continue
        yield Finding(
            "queue-db-disagree",
            Layer.WORK,
            f"queue {each['queue']}",
            "tasks are queued for Airflow, and their messages are nowhere",
            (
                Fact("queued in the database", f"{each['count']}, the oldest for {span(each['oldest_s'])}"),
                Fact("in Redis, reserved by workers, and begun by them", f"{length}, {held} and {active}"),
                Fact("tasks that later ones have overtaken", str(each["overtaken"])),
                Fact("unacked in Redis", f"{crew['unacked']}"),
            ),
            "Airflow queues them again after [scheduler] task_queued_timeout (10 min)",
            "fab runbook queue-db-disagree --run fix",
        )


CHECKS = (
    beats("scheduler", "scheduler-hung", "no new task is scheduled; those that run go on"),
    beats("dag-processor", "dag-processor-down", "new code of DAGs does not arrive; those that are known run on"),
    beats("triggerer", "triggerer-down", "deferred tasks stay deferred"),
    Check("the API server answers tasks", api_server_down, quick=True, service="api-server"),
    Check("web pages answer", web_silent, quick=True),
    Check("workers run what they take", wedged, quick=True),
    Check("every queue is served", unserved, quick=True),
    Check("workers take tasks", drained),
    Check("messages are where they should be", lost_messages),
)

"""The flow of start, stop and restart: one service or all, in the order in which they depend on each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airfleet import auth_proxy, probes, records, session
from airfleet.api_guard import refuse_long_outage
from airfleet.errors import GateRefused, UsageError
from airfleet.generations import Service, generation_of
from airfleet.units import PROXY_UNIT, REDIS_UNIT, STOP_S
from airfleet.workers import Workers
from airfleet.worklist import COMES_BACK, GOES_ON, Worklist

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airfleet.inventory import Inventory
    from airfleet.session import Fleet
    from airfleet.workers import Screen, Wish

ALL = "all"
REDIS = Service("redis", "redis", "Redis", (), stage="redis")
PROXY = Service("proxy", "proxy", "TLS proxy (nginx)", (), stage="tls")
AUTH_PROXY = Service(auth_proxy.SERVICE, "", "Cloud SQL Auth Proxy", (), stage="cloud-sql")
OTHERS = {REDIS: REDIS_UNIT, PROXY: PROXY_UNIT, AUTH_PROXY: auth_proxy.AUTH_PROXY_UNIT}


@dataclass(frozen=True)
class Step:
    """One service on one host."""

    service: Service
    host: str

    @property
    def unit(self) -> str:
        """The name of its unit; workers have none of their own."""
        return OTHERS.get(self.service) or self.service.unit_file

    def __str__(self) -> str:
        return f"{self.service.name} on {self.host}"


def steer_service(env: str, *, verb: str, name: str, only: str, wish: Wish, screen: Screen) -> None:
    """Start, stop or restart a service on all chosen hosts, and see that it is well."""
    with session.opened(env, doing=f"{verb} {name}", only=only) as fleet:
        steps = steps_of(fleet.inventory, tuple(fleet.hosts), verb, name)
        run = Steering(fleet, screen, wish, verb)
        run.refuse_to_end_tasks(steps)
        worklist = Worklist([str(step) for step in steps])
        with records.worked_off(fleet, worklist, records.entry(verb, service=name), screen.say):
            for step in steps:
                drained = step.service.instances and verb != "start"
                with worklist.doing(str(step), COMES_BACK if drained else GOES_ON):
                    run.steer(step)
        past = {"start": "started", "stop": "stopped", "restart": "restarted"}[verb]
        screen.say(f"done: {past} {', '.join(map(str, steps))}", "bold green")


def steps_of(inventory: Inventory, hosts: Sequence[str], verb: str, name: str) -> list[Step]:
    """Return what is to be done, in order: what others need is started first and stopped last."""
    auth = [AUTH_PROXY] if inventory.database.proxy else []
    services = [REDIS, *auth, *generation_of(inventory.airflow.version).services, PROXY]
    known = [service.name for service in services]
    if name != ALL and not any(service.is_called(name) for service in services):
        raise UsageError(
            f"there is no service {name!r}" if name else "which service?",
            place="--service",
            remedy=f"one of: {', '.join([*known, ALL])}",
            state="nothing was contacted",
        )
    steps = [
        Step(service, host)
        for service in services
        if name == ALL or service.is_called(name)
        for host in hosts
        if _runs_on(service, inventory, host)
    ]
    if not steps:
        raise UsageError(f"{name} does not run on {', '.join(hosts)}", place="--only", state="nothing was contacted")
    return steps[::-1] if verb == "stop" else steps


def _runs_on(service: Service, inventory: Inventory, host: str) -> bool:
    mine = inventory.hosts[host]
    return auth_proxy.runs_on(inventory, mine) if service is AUTH_PROXY else service.role in mine.roles


class Steering:
    """Steers services one at a time, in the order that the caller has chosen; the lock is held."""

    def __init__(self, fleet: Fleet, screen: Screen, wish: Wish, verb: str) -> None:
        self.fleet = fleet
        self.screen = screen
        self.wish = wish
        self.verb = verb

    def refuse_to_end_tasks(self, steps: Sequence[Step]) -> None:
        """Refuse to take Redis away under running tasks: workers end when their broker does (celery/kombu#2582)."""
        first = steps[0].service is REDIS
        if self.verb == "start" or not first or self.wish.allow_gap:
            return
        everyone = replace(self.fleet, hosts=self.fleet.everyone)
        busy = [worker for worker in Workers(everyone, self.screen).look() if worker.tasks]
        if busy:
            raise GateRefused(
                f"{', '.join(worker.node for worker in busy)} runs tasks, which would end with Redis",
                place="redis",
                remedy="first: fab drain-workers --allow-gap; or accept it with --allow-gap",
            )

    def steer(self, step: Step) -> None:
        """Do one step and see that the service is well."""
        if step.service.instances:
            self._workers(step)
            return
        if step.service.listens and self.verb != "start" and not self.wish.allow_gap:
            refuse_long_outage(self.fleet, self.screen, step.host, self.verb)
        self.screen.step(step.host, (self.verb, step.service.name), "")
        words = {"unit": step.unit, "verb": self.verb, "timeout_s": STOP_S, "page": self._page(step)}
        host = self.fleet.hosts[step.host]
        self.fleet.check_lock()
        answer: Any = host.call("steer", words, lambda _, text: self.screen.step(step.host, ("", step.unit), text))
        already = self.verb != "restart" and answer["before"] == answer["active"]
        done = "was so already" if already else f"{answer['active']} after {answer['seconds']:.1f} s"
        if answer["outage_s"] is not None:
            done += f"; the web page was away for {answer['outage_s']:.1f} s"
        self.screen.probed(f"{step}: {done}")
        if self.verb != "stop":
            self._probe(step, 0.0 if already else float(answer["began"]))

    def _probe(self, step: Step, since: float) -> None:
        known = probes.Known(self.fleet.inventory, self.fleet.secrets)
        mine = [p for p in probes.probes_of(step.service.stage, known, [step.host]) if p.unit == step.unit]
        # Only a heart that began to beat after the restart proves anything.
        fresh = [replace(p, words={**p.words, "since": since}) if "job_type" in p.words and since else p for p in mine]
        probes.ask({step.host: self.fleet.hosts[step.host]}, fresh, self.screen.probed, parallel=1)

    def _page(self, step: Step) -> str:
        if not step.service.listens:
            return ""
        airflow = self.fleet.inventory.airflow
        return f"http://127.0.0.1:{airflow.web_port}{generation_of(airflow.version).health.web_path}"

    def _workers(self, step: Step) -> None:
        one = replace(self.fleet, hosts={step.host: self.fleet.hosts[step.host]})
        workers = Workers(one, self.screen, self.wish)
        upto = self.fleet.inventory.hosts[step.host].celery.instances
        seen = workers.look()
        if self.verb == "start":
            for worker in seen:
                if worker.instance <= upto and worker.active != "active":
                    workers.start(worker, enable=False)
        elif self.verb == "stop":
            running = [worker for worker in seen if worker.active not in ("inactive", "failed")]
            workers.explain(running, "stop")
            for worker in running:
                workers.stop(worker, disable=False)
        else:
            chosen = [worker for worker in seen if worker.instance <= upto]
            workers.explain(chosen, "restart")
            workers.refuse_gaps(chosen)
            for worker in chosen:
                workers.restart(worker)

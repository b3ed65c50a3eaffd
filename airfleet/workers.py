"""The flows of on-call's work on Celery workers: restart, scale, drain and resume, without losing a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airfleet import crew, records, rollout, session
from airfleet.batches import ONE, Batch, checked_failures
from airfleet.errors import FleetError, GateRefused, NotHealthy, RolloutStopped, UsageError
from airfleet.generations import generation_of
from airfleet.layout import layout_of
from airfleet.metadata import dsn
from airfleet.units import stop_timeout_s
from airfleet.waves import in_waves
from airfleet.worklist import Worklist

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airfleet.crew import Worker
    from airfleet.model import Key, Words
    from airfleet.session import Fleet


class Screen(Protocol):
    """What these flows need of the screen."""

    def say(self, text: str, style: str = "") -> None:
        """Print one line."""

    def step(self, host: str, key: Key, text: str) -> None:
        """Say what a host is doing: each step as it begins (no text), and what a long one tells."""

    def probed(self, says: str) -> None:
        """Say what a probe saw."""


@dataclass(frozen=True)
class Wish:
    """How patient a drain is, and what it may do to tasks."""

    max_wait_s: int = 3600
    allow_gap: bool = False
    kill_after_wait: bool = False


class Workers:
    """The workers of the chosen hosts: looked at, and steered one at a time."""

    def __init__(self, fleet: Fleet, screen: Screen, wish: Wish | None = None) -> None:
        self.fleet = fleet
        self.screen = screen
        self.wish = wish or Wish()
        self.hosts = tuple(name for name in fleet.hosts if "worker" in fleet.inventory.hosts[name].roles)
        if not self.hosts:
            raise UsageError(
                f"no worker runs on {', '.join(fleet.hosts)}",
                place="--only",
                remedy=f"hosts with workers: {', '.join(fleet.inventory.with_role('worker')) or 'none'}",
                state="nothing was contacted",
            )
        if self.wish.max_wait_s < 0:
            raise UsageError(f"{self.wish.max_wait_s} s", place="--max-wait", state="nothing was contacted")
        self.seen: dict[str, tuple[Worker, ...]] = {}

    def look(self) -> list[Worker]:
        """Look at the workers of all chosen hosts at the same time; return them host by host."""
        chosen = {name: self.fleet.hosts[name] for name in self.hosts}

        def work(host: Any) -> tuple[Worker, ...]:
            return crew.make_workers(host.name, host.call("workers_look", self._words(host.name)))

        parallel = self.fleet.inventory.ssh.parallel
        self.seen = rollout.on_each(chosen, work, parallel=parallel, failures=self.fleet.failures)
        return [worker for name in self.hosts for worker in self.seen.get(name, ())]

    def explain(self, workers: Sequence[Worker], verb: str, how: str = "one after the other") -> None:
        """Print what is to be done to these workers, and what that means for their tasks."""
        say = self.screen.say
        say(f"{self.fleet.inventory.environment}: {verb}, {how}:", "bold")
        for worker in workers:
            for line in crew.explain(worker, self.wish.max_wait_s, kill_after_wait=self.wish.kill_after_wait):
                say(f"  {line}", "yellow" if "--" in line else "")

    def refuse_gaps(self, workers: Sequence[Worker]) -> None:
        """Refuse to take the last consumer of a queue away while that has work."""
        if self.wish.allow_gap:
            return
        for worker in workers:
            if worker.gaps:
                raise GateRefused(
                    f"nobody else serves the queue {'; '.join(map(str, worker.gaps))} while it is away",
                    place=worker.node,
                    remedy="wait until the queue is empty, start another worker, or accept the gap with --allow-gap",
                )

    def restart(self, worker: Worker) -> None:
        """Drain it, restart it, and see it run a task."""
        self.screen.step(worker.host, ("restart", worker.node), "")
        self._well(worker, self._left(worker, "restart_drained", {}))

    def stop(self, worker: Worker, *, disable: bool) -> None:
        """Drain it and stop it."""
        self.screen.step(worker.host, ("stop", worker.node), "")
        answer = self._left(worker, "stop_drained", {"disable": disable})
        self.screen.probed(f"{worker.node} is stopped ({_waited(answer)})")

    def start(self, worker: Worker, *, enable: bool) -> None:
        """Start it and see it run a task."""
        self.screen.step(worker.host, ("start", worker.node), "")
        words = {**self._words(worker.host), "instance": worker.instance, "enable": enable}
        self._well(worker, self._call(worker.host, "start_worker", words))

    def drain(self, host: str) -> None:
        """Take the consumers of all workers of a host away, and wait until they run nothing."""
        nodes = [worker for worker in self.seen[host] if worker.active == "active" and worker.queues]
        if not nodes:
            self.screen.probed(f"{host}: no worker takes tasks")
            return
        self.screen.step(host, ("drain", ", ".join(worker.node for worker in nodes)), "")
        words = {
            **self._drain_words(nodes[0]),
            "numbers": [worker.instance for worker in nodes],
            "taken": sorted({queue for worker in nodes for queue in worker.queues}),
            "siblings": [],
        }
        answer = self._call(host, "drain", words)
        if answer["outcome"] == "held":
            raise self._held(nodes[0], answer)
        self.screen.probed(f"{host}: {', '.join(worker.node for worker in nodes)} takes no tasks ({_waited(answer)})")

    def resume(self, host: str) -> None:
        """Let all workers of a host take tasks again."""
        nodes = [worker for worker in self.seen[host] if worker.active == "active"]
        if not nodes:
            self.screen.probed(f"{host}: no worker runs")
            return
        words = {**self._words(host), "numbers": [worker.instance for worker in nodes]}
        lost = self._call(host, "resume", words)["lost"]
        if lost:
            raise NotHealthy("; ".join(f"{n} {s}" for n, s in lost.items()), place=host, remedy="fab restart-workers")
        self.screen.probed(f"{host}: {', '.join(worker.node for worker in nodes)} takes tasks")

    def _left(self, worker: Worker, call: str, more: Words) -> Mapping[str, Any]:
        answer = self._call(worker.host, call, {**self._drain_words(worker), **more})
        if answer["outcome"] == "held":
            raise self._held(worker, answer)
        cut = crew.make_tasks(answer["holding"])
        if cut or answer["unnamed"]:
            self.screen.say(f"  CUT on {worker.node}: {_named(cut, answer['unnamed'])}", "red")
        return answer

    def _held(self, worker: Worker, answer: Mapping[str, Any]) -> RolloutStopped:
        lost = answer.get("lost")
        state = f"runs on, but: {lost}" if lost else "runs on and takes tasks again"
        named = _named(crew.make_tasks(answer["holding"]), answer["unnamed"])
        return RolloutStopped(
            f"after {answer['waited_s']:.0f} s it still runs {named}",
            place=worker.node,
            remedy="run it again later, wait longer with --max-wait, or end its tasks with --kill-after-wait",
            state=state,
        )

    def _well(self, worker: Worker, answer: Mapping[str, Any]) -> None:
        if not answer["ok"]:
            journal = str(answer["journal"]).replace("\n", "\n    ")
            raise NotHealthy(
                f"{answer['says']}\n    its journal:\n    {journal}",
                place=worker.node,
                remedy="mend what the journal names, then run again",
            )
        waited = f" ({_waited(answer)})" if "waited_s" in answer else ""
        self.screen.probed(f"{worker.node} {answer['says']}{waited}")

    def _call(self, host: str, name: str, words: Words) -> Mapping[str, Any]:
        self.fleet.check_lock()
        return self.fleet.hosts[host].call(name, words, lambda _, text: self.screen.step(host, ("", name), text))

    def _words(self, host: str) -> Words:
        inventory = self.fleet.inventory
        layout, mine = layout_of(inventory), inventory.hosts[host]
        worker = generation_of(inventory.airflow.version).service("worker")
        return {
            "venv": layout.venv,
            "account": inventory.airflow.account,
            "config": layout.config,
            "dsn": dsn(inventory, self.fleet.secrets),
            "instances": mine.celery.instances,
            "serves": list(mine.celery.queues),
            "stop_timeout_s": stop_timeout_s(worker, mine),
        }

    def _drain_words(self, worker: Worker) -> Words:
        others = [each.node for each in self.seen[worker.host] if each.active == "active" and each.node != worker.node]
        return {
            **self._words(worker.host),
            "instance": worker.instance,
            "taken": list(worker.queues),
            "siblings": others,
            "max_wait_s": self.wish.max_wait_s,
            "allow_gap": self.wish.allow_gap,
            "kill_after_wait": self.wish.kill_after_wait,
        }


@dataclass(frozen=True)
class Rollout:
    """How a restart goes over the hosts."""

    batch: Batch = ONE
    max_failures: int = 0

    def how(self, hosts: int) -> str:
        """Say it for so many hosts, in a few words."""
        most = self.batch.of(hosts)
        return "one after the other" if most == 1 else f"first one host, then up to {most} hosts at the same time"


def restart_workers(
    env: str, *, count: int, only: str, dry_run: bool, wish: Wish, screen: Screen, over: Rollout | None = None
) -> None:
    """Restart the workers 1..count of each chosen host (0: all that the inventory has), each drained first."""
    over = over or Rollout()
    with session.opened(env, doing="restart-workers", only=only) as fleet:
        fleet.bear(checked_failures(over.max_failures), screen.say)
        workers = Workers(fleet, screen, wish)
        upto = _upto(workers, count)
        seen = workers.look()
        chosen = [worker for worker in seen if worker.instance <= upto[worker.host]]
        workers.explain(chosen, "restart", over.how(len({worker.host for worker in chosen})))
        if left := [worker.node for worker in seen if worker not in chosen]:
            screen.say(f"  left alone: {', '.join(left)}")
        if dry_run:
            return
        workers.refuse_gaps(chosen)
        screen.say("  Ctrl-C is safe: a worker that is being drained then takes tasks again")
        worklist = Worklist([worker.node for worker in chosen])
        with records.worked_off(fleet, worklist, records.entry(fleet.doing), screen.say):
            _roll(workers, chosen, over.batch, worklist)
            fleet.failures.stop_if_any(
                remedy="mend what is said, then: fab restart-workers --only " + ",".join(fleet.failures.found),
                state=worklist.state(),
            )
        screen.say(f"done: {len(chosen)} workers were restarted, each ran a task", "bold green")


def _roll(workers: Workers, chosen: Sequence[Worker], batch: Batch, worklist: Worklist) -> None:
    """Restart these workers, those of a host one after the other; the lock is held."""

    def work(name: str) -> None:
        for worker in chosen:
            if worker.host == name:
                with worklist.doing(worker.node):
                    workers.restart(worker)

    try:
        in_waves(workers.fleet, list(dict.fromkeys(worker.host for worker in chosen)), batch, work)
    except FleetError as e:
        e.state = worklist.state()
        raise


def _upto(workers: Workers, count: int) -> dict[str, int]:
    """Return how many workers of each host are meant; more than the inventory has are refused."""
    hosts = workers.fleet.inventory.hosts
    for name in workers.hosts:
        have = hosts[name].celery.instances
        if not 0 <= count <= have:
            raise UsageError(
                f"{name} has {have} workers by the inventory; a restart never changes how many there are",
                place=f"--count {count}",
                remedy=f"fab scale-workers --count {count} starts more" if count > 0 else "a number from 1 on",
                state="nothing was contacted",
            )
    return {name: count or hosts[name].celery.instances for name in workers.hosts}


def _waited(answer: Mapping[str, Any]) -> str:
    return f"drained in {answer['waited_s']:.1f} s, {answer.get('seconds', answer['waited_s']):.1f} s in all"


def _named(tasks: Sequence[crew.Task], unnamed: int) -> str:
    words = [str(task) for task in tasks] + ([f"{unnamed} that Airflow does not name"] if unnamed else [])
    return "; ".join(words) or "something"

"""How what runs on something stale is restarted before systemd would: workers drained, the page's outage told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airfleet.api_guard import refuse_long_outage
from airfleet.batches import ONE
from airfleet.generations import generation_of
from airfleet.units import STOP_S
from airfleet.waves import in_waves
from airfleet.workers import Wish, Workers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airfleet.batches import Batch
    from airfleet.model import Change, Words
    from airfleet.session import Fleet
    from airfleet.workers import Screen


WORKER = "airflow-worker@"


class Restarts:
    """The restarts of one run; the lock is held. `proven` are the hosts whose every worker has run a task since."""

    def __init__(self, fleet: Fleet, screen: Screen, max_wait_s: int, batch: Batch = ONE) -> None:
        self.fleet = fleet
        self.screen = screen
        self.batch = batch
        # The last consumer of a queue is away for the time of a restart: its messages wait in Redis.
        self.wish = Wish(max_wait_s, allow_gap=True)
        self.proven: set[str] = set()

    def workers(self, changes: Mapping[str, Sequence[Change]]) -> None:
        """Drain and restart the workers that run on something stale: a canary host, then the others in batches."""
        stale = {name: [unit for unit in _stale(made) if unit.startswith(WORKER)] for name, made in changes.items()}

        def work(name: str) -> None:
            workers = Workers(replace(self.fleet, hosts={name: self.fleet.hosts[name]}), self.screen, self.wish)
            found = [w for w in workers.look() if f"{WORKER}{w.instance}.service" in stale[name]]
            workers.explain(found, "restart")
            for worker in found:
                workers.restart(worker)
            if len(found) == self.fleet.inventory.hosts[name].celery.instances:
                self.proven.add(name)

        in_waves(self.fleet, [name for name, units in stale.items() if units], self.batch, work)

    def web(self, changes: Mapping[str, Sequence[Change]]) -> None:
        """Restart web pages that run on something stale, one host after the other, and tell how long they were away."""
        airflow = self.fleet.inventory.airflow
        generation = generation_of(airflow.version)
        pages = {generation.web.unit_file}
        url = f"http://127.0.0.1:{airflow.web_port}{generation.health.web_path}"
        for name, made in changes.items():
            for unit in sorted(_stale(made) & pages):
                self.fleet.check_lock()
                refuse_long_outage(self.fleet, self.screen, name, "restart")
                self.screen.step(name, ("restart", unit), "")
                words: Words = {"unit": unit, "verb": "restart", "timeout_s": STOP_S, "page": url}
                answer: Any = self.fleet.hosts[name].call("steer", words, _teller(self.screen, name, unit))
                if answer["outage_s"] is not None:
                    self.screen.probed(f"{name}: the web page was away for {answer['outage_s']:.1f} s")


def _stale(changes: Sequence[Change]) -> set[str]:
    """Return the units among the changes whose process runs: what a change does to them is a restart."""
    running = [c for c in changes if c.resource.kind == "unit" and (c.seen.state or {}).get("active") == "active"]
    return {change.resource.key for change in running}


def _teller(screen: Screen, host: str, unit: str) -> Any:
    return lambda _, text: screen.step(host, ("", unit), text)

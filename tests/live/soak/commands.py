"""An operator who types a command every minute, whichever chance has it: each kind once before any a second time."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from airfleet.rotations import ROTATIONS
from tests.live.chaos.cells import END_S, LOCK_S, Operator
from tests.live.chaos.faults import FAULTS, Hit
from tests.live.chaos.steps import steps_of
from tests.live.team import currents

KINDS = ("deploy", "restart-workers", "restart", "drain", "rotate", "status", "doctor", "rollback", "fault")
SERVICES = ("scheduler", "webserver", "triggerer", "trigger-logs", "logs", "flower")
HOSTS = ("af1", "af2")  # the first has Redis and the scheduler
TIMEOUT_S = 3000


@dataclass(frozen=True)
class Done:
    """One command: its kind, what was typed, how long it took."""

    kind: str
    typed: str
    seconds: float


def dealt(random, kinds=KINDS):
    """Yield kinds without an end: shuffled, and when all were there shuffled anew."""
    while True:
        yield from random.sample(kinds, len(kinds))


class Commands:
    """Types them; each must end as it does where nothing else goes on. `wrong` has those that only look and did not.

    `before` is done before each.
    """

    def __init__(self, first, team, api, random, before=lambda: None):
        self.done: list[Done] = []
        self.wrong: list[str] = []
        self._installation = first.installation
        self._team = team
        self._api = api
        self._random = random
        self._before = before
        self._kinds = dealt(random)
        self._releases = [currents(self._installation)["af1"]]
        self._steps = []

    def one(self):
        """Type one command and wait for its end."""
        kind, began = next(self._kinds), time.monotonic()
        typed = getattr(self, "_" + kind.replace("-", "_"))()
        self.done.append(Done(kind, typed, time.monotonic() - began))
        print(f"{self.done[-1].seconds:6.0f} s  {typed}", flush=True)

    def _fab(self, *words, rc=0):
        self._before()
        return self._installation.fab(*words, rc=rc, timeout_s=TIMEOUT_S)

    def _type(self, *words):
        self._fab(*words)
        return f"fab {' '.join(words)}"

    def _deploy(self):
        commit = self._team.push(f"commit {len(self.done)}")
        self._steps = steps_of(self._fab("deploy").stdout)
        self._releases.append(commit)
        return "fab deploy"

    def _rollback(self):
        there = json.loads(self._fab("releases", "--json").stdout)
        whole = {each["commit"] for each in there if len(each["hosts"]) == len(HOSTS) and not each["current"]}
        others = [each for each in self._releases if each in whole]
        if not others:
            return self._deploy()
        self._fab("rollback", "--to", self._random.choice(others))
        return "fab rollback"

    def _restart_workers(self):
        return self._type("restart-workers")

    def _restart(self):
        return self._type("restart", "--service", self._random.choice(SERVICES))

    def _drain(self):
        host = self._random.choice(HOSTS)
        self._fab("drain-workers", "--only", host)
        self._fab("resume-workers", "--only", host)
        self._fab("restart-workers", "--only", host)  # `fab plan` asks for it
        return f"fab drain-workers, resume-workers, restart-workers --only {host}"

    def _rotate(self):
        names = [name for name in ROTATIONS if name != "jwt_secret" or not self._installation.airflow.startswith("2")]
        typed = self._type("secrets.rotate", self._random.choice(names))
        self._api.forget()
        return typed

    def _status(self):
        return self._look("status")

    def _doctor(self):
        return self._look("doctor")

    def _look(self, word):
        """Ask how all is; a cause that is named is kept, and the rest of the soak goes on."""
        done = self._fab(word, rc=None)
        if done.returncode:
            self.wrong.append(f"fab {word}, as command {len(self.done) + 1}: exit {done.returncode}\n{done.stdout}")
            print(self.wrong[-1], flush=True)
        return f"fab {word}"

    def _fault(self):
        """Let something go wrong at a step of a deploy, and go on as an operator does, until it is there."""
        if not self._steps:
            self._deploy()
        fault = self._random.choice([each for each in FAULTS if each.spares_tasks])
        step = self._random.choice(self._steps)
        commit = self._team.push(f"commit {len(self.done)}, {fault.name}")
        self._before()
        operator = Operator(self._installation.start("deploy"), step)
        try:
            there = operator.comes_to_it()
            if there:
                self._strike(fault, operator, step)
            rc = operator.ended(END_S)
        finally:
            said = operator.end()
        assert rc is not None, f"{END_S} s after {fault.name} at {step} it has not ended:\n{said[-2000:]}"
        if rc and self._fab("deploy", "--lock-wait", str(LOCK_S), rc=None).returncode:
            self._fab("bootstrap")
            self._fab("deploy")
        self._releases.append(commit)
        return f"fab deploy, {fault.name} at {step if there else 'no step of it'}: exit {rc}"

    def _strike(self, fault, operator, step):
        hit = Hit(self._installation, step.host if step.host in HOSTS else HOSTS[0], HOSTS[0], operator.child)
        try:
            fault.strike(hit)
            operator.go_on()
            operator.ended(fault.lasts_s)
        finally:
            fault.mend(hit)
            operator.go_on()

"""A host in memory on a release, which answers what a deploy asks."""

from __future__ import annotations

from airfleet.errors import HostUnreachable
from airfleet.model import Outcome
from tests.flows.memory_host import MemoryHost
from tests.flows.stand_in import idle_worker

OLD, NEW = "a" * 40, "b" * 40
CURRENT = "/home/airflow/dags/current"
PARSED = {
    "files": 1,
    "dags": {"hello": "hello.py"},
    "seconds": 0.1,
    "errors": {},
    "known_errors": [],
    "duplicates": {},
    "vanished": {},
    "queues": {"default": ["hello.a"]},
    "late": [],
    "stuck": "",
    "ended": "",
}


class DeployHost(MemoryHost):
    """A host that answers what a deploy asks; `sick` names probes that are not well with the new release.

    It is cut off from the moment at which it is asked for what `lost_at` names.
    """

    gate: dict = PARSED
    resolved: dict = {"commit": NEW, "subject": "new", "forced": False, "before": OLD, "requirements": ""}  # noqa: RUF012
    held_by = None

    def __init__(self, name, diary, states):
        super().__init__(name, diary, states)
        self.sick = set()
        self.entries = []
        self.lost_at = ""

    @property
    def current(self):
        return self.states["link", CURRENT]["target"].rpartition("/")[2]

    def _is_there(self, name):
        if self.lost_at in (name, "now"):
            self.lost_at = "now"
            raise HostUnreachable("the connection was lost", place=self.name)

    def look(self, resources):
        self._is_there("look")
        return super().look(resources)

    def apply(self, changes, tell):
        try:
            self._is_there(f"apply {changes[0].resource.kind}")
        except HostUnreachable as e:
            return Outcome(untouched=[(c.resource.kind, c.resource.key) for c in changes], error=e)
        return super().apply(changes, tell)

    def call(self, name, words, tell=None):
        self._is_there(name)
        if name not in ("record", "history", "members", "workers_look", "prune"):
            self.diary.add(self.name, "call", name)
        return getattr(self, f"_{name}", self._probe)(words, name)

    def _probe(self, words, name):
        well = not (name in self.sick and self.current == NEW)
        return {"ok": well, "says": f"{name} {'well' if well else 'not well'}"}

    def _resolve(self, words, name):
        if isinstance(self.resolved, Exception):
            raise self.resolved
        return dict(self.resolved)

    def _release_of(self, words, name):
        return {"commit": words["commit"], "subject": "old", "requirements": ""}

    def _gate(self, words, name):
        return {**PARSED, **self.gate}

    def _journal(self, words, name):
        return {"text": f"the journal of {words['unit']}"}

    def _workers_look(self, words, name):
        return {"workers": [idle_worker(self.name, number) for number in (1, 2)]}

    def _restart_drained(self, words, name):
        key = ("unit", f"airflow-worker@{words['instance']}.service")
        self.diary.add(self.name, "restarted", words["instance"], self.current[0])
        self.states[key] = {**self.states[key], f"started with {CURRENT}": self.current}
        well = not ("worker" in self.sick and self.current == NEW)
        done = {"outcome": "done", "waited_s": 0.0, "seconds": 1.0, "holding": [], "unnamed": 0}
        return {**done, "ok": well, "says": "ran a task" if well else "runs nothing", "journal": "its last words"}

    def _steer(self, words, name):
        self.diary.add(self.name, "restarted page", words["unit"])
        key = ("unit", words["unit"])
        self.states[key] = {**self.states[key], f"started with {CURRENT}": self.current}
        return {"before": "active", "active": "active", "seconds": 1.0, "began": 1.0, "outage_s": 12.5}

    def _record(self, words, name):
        self.entries.append(words["entry"])
        return {"added": True}

    def _members(self, words, name):
        return {}

    def _history(self, words, name):
        return {"entries": list(self.entries)}

    def _releases(self, words, name):
        return {"releases": [{"commit": OLD}, {"commit": NEW}]}

    def _prune(self, words, name):
        self.pruned = words
        return {"removed": []}

    def hold(self, words):
        return {"held_by": self.held_by.pop(0) if self.held_by else None}

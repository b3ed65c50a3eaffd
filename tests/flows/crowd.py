"""Hosts with workers in memory: what each call is answered, and the diary of all calls."""

from __future__ import annotations

from tests.flows.stand_in import StandIn, idle_worker

TASK = {"dag": "etl", "task": "load", "run": "r1", "try": 1, "elapsed_s": 60.0, "retries_left": 2, "usual_s": 90.0}
INVENTORY = {
    "airflow": {"version": "2.11.2"},
    "database": {"host": "10.1.0.2"},
    "dags": {"repository": "https://git.internal/dags.git"},
    "hosts": {
        "a": {"address": "10.1.0.11", "roles": ["redis", "scheduler", "webserver", "worker"]},
        "b": {"address": "10.1.0.12", "roles": ["worker"], "celery": {"instances": 3}},
        "c": {"address": "10.1.0.13", "roles": ["triggerer"]},
    },
}


class Crowd:
    """The hosts, what they are to answer, and the screen of whoever works on them."""

    def __init__(self):
        self.diary = []
        self.said = []
        self.workers = {"a": {}, "b": {}}
        self.answers = {}
        self.meeting = None

    def host(self, name, address, ask):
        return CrowdHost(name, self)

    def seen(self, name, number, **more):
        return {**idle_worker(name, number), **self.workers[name].get(number, {}), **more}

    @property
    def calls(self):
        """What was done on the hosts, without the looks and what was noted down."""
        return [event for event in self.diary if event[1] not in ("workers_look", "record")]

    @property
    def history(self):
        """What the first host has noted down: (doing, what, result, hosts)."""
        entries = [event[2] for event in self.diary if event[:2] == ("a", "record")]
        what = ("service", "count")
        return [(e["doing"], *(e[name] for name in what if name in e), e["result"], e["hosts"]) for e in entries]

    say = probed = lambda self, text, style="": self.said.append(text)

    def step(self, host, key, text):
        pass


class CrowdHost(StandIn):
    """One host of the crowd."""

    def hold(self, words):
        self.town.diary.append((self.name, "hold"))
        return {"held_by": None}

    def call(self, name, words, tell=None):
        numbers = words.get("numbers") or [words.get("instance")]
        if name == "workers_look":
            self.town.diary.append((self.name, name))
            there = {*range(1, words["instances"] + 1), *self.town.workers[self.name]}
            return {"workers": [self.town.seen(self.name, number) for number in sorted(there)]}
        if name == "record":
            self.town.diary.append((self.name, name, words["entry"]))
            return {"added": True}
        self.town.diary.append((self.name, name, words["unit"] if name == "steer" else numbers[0]))
        if self.town.meeting and self.name in ("b", "d") and numbers == [1]:
            self.town.meeting.wait()
        answer = self.town.answers.get((self.name, name, numbers[0]), {})
        if isinstance(answer, BaseException):
            raise answer
        good = {"outcome": "done", "waited_s": 1.0, "seconds": 2.0, "holding": [], "unnamed": 0, "ok": True}
        more = {"says": "ran a task", "journal": "", "lost": {}, "before": "active", "active": "active", "began": 1.0}
        return {**good, **more, "outage_s": None, **answer}

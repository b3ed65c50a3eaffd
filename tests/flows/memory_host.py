"""An in-memory host with a diary: what was asked of it, in order, across all hosts."""

from __future__ import annotations

import threading

from airfleet.errors import ApplyFailed
from airfleet.model import Change, Facts, Outcome, Seen


class Diary(list):
    """The order of events across hosts, and the keys at which a host is to fail."""

    def __init__(self):
        super().__init__()
        self.writing = threading.Lock()

    def add(self, *event):
        with self.writing:
            self.append(event)


class MemoryHost:
    """A host that is a dict of states. `failing` names keys whose change fails; `stubborn` those that do not stick."""

    def __init__(self, name, diary, states=None):
        self.name = name
        self.diary = diary
        self.states = dict(states or {})
        self.failing = set()
        self.stubborn = set()
        self.closed = False

    def open(self):
        return self

    def look(self, resources):
        self.diary.add(self.name, "look", len(resources))
        return Facts({(r.kind, r.key): Seen(self.states.get((r.kind, r.key))) for r in resources})

    def apply(self, changes: list[Change], tell):
        outcome = Outcome(untouched=[(c.resource.kind, c.resource.key) for c in changes])
        for change in changes:
            key = (change.resource.kind, change.resource.key)
            outcome.untouched.remove(key)
            tell(key, "")
            self.diary.add(self.name, "apply", key[1])
            if key[1] in self.failing:
                outcome.in_doubt = [key]
                outcome.error = ApplyFailed("no", place=self.name)
                break
            if key[1] not in self.stubborn:
                self.states[key] = change.resource.state
            outcome.done.append(key)
        return outcome

    def call(self, name, words, tell=None):
        self.diary.add(self.name, "call", name)
        return {}

    def hold(self, words):
        self.diary.add(self.name, "hold")
        return {"held_by": None}

    def close(self):
        self.closed = True

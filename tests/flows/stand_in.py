"""What hosts in memory have in common where somebody else, their town, knows the answers; and a worker that idles."""

from __future__ import annotations


class StandIn:
    """A host of a town: there is nothing to open or to close, and nobody has the lock."""

    def __init__(self, name, town):
        self.name, self.town = name, town

    def open(self):
        return self

    def close(self):
        pass

    def hold(self, words):
        return {"held_by": None}


def idle_worker(host, number):
    """Return what a host says of a worker that is well and has nothing to do."""
    return {
        "instance": number,
        "node": f"worker{number}@{host}",
        "active": "active",
        "enabled": True,
        "answers": True,
        "queues": ["default"],
        "running": [],
        "unnamed": 0,
        "reserved": 0,
        "gaps": [],
    }

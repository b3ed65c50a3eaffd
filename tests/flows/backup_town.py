"""Hosts in memory with the backups on one of them, their services, and the diary of all calls."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime

from airfleet.manifest import NAME
from tests.flows.stand_in import StandIn

DATA = b"PGDMP" + bytes(range(256)) * 3000
INVENTORY = {
    "airflow": {"version": "2.11.2"},
    "database": {"host": "10.1.0.2"},
    "dags": {"repository": "https://git.internal/dags.git"},
    "backup": {"keep": 2},
    "hosts": {
        "a": {"address": "10.1.0.11", "roles": ["redis", "webserver", "worker"], "celery": {"instances": 1}},
        "b": {"address": "10.1.0.12", "roles": ["scheduler"]},
    },
}
OTHERS = [{"pid": 7, "user": "airflow", "from": "10.1.0.99", "what": "", "state": "idle"}]
NAMED = "production-20260101T000000Z"
RUNNING = {"a": ["airflow-webserver.service", "airflow-worker@1.service"], "b": ["airflow-scheduler.service"]}


def manifest_words(name=NAMED, **more):
    return {
        "format": 1,
        "name": name,
        "environment": NAME.fullmatch(name)["environment"],
        "at": "2026-01-01T00:00:00Z",
        "airflow": "2.11.2",
        "postgres": "15.18",
        "size": len(DATA),
        "sha256": hashlib.sha256(DATA).hexdigest(),
        "tables": {"dag": 3},
        "verified": None,
        "fernet": {},
        "lost": "",
        **more,
    }


class Town:
    """Hosts in memory, the backups on b, and the diary of all calls."""

    def __init__(self):
        self.diary, self.said, self.sent, self.entries, self.typed = [], [], {}, [], []
        self.there = [manifest_words()]
        self.running = {name: list(units) for name, units in RUNNING.items()}
        self.answers = {}
        self.received = b""
        self.cut = None

    def host(self, name, address, ask):
        return TownHost(name, self)

    @property
    def calls(self):
        quiet = (
            "record",
            "audit_copy",
            "hold",
            "workers_look",
            "probe_scheduler",
            "probe_web",
            "journal",
            "active_units",
        )
        return [(host, call) for host, call in self.diary if call not in quiet]

    def say(self, text, style=""):
        self.said.append(text)

    probed = say

    def step(self, host, key, text):
        if text:
            self.said.append(text)

    @property
    def screen(self):
        return "\n".join(self.said)


class TownHost(StandIn):
    """One host of the town."""

    def hold(self, words):
        self.town.diary.append((self.name, "hold"))
        return {"held_by": None}

    def call(self, name, words, tell=None):
        town = self.town
        town.diary.append((self.name, name))
        town.sent[name] = words
        answer = town.answers.get(name)
        if isinstance(answer, BaseException):
            raise answer
        if name == "record" and self.name == "a":
            town.entries.append(words["entry"])
        if name == "steer":
            units = town.running[self.name]
            before = "active" if words["unit"] in units else "inactive"
            units.remove(words["unit"]) if words["verb"] == "stop" else units.append(words["unit"])
            after = "inactive" if words["verb"] == "stop" else "active"
            return {"before": before, "active": after, "seconds": 1.0, "began": 1.0, "outage_s": None}
        if name in ("stop_drained", "start_worker"):
            unit = "airflow-worker@1.service"
            units = town.running[self.name]
            units.remove(unit) if name == "stop_drained" else units.append(unit)
        return answer if answer is not None else self.known(name)

    def known(self, name):
        active = "active" if "airflow-worker@1.service" in self.town.running["a"] else "inactive"
        worker = {
            "instance": 1,
            "node": "worker1@a",
            "active": active,
            "enabled": "enabled",
            "queues": ["default"] if active == "active" else [],
            "answers": True,
            "running": [],
            "unnamed": 0,
            "reserved": 0,
            "gaps": [],
        }
        return {
            "backup_list": {"backups": self.town.there, "strays": ["by hand.dump"]},
            "backup_ready": {"airflow": "2.11.2", "extra": ["newer"]},
            "backup_restore": {"seconds": 1.0, "rows": 3, "tables": 1, "others": OTHERS},
            "backup_verify": {"ok": True, "problem": "", "seconds": 1.0, "tables": 1, "rows": 3},
            "active_units": {"active": self.town.running[self.name]},
            "probe_scheduler": {"ok": True, "says": "beats"},
            "probe_web": {"ok": True, "says": "healthy"},
            "workers_look": {"workers": [worker], "failed": {}},
            "stop_drained": {"outcome": "left", "holding": [], "unnamed": 0, "waited_s": 0.1, "seconds": 1.0},
            "start_worker": {"ok": True, "says": "ran a task"},
            "journal": {"text": "the journal"},
        }.get(name, {})

    def stream(self, name, words, take, give=()):
        town = self.town
        town.diary.append((self.name, name))
        town.sent[name] = words
        if name == "backup_receive":
            town.received = b"".join(give)
            return {"path": f"{words['folder']}/.{words['name']}.part", "sha256": "x"}
        take({"say": "PostgreSQL 15.18", "about": len(DATA)})
        for at in range(0, len(DATA), 100_000) if words["folder"] is None else []:
            if town.cut and at:
                raise town.cut
            take({"data": base64.b64encode(DATA[at : at + 100_000]).decode()})
        if town.cut:
            raise town.cut
        manifest = manifest_words(words["name"], at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
        return {"manifest": {key: value for key, value in manifest.items() if key != "lost"}}

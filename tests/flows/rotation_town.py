"""An installation in memory for rotations: who is let in, who runs, what is stored. It notices what would fail."""

from __future__ import annotations

from airfleet import airflow_cfg, inventory
from airfleet import secrets as secret_store
from airfleet.agent import effective
from airfleet.errors import ApplyFailed
from tests.flows.stand_in import StandIn

OLD_KEY = "k" * 43 + "="
SECRETS = (
    "database_password: pw-of-db\nflower_password: pw-of-flower\nredis_password: pw-of-redis\n"
    f"fernet_key: '{OLD_KEY}'\nwebserver_secret_key: key-of-web\njwt_secret: key-of-tokens\n"
)
INVENTORY = {
    "airflow": {"version": "3.3.2"},
    "database": {"host": "10.1.0.2"},
    "dags": {"repository": "https://git.internal/dags.git"},
    "hosts": {
        "a": {"address": "10.1.0.11", "roles": ["redis", "scheduler", "webserver", "worker", "triggerer", "flower"]},
        "b": {"address": "10.1.0.12", "roles": ["worker"]},
    },
}


class Killed(BaseException):
    """The operator is gone: nothing is put back."""


class Town:
    """What the hosts, Redis and the database have; each step may be the last one of a run (`last`, counted from 1)."""

    def __init__(self, root):
        self.root = root
        self.inventory = inventory.load(root / "inventory.yaml")
        self.has = self.file()
        self.lets_in = {self.has["redis_password"].reveal()}
        self.role = self.has["database_password"].reveal()
        self.rows = [OLD_KEY] * 4
        self.consuming, self.stopped, self.queued = {"a": True, "b": True}, set(), 3
        self.steps, self.last, self.end = 0, 0, Killed
        self.calls, self.said, self.pending, self.odd, self.entries = [], [], [], {}, []

    def file(self):
        return secret_store.load(self.root / "secrets.yaml", {})

    def value(self, name):
        return self.has[name].reveal()

    @property
    def at_rest(self):
        return not any(self.consuming.values()) and {"airflow-scheduler.service"} <= self.stopped

    def step_over(self):
        self.steps += 1
        if self.steps == self.last:
            raise self.end("the end")

    # What a screen is asked for.
    elapsed_s = 0.0

    def say(self, text, style=""):
        self.said.append(text)

    probed = say

    def step(self, host, key, text):
        pass

    def host(self, name, address, ask):
        return TownHost(name, self)

    def converge(self, fleet, screen, max_wait_s, *, upgrading):
        """What a bootstrap does: Redis first, then the files and the services, one host after the other."""
        assert not upgrading
        self.step_over()
        self.brought_to(fleet.secrets)
        self.step_over()

    def brought_to(self, new):
        if new["database_password"].reveal() != self.role:
            raise ApplyFailed("the database refused the password of airflow")
        self.lets_in = {each.reveal() for each in new.accepted("redis_password")}
        self.check_redis(self.has, new)
        self.step_over()
        before, after = self.has.fernet_key.reveal().split(","), new.fernet_key.reveal().split(",")
        assert before[0] in after, "the first hosts could not read what the last ones store"
        assert after[0] in before, "the last hosts could not read what the first ones store"
        assert set(self.rows) <= set(after), "something stored could not be read any more"
        if self.value("jwt_secret") != new["jwt_secret"].reveal():
            assert self.at_rest, "a task that runs would lose its token"
            assert not self.queued, "a task that is queued would come with the old token"
        self.has = new
        self.check_redis(new)
        self.consuming, self.stopped = dict.fromkeys(self.consuming, True), set()

    def check_redis(self, *of):
        for each in of:
            assert each["redis_password"].reveal() in self.lets_in, "a service would not be let in by Redis"

    def alter(self, words):
        assert self.at_rest, "somebody would connect anew and be refused"
        old, new = (dsn["password"] for dsn in words["dsns"])
        assert new not in words["verifier"]
        if self.role not in (old, new):
            raise ApplyFailed("the database refused the password")
        self.role = new
        return {}

    def unread(self, words):
        keys, every = words["keys"].split(","), (words.get("all_keys") or words["keys"]).split(",")
        left = [row for row in self.rows if row not in keys]
        if words.get("all_keys"):
            self.rows = [every[0] if row in every else row for row in self.rows]
        lost = [f"variable {row[0]}" for row in left if row not in every or not words.get("all_keys")]
        return {"unread": lost, "mended": len(left) - len(lost), "stored": len(self.rows)}

    def encrypt(self, words):
        assert words["command"] == ["rotate-fernet-key"]
        self.rows = [self.value("fernet_key")] * 2 + self.rows[2:]  # it leaves some out
        return {}

    def vitals(self, name, words):
        found = airflow_cfg.settings(self.inventory, self.inventory.hosts[name], self.has)
        values = {each: found[section][key] for each, (section, key) in words["settings"].items()}
        digests = {each: effective.digest(words["salt"], value) for each, value in values.items()}
        redis = {"ok": self.value("redis_password") in self.lets_in, "says": "redis refuses the password"}
        database = {"ok": self.value("database_password") == self.role, "says": "the database refuses it"}
        stores = {"redis": {"airflow.cfg": redis}, "database": {"airflow.cfg": database}}
        answer = {"stores": stores, "effective": {"digests": {"airflow.cfg": digests}}}
        return {**answer, **self.odd.get(name, {})}


class TownHost(StandIn):
    def call(self, name, words, tell=None):
        town = self.town
        town.calls.append((self.name, name))
        if name == "record":
            town.entries.append(words["entry"])
            return {}
        town.step_over()
        answer = self.answer(name, words)
        town.step_over()
        return answer

    def answer(self, name, words):
        town = self.town
        if name in ("drain", "resume"):
            town.consuming[self.name] = name == "resume"
        if name == "steer":
            assert not words["unit"].endswith("logs.service"), "logs are shown while nothing is scheduled"
            (town.stopped.add if words["verb"] == "stop" else town.stopped.discard)(words["unit"])
        if name == "crew" and any(town.consuming.values()):
            town.queued = max(0, town.queued - 2)
        known = {
            "vitals": lambda: town.vitals(self.name, words),
            "role_password": lambda: town.alter(words),
            "fernet_unread": lambda: town.unread(words),
            "fernet_encrypt": lambda: town.encrypt(words),
            "probe_redis": lambda: {"ok": words["password"] in town.lets_in, "reason": "password", "says": "?"},
            "crew": lambda: {"queues": {"default": town.queued}, "error": None},
            "workers_look": lambda: {"workers": [self.worker(n) for n in range(1, words["instances"] + 1)]},
        }
        good = {"outcome": "done", "waited_s": 1.0, "seconds": 1.0, "holding": [], "unnamed": 0, "lost": {}, "ok": True}
        good |= {"says": "well", "before": "active", "active": "inactive", "began": 1.0, "outage_s": None, "text": ""}
        return known.get(name, lambda: good)()

    def worker(self, number):
        served = ["default"] if self.town.consuming[self.name] else []
        words = {"instance": number, "node": f"worker{number}@{self.name}", "active": "active", "enabled": True}
        return {**words, "answers": True, "queues": served, "running": [], "unnamed": 0, "reserved": 0, "gaps": []}

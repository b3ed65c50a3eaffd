"""A rotation through bootstrap itself, on hosts in memory: what is written and restarted, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from airfleet import gates
from airfleet import inventory as inventories
from airfleet.agent import effective
from airfleet.airflow_cfg import settings
from airfleet.desired import Target, stages_of
from airfleet.errors import GateRefused
from airfleet.resources import digest
from airfleet.rotate import Wish, rotate
from airfleet.secrets import Secret, Secrets, load
from tests.flows.deploy_host import OLD, DeployHost
from tests.flows.quiet import Quiet
from tests.flows.three_hosts import INVENTORY, KEYS

REDIS_CONF, CONFIG = "/etc/redis/redis.conf", "/home/airflow/airflow/airflow.cfg"


class Host(DeployHost):
    """It tells of itself what the secrets file says, and its Redis takes what it is told."""

    given: inventories.Inventory
    file: Path
    lets_in: list = []  # noqa: RUF012 - one Redis for all

    def _vitals(self, words, name):
        found = settings(self.given, self.given.hosts[self.name], load(self.file, {}))
        digests = {n: effective.digest(words["salt"], found[s][k]) for n, (s, k) in words["settings"].items()}
        return {"stores": {"redis": {}, "database": {}}, "effective": {"digests": {"airflow.cfg": digests}}}

    def _redis_adopt(self, words, name):
        self.states["unit", "redis-server.service"][f"started with {REDIS_CONF}"] = digest(words["text"])[:12]
        self.lets_in[:] = [each.removeprefix("#") for each in words["digests"]]
        return {"live": True}

    def _probe_redis(self, words, name):
        return {"ok": digest(words["password"]) in self.lets_in, "reason": "password", "says": ""}

    def _fernet_unread(self, words, name):
        return {"unread": [], "mended": 0, "stored": 3}


@pytest.fixture
def hosts(install, diary, tmp_path, monkeypatch):
    """Three hosts in order on a release."""
    given = inventories.parse(yaml.safe_dump(INVENTORY), Path("inventory.yaml"))
    known = Secrets({name: Secret(value) for name, value in KEYS.items()})
    target = Target(given, known, {"url": given.airflow.constraints_for("{python}")}, OLD)
    made = {}
    for name in given.hosts:
        there = {(r.kind, r.key): r.state for s in stages_of(target, given.hosts[name]) for r in s.resources}
        made[name] = Host(name, diary, there)
        made[name].given, made[name].file = given, tmp_path / "secrets.yaml"
    monkeypatch.setattr(gates, "lint_config", lambda *words: None)  # no Airflow is asked which settings it knows
    Host.lets_in[:] = [digest(KEYS["redis_password"])]
    install(INVENTORY, lambda name, address, ask: made[name], yaml.safe_dump(KEYS))
    return made


def test_redis_has_both_passwords_before_a_service_has_the_new_one(hosts, diary, tmp_path):
    """And the new one alone once every service was restarted; Redis itself never is."""
    rotate("", "redis_password", Wish(), Quiet())
    told = [(event[0], event[2]) for event in diary if event[1] in ("apply", "call")]
    adopted = [at for at, event in enumerate(told) if event[1] == "redis_adopt"]
    written = [at for at, event in enumerate(told) if event[1] == CONFIG]
    assert (len(adopted), len(written)) == (3, 3)  # three phases; three hosts, once
    assert adopted[0] < min(written)
    assert max(written) < adopted[2]
    assert ("af1", "redis-server.service") not in told
    assert "way_back_arm" not in [event[1] for event in told]  # the files of before would be no place to go back to
    workers = [event[:3] for event in diary if event[1] == "restarted"]
    assert len(workers) == len(set(workers)) == 4
    assert load(tmp_path / "secrets.yaml", {})["redis_password"].reveal() != KEYS["redis_password"]
    assert [digest(load(tmp_path / "secrets.yaml", {})["redis_password"].reveal())] == Host.lets_in


def test_everything_reads_the_new_key_before_anything_is_stored_under_it(hosts, diary):
    """Three times each airflow.cfg, and what reads it; Airflow's own command between the second and the third."""
    rotate("", "fernet_key", Wish(), Quiet())
    told = [event[2] for event in diary if event[1] in ("apply", "call")]
    assert told.count(CONFIG) == 9
    encrypted = told.index("fernet_encrypt")
    assert (told[:encrypted].count(CONFIG), told[encrypted:].count(CONFIG)) == (6, 3)
    assert told.count(REDIS_CONF) == 0


def test_a_host_that_is_not_in_order_is_named_before_anything(hosts, diary, tmp_path):
    """Nothing of it is changed in passing."""
    hosts["af3"].states["file", CONFIG] = {**hosts["af3"].states["file", CONFIG], "mode": "0644"}
    with pytest.raises(GateRefused, match=f"af3: ~ file {CONFIG}"):
        rotate("", "redis_password", Wish(), Quiet())
    assert not [event for event in diary if event[1] == "apply"]
    assert yaml.safe_load((tmp_path / "secrets.yaml").read_text()) == KEYS

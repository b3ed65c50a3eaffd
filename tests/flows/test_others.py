"""A bootstrap of some hosts: the others say which release there is, and whether the keys are theirs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from airfleet import inventory as inventories
from airfleet import session
from airfleet.airflow_cfg import render_cfg, settings
from airfleet.bootstrap import bring_up
from airfleet.desired import UNKNOWN_COMMIT, Target, stages_of
from airfleet.errors import GateRefused, HostUnreachable, RolloutStopped
from airfleet.model import Facts, Seen
from airfleet.others import Others
from airfleet.resources import digest
from airfleet.wishes import BootstrapWish
from tests.flows.deploy_host import NEW, OLD, DeployHost
from tests.flows.quiet import Quiet
from tests.flows.three_hosts import INVENTORY, KEYS, plan_of, secrets_of

CONFIG = "/home/airflow/airflow/airflow.cfg"


class Host(DeployHost):
    """A host in memory that also shows the text of its airflow.cfg; without states it is a bare one."""

    text = ""

    def look(self, resources):
        facts = super().look(resources)
        key = ("file", CONFIG)
        if self.text and key in facts.seen:
            return Facts({**facts.seen, key: Seen({"sha256": "another"}, {"text": self.text})})
        return facts


@pytest.fixture
def given():
    return inventories.parse(yaml.safe_dump(INVENTORY), Path("inventory.yaml"))


@pytest.fixture
def hosts(install, diary, given):
    """Two hosts in order on a release, and a third one that is bare; `secrets.yaml` has their keys."""
    target = Target(given, secrets_of(KEYS), {"url": given.airflow.constraints_for("{python}")}, OLD)
    made = {}
    for name in given.hosts:
        there = {(r.kind, r.key): r.state for s in stages_of(target, given.hosts[name]) for r in s.resources}
        made[name] = Host(name, diary, {} if name == "af3" else there)
    install(INVENTORY, lambda name, address, ask: made[name], yaml.safe_dump(KEYS))
    return made


def release_in(plan):
    return plan["link", "/home/airflow/dags/current"]["target"].removeprefix("releases/")


def test_a_new_host_gets_the_release_that_the_others_run(hosts):
    """Not the newest of the branch; and the others are looked at, nothing more."""
    assert OLD == release_in(plan_of("af3"))
    assert {"look"} == {event[1] for event in hosts["af1"].diary if event[0] != "af3"}


def test_a_host_that_was_away_gets_it_too(hosts):
    """One that runs an older release is brought to what most have, also alone."""
    hosts["af3"].states = dict(hosts["af2"].states)
    hosts["af3"].states["link", "/home/airflow/dags/current"] = {"target": f"releases/{NEW}", "owner": "airflow"}
    assert OLD == release_in(plan_of("af3"))


def test_one_of_the_others_is_enough(hosts):
    """A host that is down keeps nobody from adding another."""
    hosts["af1"].lost_at = "now"
    assert OLD == release_in(plan_of("af3"))


def test_with_nobody_to_ask_it_is_refused(hosts):
    """The newest of the branch would be a guess: exit 3 names who can't be asked."""
    hosts["af1"].lost_at = hosts["af2"].lost_at = "now"
    with pytest.raises(HostUnreachable) as e:
        bring_up("", BootstrapWish("af3", dry_run=True), Quiet())
    assert "af1: the connection was lost; af2: the connection was lost" in e.value.problem


def test_where_nobody_has_a_release_the_newest_of_the_branch_is_taken(hosts):
    """A first bootstrap may begin with one host."""
    hosts["af1"].states = hosts["af2"].states = {}
    assert UNKNOWN_COMMIT == release_in(plan_of("af3"))


@pytest.mark.parametrize(
    ("key", "title"), [("fernet_key", "the Fernet key"), ("webserver_secret_key", "the web server's secret key")]
)
def test_another_key_than_the_others_have_is_refused(hosts, given, key, title):
    """Exit 8: with two keys no host could read what the other stores."""
    theirs = secrets_of({**KEYS, key: "G" * 43 + "="})
    hosts["af2"].text = render_cfg(settings(given, given.hosts["af2"], theirs))
    with pytest.raises(GateRefused) as e:
        bring_up("", BootstrapWish("af3", dry_run=True), Quiet())
    assert f"{title} in secrets.yaml is not the one that af2 has" in e.value.problem


def test_the_secret_of_airflow_3_is_such_a_key(hosts, install):
    """Made anew for one host alone it would sign what no API server accepts."""
    keys = {**KEYS, "jwt_secret": "j" * 40}
    later = {**INVENTORY, "airflow": {"version": "3.3.2"}}
    install(later, lambda name, address, ask: hosts[name], yaml.safe_dump(keys))
    with session.opened("", doing="test", only="af3") as fleet:
        target, theirs = Target(fleet.inventory, fleet.secrets, {}), secrets_of({**keys, "jwt_secret": "k" * 40})
        text = render_cfg(settings(fleet.inventory, fleet.inventory.hosts["af2"], theirs))
        facts = {"af2": Facts({("file", CONFIG): Seen({"sha256": "another"}, {"text": text})})}
        with pytest.raises(GateRefused) as e:
            Others(fleet).guard_keys(target, facts)
    assert "the secret that signs what tasks show the API server in secrets.yaml" in e.value.problem


def test_another_setting_than_the_others_have_is_none_of_its_business(hosts, given):
    """What is pending on the others is for their own bootstrap."""
    wanted = settings(given, given.hosts["af2"], secrets_of(KEYS))
    wanted["core"]["parallelism"] = "7"
    hosts["af2"].text = render_cfg(wanted)
    assert OLD == release_in(plan_of("af3"))


def test_new_secrets_are_not_made_beside_those_of_the_others(hosts, install):
    """A lost secrets file is not replaced because the one host that is chosen is bare."""
    install(INVENTORY, lambda name, address, ask: hosts[name])
    with pytest.raises(GateRefused) as e:
        bring_up("", BootstrapWish("af3", dry_run=True), Quiet())
    assert "lacks fernet_key" in e.value.problem
    assert f"from {CONFIG} on a host" in e.value.remedy


def test_a_bootstrap_goes_on_without_a_host_that_is_borne(hosts):
    """It is named, the others are brought into order, exit 7; without that it is exit 3."""
    hosts["af3"].states = dict(hosts["af2"].states)
    hosts["af2"].lost_at = "now"
    screen = Quiet()
    with pytest.raises(RolloutStopped) as e:
        bring_up("", BootstrapWish(max_failures=1), screen)
    assert "left out: af2: the connection was lost" in screen.said
    assert any("every service of the other hosts was asked and is well" in line for line in screen.said)
    assert "in order and well: af1, af3" in e.value.state
    with pytest.raises(HostUnreachable):
        bring_up("", BootstrapWish(), Quiet())


def test_a_bootstrap_amid_a_rotation_says_so_and_restarts_no_redis(hosts, install, diary):
    """Redis is told of its passwords before the file is there; its stamp says then that it has read that."""
    install(INVENTORY, lambda name, address, ask: hosts[name], yaml.safe_dump({**KEYS, "redis_password_next": "n"}))
    hosts["af3"].states = dict(hosts["af2"].states)
    told = []

    def adopt(words, name):
        told.append(words)
        stamp = digest(words["text"])[:12]
        hosts["af1"].states["unit", "redis-server.service"][f"started with {words['path']}"] = stamp
        return {"live": True}

    hosts["af1"]._redis_adopt = adopt
    screen = Quiet()
    bring_up("", BootstrapWish(), screen)
    assert (
        "the rotation of redis_password is half done: fab secrets.rotate redis_password goes on with it" in screen.said
    )
    (words,) = told
    assert words["digests"] == [f"#{digest(password)}" for password in ("r", "n")]
    done = [event[2] for event in diary if event[:2] == ("af1", "apply") or event[1:] == ("call", "redis_adopt")]
    assert done == ["redis_adopt", "/etc/redis/redis.conf"]

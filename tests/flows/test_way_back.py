"""The way back across hosts: armed before the first change, disarmed over new connections, and what is said if not."""

from __future__ import annotations

import threading
from pathlib import Path

import paramiko
import pytest
import yaml
from sshd import Sshd

from airfleet import board, bootstrap, gates, history, session, way_back_files, wishes
from airfleet import inventory as inventories
from airfleet.checkup import Checkup
from airfleet.desired import Target, stages_of
from airfleet.doctor.diagnosis import diagnose
from airfleet.errors import ChangesPending, HostKeyRefused, HostUnreachable, RolloutStopped
from airfleet.plan import describe
from airfleet.way_back import WayBack
from airfleet.way_back_files import FOLDER
from tests.flows.deploy_host import CURRENT, OLD, DeployHost
from tests.flows.deployment import deploy
from tests.flows.quiet import Quiet
from tests.flows.three_hosts import INVENTORY, KEYS, plan_of, secrets_of

KEY = ("way_back", FOLDER)
ROLES = {"roles": ["redis", "scheduler", "webserver", "worker"]}
LATER = 4_000_000_000.0


class BackHost(DeployHost):
    """A host that can go back: `armed` is what it keeps; `new` are the connections that were made to it since."""

    armed = None
    late = False
    refuses_new = False

    def anew(self):
        return New(self)

    def _way_back_arm(self, words, name):
        self.armed = self.armed or words
        self.states[KEY] = {"unconfirmed": "the deploy of ann@desk since now; goes back at 12:00:00 UTC"}
        return {"until": LATER}

    def _way_back_beat(self, words, name):
        return {"until": LATER if self.armed else None}

    def _way_back_disarm(self, words, name):
        if self.late:
            return {"confirmed": False, "says": "it is going back just now"}
        self.armed = None
        self.states.pop(KEY, None)
        return {"confirmed": True, "says": "confirmed"}


class New:
    """A new connection to a host, which has its state but shares nothing else with the old one."""

    def __init__(self, host):
        self.host, self.name = host, host.name

    def open(self):
        self.host.diary.add(self.name, "new connection", "refused" if self.host.refuses_new else "made")
        if self.host.refuses_new:
            raise HostUnreachable("10.0.0.2:22 is not reachable: Connection refused", place=self.name)

    def call(self, name, words, tell=None):
        self.host.diary.add(self.name, "new call", name)
        return getattr(self.host, f"_{name}")(words, name)

    def close(self):
        self.host.diary.add(self.name, "new closed", "")


@pytest.fixture
def back(fleet, diary, monkeypatch):
    """Three hosts on the old release, which can go back by themselves."""
    ssh = fleet.inventory.ssh.model_copy(update={"confirm_s": 180})
    fleet.inventory = fleet.inventory.model_copy(update={"ssh": ssh})
    hosts = {name: BackHost(name, diary, host.states) for name, host in fleet.hosts.items()}
    fleet.hosts, fleet.everyone = dict(hosts), hosts
    monkeypatch.setattr(session, "SshHost", lambda name, address, ask: hosts[name].anew())
    return fleet


def of(diary, *words):
    """Return where in the diary an event with these words stands, for each host that has one."""
    return {event[0]: place for place, event in enumerate(diary) if any(word in event[1:] for word in words)}


def test_armed_before_the_flip_and_disarmed_behind_the_last_probe_over_new_connections(back, diary, screen):
    """On every host; none is disarmed before there is a new connection to each, and all of these are closed."""
    deploy(back, screen)
    arms, flips, news = of(diary, "way_back_arm"), of(diary, CURRENT), of(diary, "new connection")
    assert set(arms) == set(news) == {"af1", "af2", "af3"}
    assert max(arms.values()) < min(flips.values())
    probes = [place for place, event in enumerate(diary) if str(event[-1]).startswith("probe_")]
    worked = [place for place, event in enumerate(diary) if event[1] == "restarted"]
    assert max([*probes, *worked]) < min(news.values())
    disarmed = [place for place, event in enumerate(diary) if event[1:] == ("new call", "way_back_disarm")]
    assert (len(disarmed), max(news.values()) < min(disarmed)) == (3, True)
    assert not of(diary, "call").keys() & {"way_back_disarm"}
    assert len([event for event in diary if event[1] == "new closed"]) == 3
    assert any(line.startswith("confirmed over new connections: af1, af2, af3") for line in screen.said)
    assert [host.armed for host in back.everyone.values()] == [None, None, None]


def test_what_is_kept_is_all_that_could_be_replaced(back, screen):
    """Both links, the files with secrets in them, unit files, units, instances; and which release to tell of."""
    kept = {}
    back.everyone["af1"]._way_back_arm = lambda words, _: kept.update(words) or {"until": LATER}
    deploy(back, screen)
    assert {CURRENT, "/home/airflow/.pyenv/versions/.venv", "/home/airflow/airflow/airflow.cfg"} <= set(kept["paths"])
    assert "/etc/systemd/system/airflow-worker@.service" in kept["paths"]
    assert {"airflow-scheduler.service", "airflow-worker@1.service", "airflow-worker@*.service"} <= set(kept["units"])
    assert (kept["commit"], kept["doing"], kept["confirm_s"]) == (OLD, "deploy", 180)


def test_without_a_new_connection_nobody_confirms_and_that_is_exit_7(back, diary, screen):
    """One host lets nobody in any more: none is disarmed, the message says who goes back by when, the history too."""
    back.everyone["af2"].refuses_new = True
    with pytest.raises(RolloutStopped) as e:
        deploy(back, screen)
    assert e.value.exit_code == 7
    assert "no new connection confirms what was changed: 10.0.0.2:22 is not reachable" in e.value.problem
    assert "not confirmed: af1, af2, af3 go back by themselves by " in e.value.state
    assert "new call" not in {event[1] for event in diary}
    (entry,) = back.everyone["af3"].entries
    assert (entry["result"], "no new connection" in entry["problem"]) == ("stopped", True)
    assert history.stack([entry]) == []


def test_too_late_is_no_success(back, screen):
    """A host had begun to go back: exit 7 names it, and those that are confirmed."""
    back.everyone["af2"].late = True
    with pytest.raises(RolloutStopped) as e:
        deploy(back, screen)
    assert "too late: af2: it is going back just now" in e.value.problem
    assert e.value.state.startswith("confirmed: af1, af3")


def test_a_run_that_stops_says_who_goes_back(back, diary, screen):
    """A host behind the canary is not well: nobody is asked for a new connection, all go back in time."""
    back.everyone["af2"].sick = {"worker"}
    with pytest.raises(RolloutStopped) as e:
        deploy(back, screen)
    assert "not confirmed: af1, af2, af3 go back by themselves by " in e.value.state
    assert not of(diary, "new connection")


def test_what_is_put_back_is_confirmed_as_well(back, screen):
    """An unhealthy canary: every host is on the old release and well, so nobody needs to go back."""
    back.everyone["af1"].sick = {"worker"}
    with pytest.raises(RolloutStopped) as e:
        deploy(back, screen)
    assert "every host is back on aaaaaaaaaaaa" in e.value.state
    assert "go back by themselves" not in e.value.state
    assert [host.armed for host in back.everyone.values()] == [None, None, None]


def test_a_deploy_of_nothing_new_arms_nothing_and_connects_once(back, diary, screen):
    """What it costs is what it always did."""
    back.everyone["af1"].resolved = {**DeployHost.resolved, "commit": OLD}
    deploy(back, screen)
    assert not of(diary, "way_back_arm", "way_back_beat", "new connection")


def test_with_0_nothing_is_armed(fleet, diary, screen):
    """`ssh.confirm_s: 0` is how an operator wants none of this."""
    deploy(fleet, screen)
    assert not of(diary, "way_back_arm", "new connection")


def test_a_migration_takes_the_way_back_away(back, diary, screen):
    """Before it begins all that is armed is disarmed, nothing more is armed in that run, and both are said."""
    back.everyone["af1"].states["schema", "metadata"] = {"revision": "older", "tables": "there"}
    back.everyone["af2"]._way_back_arm({"id": "an earlier run"}, "")
    deploy(back, screen)
    assert not of(diary, "way_back_arm")
    assert of(diary, "way_back_disarm")["af2"] < of(diary, "metadata")["af1"]
    assert any(line.startswith("disarmed: af2: the database is migrated in this run") for line in screen.said)
    assert any(line.startswith("no way back is armed: the database is migrated") for line in screen.said)


def test_what_an_earlier_run_left_is_confirmed_by_the_next_that_ends_well(back, diary, screen):
    """Its operator was killed: `fab deploy` finds the new release in place, and confirms it; `--dry-run` names it."""
    for host in back.everyone.values():
        host._way_back_arm({"id": "an earlier run"}, "")
    with pytest.raises(ChangesPending):
        deploy(back, screen, dry_run=True)
    told = [
        describe(change) for plan in screen.planned for change in plan.changes if change.resource.kind == "way_back"
    ]
    assert told[0] == "- unconfirmed: the deploy of ann@desk since now; goes back at 12:00:00 UTC"
    back.everyone["af1"].resolved = {**DeployHost.resolved, "commit": OLD}
    deploy(back, screen)
    assert [host.armed for host in back.everyone.values()] == [None, None, None]
    assert KEY not in back.everyone["af3"].states


def test_a_beat_keeps_a_long_run_from_going_back(back, screen):
    """The operator's side gives a sign of life at once, and four times in the time of a host, until it confirms."""
    ssh = back.inventory.ssh.model_copy(update={"confirm_s": 0.04})
    back.inventory = back.inventory.model_copy(update={"ssh": ssh})
    host, beats = back.everyone["af1"], threading.Semaphore(0)
    host._way_back_arm({"id": "an earlier run"}, "")
    host._way_back_beat = lambda *_: beats.release() or {"until": LATER}
    way_back = WayBack(back, screen.say)
    with way_back.watched():
        way_back.adopt({"af1": host.look([way_back_files.confirmed()])})
        assert all(beats.acquire(timeout=10) for _ in range(3))
        assert "af1 go back by themselves by 07:06:45 UTC" in way_back.outlook()
        way_back.confirm()
        assert (host.armed, way_back.outlook()) == (None, "")


@pytest.fixture
def hosts(install, diary, monkeypatch):
    """A host in order on a release, one whose airflow.cfg is another, and one that is bare."""
    words = {**INVENTORY, "ssh": {"confirm_s": 180}}
    given = inventories.parse(yaml.safe_dump(words), Path("inventory.yaml"))
    target = Target(given, secrets_of(KEYS), {"url": given.airflow.constraints_for("{python}")}, OLD)
    made, used = {}, set()
    for name in given.hosts:
        there = {(r.kind, r.key): r.state for s in stages_of(target, given.hosts[name]) for r in s.resources}
        made[name] = BackHost(name, diary, {} if name == "af3" else there)
    monkeypatch.setattr(gates, "lint_config", lambda *_: None)
    made["af2"].states["file", "/home/airflow/airflow/airflow.cfg"] = {"sha256": "another"}

    def make(name, address, ask):
        host = made[name].anew() if name in used else made[name]
        used.add(name)
        return host

    install(words, make, yaml.safe_dump(KEYS))
    return made


def test_bootstrap_arms_who_is_changed_and_says_where_there_is_nothing_to_go_back_to(hosts, diary):
    """One host in order is left alone, one is armed before its file is written, a bare one has nothing."""
    said = Quiet()
    bootstrap.bring_up("", wishes.BootstrapWish(), said)
    arms = of(diary, "way_back_arm")
    assert set(arms) == {"af2"}
    assert arms["af2"] < of(diary, "/home/airflow/airflow/airflow.cfg")["af2"]
    assert "nothing to go back to on af3: no release ran there before" in said.said
    assert set(of(diary, "new connection")) == {"af2"}
    assert hosts["af2"].armed is None


def test_a_migration_in_a_bootstrap_disarms_before_it_begins(hosts, diary):
    """What was armed for the files goes back to nothing any more; the run itself goes on and ends well."""
    hosts["af1"].states["schema", "metadata"] = {"revision": "older", "tables": "there"}
    said = Quiet()
    bootstrap.bring_up("", wishes.BootstrapWish(), said)
    arms, disarms, migrated = of(diary, "way_back_arm"), of(diary, "way_back_disarm"), of(diary, "metadata")
    assert arms["af2"] < disarms["af2"] < migrated["af1"]
    assert not of(diary, "new connection")
    assert any(line.startswith("disarmed: af2: the database is migrated in this run") for line in said.said)


def test_plan_names_a_host_that_went_back(hosts):
    """Exit 10 until a run that ends well has seen to it."""
    told = "at 2026-11-29T12:00:00Z, because nobody confirmed the deploy of ann@desk within 180 s"
    hosts["af1"].states[KEY] = {"went back": told}
    assert plan_of("af1")[KEY] is None


def test_status_names_who_went_back_and_who_is_unconfirmed():
    """One line for each, above all findings."""
    given = inventories.parse(yaml.safe_dump(INVENTORY), Path("inventory.yaml"))
    told = {"went back": "at 12:00, because nobody confirmed", "unconfirmed": "the deploy of ann@desk since now"}
    checkup = Checkup(given, {"af1": {"way_back": told}, "af2": {}, "af3": {"way_back": None}}, {}, {})
    lines = board.lines(checkup, diagnose(checkup, ()))
    assert "! af1 went back at 12:00, because nobody confirmed" in lines
    assert "! af1 is unconfirmed: the deploy of ann@desk since now" in lines


def test_the_connection_is_a_new_one_and_the_hosts_key_is_verified_again(tmp_path):
    """Over real SSH: a host that shows another key than before is refused, while the old connection still works."""
    key = paramiko.ECDSAKey.generate()
    key.write_private_key_file(str(tmp_path / "key"))
    with Sshd("ops", key, lambda _: ["cat"]) as sshd:
        (tmp_path / "known_hosts").write_text(f"{sshd.line}\n")
        ssh = {"identity": str(tmp_path / "key"), "known_hosts": str(tmp_path / "known_hosts"), "user": "ops"}
        words = {**INVENTORY, "ssh": {**ssh, "port": sshd.port}, "hosts": {"af1": {**ROLES, "address": "127.0.0.1"}}}
        given = inventories.parse(yaml.safe_dump(words), Path("inventory.yaml"))
        fleet = session.Fleet(given, {}, {}, secrets_of(KEYS), Path("secrets.yaml"), "deploy")
        old, new = fleet.anew("af1"), fleet.anew("af1")
        old.open()
        new.open()
        assert len(sshd.asked) == 2
        sshd.own = paramiko.ECDSAKey.generate()
        with pytest.raises(HostKeyRefused):
            fleet.anew("af1").open()
        for host in (old, new):
            host.close()

"""The order of a deploy across hosts: prepare everywhere, gate, switch; a canary first, and the way back."""

from __future__ import annotations

import threading

import pytest

from airfleet.batches import Batch
from airfleet.deploy_run import Deploy
from airfleet.errors import ChangesPending, GateRefused, HostUnreachable, LockHeld, RolloutStopped
from airfleet.wishes import DeployWish
from tests.flows.deploy_host import CURRENT, NEW, OLD, DeployHost
from tests.flows.deployment import deploy


def changed(diary):
    """Return what was done, without the looks and the questions."""
    return [event for event in diary if event[1] in ("apply", "restarted") or event[2] in ("gate", "resolve")]


def test_prepare_everywhere_then_gate_then_switch_everywhere_then_workers_host_by_host(fleet, diary, screen):
    """No host is switched before all are prepared and the gate said yes; each worker is drained, hosts in order."""
    deploy(fleet, screen)
    events = changed(diary)
    place = {event: number for number, event in enumerate(events)}
    gate = place["af1", "call", "gate"]
    assert all(place[name, "apply", "/home/airflow/dags/releases"] < gate for name in fleet.hosts)
    flips = [place[name, "apply", CURRENT] for name in fleet.hosts]
    assert min(flips) > gate
    scheduler = place["af1", "apply", "airflow-scheduler.service"]
    assert max(flips) < scheduler
    assert "af1: the web page was away for 12.5 s" in screen.said
    workers = [event for event in events if event[1] == "restarted"]
    assert workers == [(name, "restarted", number, "b") for name in ("af1", "af2", "af3") for number in (1, 2)]
    assert place[workers[0]] > scheduler
    assert {NEW} == {host.current for host in fleet.hosts.values()}


def test_nothing_is_switched_when_the_gate_says_no(fleet, diary, screen):
    """Exit 8 with all findings by name; every host runs what it ran, and the history has it."""
    fleet.hosts["af1"].gate = {
        "errors": {"x.py": {"line": 3, "error": "NameError: no"}},
        "queues": {"gpu": ["t.a"]},
        "vanished": {"gone": 2},
    }
    with pytest.raises(GateRefused) as e:
        deploy(fleet, screen)
    for name in ("import-error:dags/x.py: line 3: NameError: no", "unserved-queue:gpu", "vanished:gone"):
        assert name in e.value.problem
    assert "nothing was switched" in e.value.state
    assert {OLD} == {host.current for host in fleet.hosts.values()}
    assert not [event for event in diary if event[1] == "restarted"]
    assert ["refused"] == [entry["result"] for entry in fleet.hosts["af2"].entries]


def test_a_finding_is_accepted_by_its_name_alone(fleet, screen):
    """Accepting one finding does not accept another."""
    fleet.hosts["af1"].gate = {"queues": {"gpu": ["t.a"], "big": ["t.b"]}}
    with pytest.raises(GateRefused) as e:
        deploy(fleet, screen, accepted=frozenset({"unserved-queue:gpu"}))
    assert "gpu" not in e.value.problem
    deploy(fleet, screen, accepted=frozenset({"unserved-queue:gpu", "unserved-queue:big"}))
    assert fleet.hosts["af3"].current == NEW


def test_a_forced_push_is_refused_before_the_switch_and_can_be_accepted(fleet, screen):
    """The finding names what the branch was."""
    fleet.hosts["af1"].resolved = {**DeployHost.resolved, "forced": True}
    with pytest.raises(GateRefused) as e:
        deploy(fleet, screen)
    assert "forced-push: main was aaaaaaaaaaaa and is now bbbbbbbbbbbb" in e.value.problem
    deploy(fleet, screen, accepted=frozenset({"forced-push"}))
    assert fleet.hosts["af1"].current == NEW


@pytest.mark.parametrize("what", ["worker", "probe_scheduler", "probe_web"])
def test_an_unhealthy_canary_is_put_back(fleet, diary, screen, what):
    """Every host is on the old release again, the others' workers were never touched, the journal is shown: exit 7."""
    fleet.hosts["af1"].sick = {what}
    with pytest.raises(RolloutStopped) as e:
        deploy(fleet, screen)
    assert "every host is back on aaaaaaaaaaaa" in e.value.state
    assert "journal" in e.value.problem
    assert {OLD} == {host.current for host in fleet.hosts.values()}
    assert not [event for event in diary if event[1] == "restarted" and event[0] != "af1"]
    started = fleet.hosts["af1"].states["unit", "airflow-worker@1.service"][f"started with {CURRENT}"]
    assert started == OLD
    assert fleet.hosts["af1"].entries[-1]["result"] == "put back"


def test_a_later_host_that_fails_stops_the_rollout_and_tells_who_is_on_which(fleet, diary, screen):
    """Behind a healthy canary a failure is a host's own: nobody behind it is touched."""
    fleet.hosts["af2"].sick = {"worker"}
    with pytest.raises(RolloutStopped) as e:
        deploy(fleet, screen)
    assert "on which release: af1 bbbbbbbbbbbb, af2 bbbbbbbbbbbb, af3 bbbbbbbbbbbb" in e.value.state
    assert not [event for event in diary if event[:2] == ("af3", "restarted")]


def test_nothing_new_is_said_at_once_and_changes_nothing(fleet, diary, screen):
    """One look, no gate, no entry in the history."""
    fleet.hosts["af1"].resolved = {**DeployHost.resolved, "commit": OLD}
    deploy(fleet, screen)
    assert "nothing to deploy: af1, af2, af3 run aaaaaaaaaaaa" in screen.said[0]
    assert [("af1", "call", "resolve")] == changed(diary)
    assert fleet.hosts["af1"].entries == []


def test_a_dry_run_prints_the_plan_and_changes_nothing(fleet, diary, screen):
    """Exit 10, and nothing but the question what the branch is."""
    with pytest.raises(ChangesPending):
        deploy(fleet, screen, dry_run=True)
    assert [("af1", "call", "resolve")] == changed(diary)
    assert len(screen.planned) == 3
    assert {OLD} == {host.current for host in fleet.hosts.values()}


def test_two_hosts_on_different_commits_end_on_one(fleet, screen):
    """What a killed deploy left is healed: the host that is behind comes to the others."""
    fleet.hosts["af1"].resolved = {**DeployHost.resolved, "commit": NEW}
    fleet.hosts["af2"].states["link", CURRENT] = {"target": f"releases/{NEW}"}
    deploy(fleet, screen)
    assert {NEW} == {host.current for host in fleet.hosts.values()}


def test_never_restarts_nothing(fleet, diary, screen):
    """With `never` the link alone is flipped."""
    deploy(fleet, screen, restart="never")
    assert not [event for event in diary if event[1] == "restarted" or str(event[2]).endswith(".service")]
    assert fleet.hosts["af3"].current == NEW


def test_an_unreachable_git_server_switches_nothing(fleet, screen):
    """The error is the git server's own, with its class, and says so."""
    fleet.hosts["af1"].resolved = HostUnreachable("the git server cannot be reached: ssh://…", place="af1")
    with pytest.raises(HostUnreachable) as e:
        deploy(fleet, screen)
    assert e.value.state == "nothing was switched"


def test_hosts_that_are_not_in_order_are_refused(fleet, screen):
    """A deploy changes code alone; what else is pending is bootstrap's."""
    key = ("file", "/home/airflow/airflow/airflow.cfg")
    fleet.hosts["af2"].states[key] = {**fleet.hosts["af2"].states[key], "mode": "0644"}
    with pytest.raises(GateRefused) as e:
        deploy(fleet, screen)
    assert "af2: ~ file /home/airflow/airflow/airflow.cfg: mode 0644 → 0600" in e.value.problem


def test_a_rollback_goes_back_without_the_git_server_or_the_gate(fleet, diary, screen):
    """It brings back the release that ran before by the history; a second one has nothing to go back to: exit 8."""
    deploy(fleet, screen)
    diary.clear()
    Deploy(fleet, screen, DeployWish()).backward("")
    assert {OLD} == {host.current for host in fleet.hosts.values()}
    assert not [event for event in diary if event[2] in ("resolve", "gate")]
    with pytest.raises(GateRefused) as e:
        Deploy(fleet, screen, DeployWish()).backward("")
    assert "nothing to roll back to" in e.value.problem


def test_a_rollback_to_a_release_that_nobody_knows_names_the_known_ones(fleet, screen):
    """A part of a commit is enough where it fits one release."""
    with pytest.raises(GateRefused) as e:
        Deploy(fleet, screen, DeployWish()).backward("cccc")
    assert "aaaaaaaaaaaa, bbbbbbbbbbbb" in e.value.remedy
    Deploy(fleet, screen, DeployWish()).backward("bbb")
    assert fleet.hosts["af1"].current == NEW


def test_the_lock_is_waited_for_and_its_holder_named(fleet, screen, monkeypatch):
    """With `--lock-wait` the holder is told once; without it, exit 6."""
    monkeypatch.setattr("airfleet.session.LOCK_POLL_S", 0)
    holder = {"who": "ann@desk", "doing": "bootstrap", "since": "now"}
    fleet.hosts["af1"].held_by = [holder, holder]
    with fleet.locked(wait_s=60, say=screen.say):
        pass
    assert [line for line in screen.said if "ann@desk" in line] == screen.said
    assert len(screen.said) == 1
    fleet.hosts["af1"].held_by = [holder]
    with pytest.raises(LockHeld), fleet.locked():
        pass


def test_every_host_keeps_the_history(fleet, screen):
    """Who, what, when, from which commit to which, and what became of each host."""
    deploy(fleet, screen)
    (entry,) = fleet.hosts["af3"].entries
    assert entry == fleet.hosts["af1"].entries[0]
    assert (entry["doing"], entry["ref"], entry["commit"], entry["before"]) == ("deploy", "main", NEW, OLD)
    assert entry["result"] == "done"
    assert entry["hosts"] == dict.fromkeys(fleet.hosts, NEW[:12])
    assert entry["members"]["af2"]["address"] == "10.0.0.2"
    assert OLD in fleet.hosts["af2"].pruned["keep"]


def test_a_batch_of_hosts_is_restarted_together_behind_the_canary(fleet, diary, screen):
    """The canary's host alone; then the others at the same time: each reaches its restart while the other is in its."""
    both = threading.Barrier(2, timeout=10)
    for name in ("af2", "af3"):
        host = fleet.hosts[name]
        restart = host._restart_drained
        host._restart_drained = lambda words, name, restart=restart: (both.wait(), restart(words, name))[1]
    deploy(fleet, screen, batch=Batch(2))
    restarted = [event[0] for event in diary if event[1] == "restarted"]
    assert ["af1", "af1"] == restarted[:2]
    assert {"af2", "af3"} == set(restarted[2:4])
    assert not both.broken


@pytest.mark.parametrize("lost_at", ["look", "apply release", "apply link", "restart_drained"])
def test_a_host_that_is_cut_off_is_left_out_when_that_is_borne(fleet, screen, lost_at):
    """Whenever it goes: it is named, the others are brought to the release and are well, exit 7 at the end."""
    fleet.hosts["af2"].lost_at = lost_at
    with pytest.raises(RolloutStopped) as e:
        deploy(fleet, screen, max_failures=1)
    assert "left out: af2: the connection was lost" in screen.said
    assert "af2: the connection was lost" in e.value.problem
    assert "af1 bbbbbbbbbbbb, af2 can't be asked" in e.value.state
    assert "af3 bbbbbbbbbbbb" in e.value.state
    started = fleet.hosts["af3"].states["unit", "airflow-worker@2.service"][f"started with {CURRENT}"]
    assert started == NEW
    assert ["stopped"] == [entry["result"] for entry in fleet.hosts["af3"].entries]


@pytest.mark.parametrize("lost_at", ["look", "restart_drained"])
def test_without_being_borne_with_it_stops_the_deploy(fleet, diary, screen, lost_at):
    """The default: the first host that is lost stops it (exit 3), and nobody behind it is restarted."""
    fleet.hosts["af2"].lost_at = lost_at
    with pytest.raises(HostUnreachable):
        deploy(fleet, screen)
    assert not [event for event in diary if event[:2] == ("af3", "restarted")]


def test_one_host_more_than_is_borne_stops_the_deploy(fleet, screen):
    """Both are named."""
    fleet.hosts["af2"].lost_at = "look"
    fleet.hosts["af3"].lost_at = "restart_drained"
    with pytest.raises(RolloutStopped) as e:
        deploy(fleet, screen, max_failures=1)
    assert "af3: the connection was lost" in e.value.problem
    assert "left out before: af2: the connection was lost" in e.value.problem


@pytest.mark.parametrize("what", ["worker", "probe_scheduler"])
def test_a_canary_that_fails_is_put_back_whatever_is_borne(fleet, diary, screen, what):
    """A release that the canary can't run is no host's own fault."""
    fleet.hosts["af1"].sick = {what}
    with pytest.raises(RolloutStopped) as e:
        deploy(fleet, screen, max_failures=2, batch=Batch(2))
    assert "every host is back on aaaaaaaaaaaa" in e.value.state
    assert not [event for event in diary if event[1] == "restarted" and event[0] != "af1"]


def test_a_host_with_other_roles_is_not_done_without(fleet, screen):
    """Two schedulers on different releases are worse than no deploy."""
    fleet.hosts["af1"].lost_at = "apply release"
    with pytest.raises(HostUnreachable):
        deploy(fleet, screen, max_failures=2)


def test_a_host_that_is_back_is_healed_by_the_next_deploy(fleet, screen):
    """It alone is changed."""
    lost = fleet.hosts["af2"]
    lost.lost_at = "look"
    with pytest.raises(RolloutStopped):
        deploy(fleet, screen, max_failures=1)
    fleet.hosts = {name: fleet.everyone[name] for name in fleet.everyone}
    lost.lost_at = ""
    screen.said.clear()
    deploy(fleet, screen)
    assert lost.current == NEW
    assert ["af2"] == [plan.host for plan in screen.planned if plan]
    assert "done" in screen.said[-1]


def test_a_rollback_goes_on_without_a_host_that_is_borne(fleet, screen):
    """Neither the history nor the release is asked of it."""
    deploy(fleet, screen)
    fleet.hosts["af2"].lost_at = "now"
    with pytest.raises(RolloutStopped) as e:
        Deploy(fleet, screen, DeployWish(max_failures=1)).backward("")
    assert "af3 aaaaaaaaaaaa" in e.value.state

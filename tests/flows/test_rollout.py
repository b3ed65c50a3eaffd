"""The order across hosts, and what is said when a rollout stops."""

import pytest

from airfleet.errors import ApplyFailed, GateRefused
from airfleet.failures import Failures, together
from airfleet.model import Stage
from airfleet.resources import Directory, Unit
from airfleet.rollout import Hooks, Terms, converge, look

DIR = Directory("/a")
OTHER = Directory("/b")
UNIT = Unit("x.service")


def stages(*pairs):
    return tuple(Stage(name, resources) for name, resources in pairs)


def run(hosts, desired, report, hooks=None, failures=None):
    wanted = {name: [r for s in ss for r in s.resources] for name, ss in desired.items()}
    facts = look(hosts, wanted, parallel=4, failures=failures)
    return converge(hosts, lambda: desired, facts, report, hooks or Hooks(), Terms(4, failures or Failures()))


def test_a_host_in_order_is_looked_at_once(make_host, diary, report):
    """Nothing to do means one round trip: no lock, no second look, no stage."""
    host = make_host("h", {("directory", "/a"): DIR.state})
    run({"h": host}, {"h": stages(("one", (DIR,)))}, report)
    assert [("h", "look", 1)] == list(diary)


def test_each_stage_ends_with_the_same_look(make_host, diary, report):
    """After a change the same question is asked again, and a later stage is looked at afresh before it."""
    host = make_host("h")
    run({"h": host}, {"h": stages(("one", (DIR,)), ("two", (OTHER,)))}, report)
    assert [
        ("h", "look", 2),
        ("h", "apply", "/a"),
        ("h", "look", 1),
        ("h", "look", 1),
        ("h", "apply", "/b"),
        ("h", "look", 1),
    ] == list(diary)


def test_a_change_that_does_not_stick_is_an_error(make_host, report):
    """An exit code is no proof: what is not so afterwards has failed."""
    host = make_host("h")
    host.stubborn = {"/a"}
    with pytest.raises(ApplyFailed) as e:
        run({"h": host}, {"h": stages(("one", (DIR,)))}, report)
    assert "still not as it should be" in e.value.problem


def test_a_failure_says_what_is_done_in_doubt_and_untouched(make_host, report):
    """Whoever reads the message knows the state of the world."""
    host = make_host("h")
    host.failing = {"/b"}
    third = Directory("/c")
    with pytest.raises(ApplyFailed) as e:
        run({"h": host}, {"h": stages(("one", (DIR,)), ("two", (OTHER, third)), ("three", (UNIT,)))}, report)
    assert (
        "done: h directory /a; in doubt: h directory /b; untouched: h directory /c; the stages three"
        " — the next run goes on from here"
    ) == e.value.state


def test_the_next_run_goes_on_where_the_last_one_stopped(make_host, diary, report):
    """A run that was stopped leaves nothing that keeps the next one from finishing."""
    host = make_host("h")
    host.failing = {"/b"}
    desired = {"h": stages(("one", (DIR,)), ("two", (OTHER,)))}
    with pytest.raises(ApplyFailed):
        run({"h": host}, desired, report)
    host.failing.clear()
    diary.clear()
    run({"h": host}, desired, report)
    assert [("h", "apply", "/b")] == [event for event in diary if event[1] == "apply"]


def test_running_services_are_restarted_on_one_host_after_the_other(make_host, diary, report):
    """A failing restart stops before the next host."""
    stale = {("unit", "x.service"): {"enabled": "enabled", "active": "active", "reload": "yes"}}
    hosts = {name: make_host(name, stale) for name in ("a", "b")}
    hosts["a"].failing = {"x.service"}
    with pytest.raises(ApplyFailed) as e:
        run(hosts, {name: stages(("units", (UNIT,))) for name in hosts}, report)
    assert [("a", "apply", "x.service")] == [event for event in diary if event[1] == "apply"]
    assert "untouched: b unit x.service" in e.value.state


def test_a_gate_stops_the_stages_after_it(make_host, diary, report):
    """Nothing later is touched when a gate says no."""

    def no(hosts):
        raise GateRefused("no")

    host = make_host("h")
    desired = {"h": stages(("one", (DIR,)), ("two", (OTHER,)))}
    with pytest.raises(GateRefused):
        run({"h": host}, desired, report, Hooks(after={"one": no}))
    assert ("directory", "/b") not in host.states


def test_a_change_may_teach_what_later_stages_should_be(make_host, report):
    """What is desired is asked again at each stage: a first release is known only when the mirror is there."""
    known = ["/unknown"]

    def desire():
        return {"h": stages(("one", (DIR,)), ("two", (Directory(known[0]),)))}

    def learn(changes):
        known[0] = "/learned"

    host = make_host("h")
    facts = look({"h": host}, {"h": [r for s in desire()["h"] for r in s.resources]}, parallel=1)
    converge({"h": host}, desire, facts, report, Hooks(before={"two": learn}), Terms(1))
    assert ("directory", "/learned") in host.states
    assert ("directory", "/unknown") not in host.states


def test_hosts_without_a_resource_in_a_stage_are_left_alone(make_host, diary, report):
    """The database is migrated once: a host with nothing in a stage is not asked about it."""
    hosts = {name: make_host(name) for name in ("a", "b")}
    run(hosts, {"a": stages(("one", (DIR,))), "b": stages(("one", ()))}, report)
    assert {"a"} == {event[0] for event in diary}


def several(make_host):
    """Return three hosts, the failures that are borne of them, and what is wanted there."""
    hosts = {name: make_host(name) for name in ("a", "b", "c")}
    return (
        hosts,
        Failures(1, frozenset({"b", "c"}), hosts),
        dict.fromkeys(hosts, stages(("one", (DIR,)), ("two", (OTHER,)))),
    )


def test_a_host_that_fails_is_left_out_of_what_follows_when_that_is_borne(make_host, diary, report):
    """The others go through all stages; it is never touched again."""
    hosts, failures, desired = several(make_host)
    failing = hosts["b"]
    failing.failing = {"/a"}
    run(hosts, desired, report, failures=failures)
    assert ["b"] == list(failures.found)
    assert ["a", "c"] == list(hosts)
    assert [("b", "apply", "/a")] == [event for event in diary if event[0] == "b" and event[1] == "apply"]
    assert ("directory", "/b") in hosts["c"].states


def test_a_change_that_does_not_stick_is_a_failure_that_may_be_borne(make_host, report):
    """As any other."""
    hosts, failures, desired = several(make_host)
    hosts["c"].stubborn = {"/b"}
    run(hosts, desired, report, failures=failures)
    assert "still not as it should be" in failures.found["c"].problem


@pytest.mark.parametrize("failing", [["a"], ["b", "c"]])
def test_what_is_not_borne_stops_all(make_host, report, failing):
    """A host that can't be done without, or one too many."""
    hosts, failures, desired = several(make_host)
    for name in failing:
        hosts[name].failing = {"/a"}
    with pytest.raises(ApplyFailed):
        run(hosts, desired, report, failures=failures)
    assert ("directory", "/b") not in hosts["c"].states


def test_what_goes_wrong_on_several_hosts_is_one_message():
    """Each host's words, indented behind the first; then what to do, and the state, once."""
    errors = [ApplyFailed("x\n    a's journal", place="a", state="s"), ApplyFailed("y", place="b", state="t")]
    assert str(together({e.place: e for e in errors})) == "a: x\n    a's journal\n  b: y\n  state: s"

"""`fab verify-logs`: every host tries the bucket; a run's log is waited for until Airflow reads it from there."""

from __future__ import annotations

import pytest

from airfleet import log_trial
from airfleet.errors import GateRefused, NotHealthy, UsageError

INVENTORY = {
    "database": {"host": "10.1.0.2"},
    "dags": {"repository": "https://git.internal/dags.git"},
    "logging": {"bucket": "aflogs", "emulator": "http://10.1.0.2:4443"},
    "hosts": {
        "a": {"address": "10.1.0.1", "roles": ["scheduler", "webserver", "worker"]},
        "b": {"address": "10.1.0.3", "roles": ["worker"]},
        "r": {"address": "10.1.0.4", "roles": ["redis"]},
    },
}
SECRETS = "database_password: pw\nflower_password: f\nredis_password: r\njwt_secret: j\n"
NO_TRY = UsageError("no such try", state="")


class Host:
    """Answers as `town` says."""

    def __init__(self, name, town):
        self.name, self.town = name, town

    def open(self):
        pass

    def close(self):
        pass

    def call(self, name, words, tell=None):
        assert name == "probe_bucket"
        self.town.tried[self.name] = words
        if self.name in self.town.refused:
            raise GateRefused("may not write", place=self.name)
        return {"did": "written", "who": "nobody"}

    def stream(self, name, words, take, give=()):
        if name == "airflow":
            self.town.asked.append(words["words"])
            return {"rc": self.town.rc}
        answer = self.town.logs.pop(0) if len(self.town.logs) > 1 else self.town.logs[0]
        if isinstance(answer, Exception):
            raise answer
        state, text = answer
        take({"found": {"state": state}})
        take({"text": text})
        return {}


class Town:
    def __init__(self, install):
        self.tried, self.refused, self.asked, self.rc, self.said = {}, set(), [], 0, []
        self.logs = [NO_TRY]
        self.install = install
        self.put(INVENTORY)

    def put(self, inventory):
        self.install(inventory, lambda name, address, ask: Host(name, self), SECRETS)

    def verify(self, dag="hello", task="say", max_wait_s=5):
        log_trial.verify_logs("", dag, task, max_wait_s=max_wait_s, say=self.said.append)


@pytest.fixture
def town(install, monkeypatch):
    monkeypatch.setattr(log_trial, "POLL_S", 0.01)
    return Town(install)


def test_every_host_whose_services_write_logs_tries_the_bucket(town):
    """Not one that has Redis alone; they are told where the emulator is."""
    town.verify("", "")
    assert set(town.tried) == {"a", "b"}
    assert town.tried["a"]["environment"] == {"STORAGE_EMULATOR_HOST": "http://10.1.0.2:4443"}
    assert (town.tried["a"]["bucket"], town.tried["a"]["prefix"], town.asked) == ("aflogs", "logs", [])
    assert "b: gs://aflogs/logs: written, as nobody" in town.said


def test_a_log_is_waited_for_until_airflow_reads_it_from_the_bucket(town):
    """There is no try at first; then it runs; then its log is still with the worker."""
    local, kept = "*** Found local files: /x", "*** Found remote logs:\n***   * gs://aflogs/logs/hello/1.log\nhi"
    town.logs = [NO_TRY, ("running", local), ("success", local), ("success", kept)]
    town.verify()
    (words,) = town.asked
    assert words[:4] == ["dags", "trigger", "hello", "--run-id"]
    assert "success; Airflow reads its log from gs://aflogs/logs/hello/1.log" in town.said[-1]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (NO_TRY, r"has not begun \(no such try\): is the DAG paused"),
        (("success", "*** Found local files"), "its state is success"),
    ],
)
def test_a_log_that_does_not_come_is_no_success(town, answer, says):
    """Exit 9 says how far it came."""
    town.logs = [answer]
    with pytest.raises(NotHealthy, match=says):
        town.verify(max_wait_s=0.1)


def test_what_can_not_be_done_is_refused(town):
    """A run that Airflow refuses, a host that may not, a task without its DAG, no bucket at all."""
    town.rc = 1
    with pytest.raises(NotHealthy, match="could not be asked for"):
        town.verify()
    town.refused = {"b"}
    with pytest.raises(GateRefused, match="may not write"):
        town.verify()
    with pytest.raises(UsageError, match="a DAG and its task, or neither"):
        town.verify("hello", "")
    town.put({**INVENTORY, "logging": {}})
    with pytest.raises(UsageError, match="task logs stay on the hosts"):
        town.verify()

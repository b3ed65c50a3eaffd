"""`fab runbook NAME --run STEP`: which fences are done, for which generation, and on which hosts."""

from __future__ import annotations

import pytest

from airfleet import runbooks
from airfleet.errors import GateRefused, NotHealthy, UsageError
from airfleet.runbook import parse

BOOK = """\
---
id: trial
severity: page
applies: {applies}
detect_within_s: 1
fix_within_s: 1
source: []
---
# A trial
```sh confirm on=each:worker expect="^yes$" airflow=2
two
```
```sh confirm on=each:worker expect="^yes$" airflow=3
three
```
```sh fix on=webserver
both
```
```sh inject on=webserver
break it
```
"""
ROLES = {"af1": ["redis", "webserver", "scheduler", "worker"], "af2": ["worker"]}


class Screen:
    def say(self, text, style=""):
        pass


class Host:
    """Answers a step with what `says` has for its name."""

    def __init__(self, name, asked, says):
        self.name, self.asked, self.says = name, asked, says

    def open(self):
        pass

    def call(self, name, words, tell=None):
        self.asked.append((self.name, words["text"].strip(), words["web"]))
        web = 80 if self.name == "af1" else 8793
        assert words["ports"] == {"LOG_PORT": 8793, "TRIGGER_LOG_PORT": 8794, "WEB_PORT": web}
        return {"output": self.says.get(self.name, "yes"), "rc": 0}

    def close(self):
        pass


@pytest.fixture
def trial(install, monkeypatch):
    """A function that puts the runbook and an installation in place; returns (what was asked, who says what)."""

    def made(version="3.3.2", applies='["2.11", "3.x"]', **more):
        book = parse(BOOK.replace("{applies}", applies), "trial.md")
        monkeypatch.setattr(runbooks, "find", lambda _: book)
        hosts = {name: {"address": f"10.0.0.{n}", "roles": r} for n, (name, r) in enumerate(ROLES.items(), 1)}
        words = {"database": {"host": "10.0.0.9"}, "dags": {"repository": "https://git.internal/dags.git"}}
        asked, says = [], {}
        secrets = "database_password: pw\nflower_password: f\nredis_password: r\njwt_secret: j\n"
        install(
            {**words, "airflow": {"version": version}, "hosts": hosts, **more},
            lambda name, address, ask: Host(name, asked, says),
            secrets,
        )
        return asked, says

    return made


def run(step, host=""):
    runbooks.run_step("", "trial", step, host=host, screen=Screen())


@pytest.mark.parametrize(
    ("version", "text", "web"),
    [("2.11.2", "two", "airflow-webserver.service"), ("3.3.2", "three", "airflow-api-server.service")],
)
def test_a_fence_may_be_for_one_generation(trial, version, text, web):
    """The other's is passed over; what is for both is told the name of the web pages' unit."""
    asked, _ = trial(version)
    run("confirm")
    assert asked == [("af1", text, web), ("af2", text, web)]
    asked.clear()
    run("fix")
    assert asked == [("af1", "both", web)]


def test_a_runbook_of_another_generation_is_refused(trial):
    """Before anything is contacted, naming what it is for."""
    asked, _ = trial("3.3.2", '["2.11"]')
    with pytest.raises(UsageError, match=r"has no fix for Airflow 3\.3\.2") as e:
        run("fix")
    assert "it is for 2.11" in str(e.value)
    assert asked == []


def test_one_host_that_shows_it_is_enough(trial):
    """What a confirm looks for on every worker need not be on all of them; on none, it is another fault."""
    _, says = trial()
    says["af1"] = "no"
    run("confirm")
    says["af2"] = "no"
    with pytest.raises(NotHealthy, match="this is not what the runbook describes"):
        run("confirm")


def test_a_drill_is_only_for_a_sandbox(trial):
    """Nothing is broken on purpose where it is not marked as one."""
    asked, _ = trial()
    with pytest.raises(GateRefused, match="no sandbox"):
        run("inject")
    assert asked == []
    asked, _ = trial(sandbox=True)
    run("inject")
    assert [text for _, text, _ in asked] == ["break it"]

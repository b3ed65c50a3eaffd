"""Logs, commands and shells over hosts in memory: who is asked for what, and how it is shown."""

from __future__ import annotations

import json
import shlex
import threading

import pytest

from airfleet import logs
from airfleet.airflow_command import run_airflow
from airfleet.errors import HostKeyRefused, HostUnreachable, RolloutStopped, UsageError
from airfleet.logs import Form, Wish, show_logs
from airfleet.shell import shell_command, written
from airfleet.task_log import Wish as LogWish
from airfleet.task_log import show_task_log

SECRET = "hunter2-of-redis"
INVENTORY = {
    "airflow": {"version": "2.11.2"},
    "database": {"host": "10.1.0.2"},
    "dags": {"repository": "https://git.internal/dags.git"},
    "ssh": {"user": "ops", "known_hosts": "known_hosts", "config": "/dev/null"},
    "hosts": {
        "a": {"address": "10.1.0.11", "roles": ["redis", "scheduler", "worker"]},
        "b": {"address": "10.1.0.12", "roles": ["worker"], "celery": {"instances": 3}},
        "c": {"address": "10.1.0.13", "roles": ["webserver", "triggerer"]},
    },
}


class Crowd:
    """Hosts in memory: the parts that each tells, and what each was asked."""

    def __init__(self):
        self.asked = {}
        self.parts = {}
        self.later = {}  # what a host tells that is asked again
        self.away = {}  # once lost, how often a host can't be opened; or what it then raises
        self.lost = set()
        self.answers = {}
        self.opened = []
        self.written = []
        self.notices = []
        self.ended = threading.Event()

    def host(self, name, address, ask):
        return MemoryHost(name, self)

    @property
    def text(self):
        return "".join(self.written)

    def write(self, text, error=False):
        self.written.append(f"!{text}" if error else text)

    def logs(self, as_json=False, **wish):
        show_logs("", Wish(**wish), Form(self.write, self.notices.append, as_json))


class MemoryHost:
    def __init__(self, name, crowd):
        self.name, self.crowd = name, crowd

    def open(self):
        self.crowd.opened.append(self.name)
        away = self.crowd.away.get(self.name) if self.name in self.crowd.lost else None
        if isinstance(away, BaseException):
            raise away
        if away:
            self.crowd.away[self.name] -= 1
            raise HostUnreachable("no answer in time", place=self.name)

    def close(self):
        self.crowd.ended.set()

    def stream(self, name, words, take):
        self.crowd.asked[self.name] = {"op": name, **words}
        again = self.name in self.crowd.lost
        for part in self.crowd.later[self.name].pop(0) if again else self.crowd.parts.get(self.name, ()):
            if isinstance(part, BaseException):
                self.crowd.lost.add(self.name)
                raise part
            take(part) if isinstance(part, dict) else part()
        return self.crowd.answers.get(self.name, {})


@pytest.fixture
def crowd(install):
    made = Crowd()
    install(INVENTORY, made.host, f"database_password: pw-of-db\nredis_password: {SECRET}\n")
    return made


def entries(*items, unit="airflow-worker@1.service"):
    return {"entries": [[at, unit, 6, message] for at, message in items]}


LIVE = {"live": True}
LOSS = HostUnreachable("the connection was lost", place="b")


def messages(crowd):
    return [line.partition(" | ")[2] for line in crowd.text.splitlines()]


def test_every_host_is_asked_for_its_own_units(crowd):
    """All of them at the same time, with the same words."""
    crowd.logs(grep="x", lines=7)
    assert set(crowd.asked) == {"a", "b", "c"}
    of_c = ["airflow-triggerer.service", "airflow-trigger-logs.service", "airflow-webserver.service"]
    assert crowd.asked["c"]["units"] == of_c
    assert "airflow-worker@3.service" in crowd.asked["b"]["units"]
    asked = crowd.asked["a"]
    assert (asked["op"], asked["grep"], asked["lines"], asked["follow"]) == ("logs", "x", 7, False)
    assert asked["since"] == "1 hour ago"


def test_a_service_and_only_choose(crowd):
    """Hosts without the service are not contacted."""
    crowd.logs(service="worker@2")
    assert set(crowd.asked) == {"a", "b"}
    crowd.asked.clear()
    crowd.logs(service="worker", only="b")
    assert set(crowd.asked) == {"b"}


@pytest.mark.parametrize(
    "wish",
    [
        {"service": "wrkr"},
        {"since": "soon"},
        {"grep": "("},
        {"lines": -1},
        {"only": "z"},
        {"service": "redis", "only": "b"},
    ],
)
def test_wrong_words_contact_nobody(crowd, wish):
    """Exit 2, and it is said that nothing was contacted."""
    with pytest.raises(UsageError) as e:
        crowd.logs(**wish)
    assert e.value.state == "nothing was contacted"
    assert crowd.opened == []


def test_the_hosts_journals_are_one(crowd):
    """In the order of time, the last N of all together."""
    crowd.parts = {
        "a": [entries((1, "a1"), (4, "a4")), entries((6, "a6")), LIVE],
        "b": [entries((2, "b2"), (3, "b3"), (5, "b5")), LIVE],
        "c": [LIVE],
    }
    crowd.logs(lines=4)
    assert messages(crowd) == ["b3", "a4", "b5", "a6"]
    crowd.written.clear()
    crowd.logs(lines=0)
    assert messages(crowd) == ["a1", "b2", "b3", "a4", "b5", "a6"]


def test_secrets_are_hidden_in_every_form(crowd):
    """As text and as JSON."""
    crowd.parts = {"a": [entries((1, f"redis://:{SECRET}@h")), LIVE]}
    crowd.logs(only="a")
    crowd.logs(only="a", as_json=True)
    assert SECRET not in crowd.text
    assert json.loads(crowd.written[1])["message"] == "redis://:<secret>@h"


def test_nothing_found_is_said(crowd):
    """An empty answer may be a wrong question."""
    crowd.logs(only="a,b", since="2h")
    assert (crowd.text, crowd.notices) == ("", ["no such lines since 2h on a, b"])


def test_a_host_that_is_down_does_not_hide_the_others(crowd):
    """Their lines are shown; it is named at the end, with its exit code."""
    crowd.parts = {"a": [entries((1, "a1")), LIVE], "b": [HostUnreachable("no answer in time", place="b")]}
    with pytest.raises(HostUnreachable) as e:
        crowd.logs(only="a,b")
    assert messages(crowd) == ["a1"]
    assert (e.value.place, crowd.notices) == ("b", [])


def test_what_a_host_calls_wrong_words_is_told_once(crowd):
    """A time that only journalctl can judge: exit 2 as if it had been seen here."""
    crowd.parts = {name: [UsageError("journalctl knows no such time", place=name)] for name in "abc"}
    with pytest.raises(UsageError) as e:
        crowd.logs(since="12 bananas")
    assert (e.value.place, crowd.text) == ("a", "")


def test_what_follows_is_in_order_too(crowd):
    """Whichever host speaks first: an entry waits for what happened before it elsewhere."""
    both, b_told = threading.Barrier(2), threading.Event()
    crowd.parts = {
        "a": [entries((1, "a1")), LIVE, both.wait, b_told.wait, entries((20, "a20"), (40, "a40"))],
        "b": [LIVE, both.wait, entries((30, "b30")), b_told.set],
    }
    crowd.logs(only="a,b", follow=True)
    assert messages(crowd) == ["a1", "a20", "b30", "a40"]


def test_ctrl_c_is_how_following_ends(crowd):
    """No message, no failure; the connections are closed, and with them the programs there."""

    def interrupt(text):
        raise KeyboardInterrupt

    crowd.parts = {"a": [entries((1, "a1")), LIVE, crowd.ended.wait]}
    show_logs("", Wish(only="a", follow=True), Form(interrupt, crowd.notices.append))
    assert (crowd.ended.is_set(), crowd.notices) == (True, [])


def test_a_host_that_is_lost_while_following_is_asked_again(crowd, monkeypatch):
    """It is named at once, and when it is back; nothing is told twice, nothing is left out, the others go on."""
    monkeypatch.setattr(logs, "AGAIN_S", 0.01)
    back = threading.Event()
    crowd.parts = {
        "a": [LIVE, back.wait, entries((9_000_001, "a9"))],
        "b": [entries((1_000_005, "b1")), LIVE, entries((2_000_005, "b2"), (2_000_005, "b2 too")), LOSS],
    }
    crowd.later = {"b": [[entries((2_000_005, "b2"), (2_000_005, "b2 too"), (2_000_005, "b2 at last")), LIVE]]}
    crowd.later["b"][0] += [entries((3_000_005, "b3")), back.set]
    crowd.away = {"b": 2}
    crowd.logs(only="a,b", follow=True, lines=50)
    assert messages(crowd) == ["b1", "b2", "b2 too", "b2 at last", "b3", "a9"]
    assert (crowd.asked["b"]["since"], crowd.asked["b"]["lines"]) == ("@2.000005", 0)
    assert crowd.notices[:2] == [
        "b: the connection was lost; asked again every 0.01 s",
        "b: is there again; its journal goes on from where it was",
    ]
    assert crowd.opened.count("b") == 1 + 2 + 2  # at first, twice in vain, found again, asked again


def test_a_host_that_comes_back_with_another_key_is_given_up(crowd, monkeypatch):
    """Whoever answers there is not the one that was lost."""
    monkeypatch.setattr(logs, "AGAIN_S", 0.01)
    crowd.parts = {"b": [LIVE, LOSS]}
    crowd.away = {"b": HostKeyRefused("the host key is not the one that is trusted", place="b")}
    with pytest.raises(HostKeyRefused):
        crowd.logs(only="b", follow=True)


def test_what_was_read_to_its_end_is_not_asked_again(crowd):
    """Without --follow a loss is an error, as ever."""
    crowd.parts = {"b": [entries((1, "b1")), LIVE, LOSS]}
    with pytest.raises(HostUnreachable):
        crowd.logs(only="b")


def test_a_bug_in_a_thread_is_no_silence(crowd):
    """It surfaces where it is seen."""
    crowd.parts = {"a": [ZeroDivisionError("bug")]}
    with pytest.raises(ZeroDivisionError):
        crowd.logs(only="a")


def test_airflows_words_go_to_the_schedulers_host(crowd):
    """Or to the one that is named; its status is returned, its two outputs stay apart."""
    crowd.parts = {"a": [{"out": "one\n"}, {"err": "two\n"}]}
    crowd.answers = {"a": {"rc": 3}}
    assert run_airflow("", "dags list -o json", "", crowd.write) == 3
    assert crowd.written == ["one\n", "!two\n"]
    assert crowd.asked["a"]["words"] == ["dags", "list", "-o", "json"]
    assert crowd.asked["a"]["environment"] == "/home/airflow/airflow/environment"
    crowd.answers = {"b": {"rc": 0}}
    assert run_airflow("", "version", "b", crowd.write) == 0
    assert set(crowd.asked) == {"a", "b"}


@pytest.mark.parametrize(
    ("words", "host"),
    [("version", "z"), ("users create -p x", ""), (f"variables set x {SECRET}", ""), ("'", "")],
)
def test_airflows_words_that_are_refused_go_nowhere(crowd, words, host):
    """Exit 2 before anything is contacted; no secret in the message."""
    with pytest.raises(UsageError) as e:
        run_airflow("", words, host, crowd.write)
    assert (crowd.opened, e.value.state) == ([], "nothing was contacted")
    assert SECRET not in str(e.value)


def test_what_airflow_prints_is_masked(crowd):
    """On both outputs."""
    crowd.parts = {"a": [{"out": f"{SECRET}\n"}, {"err": f"x {SECRET}\n"}]}
    crowd.answers = {"a": {"rc": 0}}
    run_airflow("", "config list", "", crowd.write)
    assert crowd.written == ["<secret>\n", "!x <secret>\n"]


@pytest.mark.parametrize(
    ("loss", "kind"),
    [(KeyboardInterrupt(), RolloutStopped), (HostUnreachable("the connection was lost", place="a"), HostUnreachable)],
)
def test_an_interruption_does_not_claim_that_nothing_happened(crowd, loss, kind):
    """A command that began may have done something."""
    crowd.parts = {"a": [loss]}
    with pytest.raises(kind) as e:
        run_airflow("", "db migrate", "", crowd.write)
    assert "`airflow db migrate` is ended there" in e.value.state
    assert "what it has done by then is done" in e.value.state


def test_a_task_log_is_asked_where_the_web_pages_are(crowd):
    """Log servers answer no other host. Which try it is goes beside the log, so that the log can be piped."""
    found = {"dag": "d", "task": "t", "run": "r", "map_index": 4, "try": 2, "tries": 3, "state": None, "hostname": ""}
    crowd.parts = {"c": [{"found": found}, {"text": f"one\n{SECRET}\n"}, {"text": "two"}]}
    show_task_log("", LogWish("d", "t", map_index=4), crowd.write, crowd.notices.append)
    assert (crowd.text, crowd.notices) == ("one\n<secret>\ntwo", ["d.t[4] (r) try 2 of 3: no state"])
    asked = crowd.asked["c"]
    assert (asked["op"], asked["dag"], asked["task"], asked["run"], asked["try"]) == ("task_log", "d", "t", "", 0)
    assert asked["program"] == "inside_tasklog"


@pytest.mark.parametrize("more", [{"number": -1}, {"map_index": -2}])
def test_numbers_below_the_first_contact_nobody(crowd, more):
    """Exit 2."""
    with pytest.raises(UsageError):
        show_task_log("", LogWish("d", "t", **more), crowd.write, crowd.notices.append)
    assert crowd.opened == []


def test_a_shell_is_opensshs_own_and_has_no_secret_in_its_words(crowd, tmp_path):
    """The account and two paths are all that the host is told; nothing was contacted for it."""
    words = shell_command("", "b", root=False)
    assert words[:2] == ["ssh", "-t"]
    assert words[-5:-1] == ["-l", "ops", "--", "10.1.0.12"]
    remote = shlex.split(words[-1])
    assert remote[-3:] == ["airflow", "/home/airflow/airflow/environment", "/home/airflow/.pyenv/versions/.venv/bin"]
    assert f"UserKnownHostsFile={tmp_path / 'known_hosts'}" in words
    assert SECRET not in " ".join(words)
    assert shlex.split(written(words)) == words
    assert crowd.opened == []


def test_roots_shell_has_nothing_of_airflows(crowd):
    """A login as root's own."""
    assert shlex.split(shell_command("", "a", root=True)[-1])[-2:] == ["bash", "-l"]


def test_an_unknown_host_is_told_the_known_ones(crowd):
    """Exit 2."""
    with pytest.raises(UsageError) as e:
        shell_command("", "aa", root=False)
    assert "a, b, c" in e.value.remedy

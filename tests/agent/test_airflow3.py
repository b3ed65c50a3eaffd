"""What hosts do for Airflow 3 and on the way to it: tokens, patience, leftovers, messages, logs as lines of JSON."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from types import ModuleType

import pytest
from agent_services import REDIS, redis

from airfleet.agent import broker, kept, leftovers, patience, probe, resp, run, units

LOGIN, TOKEN = {"username": "admin", "password": "pw"}, "t0ken"


class Web(BaseHTTPRequestHandler):
    """The outline of Airflow 3's web pages: health, the login form, tokens, and a list that wants one."""

    allowed = 200

    def do_GET(self):
        """Answer by the path."""
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        self.reply(
            *{
                "/health": (200, '{"metadatabase": {"status": "healthy"}}'),
                "/login": (200, '<input name="csrf_token" value="x">'),
                "/list": (self.allowed if known else 401, "[]"),
                "/execution/health": (200, "{}"),
            }.get(self.path, (404, ""))
        )

    def do_POST(self):
        """Give a token for the right password."""
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.reply(*((201, json.dumps({"access_token": TOKEN})) if given == LOGIN else (401, "")))

    def reply(self, code, body):
        """Send it."""
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def web(request):
    handler = type("Its", (Web,), {"allowed": getattr(request, "param", 200)})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def login(web, **more):
    words = {"base": web, "health_path": "/health", "login_path": "/login", "token_path": "/token", "timeout_s": 0}
    return probe.probe_web({**words, "allowed_path": "/list", **more}, None)


def test_a_login_is_tried_as_a_program_logs_in(web):
    """A token for the password, and with it what only who has a right may see."""
    assert login(web)["says"].endswith("healthy, shows its login page")
    assert login(web, **LOGIN)["says"].endswith("healthy, admin can log in")
    refused = login(web, username="admin", password="no", timeout_s=30)
    assert (refused["ok"], refused["says"].endswith("it refuses the login of admin")) == (False, True)


@pytest.mark.parametrize("web", [403], indirect=True)
def test_a_user_without_a_right_is_told_at_once(web):
    """A token that opens nothing is no login."""
    assert "has no right to see anything" in login(web, **LOGIN, timeout_s=30)["says"]


def test_the_way_of_tasks_to_the_api_server_is_tried(web):
    """Where it answers, and where nothing listens."""
    good = probe.probe_api({"url": f"{web}/execution/health", "timeout_s": 0}, None)
    assert (good["ok"], "tasks reach the API server" in good["says"]) == (True, True)
    bad = probe.probe_api({"url": "http://127.0.0.1:9/health", "timeout_s": 0}, None)
    assert (bad["ok"], "nothing listens there" in bad["says"]) == (False, True)


def test_patience_is_what_each_worker_has_left(tmp_path, monkeypatch):
    """The lines of airflow.cfg as they were when it started; and the latest outages, ten of them."""
    for number, lines in ((1, "max_failed_heartbeats = 60\n"), (2, "")):
        (tmp_path / f"airflow-worker@{number}").mkdir()
        (tmp_path / f"airflow-worker@{number}" / "patience").write_text(lines)
    monkeypatch.setattr(patience, "LEFT", f"{tmp_path}/airflow-worker@*/patience")
    monkeypatch.setattr(patience, "OUTAGES", str(tmp_path / "kept" / "outages.json"))
    assert patience.patience({}, None)["outages_s"] == []
    for number in range(12):
        patience.remember(number + 0.5)
    assert patience.patience({}, None) == {
        "workers": {"airflow-worker@1": ["max_failed_heartbeats = 60"], "airflow-worker@2": []},
        "outages_s": [number + 0.5 for number in range(2, 12)],
    }
    assert (tmp_path / "kept" / "outages.json").stat().st_mode & 0o777 == kept.MODE


def test_units_of_another_generation_are_stopped_and_taken_away(tmp_path, monkeypatch):
    """Those alone that are asked about; a second look finds none."""
    for name in ("airflow-webserver.service", "airflow-scheduler.service"):
        (tmp_path / name).write_text("[Unit]\n")
    said = []
    monkeypatch.setattr(run, "run", lambda argv, **_: said.append(argv) or "")
    monkeypatch.setattr(units, "bring", lambda name, verb, *_: said.append([verb, name]) or "inactive")
    asked = {"files": ["airflow-api-server.service", "airflow-webserver.service"]}
    seen, _ = leftovers.look_leftovers(str(tmp_path), asked)
    assert seen == {"airflow-webserver.service": "there"}
    leftovers.make_leftovers(str(tmp_path), seen, {}, {"stop_timeout_s": 1}, lambda _: None)
    assert ["stop", "airflow-webserver.service"] in said
    assert leftovers.look_leftovers(str(tmp_path), asked)[0] == {}
    assert [path.name for path in tmp_path.iterdir()] == ["airflow-scheduler.service"]


def test_units_of_a_role_that_is_gone(tmp_path, monkeypatch):
    """Each worker that runs or is enabled, then their template; nginx by the file that stood beside its unit."""
    files = ["airflow-worker@.service", "nginx.service.d/airfleet.conf"]
    (tmp_path / "nginx.service.d").mkdir()
    for name in files:
        (tmp_path / name).write_text("[Unit]\n")
    said = []
    monkeypatch.setattr(run, "run", lambda argv, **_: said.append(argv[1:]) or "")
    monkeypatch.setattr(units, "bring", lambda name, verb, *_: said.append([verb, name]) or "inactive")
    instances = {"airflow-worker@1": "enabled, running", "airflow-worker@3": "running"}
    monkeypatch.setattr(units, "look_instances", lambda prefix, ask: (dict(instances), {}))
    seen, _ = leftovers.look_leftovers(str(tmp_path), {"files": files})
    leftovers.make_leftovers(str(tmp_path), seen, {}, {"stop_timeout_s": 1}, lambda _: None)
    names = ["airflow-worker@1.service", "airflow-worker@3.service", "nginx.service"]
    assert said == [*([verb, name] for name in names for verb in ("disable", "stop")), ["daemon-reload"]]
    assert leftovers.look_leftovers(str(tmp_path), {"files": files})[0] == {}


@pytest.mark.skipif(REDIS is None, reason="redis-server is not installed here")
def test_messages_that_nobody_will_understand_are_deleted(tmp_path):
    """Those that wait, and those that were never acknowledged; in that database alone."""
    with redis(tmp_path, "--requirepass", "pw") as port:
        with resp.Redis("127.0.0.1", port) as client:
            client.ask("AUTH", "pw")
            for database in ("0", "3"):
                client.ask("SELECT", database)
                client.ask("LPUSH", "default", "a", "b")
                client.ask("HSET", "unacked", "x", "y")
            words = {"host": "127.0.0.1", "port": port, "user": "airflow", "password": "pw", "db": 3}
            words["queues"] = ["default", "gpu"]
            assert broker.forget_messages(words, None) == {"default": 2, "gpu": 0}
            assert [client.ask("EXISTS", key) for key in ("default", "unacked")] == ["0", "0"]
            client.ask("SELECT", "0")
            assert client.ask("LLEN", "default") == "2"
        with pytest.raises(run.Refused):
            broker.forget_messages({**words, "password": "no"}, None)


@pytest.fixture
def readable():
    """The function of a program that can be imported only where Airflow is."""
    source = find_spec("airfleet.agent.inside_tasklog3").loader.get_source("airfleet.agent.inside_tasklog3")
    room = ModuleType("room")
    exec(source.replace("from airfleet.agent import inside_postgres, inside_tries", ""), room.__dict__)
    return lambda **entry: list(room.readable(entry))


def test_a_log_of_airflow_3_is_read_as_people_read_it(readable):
    """When, how grave, what; what is told above the log is not told again; a traceback stands below."""
    known = {"timestamp": "2026-11-26T10:00:00Z", "level": "error", "dag_id": "etl", "ti_id": "7", "lineno": 4}
    assert readable(event="hello", **known, rows=3) == ["[2026-11-26T10:00:00Z] ERROR - hello rows=3\n"]
    assert readable(event="line 1 한") == ["line 1 한\n"]
    assert readable(event="::group::Log message source details", sources=["/x/1.log"]) == ["*** /x/1.log\n"]
    assert readable(event="::endgroup::") == []
    error = {"exc_type": "KeyError", "exc_value": "'x'", "frames": [{"filename": "a.py", "lineno": 3, "name": "go"}]}
    assert readable(event="Task failed", error_detail=[error]) == [
        "Task failed\n",
        "Traceback (most recent call last):\n",
        '  File "a.py", line 3, in go\n',
        "KeyError: 'x'\n",
    ]

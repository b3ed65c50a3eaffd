"""Probes against real Redis, a real Celery worker, a real web server, and against things that only look like them."""

from __future__ import annotations

import base64
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
from agent_services import REDIS, free_port, redis, saying
from redis_rig import guarded

PASSWORD = "p@:/%w 한글"
needs_redis = pytest.mark.skipif(REDIS is None, reason="redis-server is not installed here")


@pytest.fixture
def probe_redis(agent):
    def asked(port, password=PASSWORD, timeout_s=0):
        words = {"host": "127.0.0.1", "port": port, "password": password, "timeout_s": timeout_s}
        return agent.call("probe_redis", **words)["words"]

    return asked


@needs_redis
def test_redis_that_takes_a_write_is_well(probe_redis, tmp_path):
    """A write with the password, whatever characters that has, and the same value read back."""
    with redis(tmp_path, "--requirepass", PASSWORD) as port:
        assert probe_redis(port) == {"ok": True, "reason": "", "says": f"redis at 127.0.0.1:{port} takes writes"}
        assert probe_redis(port, "wrong")["reason"] == "password"
        assert probe_redis(port, "")["reason"] == "password"


@needs_redis
def test_a_full_redis_is_told_from_one_that_is_well(probe_redis, tmp_path):
    """It answers PING and AUTH, and refuses every write: full."""
    with redis(tmp_path, "--requirepass", PASSWORD, "--maxmemory", "1", "--maxmemory-policy", "noeviction") as port:
        answer = probe_redis(port)
        assert (answer["ok"], answer["reason"]) == (False, "oom")


@needs_redis
def test_a_redis_without_a_password_is_not_well(probe_redis, tmp_path):
    """Where a password is expected and none is set, anybody could come in."""
    with redis(tmp_path) as port:
        answer = probe_redis(port)
        assert (answer["ok"], answer["reason"]) == (False, "nopassword")


@needs_redis
def test_a_redis_that_cannot_save_is_not_well(probe_redis, tmp_path):
    """A failed save to disk makes Redis refuse writes while it answers everything else."""
    with redis(tmp_path, "--requirepass", PASSWORD, "--save", "1 1", "--dbfilename", "dump.rdb") as port:
        (tmp_path / "dump.rdb").mkdir()
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.sendall(b'AUTH "%s"\r\nSET a 1\r\nSAVE\r\nBGSAVE\r\n' % PASSWORD.encode())
            deadline = time.monotonic() + 20
            while probe_redis(port)["reason"] != "misconf":
                assert time.monotonic() < deadline
                s.sendall(b"SET a 2\r\nBGSAVE\r\n")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "stranger"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "stranger"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "loading"),
        (b"-READONLY You can't write against a read only replica.\r\n", "readonly"),
        (b"-DENIED Redis is running in protected mode\r\n", "protected"),
        (b"-ERR what is this\r\n", "error"),
        (b"+OK\r\n", "dropped"),
        (b"$99999999999\r\n", "stranger"),
        (b"", "dropped"),
    ],
)
def test_what_is_not_a_working_redis_is_named(probe_redis, said, reason):
    """Something else on the port, and each refusal of Redis, has a word of its own."""
    with saying(said) as port:
        answer = probe_redis(port)
        assert (answer["ok"], answer["reason"]) == (False, reason)


def test_nothing_on_the_port_is_waited_for(probe_redis):
    """Nothing listens: said after the time that was given, not before."""
    began = time.monotonic()
    assert probe_redis(free_port(), timeout_s=1)["reason"] == "refused"
    assert time.monotonic() - began >= 1


class Web(BaseHTTPRequestHandler):
    """The outline of Airflow's web pages: health, login form with a token and a cookie, a first page."""

    mood = "well"

    def do_GET(self) -> None:
        """Answer by the path."""
        if self.path == "/health":
            body = '{"metadatabase": {"status": "%s"}}' % ("unhealthy" if self.mood == "sick" else "healthy")
            self.reply(200, body if self.mood != "stranger" else "<html>")
        elif self.path == "/login/":
            form = '<form><input id="csrf_token" name="csrf_token" type="hidden" value="t0ken"></form>'
            self.reply(200, form if self.mood != "formless" else "<html>", cookie="session=begun")
        elif self.path == "/home":
            known = "session=known" in self.headers.get("Cookie", "")
            there = 403 if self.mood == "forbidden" else 200
            self.reply(there, "DAGs") if known else self.reply(302, "", to="/login/")
        elif self.path == "/":
            expected = "Basic " + base64.b64encode(b"admin:pw").decode()
            known = self.headers.get("Authorization") == expected or self.mood == "open"
            self.reply(200 if known else 401, "flower")
        else:
            self.reply(404, "")

    def do_POST(self) -> None:
        """Take the login form as Flask-AppBuilder does."""
        form = {k: v[0] for k, v in parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()).items()}
        begun = "session=begun" in self.headers.get("Cookie", "")
        if not begun or form["csrf_token"] != "t0ken":
            self.reply(400, "the CSRF token is missing")
        elif (form["username"], form["password"]) == ("admin", "pw"):
            self.reply(302, "", to="/home", cookie="session=known")
        else:
            self.reply(302, "", to="/login/")

    def reply(self, code: int, body: str, to: str = "", cookie: str = "") -> None:
        """Send it."""
        self.send_response(code)
        if to:
            self.send_header("Location", to)
        if cookie:
            self.send_header("Set-Cookie", cookie + "; Path=/" + "; Secure" * (self.mood == "proxied"))
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def web(request):
    mood = getattr(request, "param", "well")
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("MoodyWeb", (Web,), {"mood": mood}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def probe_web(agent):
    def asked(base, **login):
        words = {"base": base, "health_path": "/health", "login_path": "/login/", "timeout_s": 0, **login}
        return agent.call("probe_web", **words)["words"]

    return asked


def test_a_web_that_is_well_shows_its_login_and_lets_its_user_in(probe_web, web):
    """Health, login form with its token, then a page that only who is logged in sees."""
    assert probe_web(web)["says"] == f"web at {web}: healthy, shows its login page"
    assert probe_web(web, username="admin", password="pw")["says"] == f"web at {web}: healthy, admin can log in"


@pytest.mark.parametrize("web", ["proxied"], indirect=True)
def test_pages_behind_a_proxy_are_asked_without_it(probe_web, web):
    """Their cookies are for TLS alone; on its own host the login is tried all the same."""
    assert probe_web(web, username="admin", password="pw")["says"] == f"web at {web}: healthy, admin can log in"


def test_a_refused_login_is_not_tried_again(probe_web, web):
    """A wrong password is an answer at once: trying again would lock the user out."""
    began = time.monotonic()
    answer = probe_web(web, username="admin", password="no", timeout_s=30)
    assert answer["ok"] is False
    assert "refuses the login of admin" in answer["says"]
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("web", ["forbidden"], indirect=True)
def test_a_user_without_a_right_is_told_at_once(probe_web, web):
    """The login works and the first page is forbidden: trying again would only use up the logins that are allowed."""
    began = time.monotonic()
    answer = probe_web(web, username="admin", password="pw", timeout_s=30)
    assert (answer["ok"], "has no right to see anything" in answer["says"]) == (False, True)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("web", "says"),
    [("sick", "calls its database unhealthy"), ("stranger", "not Airflow"), ("formless", "has no form")],
    indirect=["web"],
)
def test_what_is_wrong_with_a_web_is_said(probe_web, web, says):
    """A page that answers 200 may still be unwell, or be something else."""
    answer = probe_web(web)
    assert answer["ok"] is False
    assert says in answer["says"]


def test_a_port_that_speaks_no_http_is_said(probe_web):
    """Something else on the web port is not waited for in silence."""
    with saying(b"-ERR unknown\r\n") as port:
        assert "not a web server" in probe_web(f"http://127.0.0.1:{port}")["says"]


@pytest.mark.parametrize(
    ("web", "password", "says"),
    [("well", "pw", "behind its login"), ("well", "no", "refuses its login"), ("open", "pw", "lets anybody in")],
    indirect=["web"],
)
def test_flower_is_well_only_behind_its_login(agent, web, password, says):
    """Without the login 401, with it 200; a Flower that lets anybody in is not well."""
    words = {"url": f"{web}/", "username": "admin", "password": password, "timeout_s": 0}
    answer = agent.call("probe_flower", **words)["words"]
    assert (answer["ok"], says in answer["says"]) == (says == "behind its login", True)


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    if REDIS is None:
        pytest.skip("redis-server is not installed here")
    with guarded(tmp_path_factory.mktemp("broker"), "pw%/@") as port:  # what Celery needs is what its user may do
        yield f"redis://airflow:pw%25%2F%40@127.0.0.1:{port}"


SLEEPER = """\
import time
from celery import Celery
app = Celery(broker={broker!r}, backend={backend!r})
@app.task(name="snooze")
def snooze(seconds):
    time.sleep(seconds)
"""


@pytest.fixture(scope="module")
def worker(tmp_path_factory, drivers, broker):
    """A real Celery worker, worker1 on this host, with one slot, for the queues `default` and `heavy`."""
    folder = tmp_path_factory.mktemp("worker")
    (folder / "snoozing.py").write_text(SLEEPER.format(broker=f"{broker}/0", backend=f"{broker}/2"))
    celery = [drivers / "bin" / "celery", "-A", "snoozing", "worker", "--concurrency", "1", "-O", "fair"]
    argv = [*celery, "--queues", "default,heavy", "--hostname", "worker1@%h"]
    child = subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield folder
    child.terminate()
    child.wait(timeout=30)


@pytest.fixture
def probe_workers(agent, drivers, broker, account, tmp_path):
    config = tmp_path / "airflow.cfg"
    doubled = broker.replace("%", "%%")
    config.write_text(f"[celery]\nbroker_url = {doubled}/0\nresult_backend = {doubled}/2\n")

    def asked(**more):
        words = {"venv": str(drivers), "account": account, "config": str(config), "instances": 1, "queues": ["default"]}
        return agent.call("probe_workers", **{**words, "timeout_s": 20, **more})["words"]

    return asked


def keys(drivers, broker):
    """Return the keys of both databases of the broker."""
    code = "import redis, sys\nfor n in (0, 2):\n    print(*redis.Redis.from_url(sys.argv[1] + '/%d' % n).keys())"
    overseer = "redis://overseer:overseer@" + broker.rpartition("@")[2]
    return subprocess.run(
        [drivers / "bin" / "python", "-c", code, overseer], capture_output=True, text=True, check=True
    ).stdout


def test_a_worker_that_consumes_and_runs_is_well_and_left_as_it_was(probe_workers, worker, drivers, broker):
    """It names its queues and runs a canary; afterwards neither queue nor result of the canary is left."""
    answer = probe_workers(queues=["default", "heavy"])
    assert answer["ok"] is True, answer
    assert answer["says"].startswith(f"worker1@{socket.gethostname()} ran a task in ")
    left = keys(drivers, broker)
    assert ("canary" in left, "celery-task-meta" in left) == (False, False)


def test_a_worker_without_one_of_its_queues_is_not_well(probe_workers, worker):
    """It answers, and does not consume what it should."""
    answer = probe_workers(queues=["default", "gpu"], timeout_s=0)
    assert (answer["ok"], "does not consume gpu" in answer["says"]) == (False, True)


def test_a_missing_worker_is_named_and_the_others_still_judged(probe_workers, worker):
    """Of two, one is not there: the other one's canary runs all the same."""
    answer = probe_workers(instances=2, timeout_s=1)
    one, two = (answer["nodes"][f"worker{i}@{socket.gethostname()}"] for i in (1, 2))
    assert (answer["ok"], one["ok"], two) == (False, True, {"ok": False, "says": "does not answer"})


def test_a_worker_with_full_hands_is_well(probe_workers, worker, drivers, broker):
    """All its slots run tasks: the canary waits behind them, which is no fault."""
    code = "import snoozing, time\nr = snoozing.snooze.apply_async((25,), queue='default', ignore_result=True)"
    subprocess.run([drivers / "bin" / "python", "-c", code], cwd=worker, check=True)
    answer = probe_workers()
    assert (answer["ok"], "all its 1 slots run tasks" in answer["says"]) == (True, True), answer
    assert "canary" not in keys(drivers, broker)


def test_a_broker_that_refuses_is_said_for_every_worker(probe_workers):
    """A broker out of reach is the reason, not the workers."""
    answer = probe_workers(broker="redis://127.0.0.1:1/0", backend="redis://127.0.0.1:1/0", timeout_s=0)
    assert answer["ok"] is False
    assert "the broker cannot be asked" in answer["says"]

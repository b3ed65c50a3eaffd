"""Who is told of a run, by real programs and a real web server: some fail, some hang; the run is as it is."""

from __future__ import annotations

import json
import os
import ssl
import stat
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from airfleet import inventory, records
from airfleet.errors import GateRefused
from airfleet.secrets import Secret, Secrets
from airfleet.session import Fleet

HOSTS = {
    "database": {"host": "10.0.0.9"},
    "dags": {"repository": "https://git.internal/dags.git"},
    "hosts": {"af1": {"address": "10.0.0.1", "roles": ["redis", "webserver", "scheduler", "worker"]}},
}
WRITE = "import sys; open('told', 'w').write(sys.stdin.read())"
TOKEN = "T0KEN-of-the-webhook"


class Server(ThreadingHTTPServer):
    """Remembers what was posted; answers `status`, or nothing at all while `hanging`."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.posted = []
        self.status = 200
        self.hanging = threading.Event()
        self.over = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/hooks/{TOKEN}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append((self.path, self.headers["Content-Type"], json.loads(body)))
        if self.server.hanging.is_set():
            self.server.over.wait(30)
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def do_GET(self):
        self.server.posted.append((self.path, "GET", None))

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server():
    with Server() as made:
        threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
        yield made
        made.over.set()
        made.shutdown()


class Rig:
    """A fleet with a `notify` of its own, whose runs are recorded."""

    def __init__(self, folder, diary, make_host):
        self.folder, self.diary, self.make_host = folder, diary, make_host
        self.said = []
        self.secrets = {"redis_password": Secret("hunter22!")}

    def run(self, *notify, problem=None, **entry):
        """Record a run with this `notify`, and return how many seconds that took."""
        given = inventory.parse(yaml.safe_dump({**HOSTS, "notify": list(notify)}), Path("inventory.yaml"))
        hosts = {"af1": self.make_host("af1")}
        fleet = Fleet(given, hosts, hosts, Secrets(self.secrets), self.folder / "secrets.yaml", "deploy")
        began = time.monotonic()
        try:
            with records.recorded(fleet, records.entry("deploy", **entry), lambda text, _: self.said.append(text)):
                if problem:
                    raise problem
        finally:
            fleet.finish()
        return time.monotonic() - began

    @property
    def told(self):
        return json.loads((self.folder / "told").read_text())


@pytest.fixture
def rig(tmp_path, diary, make_host, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # nothing on this computer is reached through it
    return Rig(tmp_path, diary, make_host)


def python(text, **more):
    return {"command": [sys.executable, "-c", text], **more}


def test_programs_and_addresses_get_the_event(rig, server):
    """The same JSON on stdin and in the POST, after the history has it; nothing is said of it."""
    rig.run(python(WRITE), {"webhook": server.url}, ref="main", commit="b" * 40)
    ((path, kind, posted),) = server.posted
    assert (path, kind) == (f"/hooks/{TOKEN}", "application/json")
    assert rig.told == posted
    assert [posted[name] for name in ("event", "ref", "commit", "result")] == ["deploy", "main", "b" * 40, "done"]
    assert posted["environment"] == "production"
    assert rig.said == []


def test_a_refused_run_is_told_and_stays_refused(rig):
    """The error goes on as it was; its text is masked for others."""
    with pytest.raises(GateRefused):
        rig.run(python(WRITE, on=["gate"]), problem=GateRefused("no: redis://:hunter22%21@af1", place="af1"))
    assert (rig.told["result"], rig.told["problem"]) == ("refused", "af1: no: redis://:<secret>@af1")


def test_who_does_not_want_to_know_is_not_told(rig, server):
    """`on` chooses; a program that is not for this event is not even started."""
    rig.run(python(WRITE, on=["failure", "rollback"]), {"webhook": server.url, "on": ["gate"]})
    assert not (rig.folder / "told").exists()
    assert server.posted == []


def test_what_fails_is_one_line_and_no_failure(rig, server):
    """An exit status, a program that is not there, an answer that is no success: each is said, with its reason."""
    server.status = 500
    failing = "import sys; print('first', file=sys.stderr); sys.exit('no such room: hunter22!')"
    rig.run(python(failing), {"command": ["./nowhere", "--token", TOKEN]}, {"webhook": server.url}, python(WRITE))
    assert rig.said == [
        f"  notify: {sys.executable}: ended with 1: no such room: <secret>",
        "  notify: ./nowhere: No such file or directory",
        f"  notify: http://127.0.0.1:{server.server_address[1]}/…: answered 500",
    ]
    assert rig.told["result"] == "done"


def test_whoever_hangs_is_waited_for_to_the_limit_all_at_the_same_time(rig, server):
    """Three that hang for their one second cost little more than one; a program is ended with its children."""
    server.hanging.set()
    sleep = "c = subprocess.Popen(['sleep', '60']); open('pid', 'w').write(str(c.pid)); c.wait()"
    took = rig.run(
        python(f"import subprocess; {sleep}", timeout_s=1),
        python("import time; time.sleep(60)", timeout_s=1),
        {"webhook": server.url, "timeout_s": 1},
    )
    assert took < 3
    assert rig.said[:2] == [f"  notify: {sys.executable}: took more than 1 s and was ended"] * 2
    assert rig.said[2].endswith(": no answer in time")
    child = Path("/proc") / (rig.folder / "pid").read_text() / "stat"
    deadline = time.monotonic() + 10
    while child.exists() and child.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_child_that_is_left_behind_is_not_waited_for(rig):
    """A program may leave sending to somebody else: it has ended when it has ended."""
    leaving = "import subprocess; subprocess.Popen(['sleep', '2'])"
    assert rig.run(python(leaving, timeout_s=30)) < 2
    assert rig.said == []


def test_an_address_that_is_away_is_named_without_its_token(rig, server):
    """Nothing listens, or the name is unknown: the host is said, the path never."""
    server.shutdown()
    server.server_close()
    rig.run({"webhook": server.url}, {"webhook": f"https://no-such-host.invalid/{TOKEN}", "timeout_s": 5})
    assert [line.endswith("Connection refused") for line in rig.said] == [True, False]
    assert TOKEN not in "\n".join(rig.said)
    assert "https://no-such-host.invalid/…" in rig.said[1]


def test_a_certificate_that_nobody_vouches_for_is_refused(rig, server, monkeypatch):
    """Not a byte of the event is sent; one that the operator's computer trusts is fine."""
    certificate, key = rig.folder / "certificate", rig.folder / "key"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    argv += ["-addext", "subjectAltName=DNS:localhost", "-out", certificate, "-keyout", key]
    subprocess.run(argv, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    to = {"webhook": f"https://localhost:{server.server_address[1]}/{TOKEN}"}
    monkeypatch.setenv("no_proxy", "localhost")
    rig.run(to)
    assert "certificate verify failed" in rig.said.pop()
    assert server.posted == []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    rig.run(to)
    assert len(server.posted) == 1
    assert rig.said == []


def test_nobody_is_sent_elsewhere(rig, server):
    """A redirection is an answer that is no success: the event is for this address alone."""
    server.status = 302
    rig.run({"webhook": server.url})
    assert [path for path, *_ in server.posted] == [f"/hooks/{TOKEN}"]
    assert rig.said[0].endswith("answered 302")


def test_the_address_may_be_a_secret(rig, server):
    """`webhook: secret` posts to the secret; a missing one, or one that is no https address, is said."""
    to = {"webhook": "secret", "timeout_s": 5}
    rig.run(to)
    assert "the secret webhook_url is missing" in rig.said.pop()
    rig.secrets["webhook_url"] = Secret(f"http://chat.internal/{TOKEN}")
    rig.run(to)
    assert "the secret webhook_url is not an https address" in rig.said[0]
    assert TOKEN not in rig.said.pop()
    rig.secrets["webhook_url"] = Secret(server.url)
    rig.run(to)
    assert len(server.posted) == 1
    assert rig.said == []


def test_a_program_gets_the_operators_environment_without_secrets(rig, monkeypatch):
    """What the operator has set reaches it; AIRFLEET_SECRET_… does not. A script in the inventory's folder is found."""
    monkeypatch.setenv("AIRFLEET_SECRET_REDIS_PASSWORD", "hunter22!")
    monkeypatch.setenv("TEAM", "data")
    script = rig.folder / "tell"
    script.write_text("#!/bin/sh\nenv > told.env\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    rig.run({"command": ["./tell"]})
    text = (rig.folder / "told.env").read_text()
    assert "TEAM=data" in text
    assert "hunter22" not in text
    assert os.environ["AIRFLEET_SECRET_REDIS_PASSWORD"]


def test_a_history_that_could_not_be_written_is_told_all_the_same(rig, monkeypatch):
    """Whoever is paged learns of the run, whatever became of the log."""
    monkeypatch.setattr(records, "_write", lambda *_: (_ for _ in ()).throw(GateRefused("full")))
    with pytest.raises(GateRefused):
        rig.run(python(WRITE))
    assert rig.told["result"] == "done"


def test_nobody_waits_for_the_lock_while_others_are_told(rig, monkeypatch):
    """Whoever is told, however slowly, is told once every connection has been closed: the lock's too."""
    hosts, make_host = [], rig.make_host

    def made(name):
        hosts.append(make_host(name))
        return hosts[-1]

    rig.make_host = made
    seen = []
    monkeypatch.setattr(records.notify, "tell", lambda *_: seen.append([host.closed for host in hosts]))
    rig.run(python(WRITE))
    assert seen == [[True]]

"""A real nginx with the file that a host gets: TLS before the pages, the way there, and a new certificate."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import ssl
import subprocess
import threading
from http.client import HTTPConnection, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from agent_services import free_port, running

from airfleet import tls_proxy
from airfleet.templates import fill

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed here")
LOOSE = ssl.create_default_context()
LOOSE.check_hostname, LOOSE.verify_mode = False, ssl.CERT_NONE


class Pages(BaseHTTPRequestHandler):
    """Says what it is told of the visitor; `/slow` answers in two parts, `/ws` becomes another protocol."""

    go_on = threading.Event()

    def do_GET(self) -> None:
        """Answer by the path."""
        if self.path == "/ws":
            self.send_response(101 if self.headers["Upgrade"] == "websocket" else 400)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.end_headers()
            self.wfile.write(b"hello")
            return
        self.send_response(200 if self.path != "/sick" else 503)
        told = [
            f"{name}: {self.headers[name]}" for name in self.headers if name.startswith("X-Forwarded") or name == "Host"
        ]
        body = "\n".join(told).encode()
        self.send_header("Content-Length", str(len(body) + 2 * (self.path == "/slow")))
        self.end_headers()
        if self.path == "/slow":
            self.wfile.write(b"1")
            self.wfile.flush()
            self.go_on.wait(20)
            self.wfile.write(b"2")
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory, agent):
    """Make a certificate as a host does."""
    folder = tmp_path_factory.mktemp("tls")

    def made(name):
        path, key = folder / f"{name}.pem", folder / f"{name}.key"
        want = {"for": name, "time left": "enough"}
        change = {"kind": "self_signed", "key": str(path), "seen": None, "want": want, "means": {"key": str(key)}}
        assert agent("apply", changes=[change])[-1]["t"] == "end"
        return path, key

    return made


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, certificate):
    """Run nginx with our file; only its ports and folders are the tests' own."""
    if NGINX is None:
        pytest.skip("nginx is not installed here")
    folder = tmp_path_factory.mktemp("nginx")
    pages = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    pages.daemon_threads = True
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    path, key = certificate("one.internal")
    http, https = free_port(), free_port()
    text = fill(
        "nginx.conf.j2",
        servers=[f"127.0.0.1:{pages.server_port}"],
        public=SimpleNamespace(port=https, origin=f"https://one.internal:{https}"),
        ipv6=False,
        certificate=path,
        key=key,
        hsts_s=60,
    )
    text = text.replace("listen 80 ", f"listen 127.0.0.1:{http} ").replace(
        f"listen {https}", f"listen 127.0.0.1:{https}"
    )
    text = text.replace("/run/nginx.pid", f"{folder}/pid").replace("/var/log/nginx", str(folder))
    text = re.sub("^user .*", "worker_shutdown_timeout 30s;", text)
    for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        text = text.replace(
            "    server_tokens off;", f"    server_tokens off;\n    {kind}_temp_path {folder}/{kind};", 1
        )
    conf = folder / "nginx.conf"
    conf.write_text(text)
    argv = [NGINX, "-c", str(conf), "-e", f"{folder}/error.log"]
    with running([*argv, "-g", "daemon off;"], https):
        yield SimpleNamespace(http=http, https=https, path=path, key=key, argv=argv)
    pages.shutdown()


def ask(proxy, path, **headers):
    with contextlib.closing(HTTPSConnection("127.0.0.1", proxy.https, timeout=20, context=LOOSE)) as connection:
        connection.request("GET", path, headers={"Host": "one.internal", **headers})
        answer = connection.getresponse()
        return answer, answer.read().decode()


def shown(proxy):
    """Return whom the certificate is for that a new visitor is shown."""
    text = ssl.get_server_certificate(("127.0.0.1", proxy.https))
    argv = ["openssl", "x509", "-noout", "-ext", "subjectAltName"]
    return (
        subprocess.run(argv, input=text, capture_output=True, text=True, check=True).stdout.partition("DNS:")[2].strip()
    )


def test_a_certificate_of_its_own_is_for_the_name_and_its_key_for_root(agent, certificate):
    """For a name or an address; what is there already is looked at and told."""
    path, key = certificate("airflow.internal")
    assert agent.look("self_signed", path)["state"] == {"for": "airflow.internal", "time left": "enough"}
    assert key.stat().st_mode & 0o777 == 0o600
    path, _ = certificate("10.0.0.1")
    assert agent.look("self_signed", path)["state"]["for"] == "10.0.0.1"
    assert agent.look("self_signed", path.with_name("none.pem"))["state"] is None


def test_pages_are_shown_behind_tls(proxy):
    """The pages are told that it was TLS, and who really asked: what a visitor claims counts nothing. HSTS is on."""
    answer, told = ask(
        proxy, "/", **{"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "http", "X-Forwarded-Prefix": "/x"}
    )
    assert answer.getheader("Strict-Transport-Security") == "max-age=60"
    assert sorted(told.splitlines()) == [
        "Host: one.internal",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Host: one.internal",
        f"X-Forwarded-Port: {proxy.https}",
        "X-Forwarded-Proto: https",
    ]


def test_http_leads_to_the_public_address_alone(proxy):
    """Whatever host a request names, it is sent to the one of the inventory."""
    with contextlib.closing(HTTPConnection("127.0.0.1", proxy.http, timeout=20)) as connection:
        connection.request("GET", "/dags?a=b", headers={"Host": "evil.example"})
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Location")) == (301, f"https://one.internal:{proxy.https}/dags?a=b")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
def test_old_protocols_are_refused(proxy, version):
    """Nobody needs them any more."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with socket.create_connection(("127.0.0.1", proxy.https)) as plain, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(plain)


def test_a_websocket_passes(proxy):
    """The protocol is changed, and what is said after that comes through."""
    with (
        socket.create_connection(("127.0.0.1", proxy.https), timeout=20) as plain,
        LOOSE.wrap_socket(plain, server_hostname="one.internal") as secure,
    ):
        secure.sendall(b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        said = b""
        while not said.endswith(b"hello"):
            more = secure.recv(4096)
            assert more, said
            said += more
        assert said.startswith(b"HTTP/1.1 101")


def test_a_new_certificate_drops_no_connection(proxy, certificate):
    """A visitor who waits for the rest of an answer gets it, and the next one is shown the new certificate."""
    new, new_key = certificate("two.internal")
    assert shown(proxy) == "one.internal"
    Pages.go_on.clear()
    with contextlib.closing(HTTPSConnection("127.0.0.1", proxy.https, timeout=30, context=LOOSE)) as waiting:
        waiting.request("GET", "/slow", headers={"Host": "h"})
        answer = waiting.getresponse()
        assert answer.read(1) == b"1"
        shutil.copy(new, proxy.path)
        shutil.copy(new_key, proxy.key)
        subprocess.run([*proxy.argv, "-s", "reload"], check=True, capture_output=True)
        seen = set()
        while "two.internal" not in seen:
            seen.add(shown(proxy))
        Pages.go_on.set()
        assert answer.read().startswith(b"2")


@pytest.mark.parametrize(
    ("path", "ok", "says"),
    [("/health", True, "the pages answer behind TLS"), ("/sick", False, "answers 503 for /sick")],
)
def test_the_probe_meets_it_as_a_browser_does(agent, proxy, path, ok, says):
    """TLS, what is behind it, and the way there from http."""
    words = {"port": proxy.https, "http_port": proxy.http, "host": "one.internal", "path": path, "timeout_s": 0}
    answer = agent.call("probe_proxy", **words, origin=f"https://one.internal:{proxy.https}")["words"]
    assert (answer["ok"], says in answer["says"]) == (ok, True)


@pytest.mark.parametrize("wrong", ["https", "http"])
def test_the_probe_tells_what_is_missing(agent, proxy, wrong):
    """Nothing that listens, or an http that leads elsewhere."""
    ports = {"port": proxy.https, "http_port": proxy.http}
    origin = "https://other.internal" if wrong == "http" else f"https://one.internal:{proxy.https}"
    if wrong == "https":
        ports["port"] = free_port()
    words = {**ports, "host": "h", "path": "/", "origin": origin, "timeout_s": 0}
    answer = agent.call("probe_proxy", **words)["words"]
    assert answer["ok"] is False
    assert ("can't be reached" if wrong == "https" else "does not lead to") in answer["says"]


@needs_nginx
def test_tests_look_at_the_file_that_is_installed():
    """Only ports and folders are changed here: the distribution reads this very path."""
    assert tls_proxy.CONF == "/etc/nginx/nginx.conf"

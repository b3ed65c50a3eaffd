"""Real services of the tests' own on free loopback ports, ended by their process id; and servers that misbehave."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from pathlib import Path

REDIS = shutil.which("redis-server")
POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
WAIT_S = 30


def free_port() -> int:
    """Return a port of the loopback address on which nothing listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port: int, child: subprocess.Popen) -> None:
    """Wait until something listens."""
    deadline = time.monotonic() + WAIT_S
    while True:
        assert child.poll() is None, f"{child.args[0]} ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextlib.contextmanager
def running(argv, port, *, hard=False, **more):
    """Run a program that listens on this port, as long as the block lasts; end it `hard` where it may not want to."""
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)
    try:
        wait_for(port, child)
        yield child
    finally:
        child.kill() if hard else child.terminate()
        child.wait(timeout=20)


@contextlib.contextmanager
def redis(folder: Path, *words: str):
    """Run Redis and yield its port."""
    port = free_port()
    argv = [REDIS, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", *words]
    with running(argv, port, hard=True):  # one that cannot save does not end on TERM
        yield port


@contextlib.contextmanager
def postgres():
    """Run PostgreSQL with a superuser `postgres`, password `sup`, and yield its port."""
    # pytest's own folders can be entered by who runs the tests alone; PostgreSQL refuses to run as root.
    with tempfile.TemporaryDirectory(prefix="airfleet-postgres-") as folder:
        yield from _postgres(Path(folder))


def _postgres(folder: Path):
    as_postgres = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    data, password = folder / "data", folder / "password"
    folder.chmod(0o755)
    password.write_text("sup\n")
    data.mkdir()
    if as_postgres:
        shutil.chown(data, "postgres", "postgres")
    argv = [
        f"{POSTGRES}/initdb",
        "-D",
        data,
        "-U",
        "postgres",
        "-A",
        "scram-sha-256",
        f"--pwfile={password}",
        "--no-sync",
    ]
    subprocess.run(argv, check=True, capture_output=True, cwd="/", **as_postgres)
    port = free_port()
    argv = [f"{POSTGRES}/postgres", "-D", str(data), "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-F"]
    with running([*argv, "-c", f"unix_socket_directories={data}"], port, cwd="/", **as_postgres):
        yield port


@contextlib.contextmanager
def saying(answer: bytes):
    """Listen on a port and say these bytes to everybody; yield the port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            """Say it, after having heard something."""
            if answer.startswith(b"SSH"):
                self.request.sendall(answer)
            self.request.recv(4096)
            if not answer.startswith(b"SSH"):
                self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()

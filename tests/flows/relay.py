"""A ProxyCommand for the tests: `relay.py PIDS HOST PORT [silent|stubborn]`. As a wrapper script it has a child."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

pids, host, port, *how = sys.argv[1:]


def close(*_):
    os.write(2, b"connecting\n4003: tunnel closed\n")
    os._exit(1)


signal.signal(signal.SIGUSR1, close)
if "stubborn" in how:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "600"])
made = Path(f"{pids}.new")
made.write_text(f"{os.getpid()} {child.pid}\n")
made.rename(pids)
if "silent" in how:
    signal.pause()
way = socket.create_connection((host, int(port)))
os.set_blocking(0, False)
inputs = [0, way]
while inputs:
    for ready in select.select(inputs, [], [])[0]:
        if ready is way:
            data = way.recv(65536)
            if not data and "stubborn" not in how:
                sys.exit()
            view = memoryview(data)
            while view:
                view = view[os.write(1, view) :]
        else:
            data = os.read(0, 65536)
            if data:
                way.sendall(data)
            elif "stubborn" in how:
                inputs.remove(0)
            else:
                sys.exit()
        if not data and ready in inputs:
            inputs.remove(ready)
while "stubborn" in how:
    signal.pause()

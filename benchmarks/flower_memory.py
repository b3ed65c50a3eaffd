"""How much memory Flower takes when it has seen many tasks: `python -m benchmarks.flower_memory PYTHON [TASKS]`.

PYTHON is that of an environment with celery, redis and flower, such as one of Airflow's. A Redis (`redis-server`) and
Flower are started on loopback, Flower is told of tasks as workers tell it, and both are ended. Prints MiB (RSS).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

REDIS, FLOWER = 17399, 17398
SETTLES_S = 5
EACH = 10_000
EVENTS = """\
import sys, time, uuid
from celery import Celery
app = Celery(broker=sys.argv[1])
with app.connection() as connection:
    told = app.events.Dispatcher(connection, hostname="worker1@af1", enabled=True)
    for number in range(int(sys.argv[2])):
        task = str(uuid.uuid4())
        told.send("task-received", uuid=task, name="execute_workload", args="x" * 600, kwargs="{}", retries=0)
        told.send("task-started", uuid=task)
        told.send("task-succeeded", uuid=task, result="None", runtime=1.2)
        if number % 200 == 0:
            time.sleep(0.05)
"""


@contextmanager
def ended(argv: list[str], **env: str) -> Iterator[int]:
    """Start a program, give it a moment, and end it afterwards."""
    where = subprocess.DEVNULL
    child = subprocess.Popen(argv, env={**os.environ, **env}, stdout=where, stderr=where)
    try:
        time.sleep(SETTLES_S)
        yield child.pid
    finally:
        child.terminate()
        child.wait()


def mib(pid: int) -> int:
    """Return the memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) // 1024


def main(python: str, tasks: str = "60000") -> None:
    """Tell Flower of so many tasks, and print its memory after each ten thousand."""
    broker = f"redis://127.0.0.1:{REDIS}/0"
    with ended(["redis-server", "--port", str(REDIS), "--bind", "127.0.0.1", "--save", ""]):
        for most in (10_000, 100_000):  # airfleet's, and Flower's own
            argv = [python, "-m", "celery", "-b", broker, "flower", "--address=127.0.0.1", f"--port={FLOWER}"]
            with ended(argv, FLOWER_MAX_TASKS=str(most)) as pid:
                seen = [mib(pid)]
                for _ in range(int(tasks) // EACH):
                    subprocess.run([python, "-c", EVENTS, broker, str(EACH)], check=True)
                    time.sleep(SETTLES_S)
                    seen.append(mib(pid))
            print(f"remembers {most}: {seen} MiB, before any task and after each {EACH}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Times the first `fab bootstrap` of a bare machine with the distribution's Python, stage by stage."""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
import time
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.measure import BenchmarkFailed
from benchmarks.state import FOLDER
from benchmarks.tools import FAB, environment
from sandbox import fleet
from sandbox.inventory import make_yaml
from sandbox.site import REPOSITORY, Site

if TYPE_CHECKING:
    from collections.abc import Callable

ENV = ["--env", "sandbox"]
STAGE = re.compile(r"\[ *(\d+) s\] (\S+): \d+ changes on ")
END = re.compile(r"done: \d+ changes in (\d+) s")


def measure(say: Callable[[str], None]) -> dict[str, Any]:
    """Boot a bare machine on a site of its own, bootstrap it, look again; return how long each stage took."""
    site = Site(root=FOLDER / "first", state=FOLDER / "first" / "state", tag="b")
    fleet.down(site=site, say=say)
    try:
        fleet.up(site=site, say=say)
        write_system_python(site)
        env = environment(AIRFLEET_ROOT=str(site.root))
        said, seconds = watched([str(FAB), "bootstrap", *ENV], env, say)
        again, again_s = watched([str(FAB), "plan", *ENV], env, say)
    finally:
        fleet.down(site=site, say=say)
    if "in order" not in again:
        raise BenchmarkFailed(f"the second look finds work:\n{again[-2000:]}")
    today = dt.datetime.now(dt.UTC).date().isoformat()
    return {"date": today, "stages": stages(said), "seconds": seconds, "again_s": again_s}


def write_system_python(site: Site) -> None:
    """Have the inventory of a sandbox take the distribution's Python."""
    inventory = yaml.safe_load(site.inventory.read_text())
    constraints = str(REPOSITORY / inventory["airflow"]["constraints"])
    inventory["airflow"] |= {"python": "system", "constraints": constraints}
    inventory.pop("pyenv", None)
    site.inventory.write_text(make_yaml(inventory))


def stages(output: str) -> list[tuple[str, int]]:
    """Return each stage with the seconds that it took, from the command's own output."""
    began = [(name, int(second)) for second, name in STAGE.findall(output)]
    end = END.search(output)
    if not began or not end:
        raise BenchmarkFailed(f"no stages in what the command said:\n{output[-2000:]}")
    ends = [second for _, second in began[1:]] + [int(end[1])]
    return [(name, until - since) for (name, since), until in zip(began, ends, strict=True)]


def watched(
    command: list[str], env: dict[str, str], say: Callable[[str], None], expected: str = ""
) -> tuple[str, float]:
    """Run a command, passing on its stages as they come; returns what it printed and how long it took.

    BenchmarkFailed when it fails, or does not say what is expected of it.
    """
    lines = []
    began = time.perf_counter()
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as child:
        for line in child.stdout or ():
            lines.append(line)
            if STAGE.match(line):
                say(line.rstrip())
    if child.returncode or expected not in "".join(lines):
        raise BenchmarkFailed(f"{json.dumps(command)} ended with {child.returncode}:\n{''.join(lines)[-3000:]}")
    return "".join(lines), time.perf_counter() - began

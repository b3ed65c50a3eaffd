"""`python -m benchmarks` (`make bench`): boot machines, time every tool on them, write the page."""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airfleet.errors import FleetError
from benchmarks import deploys, firstrun, machines, measure, report, tools
from benchmarks.measure import BenchmarkFailed
from sandbox import Site
from sandbox.site import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.measure import Figures
    from benchmarks.tools import Tool
    from sandbox import Machine

MANY = 10  # from so many hosts on, three rounds say enough
STARTS = 15
SETTLED_S = 120
NAMES = ("ssh", "airfleet", "status", "pyinfra", "ansible")


def main() -> int:
    """Do what the command line says; returns the exit code."""
    options = _options()
    site = Site()
    try:
        if options.bootstrap:
            results = {"bootstrap": firstrun.measure(say)}
        else:
            results = {"deploys": deploys.measure(say)} if options.deploys else compare(site, options)
    except (BenchmarkFailed, FleetError) as e:
        print(f"benchmark failed: {e}", file=sys.stderr)
        return 1
    report.publish(report.keep(results))
    say(f"written: {report.PAGE.relative_to(REPOSITORY)}")
    return 0


def _options() -> Any:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--hosts", default="1,4,20,40", help="on how many machines, comma separated")
    parser.add_argument("--rounds", type=int, default=0, help=f"counted rounds (default 7; from {MANY} hosts on 3)")
    parser.add_argument("--tools", default=",".join(NAMES), help="which of them, comma separated")
    parser.add_argument("--keep", action="store_true", help="leave the machines running for the next time")
    parser.add_argument("--bootstrap", action="store_true", help="time only a first `fab bootstrap`")
    parser.add_argument("--deploys", action="store_true", help="time only deploys and a worker's restart")
    options = parser.parse_args()
    options.hosts = sorted({int(word) for word in options.hosts.split(",")})
    options.tools = options.tools.split(",")
    if unknown := set(options.tools) - set(NAMES):
        parser.error(f"--tools: unknown: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    return options


def compare(site: Site, options: Any) -> dict[str, Any]:
    """Time the chosen tools on so many machines and return all that the page tells about it."""
    if set(options.tools) & {"pyinfra", "ansible"}:
        tools.install_rivals()
    most = max(options.hosts)
    timed, when = {}, {}
    try:
        # As many machines as are asked, no more: forty that idle, or have just booted, are a load too.
        for count in options.hosts:
            booted = _in_order(site, count)
            when[str(count)] = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC, load {os.getloadavg()[0]:.1f}"
            chosen = [tool for tool in tools.tools(site, booted) if tool.name in options.tools]
            rounds = options.rounds or (3 if count >= MANY else 7)
            timed[str(count)] = {
                name: dataclasses.asdict(each) for name, each in interleaved(chosen, count, rounds).items()
            }
        starts = startup()
    finally:
        if not options.keep:
            machines.destroy(site, most)
    return {
        "computer": computer(),
        "when": when,
        "versions": tools.versions(),
        "hosts": timed,
        "startup": starts,
    }


def _in_order(site: Site, count: int) -> Sequence[Machine]:
    """Boot so many machines, those that run already among them, and have airfleet bring them to the state."""
    say(f"booting {count} machines and bringing them into order")
    booted = machines.boot(site, count)
    machines.write_inventories(site, booted)
    command, env = tools.airfleet_command("bring", count)
    measure.run([command], env, REPOSITORY)
    measure.wait_for_quiet(SETTLED_S)  # machines that have just booted have much to do
    return booted


def interleaved(chosen: Sequence[Tool], hosts: int, rounds: int) -> dict[str, Figures]:
    """Run the tools by turns: once to warm up and for the memory, then the rounds that count."""
    memory, runs = {}, {tool.name: list[measure.Run]() for tool in chosen}
    for tool in chosen:
        output, memory[tool.name] = measure.run_for_memory(tool.commands, tool.env, REPOSITORY)
        tool.check(output, hosts)
    for number in range(1, rounds + 1):
        for tool in chosen:
            measure.wait_for_quiet()
            done = measure.run(tool.commands, tool.env, REPOSITORY)
            tool.check(done.output, hosts)
            runs[tool.name].append(done)
        times = ", ".join(f"{name} {each[-1].seconds:.2f} s" for name, each in runs.items())
        say(f"{hosts} hosts, round {number} of {rounds}: {times}")
    return {name: measure.figures(each, memory[name]) for name, each in runs.items()}


def startup() -> dict[str, float]:
    """Time `fab --list` against importing fabric alone, by turns; returns the medians in seconds."""
    commands = {"list": [str(tools.FAB), "--list"], "fabric": [str(tools.PYTHON), "-c", "import fabric"]}
    runs = {name: list[measure.Run]() for name in commands}
    for _ in range(STARTS + 1):
        for name, command in commands.items():
            runs[name].append(measure.run([command], tools.environment(), REPOSITORY))
    medians = {name: measure.figures(each[1:], 0).median_s for name, each in runs.items()}
    say(f"fab --list {medians['list']:.2f} s, import fabric {medians['fabric']:.2f} s")
    return medians


def computer() -> str:
    """What this ran on, in a few words."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        os.uname().machine,
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({cpu}), {memory:.0f} GiB, Linux {os.uname().release}"


def say(text: str) -> None:
    """Print a line of progress at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())

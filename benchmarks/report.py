"""Keeps the figures and writes docs/benchmarks.md from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks import state
from benchmarks.playbook import FORKS
from sandbox.site import REPOSITORY

PAGE = REPOSITORY / "docs" / "benchmarks.md"
TOLD = Path(__file__).with_name("told.md")
KEPT = state.FOLDER / "results.json"
SPOKEN = {
    "ssh": "`ssh HOST true`",
    "airfleet": "airfleet",
    "status": "airfleet, `fab status`",
    "pyinfra": "pyinfra",
    "ansible": "Ansible",
}
AIMS = (("pyinfra", 6.0), ("ansible", 17.0))


def keep(results: dict[str, Any]) -> dict[str, Any]:
    """Put the results of this run over those of earlier ones, keep them, and return all."""
    kept = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    grown = {name: {**kept.get(name, {}), **results.get(name, {})} for name in ("hosts", "when")}
    kept |= results | grown
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    KEPT.write_text(json.dumps(kept, indent=1))
    return kept


def publish(results: dict[str, Any]) -> None:
    """Write the page and print the table."""
    if results["hosts"]:
        print("\n".join(table(results["hosts"])))
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(results))


def table(hosts: dict[str, Any]) -> list[str]:
    """Return the table: a line for each number of hosts and tool, with what it takes against airfleet."""
    lines = [
        "| hosts | tool | median | least – most | against airfleet | largest process | all processes |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    for count, tools in sorted(hosts.items(), key=_count):
        ours = tools.get("airfleet")
        for name, each in tools.items():
            ratio = f"{each['median_s'] / ours['median_s']:.2f}x" if ours else "–"
            span = f"{each['least_s']:.2f} – {each['most_s']:.2f} s ({each['rounds']})"
            # What the kernel counts for a process begins with what its parent had: too much for one as small as ssh.
            largest = "–" if name == "ssh" else f"{each['largest_kib'] / 1024:.0f} MiB"
            memory = f"{largest} | {each['all_kib'] / 1024:.0f} MiB"
            lines.append(f"| {count} | {SPOKEN[name]} | {each['median_s']:.2f} s | {span} | {ratio} | {memory} |")
    return lines


def _count(item: tuple[str, object]) -> int:
    return int(item[0])


def aims(results: dict[str, Any]) -> list[str]:
    """Return what was aimed at and what came of it, one line each."""
    hosts = results["hosts"]
    lines = []
    if (one := hosts.get("1", {})) and "airfleet" in one:
        ours = one["airfleet"]["median_s"]
        for name, wanted in AIMS:
            if name in one:
                ratio = one[name]["median_s"] / ours
                lines.append(_aim(f"one host: 1/{wanted:.0f} of {name}", f"1/{ratio:.1f}", met=ratio >= wanted))
        if "ssh" in one:
            ratio = ours / one["ssh"]["median_s"]
            lines.append(_aim("one host: 2.5 times bare ssh", f"{ratio:.1f} times", met=ratio <= 2.5))  # noqa: PLR2004
    if "4" in hosts and "20" in hosts:
        grown = growth(hosts, "4", "20")
        rivals = [grown[name] for name, _ in AIMS if name in grown]
        met = grown.get("airfleet", 0.0) < min(rivals, default=0)
        lines.append(_aim("from 4 to 20 hosts: less growth than theirs", _spoken(grown), met=met))
    if "4" in hosts and "40" in hosts and "ssh" in (grown := growth(hosts, "4", "40")):
        # All machines are on this computer: what bare ssh grows by is the work for the handshakes, on both sides.
        met = grown.get("airfleet", 0.0) <= grown["ssh"]
        lines.append(_aim("from 4 to 40 hosts: no more growth than bare ssh's handshakes", _spoken(grown), met=met))
    if starts := results.get("startup"):
        ratio = starts["list"] / starts["fabric"]
        text = f"{ratio:.2f} times ({starts['list']:.2f} s against {starts['fabric']:.2f} s)"
        lines.append(_aim('`fab --list`: 1.4 times `python -c "import fabric"`', text, met=ratio <= 1.4))  # noqa: PLR2004
    return lines


def growth(hosts: dict[str, Any], few: str, many: str) -> dict[str, float]:
    """Return how many seconds more each tool takes for many hosts than for few, where both were timed."""
    both = [name for name in hosts[many] if name in hosts[few]]
    return {name: hosts[many][name]["median_s"] - hosts[few][name]["median_s"] for name in both}


def _spoken(grown: dict[str, float]) -> str:
    return ", ".join(f"{SPOKEN[name]} {more:.1f} s" for name, more in grown.items())


def _aim(wanted: str, came: str, *, met: bool) -> str:
    return f"| {wanted} | {came} | {'yes' if met else '**no**'} |"


def page(results: dict[str, Any]) -> str:
    """Return the page."""
    v = results.get("versions", {})
    parts = [
        "# Benchmarks",
        "Written by `make bench`; do not edit. The same desired state is asked for by each tool on the same machines, "
        "on which all of it is already so: what a second run costs, which is what an operator waits for every day.",
    ]
    if results["hosts"]:
        parts += [
            f"* {results['computer']}, which runs the tools **and** all the machines. When each began: "
            + "; ".join(f"{count} hosts {when}" for count, when in sorted(results["when"].items(), key=_count))
            + ". Another program's load makes all figures larger and noisier.",
            f"* airfleet on Python {v['python']}, Fabric {v['fabric']}, Paramiko {v['paramiko']}; "
            f"pyinfra {v['pyinfra']}; ansible-core {v['ansible']}; {v['ssh']}.",
            "## Figures",
            "Wall time of the whole process. In brackets the number of rounds that count. The tools took turns.",
            "\n".join(table(results["hosts"])),
            "| aim | came out | met |\n|---|---|---|\n" + "\n".join(aims(results)),
        ]
    if first := results.get("bootstrap"):
        parts += bootstrapped(first)
    if done := results.get("deploys"):
        parts += deployed(done)
    words = {"packages": ", ".join(state.PACKAGES), "account": state.ACCOUNT, "forks": FORKS}
    return "\n\n".join([*parts, TOLD.read_text().format(**words)])


def bootstrapped(first: dict[str, Any]) -> list[str]:
    """Return the part about the first bootstrap of a bare machine."""
    lines = "\n".join(f"| {name} | {seconds} s |" for name, seconds in first["stages"])
    return [
        "## The first bootstrap of a bare machine",
        f"`fab bootstrap` of a fresh Debian machine with every role, `python: system`, on {first['date']} "
        "(aim: under 180 s with a warm wheel cache), stage by stage as the command itself tells it:",
        f"| stage | took |\n|---|---:|\n{lines}\n| **in all** | **{first['seconds']:.0f} s** |",
        f"The next `fab plan` took {first['again_s']:.2f} s and found everything in order.",
    ]


def deployed(done: dict[str, Any]) -> list[str]:
    """Return the part about deploys and a worker's restart."""
    kept = {name: seconds for name, seconds in done.items() if name not in ("date", "rounds")}
    lines = "\n".join(f"| {name} | {seconds:.2f} s |" for name, seconds in kept.items())
    ratio = kept["deploy, nothing new"] / kept["bootstrap, nothing to do"]
    beyond = kept["deploy of a commit"] - kept["its fetch"] - kept["its parse"]
    more = kept["worker drained, restarted, seen to run a task"]
    more -= kept["worker restarted by systemd, until it is ready"]
    aims_met = [
        _aim("deploy with nothing new: 1.5 times the bootstrap", f"{ratio:.2f} times", met=ratio <= 1.5),  # noqa: PLR2004
        _aim("a commit to 4 hosts: under 3 s beyond fetch and parse", f"{beyond:.2f} s", met=beyond < 3),  # noqa: PLR2004
        _aim("idle worker: under 2 s beyond the unit's own restart", f"{more:.2f} s", met=more < 2),  # noqa: PLR2004
    ]
    return [
        "## Deploys and restarts",
        f"Four Debian machines with Airflow, two workers each, on {done['date']}; medians of {done['rounds']} rounds "
        "of whole processes. The commit changes no DAG's code; it is deployed by `fab deploy --restart changed`.",
        f"| what | took |\n|---|---:|\n{lines}",
        "| aim | came out | met |\n|---|---|---|\n" + "\n".join(aims_met),
    ]

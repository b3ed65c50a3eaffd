"""The flow of `fab runbook`: finds a runbook, and does one of its steps on the hosts that it names."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from airfleet import places, session
from airfleet.checkup import SETTINGS
from airfleet.errors import GateRefused, NotHealthy, UsageError
from airfleet.generations import generation_of
from airfleet.layout import layout_of
from airfleet.runbook import DRILL, STEPS, Fence, Runbook, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airfleet.inventory import Inventory
    from airfleet.model import Words
    from airfleet.session import Fleet

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "runbooks"
INDEX = "README.md"
HOST = "{host}"
SVC = "svc"


class Screen(Protocol):
    """What the flow needs of the screen."""

    def say(self, text: str, style: str = "") -> None:
        """Print one line."""


def all_of(folder: Path = FOLDER) -> Iterator[Runbook]:
    """Yield every runbook, by name."""
    for path in sorted(folder.glob("*.md")):
        if path.name != INDEX:
            yield parse(path.read_text(encoding="utf-8"), path.name)


def find(name: str, folder: Path = FOLDER) -> Runbook:
    """Return the runbook of this name, or raise UsageError naming the nearest."""
    path = folder / f"{name}.md"
    if not re.fullmatch(r"[a-z0-9-]+", name) or not path.is_file():
        known = [each.stem for each in sorted(folder.glob("*.md")) if each.name != INDEX]
        raise UsageError(
            f"there is no runbook {name!r}{places.nearest(name, known)}",
            place="fab runbook",
            remedy="fab runbooks lists them by what you see",
            state="nothing was contacted",
        )
    return parse(path.read_text(encoding="utf-8"), path.name)


def run_step(env: str, name: str, step: str, *, host: str, screen: Screen, dry_run: bool = False) -> None:
    """Do one step of a runbook; raise NotHealthy where a `confirm` or `verify` does not come out as it should."""
    book = find(name)
    if step not in STEPS:
        raise UsageError(f"--run {step}", remedy=f"one of {', '.join(STEPS)}", state="nothing was contacted")
    if not book.of(step):
        raise UsageError(f"the runbook {name} has no {step}", state="nothing was contacted")
    with session.opened(env, doing=f"runbook {name}") as fleet:
        version = fleet.inventory.airflow.version
        fences = book.of(step, generation_of(version).major)
        if not book.is_for(generation_of(version).major) or not fences:
            raise UsageError(
                f"the runbook {name} has no {step} for Airflow {version}",
                remedy=f"it is for {', '.join(book.applies)}",
                state="nothing was contacted",
            )
        if host and host not in fleet.inventory.hosts:
            known = ", ".join(fleet.inventory.hosts)
            raise UsageError(f"the inventory has no host {host}", place="--host", remedy=f"its hosts are {known}")
        if step in DRILL and not fleet.inventory.sandbox:
            raise GateRefused(
                f"`{step}` breaks things on purpose, and this installation is no sandbox",
                place=fleet.inventory.environment,
                remedy="drills run on throwaway machines: an inventory with `sandbox: true`, as `fab sandbox.up` makes",
            )
        for fence in fences:
            if fence.on == SVC:
                continue  # no host of the inventory's: drills have it done by whoever runs the sandbox
            for command in fence.commands if fence.language == "fab" else [""]:
                _do(fleet, env, fence, command, host, screen, dry_run=dry_run)


def _do(fleet: Fleet, env: str, fence: Fence, command: str, host: str, screen: Screen, *, dry_run: bool) -> None:
    if HOST in command and not host:
        raise UsageError("which host? the runbook leaves it to you", place="--host", state="nothing was contacted")
    where = [] if command else hosts_of(fleet.inventory, fence, host)
    shown = command.replace(HOST, host) if command else fence.text.strip()
    screen.say(f"{fence.step} ({', '.join(where) or 'here'}): {shown}", "bold")
    if dry_run:
        return
    if command:
        _fab(shown, env, fence)
        return
    wrong = []
    for name in where:
        answer: Any = fleet.hosts[name].call("runbook_step", words_of(fleet.inventory, fence, name))
        output = fleet.secrets.mask(str(answer["output"])).strip()
        for line in output.splitlines():
            screen.say(f"    {line}")
        try:
            _judge(fence, name, output, answer["rc"])
        except NotHealthy as e:
            wrong.append(e)
    # What a `confirm` looks for on each host of a role need not be on all of them.
    if wrong and (fence.step != "confirm" or len(wrong) == len(where)):
        raise wrong[0]


def _judge(fence: Fence, name: str, output: str, rc: int) -> None:
    if fence.step == "confirm":
        if fence.expect and not re.search(fence.expect, output, re.MULTILINE):
            raise NotHealthy(
                f"this is not what the runbook describes: expected {fence.expect!r}",
                place=name,
                remedy="fab doctor names the cause",
            )
    elif rc:
        raise NotHealthy(f"`{fence.step}` failed: {output[-300:]}", place=name, state="what came before it was done")


def hosts_of(inventory: Inventory, fence: Fence, host: str) -> list[str]:
    """Return the hosts that a fence is for: the one that was named, all with a role (`each:ROLE`), or the first."""
    if fence.on == HOST:
        if not host:
            raise UsageError("which host? the runbook leaves it to you", place="--host", state="nothing was contacted")
        return [host]
    every, _, role = fence.on.rpartition(":")
    names = [name for name, each in inventory.hosts.items() if role in each.roles]
    if not names:
        raise UsageError(f"no host has the role {role}", place=f"on={fence.on}", state="nothing was contacted")
    return names if every == "each" else names[:1]


def words_of(inventory: Inventory, fence: Fence, host: str) -> Words:
    """Return a fence in the agent's words; on a host without web pages their port is that of the log server."""
    layout, generation = layout_of(inventory), generation_of(inventory.airflow.version)
    places_of, health = generation.places, generation.health
    has_web = generation.web.role in inventory.hosts[host].roles
    return {
        "language": fence.language,
        "text": fence.text,
        "timeout_s": fence.timeout_s,
        "home": layout.home,
        "venv": layout.venv,
        "logs": layout.logs,
        "dags": layout.dags,
        "account": inventory.airflow.account,
        "web": generation.web.unit_file,
        "ports": {
            "LOG_PORT": health.log_port,
            "TRIGGER_LOG_PORT": health.trigger_log_port,
            "WEB_PORT": inventory.airflow.web_port if has_web else health.log_port,
        },
        "config": layout.config,
        "settings": {name: list(places_of[name]) for name in SETTINGS if name in places_of},
    }


def _fab(command: str, env: str, fence: Fence) -> None:
    """Run one of airfleet's own commands in a process of its own, as the operator would."""
    words = shlex.split(command)[1:]
    fab = Path(sys.executable).with_name("fab")
    done = subprocess.run(
        [str(fab), *words, *(["--env", env] if env else [])],
        cwd=FOLDER.parent.parent,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode and fence.step != "confirm":
        raise NotHealthy(f"`{command}` ended with {done.returncode}", place=f"runbook step {fence.step}", state="")


def index(folder: Path = FOLDER) -> str:
    """Return the page that leads from what one sees to the runbook."""
    lines = [
        "# Runbooks",
        "",
        "Written by `make docs`; do not edit. `fab doctor` names the runbook; without it, look for what you see.",
        "",
        "| you see | runbook |",
        "|---|---|",
    ]
    rows = [(symptom, book) for book in all_of(folder) for symptom in book.symptoms]
    for symptom, book in sorted(rows, key=lambda row: row[0].strip("`").lower()):
        lines.append(f"| {symptom.replace('|', chr(92) + '|')} | [{book.id}]({book.id}.md) |")
    lines += ["", "## All", ""]
    lines += [f"* [{book.id}]({book.id}.md): {book.title} ({book.severity})" for book in all_of(folder)]
    return "\n".join(lines) + "\n"

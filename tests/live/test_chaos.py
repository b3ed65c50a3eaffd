"""The matrix: at every step of every change, everything that can go wrong beside it; afterwards all is as it should be.

Days, if all of it is run: AIRFLEET_CHAOS=matrix (`make chaos-matrix`) begins no further cell of a command after
AIRFLEET_CHAOS_BUDGET_S (an hour), and a later run goes on with the cells that are not kept yet (.sandbox/chaos);
AIRFLEET_CHAOS_AGAIN=1 takes these too. AIRFLEET_CHAOS_CELLS=deploy,sshd,0:10 takes those whose names have these words,
the first ten of them.
"""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from airfleet.errors import FleetError
from tests.live.alone import HOST, alone_on
from tests.live.chaos import cells, commands, record, state, steps
from tests.live.chaos.faults import FAULTS, NAMES

BUDGET_S = float(os.environ.get("AIRFLEET_CHAOS_BUDGET_S", "3600"))
ASKED = os.environ.get("AIRFLEET_CHAOS_CELLS", "")
AGAIN = bool(os.environ.get("AIRFLEET_CHAOS_AGAIN"))
pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(BUDGET_S + 7200),
    pytest.mark.skipif(os.environ.get("AIRFLEET_CHAOS") != "matrix", reason="days: only `make chaos-matrix`"),
]


@pytest.fixture
def ground(first, team):
    """The two hosts, in order again at the end."""
    made = commands.Ground(first.installation, ("af1", "af2"), team.push, first.api)
    yield made
    commands.clean_bootstrap(made)


def asked_for(command):
    """Return the mark that leaves a command out, before a machine is booted, where cells of another are asked for."""
    others = {each.words[0] for each in (*commands.COMMANDS, commands.UPGRADE)} - {command.words[0]}
    named = others.intersection(steps.words_of(ASKED)[0])
    return pytest.mark.skipif(bool(named), reason=f"cells of another command are asked for: {ASKED}")


@pytest.mark.parametrize(
    "command", [pytest.param(each, marks=asked_for(each), id=each.name) for each in commands.COMMANDS]
)
def test_every_step_under_every_fault(ground, command):
    """A clear end, nothing half-written, a free lock, no task lost; the next run ends where an undisturbed one does."""
    _run(ground, command)


@asked_for(commands.UPGRADE)
def test_every_step_of_an_upgrade(bare, tmp_path_factory):
    """The same; behind each cell the installation goes back to the old Airflow."""
    with alone_on(bare, tmp_path_factory.mktemp("chaos") / "dags") as alone:
        _run(commands.Ground(alone.installation, (HOST,), alone.push), commands.UPGRADE)


def _run(ground, command):
    """Run the cells of a command that are asked for and not kept yet, as long as there is time; then name the wrong."""
    deadline = time.monotonic() + BUDGET_S
    told, undisturbed = _learn(ground, command)
    faults = {fault.name: fault for fault in FAULTS}
    made = {record.name_of(command.name, str(step), name): (step, name) for step, name in steps.cells_of(told, NAMES)}
    kept = set() if AGAIN else {cell.name for cell in record.read(record.KEPT)}
    wrong = []
    for name in steps.chosen([name for name in made if name not in kept], ASKED):
        if time.monotonic() > deadline:
            break
        step, fault = made[name]
        began = time.monotonic()
        try:
            cell = cells.run(ground, command, step, faults[fault], undisturbed)
        except (AssertionError, FleetError, OSError, subprocess.SubprocessError) as e:
            wrong.append(f"{name}: could not be run: {e!r}")
            print(wrong[-1], flush=True)
        else:
            cell.steps = [str(each) for each in told]
            record.keep(cell)
            said = f"{name}: rc {cell.rc}, {cell.seconds} s, {cell.message}: {cell.outcome}"
            print(f"{said} ({time.monotonic() - began:.0f} s in all)", flush=True)
            if cell.outcome not in (record.WELL, record.NOT_REACHED):
                wrong.append(f"{name}: {cell.outcome}")
        command.reset(ground)
        ground.well()
    assert wrong == []


def _learn(ground, command):
    """Return the steps of a run that nothing disturbs, and what is on the hosts after it."""
    for words in command.before:
        ground.fab(*words, rc=0)
    command.dirty(ground)
    told = steps.steps_of(ground.fab(*command.words, rc=0).stdout)
    undisturbed = state.look(ground.installation, ground.hosts)
    print(f"{command.name}: {len(told)} steps", *told, sep="\n  ", flush=True)
    command.reset(ground)
    ground.well()
    return told, undisturbed

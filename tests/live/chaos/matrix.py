"""A run of the matrix: the cells of a command that are asked for and not kept yet, one after the other."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from airfleet.errors import FleetError
from tests.live.chaos import cells, commands, record, state, steps
from tests.live.chaos.faults import FAULTS, NAMES

BUDGET_S = float(os.environ.get("AIRFLEET_CHAOS_BUDGET_S", "3600"))
ASKED = os.environ.get("AIRFLEET_CHAOS_CELLS", "")
AGAIN = bool(os.environ.get("AIRFLEET_CHAOS_AGAIN"))


def asked_for(command):
    """Return the mark that leaves a command out, before a machine is booted, where cells of another are asked for."""
    others = {each.words[0] for each in (*commands.COMMANDS, commands.UPGRADE)} - {command.words[0]}
    named = others.intersection(steps.words_of(ASKED)[0])
    return pytest.mark.skipif(bool(named), reason=f"cells of another command are asked for: {ASKED}")


def run(ground, command):
    """Run the cells of a command that are asked for and not kept yet, as long as there is time; then name the wrong."""
    deadline = time.monotonic() + BUDGET_S
    told, undisturbed = learn(ground, command)
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
    assert wrong == [], "\n".join(wrong)


def learn(ground, command):
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

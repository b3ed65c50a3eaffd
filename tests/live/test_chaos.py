"""The matrix: at every step of every change, everything that can go wrong beside it; afterwards all is as it should be.

Days, if all of it is run: AIRFLEET_CHAOS=matrix (`make chaos-matrix`) begins no further cell of a command after
AIRFLEET_CHAOS_BUDGET_S (an hour), and a later run goes on with the cells that are not kept yet (.sandbox/chaos);
AIRFLEET_CHAOS_AGAIN=1 takes these too. AIRFLEET_CHAOS_CELLS=deploy,sshd,0:10 takes those whose names have these words,
the first ten of them.
"""

from __future__ import annotations

import os

import pytest

from tests.live.alone import HOST, alone_on
from tests.live.chaos import commands, matrix

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(matrix.BUDGET_S + 7200),
    pytest.mark.skipif(os.environ.get("AIRFLEET_CHAOS") != "matrix", reason="days: only `make chaos-matrix`"),
]


@pytest.fixture
def ground(first, team):
    """The two hosts, in order again at the end."""
    made = commands.Ground(first.installation, ("af1", "af2"), team.push, first.api)
    yield made
    commands.clean_bootstrap(made)


@pytest.mark.parametrize(
    "command", [pytest.param(each, marks=matrix.asked_for(each), id=each.name) for each in commands.COMMANDS]
)
def test_every_step_under_every_fault(ground, command):
    """A clear end, nothing half-written, a free lock, no task lost; the next run ends where an undisturbed one does."""
    ground.bring(command)
    matrix.run(ground, command)


@matrix.asked_for(commands.UPGRADE)
def test_every_step_of_an_upgrade(bare, tmp_path_factory):
    """The same; behind each cell the installation goes back to the old Airflow."""
    with alone_on(bare, tmp_path_factory.mktemp("chaos") / "dags") as alone:
        matrix.run(commands.Ground(alone.installation, (HOST,), alone.push), commands.UPGRADE)

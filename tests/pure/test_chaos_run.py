"""The matrix as a run of it goes: cells are kept as they come, one that can't be run is named, the rest goes on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.live.chaos import matrix, record
from tests.live.chaos.record import Cell

SAID = "live: restart\n[    1 s]   af1: restart worker1@af1\n[   20 s]   af2: restart worker1@af2\ndone: all\n"


class Ground:
    """Notes what is done on it."""

    installation, hosts = None, ("af1", "af2")

    def __init__(self):
        self.diary = []

    def fab(self, *words, **_):
        self.diary.append(" ".join(words))
        return SimpleNamespace(stdout=SAID, returncode=0)

    def well(self):
        self.diary.append("well")


@pytest.fixture
def run(monkeypatch, tmp_path):
    """A run on such a ground, in which a cell that strikes with `raises` can't be run."""
    monkeypatch.setattr(record, "KEPT", tmp_path / "cells.jsonl")
    monkeypatch.setattr(matrix.state, "look", lambda *_: {})
    command = SimpleNamespace(
        name="restart-workers", words=("restart-workers",), airflow="3.3.2", before=(), dirty=lambda _: None,
        reset=lambda ground: ground.diary.append("reset"),
    )  # fmt: skip

    def go(asked, *, raises=""):
        def one(ground, command, step, fault, undisturbed):
            ground.diary.append(f"{step}, {fault.name}")
            if fault.name == raises:
                raise AssertionError("no machine")
            return Cell(command.name, command.airflow, str(step), fault.name, rc=0, in_order=True)

        monkeypatch.setattr(matrix, "ASKED", asked)
        monkeypatch.setattr(matrix.cells, "run", one)
        ground = Ground()
        try:
            matrix.run(ground, command)
        except AssertionError as e:
            ground.diary.append(str(e))
        return ground.diary

    return go


def test_each_cell_begins_on_what_is_well_and_is_kept(run):
    """With all steps of the command; what is kept is not run again."""
    first = run("killed,0:2")
    assert first == [
        "restart-workers", "reset", "well",
        "af1: restart worker1@af1, operator killed", "reset", "well",
        "af2: restart worker1@af2, sshd killed", "reset", "well",
    ]  # fmt: skip
    assert [cell.steps for cell in record.read(record.KEPT)] == [
        ["af1: restart worker1@af1", "af2: restart worker1@af2"]
    ] * 2
    assert run("killed")[3::3] == ["af1: restart worker1@af1, sshd killed", "af2: restart worker1@af2, operator killed"]


def test_a_cell_that_can_not_be_run_is_named_and_the_next_one_is_run(run):
    """It is not kept, so that another run takes it again; the run has failed."""
    diary = run("killed", raises="operator killed")
    assert diary.count("well") == 5
    assert diary[-1].count("could not be run: ") >= 1
    assert [cell.fault for cell in record.read(record.KEPT)] == ["sshd killed", "sshd killed"]


@pytest.mark.parametrize(("asked", "left_out"), [("", False), ("deploy,sshd,0:10", True), ("restart-workers", False)])
def test_nothing_is_booted_for_a_command_that_is_not_asked_for(monkeypatch, asked, left_out):
    """Where cells of another one are."""
    monkeypatch.setattr(matrix, "ASKED", asked)
    command = next(each for each in matrix.commands.COMMANDS if each.name == "restart-workers")
    assert matrix.asked_for(command).args == (left_out,)

"""Which rotations are refused before anybody is contacted, and a new value that is given on stdin."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from airfleet import rotations
from airfleet.errors import GateRefused, UsageError
from airfleet.generations import generation_of
from airfleet.inventory_file import PREFIX
from airfleet.secret_forms import GENERATED, problem_of
from airfleet.secret_origins import generated_for
from airfleet.secrets import Secret

if TYPE_CHECKING:
    from airfleet.session import Fleet

NOTHING = "nothing was contacted"


def refuse(fleet: Fleet, name: str) -> None:
    """Refuse what can't be rotated from here."""
    inventory, known = fleet.inventory, fleet.secrets
    generation = generation_of(inventory.airflow.version)
    if name not in generated_for(inventory.airflow.version) and name in GENERATED:
        raise UsageError(f"Airflow {generation.major} has no {name}", place="secrets.rotate", state=NOTHING)
    known.require(name)
    marks = [name, *(name + mark for mark in rotations.ORDER[1:])]
    if given := [each for each in marks if each in known.from_environment]:
        variables = ", ".join(PREFIX + each.upper() for each in given)
        raise UsageError(
            f"{name} comes from the environment, where its new value could not be kept",
            place=variables,
            remedy=f"write it into {fleet.secrets_path.name} and unset the variable; afterwards give the new one there",
            state=NOTHING,
        )
    if known.file != fleet.secrets_path.name:
        raise UsageError(
            f"is where the secrets are kept; how far a rotation came is kept in {fleet.secrets_path.name} alone",
            place=known.file,
            remedy=f"fab secrets.pull; with secrets.provider `file`: fab secrets.rotate {name}; then fab secrets.push",
            state=NOTHING,
        )
    if others := [each for each in rotations.half_done(known) if each != name]:
        raise GateRefused(
            f"{', '.join(others)} is half rotated", place=name, remedy=f"first: fab secrets.rotate {others[0]}"
        )


def given(fleet: Fleet, name: str) -> Secret:
    """Return the new value that was given on stdin: one line."""
    if rotations.state_of(fleet.secrets, name):
        raise UsageError(
            f"the rotation of {name} goes on with the value that it began with",
            place="--from-stdin",
            remedy=f"end it first: fab secrets.rotate {name}",
            state=NOTHING,
        )
    value = sys.stdin.readline().rstrip("\r\n")
    wrong = problem_of(name, value)
    if not wrong and name == "database_password" and not value.isascii():
        wrong = "has letters beyond ASCII, which clients of PostgreSQL prepare differently"
    if value == fleet.secrets[name].reveal():
        wrong = "is the value of now"
    if wrong:
        raise UsageError(wrong, place=f"stdin: {name}", state=NOTHING)
    return Secret(value)

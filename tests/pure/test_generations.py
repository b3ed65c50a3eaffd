"""What differs between the generations is data, whole and without contradiction."""

import ast
from pathlib import Path

import pytest

from airfleet.errors import UsageError
from airfleet.generations import AIRFLOW_2, GENERATIONS, generation_of
from airfleet.lint import read_catalogue

DATA = Path(__file__).parent / "data"
AIRFLEET = Path(__file__).parents[2] / "airfleet"


def test_a_version_has_its_generation():
    """2.11.2 is of the second."""
    assert AIRFLOW_2 is generation_of("2.11.2")


@pytest.mark.parametrize("version", ["2.11.1", "3.3.1", "2", "", "2.11.20"])
def test_a_version_that_was_never_tried_is_refused(version):
    """With the place, and what to use instead."""
    with pytest.raises(UsageError) as refused:
        generation_of(version)
    assert 2 == refused.value.exit_code
    assert "airflow.version" in str(refused.value)
    assert "2.11.2" in str(refused.value)


@pytest.mark.parametrize("generation", GENERATIONS, ids=lambda generation: f"Airflow {generation.major}")
def test_every_place_is_known_to_the_installed_airflow(generation):
    """No setting has a place of which the version's own catalogue knows nothing."""
    catalogue = read_catalogue((DATA / f"catalogue-{generation.versions[0]}.json").read_text())
    places = [*generation.places.values(), *generation.constants]
    assert [] == [place for place in places if catalogue.traits(*place) is None]


def test_no_place_is_written_twice():
    """Two meanings in one place would overwrite each other."""
    for generation in GENERATIONS:
        places = [*generation.places.values(), *generation.constants]
        assert len(places) == len(set(places))


def test_a_service_has_one_name_and_one_unit():
    """Names and unit files are told apart, and a role has all of its services."""
    for generation in GENERATIONS:
        assert len(generation.services) == len({service.unit_file for service in generation.services})
        assert ["logs", "worker"] == [service.name for service in generation.services_of({"worker"})]
        assert () == generation.services_of({"redis"})


def test_no_password_is_ever_a_word_of_a_command():
    """Passwords go by stdin: an argument is seen in `ps`."""
    for generation in GENERATIONS:
        commands = generation.commands
        words = [*commands.create_user, *commands.reset_password, *commands.migrate, *commands.list_users]
        assert [] == [word for word in words if "password" in word and word != "reset-password"]


def test_nobody_else_asks_for_the_version():
    """No comparison with a generation's number outside the data: `if version` anywhere else is a mistake."""
    found = [
        f"{path.name}:{node.lineno}"
        for path in AIRFLEET.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        # `in` asks whether a table knows the version, which is no case of its own.
        if isinstance(node, ast.Compare) and not isinstance(node.ops[0], ast.In | ast.NotIn)
        if {"version", "major"} & {name_of(side) for side in (node.left, *node.comparators)}
        if not (path.name == "versions.py" and isinstance(node.ops[0], ast.IsNot))
    ]
    assert [] == found


def name_of(node):
    """Return the last name of `a.b.version`, or None."""
    return getattr(node, "attr", None) or getattr(node, "id", None)

"""The inventory of an upgrade, and the one line of the file that names the version."""

from __future__ import annotations

from pathlib import Path

import pytest

from airfleet.errors import UsageError
from airfleet.inventory import parse
from airfleet.rehearsal import Report
from airfleet.secret_origins import generated_for
from airfleet.secrets import Secret, Secrets
from airfleet.session import Fleet
from airfleet.upgrade_versions import both, write_version

PLAIN = """\
airflow:
  version: 2.11.2   # of Apache Airflow
  python: 3.11.13
database: {host: db}
dags: {repository: "https://git.internal/dags.git"}
hosts:
  af1: {address: 10.77.0.11, roles: [redis, webserver, scheduler, worker]}
"""


class Screen(list):
    def say(self, text, style=""):
        self.append(text)


@pytest.fixture
def make(tmp_path):
    def made(text=PLAIN):
        path = tmp_path / "inventory.yaml"
        path.write_text(text)
        secrets = Secrets({name: Secret("x") for name in generated_for("2.11.2")})
        return Fleet(parse(text, path), {}, {}, secrets, Path("secrets.yaml"), "upgrade", path)

    return made


def test_the_new_one_differs_in_the_version_and_has_the_secret_that_only_it_needs(make):
    """Nothing else, and the old one stays as it is."""
    old = make()
    new = both(old, "3.3.2")
    assert new.inventory.airflow.version == "3.3.2"
    assert new.new_secrets == ("jwt_secret",)
    back = new.inventory.airflow.model_copy(update={"version": "2.11.2"})
    assert new.inventory.model_copy(update={"airflow": back}) == old.inventory
    assert "jwt_secret" not in old.secrets


@pytest.mark.parametrize(
    ("to", "says"),
    [("2.11.2", "has Airflow 2.11.2 already"), ("3.3.1", "does not know Airflow 3.3.1"), ("4", "use one of: 2.11.2")],
)
def test_what_can_not_be_gone_to_is_refused(make, to, says):
    """Exit 2, before anything is contacted."""
    with pytest.raises(UsageError) as e:
        both(make(), to)
    assert says in str(e.value)


def test_an_older_one_is_refused_and_the_way_back_named(make):
    """No migration can be undone."""
    new = make(PLAIN.replace("2.11.2", "3.3.2"))
    with pytest.raises(UsageError) as e:
        both(new, "2.11.2")
    assert "fab undo-upgrade" in str(e.value)


def test_the_line_of_the_file_is_changed_and_nothing_else(make):
    """Comments, quotes and all other lines stay."""
    for quote in ("", '"', "'"):
        text = PLAIN.replace("2.11.2", f"{quote}2.11.2{quote}")
        fleet, screen = make(text), Screen()
        write_version(fleet, "3.3.2", screen)
        assert fleet.path.read_text() == text.replace("2.11.2", "3.3.2")
        assert "airflow.version is 3.3.2 now" in screen[0]


def test_where_there_is_no_such_line_the_operator_is_told(make):
    """The version may be the default, or stand in a flow mapping."""
    text = PLAIN.replace("  version: 2.11.2   # of Apache Airflow\n", "")
    fleet, screen = make(text), Screen()
    write_version(fleet, "3.3.2", screen)
    assert fleet.path.read_text() == text
    assert "write it down in inventory.yaml" in screen[0]


def test_the_report_adds_up_how_long_nothing_is_scheduled():
    """Backup, migration, and what restarts take."""
    said = "\n".join(Report(30.0, 12, 40).lines(60.0))
    assert "nothing is scheduled for 180 s" in said
    assert "12 files with 40 DAGs" in said

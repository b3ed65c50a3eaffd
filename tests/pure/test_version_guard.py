"""The version guard: sets that install and then don't work are refused with the reason."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airfleet import versions

SANDBOX = Path(__file__).parents[2] / "sandbox" / "constraints"


@pytest.mark.parametrize("provider", ["3.16.0", "3.17.0", "3.17.1"])
def test_the_celery_provider_that_discards_every_message_is_refused(provider):
    """2.11.2 with 3.16.0 to 3.17.1; the message says why, and what to ask for."""
    reason = (
        f"apache-airflow-providers-celery {provider}: the worker discards every message: Received unregistered task of"
        " type 'execute_command'; use apache-airflow-providers-celery>=3.17.2"
    )
    assert [reason] == versions.refusals({"apache_airflow_providers.Celery": provider}, "2.11.2", "3.11.13")


@pytest.mark.parametrize("provider", ["3.14.0", "3.15.9", "3.17.2", "3.18.0", "3.19.0"])
def test_the_celery_providers_beside_it_are_not(provider):
    """3.14 to 3.18 hang only under `airflow celery worker --celery-hostname`, a form that airfleet never uses."""
    assert [] == versions.refusals({"apache-airflow-providers-celery": provider}, "2.11.2", "3.11.13")


@pytest.mark.parametrize("airflow", ["2.11.2", "3.3.2"])
@pytest.mark.parametrize("celery", ["5.7.0", "5.7", "5.10.1", "6.0.0", "5.7.0rc1"])
def test_celery_5_7_is_refused_for_both_generations(celery, airflow):
    """It lacks a name that Airflow imports."""
    (refusal,) = versions.refusals({"celery": celery}, airflow, "")
    assert refusal.startswith(f"celery {celery}: Airflow can't be started")
    assert [] == versions.refusals({"celery": "5.6.2"}, airflow, "")


def test_sqlalchemy_2_1_is_refused_for_3_3_2_alone():
    """There the migration says that all is well, and tables are missing."""
    (refusal,) = versions.refusals({"SQLAlchemy": "2.1.3"}, "3.3.2", "3.11.13")
    assert "use sqlalchemy<2.1" in refusal
    assert [] == versions.refusals({"SQLAlchemy": "2.0.46"}, "3.3.2", "3.11.13")
    assert [] == versions.refusals({"SQLAlchemy": "2.1.3"}, "2.11.2", "3.11.13")


def test_chardet_6_is_a_nuisance_and_no_refusal():
    """Every command prints a warning, and works."""
    assert [] == versions.refusals({"chardet": "6.0.0"}, "2.11.2", "3.11.13")
    assert ["chardet 6.0.0: every command of Airflow prints a warning; use chardet<6"] == versions.warnings(
        {"chardet": "6.0.0"}, "2.11.2"
    )
    assert [] == versions.warnings({"chardet": "5.2.0"}, "2.11.2")


@pytest.mark.parametrize("python", ["3.13", "3.13.1", "3.14.0", "3.9.20"])
def test_a_python_that_slips_past_the_package_is_refused(python):
    """2.11.2 excludes 3.13 by `!=3.13`, which pip takes for 3.13.0 alone."""
    assert [f"Python {python} can't run Airflow 2.11.2: use 3.10, 3.11 or 3.12"] == versions.refusals(
        {}, "2.11.2", python
    )


@pytest.mark.parametrize("python", ["3.10.4", "3.11", "3.11.13", "3.12.9", ""])
def test_the_pythons_that_run_it_are_not(python):
    """3.10 to 3.12; nothing is said where only the host knows its Python."""
    assert [] == versions.refusals({}, "2.11.2", python)


def test_all_reasons_are_told_at_once():
    """Not the first alone."""
    packages = {"celery": "5.7.0", "apache-airflow-providers-celery": "3.16.0"}
    assert 3 == len(versions.refusals(packages, "2.11.2", "3.13.1"))


def test_the_host_is_told_the_same_ranges():
    """What the host checks after installing is what was checked before."""
    assert ["apache-airflow-providers-celery", "celery"] == [
        broken["package"] for broken in versions.refused_ranges("2.11.2")
    ]
    assert ["celery", "sqlalchemy"] == [broken["package"] for broken in versions.refused_ranges("3.3.2")]


def test_constraints_are_read_as_pip_reads_them():
    """Comments, extras, markers, blanks and spellings; what pins nothing is not looked at."""
    text = """
# a comment
Apache_Airflow-providers.celery==3.18.0
celery == 5.6.2 ; python_version >= "3.8"   # why
uvicorn[standard]==0.38.0
chardet<6
-c other.txt
thing @ https://example.com/thing.whl
local==1.2+deb1
"""
    assert {
        "apache-airflow-providers-celery": "3.18.0",
        "celery": "5.6.2",
        "uvicorn": "0.38.0",
        "local": "1.2+deb1",
    } == versions.read_constraints(text)


def test_the_constraints_that_were_seen_to_work_are_not_refused():
    """The sandbox's own set for 2.11.2 passes its own guard."""
    (path,) = SANDBOX.glob("*2.11.2*3.11*")
    packages = versions.read_constraints(path.read_text())
    assert len(packages) > 100
    assert [] == versions.refusals(packages, "2.11.2", "3.11.2")
    assert [] == versions.warnings(packages, "2.11.2")


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4), st.lists(st.integers(0, 99), min_size=1, max_size=4))
def test_versions_are_compared_by_their_numbers(one, other):
    """5.10 is more than 5.7, and 5.7 is 5.7.0."""
    spelt = [".".join(map(str, numbers)) for numbers in (one, other)]
    padded = [tuple(numbers + [0] * 4)[:4] for numbers in (one, other)]
    assert (padded[0] >= padded[1]) == versions.at_least(*spelt)

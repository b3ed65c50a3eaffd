"""Constraints in files beside the inventory: one for each Python, and what is refused."""

from __future__ import annotations

import pytest

from airfleet.errors import UsageError
from airfleet.gates import constraints_of
from airfleet.inventory import parse

TEXT = """\
airflow: {{version: 2.11.2, python: {python}, constraints: "c-{{python}}.txt"}}
database: {{host: 10.0.0.2}}
dags: {{repository: "https://git.internal/dags.git"}}
hosts: {{a: {{address: 10.0.0.3, roles: [redis, scheduler, webserver, worker]}}}}
"""


def of(tmp_path, python):
    return constraints_of(parse(TEXT.format(python=python), tmp_path / "inventory.yaml"))


def test_a_python_that_is_built_takes_its_file(tmp_path):
    """{python} is its minor version."""
    (tmp_path / "c-3.11.txt").write_text("celery==5.6.2\n")
    assert of(tmp_path, "3.11.13") == {"text": "celery==5.6.2\n"}


def test_the_distributions_python_takes_whichever_fits_the_host(tmp_path):
    """All files that are there are sent, by minor version: only the host knows which it needs."""
    (tmp_path / "c-3.11.txt").write_text("celery==5.6.2\n")
    (tmp_path / "c-3.12.txt").write_text("celery==5.6.1\n")
    assert of(tmp_path, "system") == {"texts": {"3.11": "celery==5.6.2\n", "3.12": "celery==5.6.1\n"}}


def test_no_file_at_all_is_named(tmp_path):
    """Exit 2 with a path; nothing was contacted."""
    for python in ("3.11.13", "system"):
        with pytest.raises(UsageError) as e:
            of(tmp_path, python)
        assert "c-3.1" in e.value.problem
        assert e.value.state == "nothing was contacted"


def test_a_broken_set_is_refused_in_any_of_them(tmp_path):
    """Known not to work: refused before anything is contacted."""
    (tmp_path / "c-3.12.txt").write_text("apache-airflow-providers-celery==3.17.0\n")
    with pytest.raises(UsageError) as e:
        of(tmp_path, "system")
    assert "3.17.0" in e.value.problem

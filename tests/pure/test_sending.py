"""What is sent to a host for a request: all that it needs, and no more."""

from __future__ import annotations

import importlib
import re
import zlib

import pytest

from airfleet import bundle, sending
from airfleet.agent import register

OPS = sorted({*register.CALLS, *register.STREAMS, *register.TAKES})


def of(op, **words):
    return sending.needed({"op": op, "words": words})


def test_the_heart_needs_nothing_else():
    """What every agent has imports only itself."""
    assert {name for each in sending.HEART for name in bundle.imported(bundle.text_of(each))} <= sending.HEART


@pytest.mark.parametrize("kind", sorted(register.KINDS))
def test_a_kind_comes_with_its_module_for_a_look_and_a_change(kind):
    """Both are done by the same one."""
    look = sending.needed({"op": "look", "resources": [[kind, "key", {}]]})
    assert look == sending.needed({"op": "apply", "changes": [{"kind": kind}]})
    assert register.KINDS[kind] in look
    module = importlib.import_module(f"airfleet.agent.{register.KINDS[kind]}")
    assert hasattr(module, f"look_{kind}") or hasattr(module, f"look_{kind}s")


@pytest.mark.parametrize("op", OPS)
def test_an_operation_is_there_in_its_module(op):
    """By its own name."""
    (module,) = register.modules_of({"op": op})
    assert callable(getattr(importlib.import_module(f"airfleet.agent.{module}"), op))


@pytest.mark.parametrize("op", OPS)
def test_an_operation_comes_with_what_it_starts(op):
    """The programs for the Python of an environment, by their names, and what those need of ours."""
    names = of(op)
    started = {name for each in names - sending.HEART for name in re.findall(r'"(inside_\w+)"', bundle.text_of(each))}
    assert started <= names
    assert all({*register.NEEDED.get(name, ())} <= names for name in names)


def test_a_program_that_the_operator_names_is_sent_along():
    """How a generation of Airflow keeps logs is told by the request."""
    assert {"inside_tasklog3", "inside_tries", "inside_postgres", "certificates"} <= of(
        "task_log", program="inside_tasklog3"
    )
    assert "inside_tasklog3" not in of("task_log", program="inside_tasklog")


def test_a_question_about_files_is_small():
    """A tenth of what the whole agent would be."""
    whole = len(zlib.compress("".join(path.read_text() for path in bundle.AGENT.glob("*.py")).encode()))
    request = {"op": "look", "resources": [["file", "/etc/hostname", {}]]}
    assert len(sending.program() + sending.request(request)) < whole / 5


def test_the_catalogue_is_a_program_too():
    """Though it is not named as the others are."""
    assert "catalogue" in of("catalogue")


def test_of_what_nobody_knows_the_host_says_so():
    """No error of ours in its place."""
    assert sending.needed({"op": "look", "resources": [["nonsense", "key", {}]]}) == sending.HEART
    assert of("nonsense") == sending.HEART

"""What the gate of a deploy says, by name."""

import pytest

from airfleet.findings import Finding, accepted_names, forced_push, of_parsing, refused

FINE = {
    "files": 1,
    "dags": {},
    "seconds": 0.1,
    "errors": {},
    "known_errors": [],
    "duplicates": {},
    "vanished": {},
    "queues": {"default": ["d.t"]},
    "late": [],
    "stuck": "",
    "ended": "",
}


@pytest.mark.parametrize(
    ("answer", "name", "text"),
    [
        (
            {"errors": {"a/x.py": {"line": 7, "error": "NameError: n"}}},
            "import-error:dags/a/x.py",
            "line 7: NameError: n",
        ),
        (
            {"errors": {"x.py": {"line": 2, "error": "AirflowTaskTimeout: DagBag import timeout for /x.py"}}},
            "parse-timeout:dags/x.py",
            "line 2: AirflowTaskTimeout: DagBag import timeout for /x.py",
        ),
        (
            {"duplicates": {"y.py": {"dag": "d", "error": "as well in x.py"}}},
            "duplicate:d",
            "dags/y.py: as well in x.py",
        ),
        ({"vanished": {"d": 2}}, "vanished:d", "no file has this DAG any more, and 2 of its runs are under way"),
        ({"queues": {"gpu": ["d.t", "d.u"]}}, "unserved-queue:gpu", "no worker takes from it; tasks: d.t, d.u"),
        ({"late": ["x.py"]}, "parse-timeout", "1 files were not reached in 120 s: dags/x.py"),
        ({"stuck": "x.py"}, "parse-timeout", "dags/x.py did not end within 120 s"),
        ({"ended": "x.py"}, "import-error:dags/x.py", "the parser itself ended at this file"),
    ],
)
def test_each_finding_has_a_name_and_a_place(answer, name, text):
    """The name is what `--accept` takes."""
    assert of_parsing({**FINE, **answer}, "dags", {"default"}, 120) == [Finding(name, text)]


def test_a_release_without_fault_has_no_findings():
    """Nothing is found where nothing is."""
    assert of_parsing(FINE, ".", {"default"}, 120) == []
    assert forced_push("main", {"forced": False}) == []


def test_a_forced_push_is_told_with_both_commits():
    """What ran before is no longer in its past."""
    (found,) = forced_push("main", {"forced": True, "before": "a" * 40, "commit": "b" * 40})
    assert str(found) == "forced-push: main was aaaaaaaaaaaa and is now bbbbbbbbbbbb, which does not contain it"


def test_names_are_accepted_one_by_one():
    """Repeated or comma separated; a name accepts what has just that name."""
    accepted = accepted_names(["a:x, b", "c"])
    assert accepted == {"a:x", "b", "c"}
    assert refused([Finding("a:x", ""), Finding("a:y", "")], accepted) == [Finding("a:y", "")]

"""The chain of the history: whatever is done to a line that was written is found, and the line is named."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airfleet import history
from airfleet.agent import chain
from airfleet.agent import history as kept


@pytest.fixture
def written(tmp_path):
    """A history of five entries: (its path, a function that says what is wrong with it)."""
    path = tmp_path / "log" / "history.jsonl"
    for number in range(5):
        kept.record({"path": str(path), "entry": entry(number)}, None)

    def faults():
        return [(each["line"], each["what"]) for each in kept.verify_history({"path": str(path)}, None)["faults"]]

    return path, faults


def entry(number):
    return {"id": f"e{number}", "doing": "deploy", "began": f"2026-11-26T10:0{number}:00"}


def edit(path, change):
    """Have a function change the list of lines, as somebody with an editor would."""
    lines = path.read_text().splitlines()
    change(lines)
    path.write_text("".join(f"{line}\n" for line in lines))


def test_what_nobody_touched_is_whole(written):
    """Also behind lines of an airfleet that had no chain, and behind one that a crash cut short."""
    path, faults = written
    assert faults() == []
    assert kept.history({"path": str(path), "limit": 9}, None)["entries"] == [entry(number) for number in range(5)]
    with path.open("a") as f:
        f.write('{"id": "cut')
    kept.record({"path": str(path), "entry": entry(5)}, None)
    assert faults() == []
    path.write_text(json.dumps(entry(9)) + "\n")
    path.with_name("history.jsonl.head").unlink()
    kept.record({"path": str(path), "entry": entry(5)}, None)
    assert faults() == []


@pytest.mark.parametrize("line", range(5))
def test_a_changed_line_is_named(written, line):
    """The last one too, by the head."""
    path, faults = written
    edit(path, lambda lines: lines.__setitem__(line, lines[line].replace("deploy", "nothing")))
    assert faults() == [(line + 1, "was changed")]


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (0, (1, "1 before it are gone: it is number 2")),
        (2, (3, "1 before it are gone: it is number 4")),
        (4, (5, "1 are gone from the end")),
    ],
)
def test_a_removed_line_is_named(written, gone, said):
    """At the beginning, in the middle, at the end."""
    path, faults = written
    edit(path, lambda lines: lines.pop(gone))
    assert faults() == [said]


def test_all_lines_gone_are_not_nothing(written):
    """The head remembers them."""
    path, faults = written
    path.write_text("")
    assert faults() == [(1, "5 lines are gone from the end")]


def test_lines_in_another_order_and_lines_from_elsewhere_are_named(written):
    """Two that changed places; one that somebody wrote by hand."""
    path, faults = written
    edit(path, lambda lines: lines.insert(1, lines.pop(2)))
    assert (3, "stands out of its order: it is number 2, behind number 3") in faults()
    edit(path, lambda lines: lines.insert(1, lines.pop(2)))
    assert faults() == []
    edit(path, lambda lines: lines.insert(5, json.dumps(entry(8))))
    assert (6, "is not in the chain: an older airfleet wrote it, or somebody else") in faults()


@given(st.data())
def test_no_edit_of_any_line_goes_unseen(data):
    """Whatever is changed, removed or swapped: there is a fault."""
    lines = []
    for number in range(data.draw(st.integers(1, 8))):
        lines.append(chain.linked(entry(number), "".join(f"{line}\n" for line in lines)))
    head = {"n": len(lines), "digest": chain.digest(lines[-1])}
    assert chain.faults("\n".join(lines), head) == (len(lines), [])
    at = data.draw(st.integers(0, len(lines) - 1))
    what = data.draw(st.sampled_from(["remove", "change", "swap"] if len(lines) > 1 else ["remove", "change"]))
    if what == "remove":
        del lines[at]
    elif what == "change":
        lines[at] = lines[at].replace("deploy", "backup")
    else:
        other = (at + 1) % len(lines)
        lines[at], lines[other] = lines[other], lines[at]
    assert chain.faults("\n".join(lines), head)[1]


def test_hosts_that_tell_an_entry_differently_contradict_each_other():
    """Whoever made a host's chain anew has not made that of the others; one that was away lacks entries."""
    told = {"e1": ["10:01", "deploy", "aa"], "e2": ["10:02", "restart", "bb"], "e3": ["10:03", "deploy", "cc"]}
    hosts = {"a": {"entries": told}, "b": {"entries": {**told, "e2": ["10:02", "restart", "xx"]}}}
    assert history.contradictions(hosts) == ["restart of 10:02: a and b tell it differently"]
    hosts = {"a": {"entries": told}, "b": {"entries": {"e1": told["e1"], "e3": told["e3"]}}, "c": {"entries": {}}}
    assert history.contradictions(hosts) == []
    assert history.missed(hosts) == {"b": 1}

"""Entries of several hosts: put in order while they come, held back for a bounded time, and written as lines."""

from __future__ import annotations

import json
from datetime import UTC, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from airfleet.chronicle import HOLD_S, Entry, Lines, Merge, json_line, make_entries, masked, printable, service_of

UNITS = {"af1": ["airflow-scheduler.service", "airflow-worker@1.service"], "wk-02": ["airflow-worker@1.service"]}


def entry(at, host="a", message="m", unit="airflow-worker@1.service"):
    return Entry(at, host, unit, 6, message)


def shown(entries):
    return [(each.at, each.host) for each in entries]


def test_one_host_is_never_waited_for():
    """Its own order is the order."""
    merge = Merge(["a"])
    merge.add([entry(1), entry(2)], now=0)
    assert [(1, "a"), (2, "a")] == shown(merge.ready(0))
    assert merge.due(0) is None


def test_an_entry_waits_until_the_other_host_is_past_it():
    """What the other told later, but happened before, comes first."""
    merge = Merge(["a", "b"])
    merge.add([entry(10, "a"), entry(30, "a")], now=0)
    assert merge.ready(0) == []
    merge.add([entry(5, "b"), entry(20, "b")], now=0.1)
    assert [(5, "b"), (10, "a"), (20, "b")] == shown(merge.ready(0.1))
    assert [(30, "a")] == shown(merge.ready(HOLD_S))


def test_no_entry_waits_longer_than_the_bound():
    """A host that says nothing holds nobody up; whoever waits knows how long."""
    merge = Merge(["a", "silent"])
    merge.add([entry(10)], now=100)
    assert merge.due(100.2) == HOLD_S - (100.2 - 100)
    assert merge.ready(100 + HOLD_S - 0.01) == []
    assert [(10, "a")] == shown(merge.ready(100 + HOLD_S))
    assert merge.due(101) is None


def test_a_late_entry_does_not_prolong_the_wait_of_an_earlier_one():
    """What came first is due first, and takes with it whatever happened before it."""
    merge = Merge(["a", "b", "silent"])
    merge.add([entry(50, "a")], now=0)
    merge.add([entry(40, "b")], now=HOLD_S - 0.1)
    assert [(40, "b"), (50, "a")] == shown(merge.ready(HOLD_S))


def test_a_host_that_is_gone_is_not_waited_for():
    """Its last entries are still shown."""
    merge = Merge(["a", "b"])
    merge.add([entry(10, "a"), entry(20, "b")], now=0)
    merge.end("a")
    assert [(10, "a"), (20, "b")] == shown(merge.ready(0))


def test_what_comes_too_late_is_shown_all_the_same():
    """Out of order, but never lost."""
    merge = Merge(["a", "b"])
    merge.add([entry(10, "a")], now=0)
    merge.ready(HOLD_S)
    merge.add([entry(5, "b")], now=2)
    merge.add([entry(11, "a")], now=2)
    assert [(5, "b")] == shown(merge.ready(2))


@given(st.lists(st.tuples(st.integers(0, 300), st.sampled_from("abc"), st.floats(0, HOLD_S)), max_size=40))
def test_whatever_comes_within_the_bound_is_in_order(events):
    """Three hosts, each of which tells its own entries in order, each at most so late: none is lost or out of place."""
    merge, found, told = Merge("abc"), [], dict.fromkeys("abc", 0.0)
    arrivals = []
    for at, host, late_s in sorted(events):
        told[host] = max(told[host], at / 100 + late_s)
        arrivals.append((told[host], at, host))
    for now, at, host in sorted(arrivals):
        found += merge.ready(now - 1e-6)
        merge.add([entry(at, host)], now)
        found += merge.ready(now)
    found += merge.ready(1000)
    assert sorted(at for at, _, _ in events) == [each.at for each in found]


def test_a_line_has_time_host_service_and_message():
    """In the operator's zone, in columns; each line of a message has them, so that `grep` loses nothing."""
    lines = Lines(UNITS, timezone(timedelta(hours=9)), colours=False)
    told = Entry(1_764_064_845_123_456, "af1", "airflow-worker@1.service", 6, "Traceback:\n  boom\n")
    assert [
        "2025-11-25 19:00:45.123 af1   worker@1  | Traceback:",
        "2025-11-25 19:00:45.123 af1   worker@1  |   boom",
    ] == list(lines(told))


def test_colours_tell_hosts_apart_and_are_only_on_terminals():
    """The same host always has the same one; without them nothing but text is written."""
    plain, coloured = Lines(UNITS, UTC, colours=False), Lines(UNITS, UTC, colours=True)
    one, other = (next(coloured(entry(0, host))).split("m")[0] for host in UNITS)
    assert one != other
    assert one == next(coloured(entry(5, "af1"))).split("m")[0]
    assert "\x1b" not in next(plain(entry(0, "af1")))


def test_nothing_in_a_message_steers_the_terminal():
    """Colours go, everything else is made visible; tabs and line breaks stay."""
    assert printable("\x1b[31mred\x1b[0m\ta\r\nb\x1b]0;title\x07\x9b\x00") == "red\ta\nb\\x1b]0;title\\x07\\u009b\\x00"


def test_json_keeps_the_message_whole_and_the_time_to_the_microsecond():
    """An object a line, whatever is in the message."""
    told = Entry(1_764_064_845_123_456, "af1", "redis-server.service", None, "한글\n\x1b[0m")
    line = json_line(told)
    assert "\n" not in line
    assert {
        "time": "2025-11-25T10:00:45.123456+00:00",
        "host": "af1",
        "unit": "redis-server.service",
        "priority": None,
        "message": "한글\n\x1b[0m",
    } == json.loads(line)


def test_secrets_are_taken_out_of_the_message():
    """Before it is put into any form."""
    assert (
        masked(entry(1, message="pw=hunter2"), lambda text: text.replace("hunter2", "<secret>")).message
        == "pw=<secret>"
    )


def test_services_are_named_as_they_are_asked_for():
    """What stands in a line can be typed after --service."""
    units = ["redis-server.service", "airflow-worker@12.service", "airflow-scheduler.service", "init.scope"]
    assert ["redis", "worker@12", "scheduler", "init.scope"] == [service_of(unit) for unit in units]


def test_entries_are_made_from_the_agents_words():
    """One list for each."""
    part = {"entries": [[1, "u.service", 3, "m"]]}
    assert [Entry(1, "a", "u.service", 3, "m")] == make_entries("a", part)

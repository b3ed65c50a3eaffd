"""The words of `fab logs`: which units on which hosts, since when, which pattern, in whose time zone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from inventories import two_hosts

from airfleet.errors import UsageError
from airfleet.journals import check_pattern, since_of, units_of, zone_of


@pytest.fixture(scope="module")
def fleet():
    return two_hosts()


def test_without_a_service_all_of_each_host_are_meant(fleet):
    """Redis too, and instances beyond the inventory's number by a pattern: somebody may have scaled up."""
    found = units_of(fleet, ["af1", "af2"], "")
    assert found["af1"] == [
        "redis-server.service",
        "airflow-scheduler.service",
        "airflow-triggerer.service",
        "airflow-trigger-logs.service",
        "airflow-webserver.service",
        "airflow-logs.service",
        "airflow-worker@1.service",
        "airflow-worker@2.service",
        "airflow-worker@*.service",
        "airflow-flower.service",
    ]
    assert found["af2"] == [
        "airflow-logs.service",
        "airflow-worker@1.service",
        "airflow-worker@2.service",
        "airflow-worker@*.service",
    ]


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("redis", {"af1": ["redis-server.service"]}),
        ("scheduler", {"af1": ["airflow-scheduler.service"]}),
        ("worker@2", {"af1": ["airflow-worker@2.service"], "af2": ["airflow-worker@2.service"]}),
        ("worker@17", {"af1": ["airflow-worker@17.service"], "af2": ["airflow-worker@17.service"]}),
    ],
)
def test_a_service_is_looked_for_where_it_runs(fleet, service, expected):
    """Hosts without it are not asked; one worker is named by its number, also one that the inventory does not have."""
    assert expected == units_of(fleet, ["af1", "af2"], service)


@pytest.mark.parametrize(
    "service",
    ["wrker", "worker@", "worker@0", "worker@x", "worker@1@2", "scheduler@1", "redis@1", "airflow-worker", "@1"],
)
def test_an_unknown_service_is_told_the_known_ones(fleet, service):
    """Exit 2 before anything is contacted."""
    with pytest.raises(UsageError) as e:
        units_of(fleet, ["af1"], service)
    assert (
        "redis, proxy, scheduler, dag-processor, triggerer, trigger-logs, webserver, api-server, logs, "
        "worker or worker@N, flower" in e.value.remedy
    )
    assert e.value.state == "nothing was contacted"


def test_a_near_name_is_offered(fleet):
    """A slip of the finger is told what was probably meant."""
    with pytest.raises(UsageError) as e:
        units_of(fleet, ["af1"], "schedular")
    assert "did you mean 'scheduler'?" in e.value.problem


def test_a_service_that_runs_on_none_of_the_chosen_hosts_is_an_error(fleet):
    """Nothing is skipped without a word."""
    with pytest.raises(UsageError) as e:
        units_of(fleet, ["af2"], "redis")
    assert "redis does not run on af2" in e.value.problem


@pytest.mark.parametrize("text", ["2h", "30 min", "1h30m", "1 day 2 hours", "90s", "3 weeks"])
def test_a_mere_span_is_so_long_ago(text):
    """As `kubectl logs --since` takes it; journalctl itself wants a sign."""
    assert f"-{text}" == since_of(text)


@pytest.mark.parametrize("text", ["1 hour ago", "10:00", "yesterday", "2026-11-25 10:00:00", "-2h", "@1764064800"])
def test_other_times_are_left_to_journalctl(text):
    """It is the one who knows them all."""
    assert text == since_of(f" {text} ")


@pytest.mark.parametrize("text", ["", "bananas", "ten", "--until", "10:00\n11:00", "10:00\0"])
def test_what_can_be_no_time_is_refused_here(text):
    """Exit 2, and no host was asked."""
    with pytest.raises(UsageError) as e:
        since_of(text)
    assert e.value.state == "nothing was contacted"


@pytest.mark.parametrize("text", ["[", "(", "*a", "a\nb", "(?P<x>"])
def test_a_bad_pattern_is_refused_here(text):
    """Exit 2, and no host was asked."""
    with pytest.raises(UsageError):
        check_pattern(text)
    assert check_pattern("ERROR|exited with 'signal 9'") == "ERROR|exited with 'signal 9'"


@pytest.mark.parametrize(
    ("hours", "expected"),
    [(0, "<+0000>-00:00"), (9, "<+0900>-09:00"), (-3.5, "<-0330>+03:30"), (5.75, "<+0545>-05:45")],
)
def test_the_hosts_are_told_the_operators_time_zone(hours, expected):
    """As POSIX writes it, which counts westward: so `10:00` means the same on every host."""
    assert expected == zone_of(timedelta(hours=hours))


def test_the_system_understands_that_time_zone(monkeypatch):
    """Its own library reads what was written."""
    import time

    for hours in (-3.5, 0, 9):
        monkeypatch.setenv("TZ", zone_of(timedelta(hours=hours)))
        time.tzset()
        assert hours * 3600 == time.localtime().tm_gmtoff
    monkeypatch.undo()
    time.tzset()

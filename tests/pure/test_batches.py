"""Which hosts go together: a number or a share of them, and never all consumers of a queue at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from airfleet import inventory
from airfleet.batches import Batch, batch_of, checked_failures, next_batch, replaceable
from airfleet.choice import chosen
from airfleet.errors import UsageError

HOSTS = """
database: {host: 10.0.0.9}
dags: {repository: "https://git.internal/dags.git"}
celery: {instances: 1}
hosts:
  head: {address: 10.0.0.1, roles: [redis, webserver, scheduler]}
  gpu-1: {address: 10.0.0.2, roles: [worker], celery: {queues: [gpu]}}
  gpu-2: {address: 10.0.0.3, roles: [worker], celery: {queues: [gpu]}}
  cpu-1: {address: 10.0.0.4, roles: [worker], celery: {queues: [default, small]}}
  cpu-2: {address: 10.0.0.5, roles: [worker], celery: {queues: [default]}}
  cpu-3: {address: 10.0.0.6, roles: [worker, triggerer], celery: {queues: [default], instances: 2}}
"""
WORKERS = ["gpu-1", "gpu-2", "cpu-1", "cpu-2", "cpu-3"]


@pytest.fixture(scope="module")
def fleet():
    return inventory.parse(HOSTS, Path("inventory.yaml"))


@pytest.mark.parametrize(
    ("text", "hosts", "most"), [("1", 40, 1), ("2", 40, 2), ("25%", 40, 10), ("25%", 3, 1), ("100%", 7, 7)]
)
def test_a_batch_is_a_number_or_a_share(text, hosts, most):
    """A share is rounded down, and is one host at least."""
    batch = batch_of(text)
    assert (text, most) == (str(batch), batch.of(hosts))


@pytest.mark.parametrize("text", ["0", "-1", "", "x", "101%", "1.5", "2 hosts"])
def test_what_is_no_batch_is_refused(text):
    """Exit 2, before anybody is contacted."""
    with pytest.raises(UsageError) as e:
        batch_of(text)
    assert ("--batch", "nothing was contacted") == (e.value.place, e.value.state)


def test_a_negative_number_of_failures_is_refused():
    """Nobody means that."""
    with pytest.raises(UsageError):
        checked_failures(-1)


def test_each_queue_keeps_a_consumer(fleet):
    """Of the two gpu hosts one goes at a time; of four consumers of `default` three may go."""
    assert ("gpu-1", "cpu-1", "cpu-2", "cpu-3") == next_batch(fleet, WORKERS, 5)
    assert ("gpu-2",) == next_batch(fleet, ["gpu-2"], 5)


def test_no_more_go_than_were_asked_for(fleet):
    """In the order of the inventory."""
    assert ("gpu-1", "cpu-1") == next_batch(fleet, WORKERS, 2)
    assert () == next_batch(fleet, [], 2)


def test_the_only_consumer_of_a_queue_still_has_its_turn(fleet):
    """Its messages wait in Redis meanwhile; that is so with one host at a time as well."""
    assert ("cpu-2", "cpu-1") == next_batch(fleet, ["cpu-2", "cpu-1"], 2)


def test_hosts_that_have_failed_are_no_consumers(fleet):
    """With the host of two of the four consumers of `default` gone, the others go one after the other."""
    assert ("cpu-2",) == next_batch(fleet, ["cpu-2", "cpu-1"], 2, ["cpu-3"])
    assert ("cpu-2", "gpu-2") == next_batch(fleet, ["cpu-2", "gpu-2"], 2, ["gpu-1"])


def test_only_hosts_with_workers_alone_can_be_done_without(fleet):
    """Not a scheduler's, a triggerer's or a web page's host, and not the one with the lock."""
    assert {"gpu-1", "gpu-2", "cpu-1", "cpu-2"} == replaceable(fleet)


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ("", ["head", *WORKERS]),
        ("cpu-1, head", ["head", "cpu-1"]),
        ("worker", WORKERS),
        ("triggerer,gpu-*", ["gpu-1", "gpu-2", "cpu-3"]),
        ("*-2", ["gpu-2", "cpu-2"]),
    ],
)
def test_hosts_are_chosen_by_name_role_or_pattern(fleet, only, names):
    """In the order of the inventory, each once."""
    assert names == chosen(fleet, only, "inventory.yaml")


@pytest.mark.parametrize("only", ["cpu-9", "head,flower", "tpu-*"])
def test_a_word_that_means_nobody_is_an_error(fleet, only):
    """A typing error must not become a run on nothing."""
    with pytest.raises(UsageError) as e:
        chosen(fleet, only, "inventory.yaml")
    assert "head, gpu-1" in e.value.remedy


def test_a_host_named_as_a_role_is_meant_by_that_word():
    """The nearer meaning wins."""
    text = HOSTS.replace("gpu-1:", "worker:")
    assert ["worker"] == chosen(inventory.parse(text, Path("inventory.yaml")), "worker", "inventory.yaml")


def test_one_is_the_default():
    """As ever: one host after the other."""
    assert 1 == Batch().of(1000)

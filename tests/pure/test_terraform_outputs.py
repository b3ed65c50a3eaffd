"""Terraform's outputs: what fits goes into the inventory, what doesn't is refused by its name."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from airfleet import inventory as inventories
from airfleet.errors import UsageError
from airfleet.places import BadFile
from airfleet.terraform_outputs import merge, read

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = (ROOT / "inventory.yaml").read_text()
PATH = ROOT / "inventory.yaml"
OUTPUTS = json.loads((Path(__file__).parent / "data" / "terraform-outputs.json").read_text())


def changed(*path, to):
    """Return the outputs with another value at one place."""
    found = copy.deepcopy(OUTPUTS)
    around = found
    for step in path[:-1]:
        around = around[step]
    around[path[-1]] = to
    return json.dumps(found, indent=2)


def after(text=SHIPPED, outputs=OUTPUTS):
    """Return what becomes of an inventory."""
    return merge(read(json.dumps(outputs), "outputs.json"), text, PATH)


def test_the_result_is_an_inventory():
    """Round trip: hosts, database and bucket are what Terraform says, and a second time there is nothing to do."""
    found = after()
    inventory = inventories.parse(found.text, PATH)
    assert {"airflow-1": "10.20.0.2", "gpu-1": "10.20.0.3"} == {n: h.address for n, h in inventory.hosts.items()}
    assert (1, ("gpu",), 4) == (
        inventory.hosts["gpu-1"].celery.instances,
        inventory.hosts["gpu-1"].celery.queues,
        inventory.hosts["gpu-1"].celery.concurrency,
    )
    assert ("10.99.0.3", 200) == (inventory.database.host, inventory.database.max_connections)
    assert "example-project-airflow-logs" == inventory.logging.bucket
    assert found.text == after(found.text).text


def test_nothing_else_is_touched():
    """Every line that Terraform has no word on is there as it was, comments too."""
    found = after()
    was, is_now = set(SHIPPED.splitlines()), set(found.text.splitlines())
    gone = {line.split(":")[0].strip() for line in was - is_now}
    assert {"host", "max_connections", "bucket", "af1", "address", "roles"} == gone
    assert "  max_connections: 200             # what the server has" in found.text


def test_a_secret_passes_nowhere():
    """Other outputs are not read, secret or not."""
    assert "not-for-an-inventory" in json.dumps(OUTPUTS)
    assert "not-for-an-inventory" not in after().text


def test_hosts_that_are_not_terraforms_stay():
    """A host with an address of its own stays and is named, an example goes, what a host overrides stays."""
    text = SHIPPED + "  old-1: {address: 10.1.1.1, roles: [worker]}\n"
    text += "  airflow-1: {address: 10.0.0.9, roles: [redis], port: 2222}\n"
    found = after(text)
    assert (("af1",), ("old-1",)) == (found.examples, found.others)
    assert "old-1: {address: 10.1.1.1, roles: [worker]}" in found.text
    assert 2222 == inventories.parse(found.text, PATH).hosts["airflow-1"].port


WRONG = {
    "no outputs": ("{}", "hosts: is missing"),
    "a list": ("[]", "is not what `terraform output -json` prints"),
    "no text of outputs": ("hosts: [", "not YAML"),
    "no value": (changed("database", to={"sensitive": False}), "database: is no output"),
    "a secret": (changed("hosts", "sensitive", to=True), "hosts: is marked as sensitive"),
    "an unknown role": (changed("hosts", "value", "gpu-1", "roles", to=["wroker"]), "hosts.gpu-1.roles[0]: 'wroker'"),
    "no address": (changed("hosts", "value", "gpu-1", "address", to=None), "hosts.gpu-1.address: is missing"),
    "no host name": (changed("hosts", "value", "gpu_1", to={"address": "a", "roles": ["worker"]}), "hosts.gpu_1"),
    "a key that is none": (changed("hosts", "value", "gpu-1", "machine", to="big"), "hosts.gpu-1.machine: unknown key"),
    "a number as text": (changed("database", "value", "max_connections", to="200"), "database.max_connections: needs"),
    "a password": (changed("database", "value", "password", to="hunter2"), "database.password: unknown key; secrets"),
    "no database": (changed("database", "value", to=None), "database: is missing"),
    "no bucket name": (
        changed("logging", "value", "bucket", to="gs://x"),
        "logging.bucket: 'gs://x' is not a bucket name",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused(name):
    """Each error has its name; a value that can be a secret is not shown."""
    text, words = WRONG[name]
    with pytest.raises(BadFile) as e:
        read(text, "outputs.json")
    assert words in str(e.value)
    assert "hunter2" not in str(e.value)


def test_all_errors_are_told_at_once():
    """Two mistakes, two lines."""
    found = json.loads(changed("logging", "value", "bucket", to=5))
    found["hosts"]["value"]["gpu-1"]["roles"] = []
    with pytest.raises(BadFile) as e:
        read(json.dumps(found, indent=1), "outputs.json")
    assert ["hosts.gpu-1.roles", "logging.bucket"] == [str(each).split(": ")[1] for each in e.value.complaints]


def test_what_would_be_no_inventory_is_refused():
    """Outputs that fit by themselves may still contradict the inventory: two hosts at one address."""
    with pytest.raises(BadFile, match="is the address of hosts"):
        after(SHIPPED + "  old-1: {address: 10.20.0.2, roles: [worker]}\n")


def test_an_example_in_braces_is_refused():
    """What can't be taken out cleanly is left to the operator."""
    text = SHIPPED.partition("\nhosts:\n")[0] + "\nhosts: {af1: {address: 192.0.2.10, roles: [worker]}}\n"
    with pytest.raises(UsageError, match=r"hosts\.af1 is an example"):
        after(text)

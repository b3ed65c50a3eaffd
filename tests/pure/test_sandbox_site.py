"""Names, addresses and files of a sandbox, decided without a machine."""

from __future__ import annotations

import ipaddress

import pytest
import yaml

from airfleet.errors import UsageError
from sandbox import cgroup
from sandbox.fleet import choose_release
from sandbox.image import recipe_digest
from sandbox.inventory import make_inventory, make_yaml
from sandbox.network import make_rules
from sandbox.site import (
    Machine,
    Site,
    choose_address,
    choose_subnet,
    fixed_number,
    fleet_names,
    write_whole,
)
from sandbox.sources import PyenvSource

SUBNET = ipaddress.IPv4Network("10.77.0.0/24")


def test_a_subnet_in_use_is_passed_over():
    assert choose_subnet([]) == SUBNET
    assert str(choose_subnet(["10.77.0.128/25", "10.78.0.1", "fd00::/64"])) == "10.79.0.0/24"


def test_no_free_subnet_is_an_error():
    with pytest.raises(UsageError, match="all in use"):
        choose_subnet(["10.0.0.0/8"])


def test_the_fleet_has_fixed_addresses_and_others_take_the_first_free_one():
    assert choose_address("svc", SUBNET, []) == "10.77.0.2"
    assert choose_address("af1", SUBNET, ["10.77.0.60"]) == "10.77.0.11"
    assert choose_address("bench7", SUBNET, ["10.77.0.60", "10.77.0.62"]) == "10.77.0.61"


def test_fixed_and_free_addresses_never_meet():
    fixed = [fixed_number(name) for name in ["svc", *fleet_names(39)]]
    assert len(set(fixed)) == 41
    assert all(number is not None and 1 < number < 60 for number in fixed)
    assert fixed_number("af41") is None


def test_addresses_run_out_with_a_word():
    with pytest.raises(UsageError, match="no address left"):
        choose_address("one-more", SUBNET, [str(address) for address in SUBNET])


def test_workers_come_beside_af1():
    assert fleet_names(0) == ["af1"]
    assert fleet_names(2) == ["af1", "af2", "af3"]
    with pytest.raises(UsageError):
        fleet_names(-1)


@pytest.mark.parametrize("name", ["", "AF1", "1a", "a_b", "a-", "a/b", "../x", "a b", "가"])
def test_a_name_that_no_host_can_have_is_refused(name):
    with pytest.raises(UsageError, match="machine name"):
        Site().tagged(name)


def test_a_name_fits_into_an_interfaces_name_with_its_tag():
    assert len(f"vb-{Site(tag='t').tagged('0123456789'.replace('0', 'a'))}") == 15
    with pytest.raises(UsageError, match="longer than 12"):
        Site(tag="test").tagged("a1234567890")


def test_two_sites_share_no_bridge_no_table_and_no_cgroup():
    one, two = Site(), Site(tag="t")
    assert one.bridge != two.bridge
    assert one.table != two.table
    assert not two.cgroup("x").startswith(one.cgroup(""))
    assert len(two.bridge) <= 15


def test_what_is_written_down_about_a_machine_is_read_back(tmp_path):
    site = Site(state=tmp_path)
    machine = Machine(name="af1", address="10.77.0.11", release="trixie", image="trixie-1", booted=True)
    site.record(machine)
    assert site.machines() == {"af1": machine}


def test_a_file_is_replaced_whole_and_has_its_mode(tmp_path):
    path = tmp_path / "secret"
    path.write_text("old, and longer than the new")
    write_whole(path, "new", mode=0o600)
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [path] == list(tmp_path.iterdir())


def test_the_yaml_that_is_written_is_read_back_the_same():
    value = {
        "sandbox": True,
        "ssh": {"config": None, "user": "ops"},
        "deploy_key": "-----BEGIN\nline: two\n한글 %{} '\"\n",
        "hosts": {"af1": {"roles": ["redis", "worker"]}},
        "empty": {},
    }
    assert yaml.safe_load(make_yaml(value)) == value


def test_the_rules_replace_the_sites_table_and_touch_no_other():
    rules = make_rules("airfleet0", SUBNET)
    assert {line.split()[-1] for line in rules.splitlines() if line.startswith("delete")} == {"airfleet0"}
    assert f"ip saddr {SUBNET} ip daddr != {SUBNET} masquerade" in rules


def test_a_recipe_that_changes_gets_another_digest():
    assert recipe_digest("a", ["b"]) == recipe_digest("a", ["b"])
    assert recipe_digest("a", ["b"]) != recipe_digest("a", ["c"])


def test_hosts_keep_their_release_and_a_contradiction_is_refused():
    known = {"af1": Machine(name="af1", address="", release="trixie", image="")}
    assert choose_release("", known) == "trixie"
    assert choose_release("", {}) == "bookworm"
    assert choose_release("trixie", known) == "trixie"
    with pytest.raises(UsageError, match="af1 is trixie"):
        choose_release("bookworm", known)
    with pytest.raises(UsageError, match="unknown Debian release"):
        choose_release("woody", {})


def test_both_layouts_of_cgroups_are_known(tmp_path):
    with pytest.raises(UsageError, match="no cgroup version 2"):
        cgroup.hierarchies(tmp_path)
    (tmp_path / "unified").mkdir()
    (tmp_path / "systemd").mkdir()
    (tmp_path / "unified" / "cgroup.controllers").touch()
    assert cgroup.hierarchies(tmp_path) == [tmp_path / "unified", tmp_path / "systemd"]
    (tmp_path / "cgroup.controllers").touch()
    assert cgroup.hierarchies(tmp_path) == [tmp_path]


@pytest.fixture
def written(tmp_path):
    """A site with svc and three hosts written down, none of which was ever started."""
    site = Site(root=tmp_path, state=tmp_path / ".sandbox")
    for name in ("svc", "af1", "af10", "af2", "bench1"):
        machine = Machine(name=name, address=choose_address(name, SUBNET, []), release="bookworm", image="bookworm-1")
        site.record(machine)
        key = site.folder(name) / "upper" / "etc" / "ssh" / "ssh_host_ed25519_key.pub"
        key.parent.mkdir(parents=True)
        key.write_text("ssh-ed25519 AAAA svc\n")
    return site


def test_the_inventory_names_the_fleet_in_its_order_and_no_other_machine(written):
    inventory = make_inventory(written, written.machines(), None, "2.11.2")
    assert list(inventory["hosts"]) == ["af1", "af2", "af10"]
    assert inventory["hosts"]["af2"] == {"address": "10.77.0.12", "roles": ["worker"]}
    assert "flower" in inventory["hosts"]["af1"]["roles"]
    assert inventory["ssh"]["identity"] == ".sandbox/id_ed25519"
    assert inventory["dags"]["known_hosts"] == "10.77.0.2 ssh-ed25519 AAAA"


def test_the_inventory_takes_the_distributions_python_when_there_is_no_pyenv(written):
    inventory = make_inventory(written, written.machines(), None, "2.11.2")
    assert inventory["airflow"]["python"] == "system"
    assert "pyenv" not in inventory


def test_the_inventory_names_the_mirror_when_there_is_a_pyenv(written):
    inventory = make_inventory(written, written.machines(), PyenvSource("v2.6.30", ()), "2.11.2")
    assert inventory["airflow"]["python"] == "3.11.2"
    assert inventory["pyenv"]["mirror"] == "http://10.77.0.2:8000/python"

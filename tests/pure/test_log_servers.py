"""Who may ask the log servers: the hosts with web pages and the host itself, as far as addresses are in numbers."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from airfleet import firewall, inventory, log_servers, units
from airfleet.cautions import cautions
from airfleet.checkup import Checkup
from airfleet.doctor.logs import unreachable
from airfleet.generations import generation_of

HOSTS = """
airflow: {{version: {version}}}
database: {{host: 10.0.0.9}}
dags: {{repository: "https://git.internal/dags.git"}}
{more}
hosts:
  head: {{address: 10.0.0.1, roles: [redis, scheduler, triggerer]}}
  page: {{address: {page}, roles: [webserver]}}
  more: {{address: "fd00::5", roles: [webserver, worker]}}
  work: {{address: {work}, roles: [worker]}}
"""
ALONE = """
database: {host: 10.0.0.9}
dags: {repository: "https://git.internal/dags.git"}
hosts:
  one: {address: ADDRESS, roles: [redis, webserver, scheduler, triggerer, worker]}
"""
BOTH = ("2.11.2", "3.3.2")
OPEN = "anybody may connect to the log servers: a filter needs hosts.page.address in numbers (docs/hardening.md)"


def fleet(*, version="3.3.2", page="10.0.0.2", work="10.0.0.3", more=""):
    return inventory.parse(HOSTS.format(version=version, page=page, work=work, more=more), Path("inventory.yaml"))


def alone(address):
    return inventory.parse(ALONE.replace("ADDRESS", address), Path("inventory.yaml"))


def filters(whole, host, name):
    """Return the lines of a unit that are about addresses, in their order."""
    text = units.render_unit(whole, whole.hosts[host], generation_of(whole.airflow.version).service(name))
    return [line for line in text.splitlines() if line.startswith("IPAddress")]


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize(("host", "name", "own"), [("work", "logs", "10.0.0.3"), ("head", "trigger-logs", "10.0.0.1")])
def test_log_servers_are_for_hosts_with_web_pages_and_their_own(version, host, name, own):
    """Both kinds of log servers; loopback is the host's own as well."""
    lines = ["IPAddressDeny=any", f"IPAddressAllow=localhost {own} 10.0.0.2 fd00::5"]
    assert filters(fleet(version=version), host, name) == lines


@pytest.mark.parametrize("version", BOTH)
def test_nothing_else_is_kept_from_the_network(version):
    """The filter works in both directions: a worker or a triggerer under it would reach nothing."""
    whole = fleet(version=version)
    services = generation_of(version).services
    assert {"logs", "trigger-logs"} == {each.name for each in services if filters(whole, "head", each.name)}


def test_a_host_with_web_pages_stands_there_once():
    """Its own address is that of a reader too."""
    assert log_servers.readers(fleet(), fleet().hosts["more"]) == ("localhost", "fd00::5", "10.0.0.2")


@pytest.mark.parametrize(("address", "own"), [("203.0.113.5", ["203.0.113.5"]), ("airflow.internal", [])])
def test_a_host_alone_is_asked_by_loopback(address, own):
    """Whatever other hosts call it, and from whatever address of its own it would ask: there is always a filter."""
    whole = alone(address)
    assert filters(whole, "one", "logs") == ["IPAddressDeny=any", " ".join(["IPAddressAllow=localhost", *own])]
    assert (log_servers.address(whole, whole.hosts["one"]), log_servers.warning(whole)) == ("127.0.0.1", "")


def test_a_name_of_a_host_with_web_pages_leaves_the_filter_out_and_is_told():
    """A filter takes numbers alone; one that forgot a host would hide logs. The names of others do no harm."""
    whole = fleet(page="page.internal")
    assert filters(whole, "work", "logs") == []
    assert cautions(whole) == [OPEN]
    beyond = firewall.beyond_need(whole, "head", [["*", 8794], ["*", 8793], ["10.0.0.1", 6379]])
    assert [str(each) for each in beyond] == ["head: a log server listens on *:8794"]
    harmless = fleet(work="work.internal")
    assert filters(harmless, "work", "logs") == ["IPAddressDeny=any", "IPAddressAllow=localhost 10.0.0.2 fd00::5"]
    assert log_servers.warning(harmless) == ""
    assert firewall.beyond_need(harmless, "head", [["*", 8794]]) == []


def test_a_filter_in_the_inventory_is_one():
    """Who has names and writes the network down himself is not warned; of half of them he is."""
    own = "{IPAddressDeny: any, IPAddressAllow: localhost 10.0.0.0/24}"
    both = fleet(page="page.internal", more=f"units: {{airflow-logs: {own}, airflow-trigger-logs: {own}}}")
    assert log_servers.warning(both) == ""
    assert filters(both, "work", "logs") == ["IPAddressDeny=any", "IPAddressAllow=localhost 10.0.0.0/24"]
    assert log_servers.warning(fleet(page="page.internal", more=f"units: {{airflow-logs: {own}}}")) == OPEN


def test_the_inventory_can_open_it():
    """What is allowed wins over what is denied, and lines of a list add up (systemd.resource-control(5))."""
    more = fleet(more="units: {airflow-logs: {IPAddressAllow: any}}")
    assert filters(more, "work", "logs")[-1] == "IPAddressAllow=any"


@pytest.mark.parametrize("version", BOTH)
def test_the_triggerers_log_server_is_a_process_of_its_own(version, monkeypatch):
    """The triggerer brings none, and the unit has Airflow's own, at the port that its configuration says."""
    commands = {each.name: each.command for each in generation_of(version).services}
    assert commands["triggerer"] == ("{bin}/airflow", "triggerer", "--skip-serve-logs")
    text = units.render_unit(
        fleet(version=version), fleet().hosts["head"], generation_of(version).service("trigger-logs")
    )
    command = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    python, flag, program = shlex.split(command.partition("=")[2])
    served = []
    settings = {("logging", "trigger_log_server_port"): 8795}
    conf = SimpleNamespace(getint=lambda section, key, fallback: settings.get((section, key), fallback))
    modules = {"airflow.configuration": {"conf": conf}, "airflow.utils.serve_logs": {"serve_logs": served.append}}
    for name in ("airflow", "airflow.utils", *modules):
        module = ModuleType(name)
        module.__dict__.update(modules.get(name, {}))
        monkeypatch.setitem(sys.modules, name, module)
    exec(program, {})
    settings.clear()
    exec(program, {})
    assert (python.rpartition("/")[2], flag, served) == (
        "python",
        "-c",
        [8795, generation_of(version).health.trigger_log_port],
    )


def test_a_log_server_of_a_host_alone_is_known_by_the_hosts_name():
    """The database has it at loopback; one that has just started is no finding."""

    def found(started_s):
        unit = {"active": "active", "started_s": started_s}
        seen = {"log_servers": {"127.0.0.1": "port 8793: timed out"}, "units": {"airflow-logs.service": unit}}
        return [finding.where for finding in unreachable(Checkup(alone("10.0.0.1"), {"one": seen}))]

    assert (found(5000.0), found(1.0)) == (["one"], [])

"""What must be reachable from where: computed from the inventory, told as a table, and what a probe makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from airfleet import firewall, inventory
from airfleet.firewall import Way, as_json, beyond_need, place_of, probed, table, ways

HOSTS = """
airflow: {version: 2.11.2, python: system, constraints: constraints.txt, web_port: 8080}
database: {host: 10.0.0.9, port: 5433}
dags: {repository: "ssh://git@git.internal:2222/dags.git", known_hosts: "git.internal ssh-ed25519 AAAA"}
hosts:
  head: {address: 10.0.0.1, roles: [redis, scheduler, triggerer], port: 2200}
  page: {address: 10.0.0.2, roles: [webserver]}
  work: {address: 10.0.0.3, roles: [worker]}
"""


@pytest.fixture
def fleet():
    return inventory.parse(HOSTS, Path("inventory.yaml"))


def test_what_three_hosts_need(fleet):
    """Every connection, and none that a host makes to itself."""
    found = {(way.source, way.target, f"{way.address}:{way.port}") for way in ways(fleet)}
    assert found == {
        ("operator", "head", "10.0.0.1:2200"),
        ("operator", "page", "10.0.0.2:22"),
        ("operator", "work", "10.0.0.3:22"),
        ("users", "page", "10.0.0.2:8080"),
        ("page", "head", "10.0.0.1:6379"),
        ("work", "head", "10.0.0.1:6379"),
        ("head", "database", "10.0.0.9:5433"),
        ("page", "database", "10.0.0.9:5433"),
        ("work", "database", "10.0.0.9:5433"),
        ("page", "work", "10.0.0.3:8793"),
        ("page", "head", "10.0.0.1:8794"),
        ("head", "git server", "git.internal:2222"),
        ("page", "git server", "git.internal:2222"),
        ("work", "git server", "git.internal:2222"),
    }


@pytest.fixture
def later():
    """The same with a generation of Airflow whose tasks speak to the API server."""
    return HOSTS.replace("2.11.2", "3.3.2")


def test_workers_reach_the_task_execution_api_where_there_is_one(fleet, later):
    """Each host with workers needs the web port; a triggerer or a DAG processor has an API of its own."""
    found = ways(inventory.parse(later, Path("inventory.yaml")))
    assert [way for way in found if way not in ways(fleet)] == [
        Way("work", "page", "10.0.0.2", 8080, "task execution API")
    ]


def test_tasks_reach_several_api_servers_by_what_stands_before_them(later):
    """As airflow.cfg says it: at the base URL; tasks on the host of an API server have the way on that host."""
    text = later.replace("web_port: 8080", "web_port: 8080, base_url: 'https://airflow.internal'")
    text += "  both: {address: 10.0.0.4, roles: [webserver, worker]}\n"
    found = ways(inventory.parse(text, Path("inventory.yaml")))
    assert [way for way in found if way.why == "task execution API"] == [
        Way("work", "base URL", "airflow.internal", 443, "task execution API")
    ]


def test_a_host_alone_needs_no_other(fleet):
    """With all roles on one host nothing but the outside is left."""
    text = (
        HOSTS.partition("\nhosts:")[0] + "\nhosts:\n  one: {address: h, roles: [redis, webserver, scheduler, worker]}\n"
    )
    found = ways(inventory.parse(text, Path("inventory.yaml")))
    assert {(way.source, way.target) for way in found} == {
        ("operator", "one"),
        ("users", "one"),
        ("one", "database"),
        ("one", "git server"),
    }


def test_with_jump_hosts_the_last_is_what_logs_in():
    """Each must let the one before it in."""
    text = f"ssh: {{proxy_jump: 'ops@bastion:2222,inner'}}\n{HOSTS}"
    found = [way for way in ways(inventory.parse(text, Path("inventory.yaml"))) if way.why == firewall.SSH]
    assert [(way.source, way.address, way.port) for way in found][:3] == [
        ("operator", "bastion", 2222),
        ("ops@bastion:2222", "inner", 22),
        ("inner", "10.0.0.1", 2200),
    ]


@pytest.mark.parametrize(
    ("command", "source"),
    [("gcloud compute start-iap-tunnel %n %p", "IAP 35.235.240.0/20"), ("nc -X connect %h %p", "proxy command")],
)
def test_with_a_proxy_command_that_is_what_logs_in(command, source):
    """Google's tunnel comes from a range that is known."""
    found = ways(inventory.parse(f"ssh: {{proxy_command: {command}}}\n{HOSTS}", Path("inventory.yaml")))
    assert {way.source for way in found if way.why == firewall.SSH} == {source}


def test_what_can_be_probed_from_a_host_is_what_it_needs(fleet):
    """Nobody can try for the users, or for another host."""
    assert {"head", "database", "git server"} == {way.target for way in probed(fleet, "work")}


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://git.internal/x.git", ("git.internal", 443)),
        ("http://git.internal:81/x.git", ("git.internal", 81)),
        ("ssh://git@[fd00::1]:2222/x.git", ("fd00::1", 2222)),
        ("git@git.internal:team/x.git", ("git.internal", 22)),
        ("git://git.internal/x.git", ("git.internal", 9418)),
        ("file:///srv/x.git", None),
    ],
)
def test_where_a_url_leads(url, place):
    """To the port of its scheme, unless it says another."""
    assert place_of(url) == place


def test_the_table_puts_sources_together_as_long_as_they_fare_alike(fleet):
    """Three hosts in one line; with a probe that fails for one, that one has a line of its own."""
    found = ways(fleet)
    lines = list(table(found, {}))
    assert "head, page, work  database    10.0.0.9:5433      metadata (PostgreSQL)" in lines
    seen = {way: "no answer" if way.source == "work" else "open" for way in found if way.target == "database"}
    lines = [line for line in table(found, seen) if "PostgreSQL" in line]
    assert [line.split("  ")[0] for line in lines] == ["head, page", "work"]
    assert lines[1].endswith("no answer: filtered, or the machine is down")


def test_json_has_every_way_with_what_was_seen(fleet):
    """`probe` is null where nobody tried."""
    found = ways(fleet)
    words = as_json(found, {found[0]: "open"}, ())
    first, second = words["needed"][:2]
    assert first == {
        "from": "operator",
        "to": "head",
        "address": "10.0.0.1",
        "port": 2200,
        "protocol": "tcp",
        "what_for": "SSH: every command",
        "probe": "open",
    }
    assert second["probe"] is None


@pytest.mark.parametrize(
    ("address", "beyond"),
    [("10.0.0.1", False), ("127.0.0.1", False), ("::1", False), ("0.0.0.0", True), ("*", True), ("8.8.8.8", True)],
)
def test_redis_listens_where_it_need_not(fleet, address, beyond):
    """Its own address and loopback are needed; every address, or a public one, is not."""
    said = [str(each) for each in beyond_need(fleet, "head", [[address, 6379], ["0.0.0.0", 22]])]
    assert said == [f"head: Redis listens on {address}:6379"] * beyond


def test_what_is_not_ours_is_not_judged(fleet):
    """A host without Redis may do at that port what it likes."""
    assert beyond_need(fleet, "work", [["0.0.0.0", 6379]]) == []

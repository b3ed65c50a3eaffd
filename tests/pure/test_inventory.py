"""The inventory: which file is read, and what a valid one resolves to."""

from pathlib import Path

import pytest
import yaml

from airfleet import inventory as inventories
from airfleet.errors import UsageError

ROOT = Path(__file__).parents[2]
FILE = Path("/ops/inventory.yaml")

ONE = """
database: {host: 10.0.0.5}
dags: {repository: "git@git.internal:data/dags.git"}
hosts:
  af1: {address: 10.0.0.1, roles: [redis, webserver, scheduler, triggerer, worker, flower]}
"""
TWO = (
    ONE
    + """\
  af2: {address: 10.0.0.2, roles: [worker], user: ops, port: 2222, celery: {instances: 4, queues: [heavy]}}
"""
)


def with_(**sections: object) -> str:
    """Return the inventory ONE with these sections in it."""
    return yaml.safe_dump(yaml.safe_load(ONE) | sections)


class TestResolved:
    """All defaults stand in the model."""

    def test_shipped(self):
        """The shipped inventory.yaml is valid as it stands."""
        assert ("af1",) == tuple(inventories.load(ROOT / "inventory.yaml").hosts)

    def test_home(self):
        """AIRFLOW_HOME is `airflow/` in the home folder of the account, whatever the account is."""
        assert "/home/airflow/airflow" == inventories.parse(ONE, FILE).airflow.home
        assert "/home/data/airflow" == inventories.parse(with_(airflow={"account": "data"}), FILE).airflow.home
        assert "/srv/airflow" == inventories.parse(with_(airflow={"home": "/srv/airflow"}), FILE).airflow.home

    def test_redis_on_one_host(self):
        """Redis listens on loopback when there is one host, and is reached there."""
        inventory = inventories.parse(ONE, FILE)
        assert ("127.0.0.1", "127.0.0.1") == (inventory.redis.bind, inventory.redis_address)

    def test_redis_on_several_hosts(self):
        """Redis listens on its host's address when there are several hosts, and is reached there."""
        inventory = inventories.parse(TWO, FILE)
        assert ("10.0.0.1", "10.0.0.1") == (inventory.redis.bind, inventory.redis_address)

    def test_redis_everywhere(self):
        """Redis that listens on all addresses is reached at its host's."""
        inventory = inventories.parse(TWO + "redis: {bind: 0.0.0.0}", FILE)
        assert ("0.0.0.0", "10.0.0.1") == (inventory.redis.bind, inventory.redis_address)

    def test_celery_of_a_host(self):
        """A host's own celery keys win over the section's; the others are the section's, not the defaults."""
        inventory = inventories.parse(TWO + "celery: {concurrency: 9, instances: 3}", FILE)
        first, second = (inventory.hosts[name].celery for name in ("af1", "af2"))
        assert (3, 9, ("default",)) == (first.instances, first.concurrency, first.queues)
        assert (4, 9, ("heavy",)) == (second.instances, second.concurrency, second.queues)

    def test_ssh_of_a_host(self):
        """A host's own user and port win over those of ssh; unset ones are left to the ssh config."""
        inventory = inventories.parse(TWO + "ssh: {user: me}", FILE)
        assert [("me", None), ("ops", 2222)] == [(host.user, host.port) for host in inventory.hosts.values()]

    def test_names(self):
        """Each host knows its name, and hosts with a role come in the order of the inventory."""
        inventory = inventories.parse(TWO, FILE)
        assert ["af1", "af2"] == [host.name for host in inventory.hosts.values()]
        assert ("af1", "af2") == inventory.with_role("worker")
        assert "af1" == inventory.redis_host.name

    def test_paths(self):
        """Paths on the operator's computer are relative to the inventory's folder, and `~` is the home folder."""
        inventory = inventories.parse(
            with_(ssh={"identity": "keys/id", "config": "/etc/ssh/x"}, airflow={"constraints": "c-{version}.txt"}), FILE
        )
        assert Path("/ops/keys/id") == inventory.ssh.identity
        assert Path("/etc/ssh/x") == inventory.ssh.config
        assert Path("~/.ssh/known_hosts").expanduser() == inventory.ssh.known_hosts
        assert "/ops/c-3.3.2.txt" == inventory.airflow.constraints_for("3.11")
        assert not inventory.airflow.constraints_are_remote

    def test_constraints(self):
        """The default constraints are the official ones of the version and the Python."""
        airflow = inventories.parse(ONE, FILE).airflow
        assert (
            "https://raw.githubusercontent.com/apache/airflow/constraints-3.3.2/constraints-3.11.txt"
            == airflow.constraints_for(str(airflow.python_minor))
        )

    def test_system_python(self):
        """The minor version of the distribution's Python is for the host to say."""
        assert inventories.parse(with_(airflow={"python": "system"}), FILE).airflow.python_minor is None

    @pytest.mark.parametrize(
        ("repository", "needed"),
        [
            ("git@h:x.git", True),
            ("ssh://git@h:22/x.git", True),
            ("https://h/x.git", False),
            ("file:///srv/x.git", False),
        ],
    )
    def test_deploy_key(self, repository, needed):
        """A deploy key is needed for a repository behind ssh, and for no other."""
        assert needed == inventories.parse(with_(dags={"repository": repository}), FILE).dags.needs_key

    def test_null(self):
        """`~` is as if the key were left out, for sections too."""
        assert inventories.parse(ONE, FILE) == inventories.parse(ONE + "redis: ~\nflower: {port: ~}\n", FILE)

    def test_overrides(self):
        """Settings of airflow.cfg keep their types: text, whole numbers, fractions, true and false."""
        settings = {"core": {"a": "x", "b": 5, "c": 0.5, "d": True}}
        config = inventories.parse(with_(airflow={"config": settings}), FILE).airflow.config
        assert settings == config
        assert [str, int, float, bool] == [type(value) for value in config["core"].values()]

    def test_notify(self):
        """An entry is a program or an address; it is told of everything, for ten seconds, unless it says otherwise."""
        entries = [
            {"command": ["./tell", "it"]},
            {"webhook": "https://chat.internal/T0KEN?x=y", "on": ["gate", "failure"]},
        ]
        program, address = inventories.parse(with_(notify=entries), FILE).notify
        assert (("./tell", "it"), None) == (program.command, program.webhook)
        assert (("all",), 10) == (program.on, program.timeout_s)
        assert ("https://chat.internal/T0KEN?x=y", ("gate", "failure")) == (address.webhook, address.on)

    @pytest.mark.parametrize("url", ["http://127.0.0.1:8000/x", "http://localhost/x", "http://[::1]:80/x", "secret"])
    def test_notify_without_tls(self, url):
        """Plain http is for this computer alone."""
        assert url == inventories.parse(with_(notify=[{"webhook": url}]), FILE).notify[0].webhook

    def test_frozen(self):
        """Nothing changes an inventory once it is read."""
        with pytest.raises(ValueError, match="frozen"):
            inventories.parse(ONE, FILE).redis.port = 1


class TestFiles:
    """Which file is read."""

    def test_not_utf8(self, tmp_path):
        """A file that is not UTF-8 is told with its line."""
        file = tmp_path / "inventory.yaml"
        file.write_bytes(b"a: 1\nb: \xff\n")
        with pytest.raises(UsageError, match=r"^inventory.yaml:2: not UTF-8 text"):
            inventories.load(file)

    def test_byte_order_mark(self, tmp_path):
        """A byte order mark, as Windows editors write it, is no error."""
        file = tmp_path / "inventory.yaml"
        file.write_bytes(b"\xef\xbb\xbf" + ONE.encode())
        assert ("af1",) == tuple(inventories.load(file).hosts)

    def test_chosen(self, tmp_path):
        """`--env NAME` is inventory.NAME.yaml, none is inventory.yaml."""
        for name in ("inventory.yaml", "inventory.staging.yaml"):
            (tmp_path / name).touch()
        assert tmp_path / "inventory.yaml" == inventories.path_of("", tmp_path)
        assert tmp_path / "inventory.staging.yaml" == inventories.path_of("staging", tmp_path)

    def test_missing(self, tmp_path):
        """A missing inventory is told together with those that exist."""
        for name in ("inventory.yaml", "inventory.staging.yaml"):
            (tmp_path / name).touch()
        with pytest.raises(UsageError) as caught:
            inventories.path_of("stagng", tmp_path)
        assert "inventory.stagng.yaml: no such file; did you mean 'staging'?" == str(caught.value).splitlines()[0]
        assert "choose one that exists: inventory.staging.yaml, inventory.yaml" == caught.value.remedy

    @pytest.mark.parametrize("env", ["../x", "a/b", ".", "a b", "", "ü", "a\n"])
    def test_no_traversal(self, env, tmp_path):
        """The name of an environment can't lead to another folder."""
        with pytest.raises(UsageError):
            inventories.path_of(env, tmp_path)


class TestExamples:
    """The shipped addresses are refused before anything is contacted."""

    def test_shipped(self):
        """The shipped inventory names examples, and the refusal says what to do."""
        inventory = inventories.load(ROOT / "inventory.yaml")
        assert ("af1",) == inventories.example_hosts(inventory)
        with pytest.raises(UsageError) as caught:
            inventories.refuse_examples(inventory)
        assert "edit inventory.yaml, or try `make demo`" == caught.value.remedy
        assert ["hosts.af1.address", "database.host", "dags.repository"] == list(inventories.examples(inventory))

    @pytest.mark.parametrize(
        "address",
        [
            "192.0.2.1",
            "198.51.100.7",
            "203.0.113.9",
            "2001:db8::1",
            "a.example.com",
            "EXAMPLE.org",
            "x.test",
            "b.invalid",
        ],
    )
    def test_example(self, address):
        """Addresses of the RFCs are examples."""
        inventory = inventories.parse(ONE.replace("10.0.0.1,", f"'{address}',"), FILE)
        assert ("af1",) == inventories.example_hosts(inventory)

    @pytest.mark.parametrize("address", ["192.0.20.1", "10.0.0.1", "example.co.kr", "myexample.com", "test", "fd00::1"])
    def test_real(self, address):
        """Other addresses are not."""
        inventory = inventories.parse(ONE.replace("10.0.0.1,", f"'{address}',"), FILE)
        if address != "test":
            inventories.refuse_examples(inventory)
            assert () == inventories.example_hosts(inventory)
        else:
            assert ("af1",) == inventories.example_hosts(inventory)

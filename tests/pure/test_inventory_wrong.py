"""What is said about a wrong inventory."""

from pathlib import Path

import pytest

from airfleet import inventory as inventories
from airfleet.errors import UsageError

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


def said(text: str) -> list[str]:
    """Return the lines of the error that this inventory gets."""
    with pytest.raises(UsageError) as caught:
        inventories.parse(text, FILE)
    assert 2 == caught.value.exit_code
    lines = str(caught.value).splitlines()
    assert "  state: nothing was contacted" == lines.pop()
    return lines


PROXY = "instance: 'p:europe-west1:db', sha256: " + "a" * 64
WRONG_WITH_PROXY = [
    (
        "host: 10.0.0.5",
        "url: 'https://d'",
        "database.host: with database.proxy the services go to the proxy on their own",
    ),
    ("port: 80", "url: 'https://d'", "database.port: the proxy can't listen below 1024"),
    ("port: 9090", "url: 'https://d'", "database.proxy.health_port: 9090 is database.port already"),
    ("sslmode: require", "url: 'https://d'", "database.sslmode: require has no place here: the proxy encrypts"),
    (
        "port: 5432",
        "health_port: 6379, path: /opt/p",
        "hosts.af1.roles: redis.port and database.proxy.health_port are both",
    ),
    ("port: 5432", "private_ip: true", "database.proxy: needs `url` or `path`"),
    ("port: 5432", "url: 'https://d', path: /opt/p", "database.proxy: needs `url` or `path`, not both"),
    ("port: 5432", "path: /opt/../p", "database.proxy.path: "),
    ("port: 5432", "path: /opt/p, sha: x", "database.proxy.sha: unknown key; did you mean 'sha256'?"),
]


@pytest.mark.parametrize(("database", "proxy", "problem"), WRONG_WITH_PROXY)
def test_what_contradicts_an_auth_proxy(database, proxy, problem):
    """It listens on loopback, without TLS, at a port that is free."""
    host = "" if "host:" in database else "host: 127.0.0.1, "
    text = ONE.replace("{host: 10.0.0.5}", f"{{{host}{database}, proxy: {{{PROXY}, {proxy}}}}}")
    assert [line for line in said(text) if problem in line]


WRONG = [
    (
        "ssh: {proxy_jump: a, proxy_command: nc %h %p}",
        "ssh.proxy_command: ssh.proxy_jump is there too: which way? Leave one of them out",
    ),
    ("ssh: {proxy_command: nc '%h}", "ssh.proxy_command: can't be read: No closing quotation"),
    (
        "ssh: {proxy_command: nc %h %P}",
        "ssh.proxy_command: '%P' means nothing here: %h, %p, %r and %n do, and %% is a percent sign",
    ),
    ("ssh: {proxy_command: ' '}", "ssh.proxy_command: can't be read: it is empty"),
    ("ssh: {proxy_jump: 'a,b:99999'}", "ssh.proxy_jump: 'b:99999' has a port that does not exist"),
    ("ssh: {proxy_jump: 'a,'}", "ssh.proxy_jump: 'a,' is not a host to jump over, as in user@bastion:22"),
    ("ssh: {prot: 22}", "ssh.prot: unknown key; did you mean 'port'?"),
    (
        "redis: {password: x}",
        "redis.password: unknown key; secrets are not written here but in secrets.yaml, see docs/inventory.md",
    ),
    ("celery: {concurrency: '4'}", "celery.concurrency: needs a whole number, not '4'"),
    ("celery: {concurrency: 0}", "celery.concurrency: the number 0 is out of range: at least 1"),
    ("celery: {instances: 65}", "celery.instances: the number 65 is out of range: at most 64"),
    ("celery: {acks_late: 1}", "celery.acks_late: needs true or false, not the number 1"),
    ("celery: {queues: default}", "celery.queues: needs a list, as in [a, b], not 'default'"),
    ("celery: {queues: []}", "celery.queues: is empty: at least one is needed"),
    ("celery: {queues: [on]}", "celery.queues[0]: needs text, not the yes/no value true: write it in quotes"),
    ("celery: {queues: ['a b']}", "celery.queues[0]: 'a b' is not a name of letters, digits, _ . and -"),
    ("celery: {queues: [a, b, a]}", "celery.queues[2]: 'a' stands in this list twice"),
    (
        "celery: {soft_time_limit_s: 20, time_limit_s: 10}",
        (
            "celery.time_limit_s: 10 is less than soft_time_limit_s (20): tasks would be killed before they are told"
            " to stop"
        ),
    ),
    (
        "airflow: {version: 2.11.3}",
        "airflow.version: '2.11.3' is not a version that airfleet installs (2.11.2, 3.3.2); did you mean '2.11.2'?",
    ),
    (
        "airflow: {python: 3.11}",
        "airflow.python: YAML reads 3.11 as a number, and it is not a full version: write three numbers, as in 3.11.13",
    ),
    ("airflow: {python: '3.11'}", "airflow.python: '3.11' is not a full version, as in 3.11.13, or `system`"),
    ("airflow: {version: 2.11.2, python: 3.8.1}", "airflow.python: Airflow 2.11.2 runs on 3.10 to 3.12, not on 3.8.1"),
    (
        "airflow: {version: 2.11.2, python: 3.13.1}",
        (
            "airflow.python: Airflow 2.11.2 runs on 3.10 to 3.12, not on 3.13.1 (Airflow 2.11.2 excludes 3.13 only as"
            " the exact version 3.13, so that 3.13.1 slips through, installs and breaks)"
        ),
    ),
    (
        "airflow: {base_url: airflow.example.com}",
        "airflow.base_url: 'airflow.example.com' is not a URL with scheme and host, as in http://airflow.example.com",
    ),
    (
        "airflow: {base_url: 'http://me:pw@h'}",
        (
            "airflow.base_url: this text (not shown: it may hold a password) is not a URL with scheme and host, as in"
            " http://airflow.example.com"
        ),
    ),
    ("airflow: {web_port: 70000}", "airflow.web_port: the number 70000 is out of range: at most 65535"),
    ("airflow: {account: root}", "airflow.account: root must not run Airflow"),
    (
        "airflow: {account: Air Flow}",
        "airflow.account: 'Air Flow' is not an account name: small letters, digits, _ and -, a letter first",
    ),
    ("airflow: {extras: [celery, redis]}", "airflow.extras: postgres missing: workers, broker and database need them"),
    (
        "airflow: {config: {core: {x: [1]}}}",
        "airflow.config.core.x: needs text, a number or true/false, not a list",
    ),
    ("airflow: {config: {core: 5}}", "airflow.config.core: needs keys with values, not the number 5"),
    (
        "airflow: {config: {core: {'a b': 5}}}",
        "airflow.config.core.a b: is not a name in airflow.cfg: letters, digits, _ . and -",
    ),
    ("airflow: {requirements: [-e .]}", "airflow.requirements[0]: '-e .' is not a requirement, as in pandas==2.1.4"),
    ("redis: {maxmemory: lots}", "redis.maxmemory: 'lots' is not an amount of memory, as in 512mb or 2gb"),
    ("redis: {result_db: 0}", "redis.result_db: 0 is redis.broker_db already: each needs a database of its own"),
    ("redis: {broker_db: 16}", "redis.broker_db: the number 16 is out of range: at most 15"),
    (
        "logging: {bucket: 'gs://logs'}",
        "logging.bucket: 'gs://logs' is not a bucket name: small letters, digits, . _ and -, without gs://",
    ),
    ("admin: {email: nobody}", "admin.email: 'nobody' is not an e-mail address"),
    ('admin: {firstname: "a\\nb"}', "admin.firstname: 'a\\nb' is not a single line of text"),
    ("pyenv: {tag: --upload-pack=x}", "pyenv.tag: '--upload-pack=x' is not a branch or tag"),
    ("pyenv: {tag: a..b}", "pyenv.tag: 'a..b' can't be the name of a branch or tag"),
    ("flower: 5555", "flower: needs keys with values, not the number 5555"),
    ("flower: {bind: 300.1.1.1}", "flower.bind: '300.1.1.1' is not an IP address"),
    (
        "ssh: {identity: '~nobody-of-this-name/id'}",
        "ssh.identity: '~nobody-of-this-name/id': there is no such home folder",
    ),
    ("sandbox: 'yes'", "sandbox: needs true or false, not 'yes'"),
    ("notify: tell-team", "notify: needs a list, as in [a, b], not 'tell-team'"),
    ("notify: [tell-team]", "notify[0]: needs keys with values, not 'tell-team'"),
    ("notify: [{on: [deploy]}]", "notify[0]: needs `command` or `webhook`"),
    ("notify: [{command: [a], webhook: secret}]", "notify[0]: needs `command` or `webhook`, not both"),
    ("notify: [{command: tell-team}]", "notify[0].command: needs a list, as in [a, b], not 'tell-team'"),
    ("notify: [{command: ['']}]", "notify[0].command[0]: needs text that is not empty, not ''"),
    (
        "notify: [{webhook: 'http://chat.internal/T0KEN'}]",
        (
            "notify[0].webhook: this text (not shown: it may hold a token) is not an https address, http only on this"
            " computer, or `secret`"
        ),
    ),
    ("notify: [{webhok: secret}]", "notify[0].webhok: unknown key; did you mean 'webhook'?"),
    (
        "notify: [{command: [a]}, {command: [b], on: [deplyo]}]",
        (
            "notify[1].on[0]: 'deplyo' is not one of all, deploy, rollback, bootstrap, maintenance, workers, services,"
            " backup, secrets, upgrade, gate, failure; did you mean 'deploy'?"
        ),
    ),
    ("notify: [{command: [a], on: [gate, gate]}]", "notify[0].on[1]: 'gate' stands in this list twice"),
    ("notify: [{command: [a], on: []}]", "notify[0].on: is empty: at least one is needed"),
    ("notify: [{command: [a], timeout_s: 0}]", "notify[0].timeout_s: the number 0 is out of range: at least 1"),
    ("envirnment: x", "envirnment: unknown key; did you mean 'environment'?"),
]


class TestWrong:
    """Each error has its file, line, path, what is wrong and the nearest right word."""

    @pytest.mark.parametrize(("line", "expected"), WRONG, ids=[line for line, _ in WRONG])
    def test_value(self, line, expected):
        """A wrong value is named with its place, and nothing else is complained about."""
        assert [f"inventory.yaml:6: {expected}"] == said(ONE + line + "\n")

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            (
                "  af2: {address: 10.0.0.1, roles: [worker]}",
                "hosts.af2.address: 10.0.0.1 is the address of hosts.af1 already",
            ),
            (
                "  af2: {address: 10.0.0.2, roles: [redis]}",
                "hosts.af2.roles: a second redis: hosts.af1 is the broker already",
            ),
            (
                "  af2: {address: 10.0.0.2, roles: [wroker]}",
                (
                    "hosts.af2.roles[0]: 'wroker' is not one of redis, proxy, webserver, scheduler, triggerer, worker,"
                    " flower;"
                    " did you mean 'worker'?"
                ),
            ),
            ("  af2: {address: 10.0.0.2, roels: [worker]}", "hosts.af2.roels: unknown key; did you mean 'roles'?"),
            ("  af2: {roles: [worker]}", "hosts.af2.address: is missing, and has no default"),
            ("  af2: {address: 10.0.0.2, roles: []}", "hosts.af2.roles: is empty: at least one is needed"),
            ("  af2: ~", "hosts.af2: needs keys with values, not nothing"),
            (
                "  af_2: {address: 10.0.0.2, roles: [worker]}",
                "hosts.af_2: is not a host name: letters, digits and -, not - at its ends, at most 63",
            ),
            (
                "  af2: {address: '$(reboot)', roles: [worker]}",
                "hosts.af2.address: '$(reboot)' is not an IP address or a host name",
            ),
            (
                "  af2: {address: 10.0.0.2, roles: [worker], celery: {time_limit_s: 5}}",
                (
                    "hosts.af2.celery.time_limit_s: 5 is less than soft_time_limit_s (3600): tasks would be killed"
                    " before they are told to stop"
                ),
            ),
            (
                "  af1: {address: 10.0.0.2, roles: [worker]}",
                "hosts.af1: the key stands here a second time (first on line 5)",
            ),
        ],
    )
    def test_host(self, line, expected):
        """A wrong host is named with its place, and nothing else is complained about."""
        assert [f"inventory.yaml:6: {expected}"] == said(ONE + line + "\n")

    def test_a_verified_database_needs_its_authority(self):
        """Without `ca` every connection would be refused."""
        wrong = "inventory.yaml:2: database.sslmode: verify-ca needs `ca`, the file with the certificate of the"
        text = ONE.replace("host: 10.0.0.5", "host: 10.0.0.5, sslmode: verify-ca")
        assert [f"{wrong} server's authority"] == said(text)

    @pytest.mark.parametrize("role", ["redis", "webserver", "scheduler", "worker"])
    def test_missing_role(self, role):
        """An installation without this role is none."""
        assert [f"inventory.yaml:4: hosts: no host has the role {role}"] == said(
            ONE.replace(f"{role}, ", "") if role != "worker" else ONE.replace("worker, ", "")
        )

    def test_ports(self):
        """Two services of one host can't listen on one port."""
        assert [
            "inventory.yaml:5: hosts.af1.roles: redis.port and flower.port are both 5555, and both run here"
        ] == said(ONE + "redis: {port: 5555}\n")

    def test_redis_out_of_reach(self):
        """A worker on another host can't reach a Redis that listens on loopback."""
        assert [
            (
                "inventory.yaml:7: redis.bind: Redis listens on 127.0.0.1 alone, but hosts.af2 (worker) must reach it:"
                " leave it out, or name the address of the redis host"
            )
        ] == said(TWO + "redis: {bind: 127.0.0.1}\n")

    def test_same_address_other_port(self):
        """Two hosts may share an address when their ports differ, as behind a forwarding gateway."""
        text = ONE + "  af2: {address: 10.0.0.1, port: 2222, roles: [worker]}\n"
        assert ("af1", "af2") == tuple(inventories.parse(text, FILE).hosts)

    def test_all_at_once(self):
        """Errors of every sort are told in one run, in the order of the file."""
        lines = said(
            """
ssh: {usr: x}
airflow: {version: 9.9, base_url: nowhere}
database: {prot: 1}
celery: {time_limit_s: 1}
hosts:
  af1: {addres: 10.0.0.1, roles: [redis, webserver, schedular]}
  af2: {address: 10.0.0.1, roles: [redis], celery: {instances: x}}
"""
        )
        assert [
            "inventory.yaml:2: dags: is missing, and has no default",
            "inventory.yaml:2: ssh.usr: unknown key; did you mean 'user'?",
            "inventory.yaml:3: airflow.base_url",
            "inventory.yaml:3: airflow.version",
            "inventory.yaml:4: database.host: is missing, and has no default",
            "inventory.yaml:4: database.prot: unknown key; did you mean 'port'?",
            "inventory.yaml:5: celery.time_limit_s",
            "inventory.yaml:7: hosts.af1.addres: unknown key; did you mean 'address'?",
            "inventory.yaml:7: hosts.af1.roles[2]",
            "inventory.yaml:8: hosts.af2.address",
            "inventory.yaml:8: hosts.af2.celery.instances",
        ] == [
            line if line.endswith(("?", "default")) and "schedular" not in line else ": ".join(line.split(": ")[:2])
            for line in lines
        ]

    def test_empty(self):
        """An empty file is said to be empty."""
        assert ["inventory.yaml:1: is empty"] == said("# nothing\n")

    def test_list(self):
        """A file that holds no keys is said so."""
        assert ["inventory.yaml:1: needs keys with values"] == said("- a\n")

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("a: [1,\nb: 2\n", "inventory.yaml:3: not YAML: while parsing a flow sequence"),
            ("a: b: c\n", "inventory.yaml:1: not YAML: mapping values are not allowed in this context (column 5)"),
            ("a: \x00\n", "inventory.yaml:1: not YAML: a character that YAML does not allow"),
            ("a: &x 1\nb: *x\n", "inventory.yaml:2: anchors and aliases (& and *) are not read here"),
            ("a: !!python/object/apply:os.system [x]\n", "inventory.yaml:1: a: tags (!) are not read here"),
            ("a: 1\n---\nb: 1\n", "inventory.yaml:2: a second document begins here"),
            ("{" * 50_000, "inventory.yaml:1: a key must be a word"),
            ("[" * 50_000, "inventory.yaml:1: "),
        ],
    )
    def test_yaml(self, text, expected):
        """What is no plain YAML is told with line and column, and never taken for something else."""
        assert expected == said(text)[0][: len(expected)]

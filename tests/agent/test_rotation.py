"""Rotations on one host, with a real Redis and a real PostgreSQL: what is open stays open, what is new is let in."""

from __future__ import annotations

import hashlib
import os
import subprocess

import pytest
from agent_services import POSTGRES, REDIS, free_port, postgres, running
from cryptography.fernet import Fernet, MultiFernet
from redis_rig import access

from airfleet import inventory, redis_access, redis_conf, scram
from airfleet.agent import resp
from airfleet.rotations import advanced, state_of
from airfleet.secret_forms import DROPPED, NEXT, PREVIOUS
from airfleet.secrets import Secret, Secrets

NAME = "redis_password"
OLD, NEW = "old p@:/%w '한글", "new-password-1234"
STATES = ("", NEXT, PREVIOUS, DROPPED, "")
LETS_IN = ({OLD}, {OLD, NEW}, {OLD, NEW}, {NEW}, {NEW})
needs_postgres = pytest.mark.skipif(POSTGRES is None, reason="PostgreSQL is not installed here")
needs_redis = pytest.mark.skipif(REDIS is None, reason="Redis is not installed here")


class RedisHost:
    """A Redis that reads the redis.conf of an inventory, and a stamp as its unit leaves one."""

    def __init__(self, agent, folder, known):
        self.agent, self.port = agent, free_port()
        words = {"database": {"host": "127.0.0.1"}, "dags": {"repository": "https://x/y.git"}}
        words |= {"hosts": {"a": {"address": "127.0.0.1", "roles": ("redis", "scheduler", "webserver", "worker")}}}
        found = inventory.Inventory.model_validate({**words, "redis": {"port": self.port, "bind": "127.0.0.1"}})
        self.inventory, self.known = found, known
        self.conf, self.stamp, self.run = folder / "redis.conf", folder / "stamp", folder
        access(folder)
        self.conf.write_text(self.text())
        self.started()

    def started(self):
        self.stamp.write_text(f"{self.digest()}  {self.conf}\n{'a' * 64}  /etc/drop-in\n")

    def text(self):
        text = redis_conf.render_redis_conf(self.inventory, self.known)
        return text.replace(redis_access.ACCESS, str(self.run / "access.conf"))

    def digest(self):
        return hashlib.sha256(self.conf.read_bytes()).hexdigest()

    def stamped(self):
        return self.stamp.read_text().splitlines()

    def adopt(self, text=None):
        words = redis_conf.adopt_words(self.inventory, self.known, text or self.text())
        words |= {"path": str(self.conf), "run": str(self.run)}
        answer = self.agent.call("redis_adopt", **words)
        assert answer["t"] == "answer", str(answer)
        return answer["words"]["live"]

    def lets_in(self):
        return {password for password in (OLD, NEW) if self.open(password)}

    def open(self, password):
        connection = resp.Redis("127.0.0.1", self.port)
        try:
            connection.login(redis_access.USER, password)
        except resp.Wrong:
            return None
        return connection


@pytest.fixture
def host(agent, tmp_path):
    made = RedisHost(agent, tmp_path, Secrets({NAME: Secret(OLD)}))
    with running([REDIS, str(made.conf), "--dir", str(tmp_path)], made.port, hard=True):
        yield made


@needs_redis
def test_a_running_redis_takes_the_passwords_of_each_phase_and_nothing_restarts(host):
    """Both, then the new one alone; who is connected stays so; the stamp says that it has read the file."""
    early = host.open(OLD)
    for state, expected in zip(STATES, LETS_IN, strict=True):
        if state != state_of(host.known, NAME):
            host.known = advanced(host.known, NAME, state, Secret(NEW))
        assert host.adopt()
        host.conf.write_text(host.text())
        assert host.lets_in() == expected, state
        assert host.stamped() == [f"{host.digest()}  {host.conf}", f"{'a' * 64}  /etc/drop-in"]
        assert early.ask("SET", "key", "value") == "OK"


@needs_redis
def test_killed_between_the_stamp_and_the_file_it_goes_on(host):
    """The next run writes the file; the stamp is that of the file which is about to be there."""
    host.known = advanced(host.known, NAME, NEXT, Secret(NEW))
    assert host.adopt()
    there = host.stamped()
    assert host.adopt()
    assert host.stamped() == there


@needs_redis
def test_what_else_differs_is_left_to_a_restart(host):
    """Another setting; a file that Redis has not read; one without root's own user: nothing is changed."""
    before = host.stamped()
    host.known = advanced(host.known, NAME, NEXT, Secret(NEW))
    assert not host.adopt(host.text().replace("appendfsync everysec", "appendfsync always"))
    host.conf.write_text(host.conf.read_text() + "# edited\n")
    assert not host.adopt(host.text() + "# edited\n")
    host.started()
    (host.run / "admin").rename(host.run / "away")
    assert not host.adopt(host.text() + "# edited\n")
    (host.run / "away").rename(host.run / "admin")
    host.stamp.unlink()
    assert not host.adopt()
    assert host.lets_in() == {OLD}
    assert len(before) == 2


@needs_redis
@pytest.mark.parametrize(
    ("state", "expected"), list(zip(STATES, LETS_IN, strict=True))[1:4], ids=["next", "previous", "dropped"]
)
def test_a_redis_that_starts_in_the_middle_lets_in_whom_the_file_says(agent, tmp_path, state, expected):
    """A host that boots between two phases is where the rotation is."""
    known = advanced(Secrets({NAME: Secret(OLD)}), NAME, state, Secret(NEW))
    made = RedisHost(agent, tmp_path, known)
    with running([REDIS, str(made.conf), "--dir", str(tmp_path)], made.port, hard=True):
        assert made.lets_in() == expected
        with pytest.raises(resp.Wrong):
            resp.Redis("127.0.0.1", made.port).ask("PING")


KEYS = [Fernet.generate_key().decode() for _ in range(3)]
AIRFLOW = """\
#!{python}
# What `airflow rotate-fernet-key` of 2.11 does to more than a hundred rows: some are left out.
import os, sys, psycopg2
from cryptography.fernet import Fernet, MultiFernet
assert sys.argv[1:] == ["rotate-fernet-key"] and os.environ["AIRFLOW_HOME"] == "/home/x"
keys = MultiFernet([Fernet(key) for key in {keys!r}])
q = psycopg2.connect({dsn!r})
c = q.cursor()
c.execute("select key, val from variable where key < 'v5' and is_encrypted")
for key, value in c.fetchall():
    c.execute("update variable set val = %s where key = %s", (keys.rotate(value.encode()).decode(), key))
q.commit()
"""
STORED = [
    "create table connection (conn_id text, password text, extra text, is_encrypted bool, is_extra_encrypted bool)",
    "create table variable (key text, val text, is_encrypted boolean)",
    "create table trigger (id serial, kwargs text)",
]


@pytest.fixture(scope="module")
def port():
    with postgres() as found:
        yield found


class Database:
    """A database of Airflow's, its role, and what is stored in it."""

    def __init__(self, agent, port, account, venv):
        self.agent, self.account, self.venv = agent, account, venv
        self.dsn = {"host": "127.0.0.1", "port": port, "name": "airflow", "user": "airflow", "password": OLD}
        self.sql("drop database if exists airflow", "drop role if exists airflow", database="postgres")
        self.sql(f"create role airflow login password {literal(OLD)}", database="postgres")
        self.sql("create database airflow owner airflow", database="postgres")

    def sql(self, *statements, database="airflow"):
        """Run statements as the superuser, and return what they print."""
        argv = [f"{POSTGRES}/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres"]
        argv += ["-p", str(self.dsn["port"]), "-d", database, *[word for each in statements for word in ("-c", each)]]
        done = subprocess.run(
            argv, env={"PGPASSWORD": "sup", "PATH": os.environ["PATH"]}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def call(self, name, **words):
        return self.agent.call(name, account=self.account, venv=str(self.venv), **words)

    def alter(self, old, new):
        dsns = [{**self.dsn, "password": old}, {**self.dsn, "password": new}]
        return self.call("role_password", dsns=dsns, verifier=scram.verifier(new, os.urandom(16)))


def literal(value):
    return "'" + value.replace("'", "''") + "'"


@pytest.fixture
def database(agent, port, account, drivers):
    return Database(agent, port, account, drivers)


@needs_postgres
def test_the_role_gets_a_password_that_the_server_never_sees(database):
    """By its verifier; a second try, after one that was cut short, ends the same; who knows neither is told so."""
    assert database.alter(OLD, NEW)["t"] == "answer"
    first = database.sql("select rolpassword from pg_authid where rolname = 'airflow'")[0]
    assert first.startswith("SCRAM-SHA-256$4096:")
    assert database.alter(OLD, NEW)["t"] == "answer"
    assert database.sql("select rolpassword from pg_authid where rolname = 'airflow'")[0] != first
    refused = database.alter("wrong", "wrong too")
    assert refused["t"] == "failed"
    assert "the database refused the password of airflow" in refused["error"]
    assert not {"wrong", "wrong too"} & set(str(refused).split())


@needs_postgres
def test_everything_that_is_stored_ends_under_the_new_key(database, tmp_path):
    """What Airflow's own command leaves out is stored anew too; what no key can read is named and left alone."""
    old, new, lost = (MultiFernet([Fernet(key)]) for key in KEYS)

    def sealed(value, keys=old):
        return literal(keys.encrypt(value.encode()).decode())

    rows = ", ".join(f"('v{number}', {sealed(f'value {number}')}, true)" for number in range(9))
    database.sql(
        "set role airflow",
        *STORED,
        f"insert into variable values ('plain', 'not encrypted', false), {rows}",
        f"insert into connection values ('pg', {sealed('pw')}, {sealed('{}')}, true, true)",
        "insert into connection values ('none', '', null, true, true)",
        f"""insert into trigger (kwargs) values ({sealed("{}")}), ('{{"old": 1}}')""",
    )
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "airflow"
    dsn = f"host=127.0.0.1 port={database.dsn['port']} user=postgres password=sup dbname=airflow"
    script.write_text(AIRFLOW.format(python=f"{database.venv}/bin/python", keys=[KEYS[1], KEYS[0]], dsn=dsn))
    script.chmod(0o755)
    words = {"venv": str(tmp_path), "account": database.account, "env": {"AIRFLOW_HOME": "/home/x"}}
    done = database.agent.call("fernet_encrypt", command=["rotate-fernet-key"], **words)
    assert done["t"] == "answer", str(done)

    both, asked = f"{KEYS[1]},{KEYS[0]}", {"dsn": database.dsn, "keys": KEYS[1]}
    left = database.call("fernet_unread", **asked)["words"]
    assert (left["stored"], left["mended"]) == (12, 0)
    assert sorted(left["unread"])[:3] == ["connection pg (extra)", "connection pg (password)", "trigger 1"]
    assert [name for name in left["unread"] if "v4" in name] == []
    mended = database.call("fernet_unread", all_keys=both, **asked)["words"]
    assert (mended["unread"], mended["mended"]) == ([], len(left["unread"]))
    assert database.call("fernet_unread", **asked)["words"]["unread"] == []
    for row in database.sql("select key, val from variable where is_encrypted"):
        key, value = row.split("|")
        assert new.decrypt(value.encode()).decode() == f"value {key[1:]}"
    database.sql(f"update variable set val = {sealed('x', lost)} where key = 'v1'")
    assert database.call("fernet_unread", all_keys=both, **asked)["words"]["unread"] == ["variable v1"]

"""Redis lets its one user do what the services do, and nothing else; and one that runs gets that user at once."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from agent_services import REDIS, free_port, redis, running, saying
from redis_rig import access, admin, guarded

from airfleet import inventory, redis_access
from airfleet.agent import resp
from airfleet.layout import REDIS_DATA
from airfleet.redis_conf import render_redis_conf
from airfleet.secrets import Secret, Secrets

PASSWORD = "p@:/%w 한글"
pytestmark = pytest.mark.skipif(REDIS is None, reason="redis-server is not installed here")

SENT = (  # what kombu 5.6 and 5.7, Celery, limits and redis-py send, in an order in which each finds what it needs
    *("PING", "SELECT 1", "CLIENT SETNAME worker", "INFO server", "ECHO a", "TIME"),
    *("SADD _kombu.binding.q a", "SMEMBERS _kombu.binding.q", "SREM _kombu.binding.q b", "LPUSH q m", "RPUSH q m"),
    *("LLEN q", "LRANGE q 0 -1", "BRPOP q 1", "RPOP q", "HSET unacked t m", "HGET unacked t", "HLEN unacked"),
    *("ZADD unacked_index 1 t", "ZREVRANGEBYSCORE unacked_index 9 0 LIMIT 0 9 WITHSCORES"),
    *("ZRANGE unacked_index 9 0 BYSCORE REV LIMIT 0 9 WITHSCORES", "ZRANGEBYSCORE unacked_index -inf 9"),
    *("WATCH unacked", "UNWATCH", "MULTI", "HDEL unacked t", "ZREM unacked_index t", "EXEC", "MULTI", "DISCARD"),
    *("SET unacked_mutex x NX PX 1000", "PUBLISH /0.celery.pidbox m", "EXISTS q", "PEXPIRE q 1000", "DEL q"),
    *(
        "SETEX celery-task-meta-1 9 r",
        "GET celery-task-meta-1",
        "MGET celery-task-meta-1",
        "EXPIRE celery-task-meta-1 9",
    ),
    *("INCR chord", "EXPIRE chord 9", "ZCOUNT z 0 9", "ZCARD z", "INCRBY LIMITS 1", "TTL LIMITS", "PTTL LIMITS"),
    *("LINDEX l 0", "LTRIM l 0 9", "SCRIPT EXISTS " + "0" * 40),
)
SCRIPTS = (  # kombu 5.7 binds a queue so; limits counts so
    "redis.call('SADD','b','m') redis.call('TIME') redis.call('ZADD','d','GT',1,'e')"
    " return redis.call('EXISTS','b') + #redis.call('ZRANGEBYSCORE','d','-inf',0)",
    "redis.call('INCRBY','n',1) return redis.call('EXPIRE','n',9)",
)
FORBIDDEN = (
    *("CONFIG GET requirepass", "ACL LIST", "ACL SETUSER airflow +@all", "FLUSHALL", "FLUSHDB", "KEYS *", "SCAN 0"),
    *("SHUTDOWN NOSAVE", "MONITOR", "CLIENT KILL TYPE normal", "CLIENT LIST", "SAVE", "BGREWRITEAOF"),
    *("REPLICAOF 10.0.0.9 6379", "MODULE LIST", "SLOWLOG GET", "SCRIPT FLUSH", "SWAPDB 0 1", "MIGRATE h 1 k 0 9"),
)


@pytest.fixture(scope="module")
def guard(tmp_path_factory):
    with guarded(tmp_path_factory.mktemp("guarded"), PASSWORD) as port:
        yield port


@pytest.fixture
def services(guard):
    with resp.Redis("127.0.0.1", guard) as connection:
        connection.login(redis_access.USER, PASSWORD)
        yield connection


def test_the_services_may_send_what_they_send(services):
    """Each command, and each script, of the libraries that talk to Redis: none is refused."""
    for line in SENT:
        services.ask(*line.split())
    for script in SCRIPTS:
        digest = services.ask("SCRIPT", "LOAD", script)
        services.ask("EVALSHA", digest, "0")
        services.ask("EVAL", script, "0")


def test_broadcasts_reach_who_listens(services, guard):
    """Celery's commands to its workers are broadcasts: every channel is open."""
    with resp.Redis("127.0.0.1", guard) as listener:
        listener.login(redis_access.USER, PASSWORD)
        assert listener.ask("PSUBSCRIBE", "/0.celery*") == ["psubscribe", "/0.celery*", "1"]
        assert services.ask("PUBLISH", "/0.celery.pidbox", "x") == "1"


@pytest.mark.parametrize("line", FORBIDDEN)
def test_nothing_else_is_allowed(services, line):
    """What takes the queues away, reads the configuration or makes somebody else master needs root on the host."""
    with pytest.raises(resp.Wrong) as caught:
        services.ask(*line.split())
    assert caught.value.reason == "permission"


def test_nobody_comes_in_without_a_name(guard):
    """The user that Redis brings along is off: the password alone is not enough."""
    for words in (("PING",), ("AUTH", PASSWORD), ("AUTH", "default", PASSWORD)):
        with resp.Redis("127.0.0.1", guard) as connection, pytest.raises(resp.Wrong) as caught:
            connection.ask(*words)
        assert caught.value.reason == "password"


def test_root_of_its_host_may_do_everything(tmp_path):
    """With a password that is new at each start, in a file that only root can read."""
    seen = set()
    for _ in range(2):
        with guarded(tmp_path, PASSWORD) as port, resp.Redis("127.0.0.1", port) as connection:
            connection.login(redis_access.ADMIN, admin(tmp_path))
            assert "airflow" in connection.ask("ACL", "USERS")
            seen.add(admin(tmp_path))
    assert (len(seen), (tmp_path / "admin").stat().st_mode & 0o777) == (2, 0o600)
    assert (tmp_path / "access.conf").stat().st_mode & 0o777 == 0o640


def test_one_that_runs_gets_the_user_at_once(agent, tmp_path):
    """One of an older airfleet, which knows the password alone: the user is added, and who came without is let in."""
    with redis(tmp_path, "--requirepass", PASSWORD) as port:
        place = {"host": "127.0.0.1", "port": port, "password": PASSWORD}
        seen = agent.look("redis_user", redis_access.USER, **place)
        assert seen["state"] is None
        change = {
            "kind": "redis_user",
            "key": redis_access.USER,
            "seen": None,
            "want": {"login": "works"},
            "means": {**place, "rules": redis_access.rules(PASSWORD)},
        }
        agent("apply", changes=[change])
        assert agent.look("redis_user", redis_access.USER, **place)["state"] == {"login": "works"}
        for user in (redis_access.USER, ""):
            with resp.Redis("127.0.0.1", port) as connection:
                connection.login(user, PASSWORD)
                assert connection.ask("PUBLISH", "/0.celery.pidbox", "x") == "0"


def test_one_that_lets_nobody_in_is_no_change(agent, tmp_path):
    """Before its first start with our file, or with another password, there is nothing to add."""
    with redis(tmp_path) as port:
        for there in (port, 1):
            seen = agent.look("redis_user", redis_access.USER, host="127.0.0.1", port=there, password=PASSWORD)
            assert seen["state"] == {"login": "works"}


def test_an_answer_may_come_in_pieces():
    """A long text, and a list in it, that arrive in several parts are one answer."""
    whole = b"*2\r\n$5\r\n12345\r\n*1\r\n$9000\r\n" + b"x" * 9000 + b"\r\n"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            peer, _ = server.accept()
            with peer:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer.recv(4096)
                for at in range(0, len(whole), 1000):
                    peer.sendall(whole[at : at + 1000])

        threading.Thread(target=serve, daemon=True).start()
        with resp.Redis("127.0.0.1", server.getsockname()[1]) as connection:
            assert connection.ask("PING") == ["12345", ["x" * 9000]]


def test_lists_without_an_end_are_no_redis():
    """Whoever answers with lists in lists in lists is not what we asked for."""
    with saying(b"*1\r\n" * 50) as port, resp.Redis("127.0.0.1", port) as connection:
        with pytest.raises(resp.Wrong) as caught:
            connection.ask("PING")
        assert caught.value.reason == "stranger"


def test_the_whole_file_is_one_that_redis_starts_with(tmp_path):
    """As it is rendered; the folders and the port alone are the tests' own."""
    whole = inventory.load(Path(__file__).parents[2] / "inventory.yaml")
    text = render_redis_conf(whole, Secrets({"redis_password": Secret(PASSWORD)}))
    for old, new in (
        (redis_access.ACCESS, access(tmp_path)),
        ("supervised systemd", "supervised no"),
        (REDIS_DATA, tmp_path),
        ("/run/redis/", f"{tmp_path}/"),
        (f"port {whole.redis.port}", "port 0"),
    ):
        assert str(old) in text
        text = text.replace(str(old), str(new))
    (tmp_path / "redis.conf").write_text(text)
    port = free_port()
    argv = [REDIS, str(tmp_path / "redis.conf"), "--port", str(port)]
    with running(argv, port), resp.Redis("127.0.0.1", port) as connection:
        connection.login(redis_access.USER, PASSWORD)
        assert connection.ask("SET", "a", "1") == "OK"

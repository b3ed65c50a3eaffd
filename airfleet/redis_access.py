"""Who may do what in Redis: a user for the services, with the commands that they send, and one for root. Pure.

The commands were read out of kombu 5.6 and 5.7, Celery 5.6 and 5.7, limits 5.8 (the counter of logins) and redis-py 6,
7 and 8. kombu 5.7 binds queues by scripts (EVALSHA, TIME, ZRANGEBYSCORE): without them its workers do not start.
"""

from __future__ import annotations

import hashlib
from typing import Final

USER: Final = "airflow"
COMMANDS: Final = (
    # A connection: who it is, which database, whether it is alive.
    *("auth", "hello", "ping", "echo", "select", "quit", "client|setname", "client|getname", "client|id", "info"),
    # kombu: queues, their bindings, messages that nobody has acknowledged, locks, broadcasts.
    *("lpush", "rpush", "rpop", "brpop", "llen", "lrange", "lrem", "del", "unlink", "exists", "type"),
    *("sadd", "srem", "smembers", "sismember", "scard"),
    *("hset", "hget", "hdel", "hlen", "hexists", "hgetall"),
    *("zadd", "zrem", "zrange", "zrangebyscore", "zrevrangebyscore", "zcard", "zcount", "zscore"),
    *("multi", "exec", "discard", "watch", "unwatch"),
    *("publish", "subscribe", "psubscribe", "unsubscribe", "punsubscribe"),
    *("eval", "evalsha", "script|load", "script|exists", "time"),
    # Celery's results, the counter of logins.
    *("get", "set", "setex", "psetex", "mget", "incr", "incrby", "decr"),
    *("expire", "pexpire", "ttl", "pttl", "persist", "lpop", "lindex", "ltrim", "rename"),
)
RUN: Final = "/run/redis-server"
ACCESS: Final = f"{RUN}/access.conf"
ADMIN: Final = "airfleet"  # for root on the host of Redis, whose password is beside it in `admin`
AT_START: Final = (
    "/bin/sh -c 'umask 077; openssl rand -hex 24 > $$1/admin;"
    ' case "$$(redis-server --version)" in *v=6.0.*) ;; *) echo acl-pubsub-default allchannels;; esac'
    " > $$1/access.conf;"
    f' echo "user {ADMIN} on >$$(cat $$1/admin) ~* +@all" >> $$1/access.conf;'
    f" chgrp redis $$1/access.conf; chmod 0640 $$1/access.conf' access {RUN}"
)


def digests(*passwords: str) -> list[str]:
    """Return passwords as they stand in redis.conf and in ACL SETUSER: Redis itself keeps no more of them."""
    return [f"#{hashlib.sha256(password.encode()).hexdigest()}" for password in passwords]


def rules(*passwords: str) -> list[str]:
    """Return the rights of the services' user, who has these passwords, as words of `user` in redis.conf.

    ACL SETUSER knows the same. Which channels are open is not said here: Redis 6.0 has no word for it.
    """
    return ["on", *digests(*passwords), "~*", *(f"+{command}" for command in COMMANDS)]

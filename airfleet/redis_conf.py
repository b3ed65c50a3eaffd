"""redis.conf, the URL under which the others reach it, and whom a running Redis is to let in."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import quote

from airfleet.layout import REDIS_CONF, REDIS_DATA
from airfleet.secret_forms import DROPPED
from airfleet.templates import fill

if TYPE_CHECKING:
    from airfleet.inventory import Inventory
    from airfleet.model import Words
    from airfleet.secrets import Secrets

LOOPBACK = "127.0.0.1"
ANY = ("0.0.0.0", "::", "*")  # noqa: S104 - recognized, not bound to
FEWEST_DATABASES = 16


def redis_address(inventory: Inventory) -> str:
    """Return the address under which every host reaches Redis: where it listens, or its host's if that is anywhere."""
    if inventory.redis.bind not in ANY:
        return inventory.redis.bind
    return next(host.address for host in inventory.hosts.values() if "redis" in host.roles)


def redis_url(inventory: Inventory, password: str, database: int) -> str:
    """Return the URL of one of Redis' databases; before the colon the password would be a user's name."""
    address = redis_address(inventory)
    host = f"[{address}]" if ":" in address else address
    return f"redis://:{quote(password, safe='')}@{host}:{inventory.redis.port}/{database}"


def render_redis_conf(inventory: Inventory, secrets: Secrets) -> str:
    """Return redis.conf, for the Redis 7 of Debian 12 as well as for the Redis 8 of Debian 13."""
    redis = inventory.redis
    addresses = [redis.bind] if redis.bind in (LOOPBACK, *ANY) else [LOOPBACK, redis.bind]
    return fill(
        "redis.conf.j2",
        bind=" ".join(addresses),
        port=redis.port,
        access=access(secrets),
        maxmemory=redis.maxmemory,
        databases=max(FEWEST_DATABASES, 1 + max(redis.broker_db, redis.result_db, redis.rate_limit_db)),
        data=REDIS_DATA,
    )


def adopt_words(inventory: Inventory, secrets: Secrets, text: str) -> Words:
    """Return, in the agent's words, what a running Redis needs to let in whom this text of redis.conf lets in."""
    known = [*secrets.accepted("redis_password")]
    known += [secrets["redis_password" + DROPPED]] if "redis_password" + DROPPED in secrets else []
    return {
        "path": REDIS_CONF,
        "text": text,
        "host": redis_address(inventory),
        "port": inventory.redis.port,
        "passwords": [password.reveal() for password in known],
        "users": {"default": _hashes(secrets)},
    }


def access(secrets: Secrets) -> str:
    """Return the line that says who may come in; a user may have several passwords, `requirepass` knows only one."""
    if len(secrets.accepted("redis_password")) == 1:
        return f"requirepass {redis_word(secrets.redis_password.reveal())}"
    return f"user default on {' '.join(f'#{each}' for each in _hashes(secrets))} ~* &* +@all"


def _hashes(secrets: Secrets) -> list[str]:
    """Return the SHA-256 of each password that Redis takes: it keeps no more of them itself."""
    return [hashlib.sha256(each.reveal().encode()).hexdigest() for each in secrets.accepted("redis_password")]


def redis_word(value: str) -> str:
    r"""Return the value in redis.conf's double quotes; all but plain letters as `\xHH` of their UTF-8 bytes."""
    letters = "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\x{b:02x}" for b in value.encode())  # noqa: PLR2004 - the printable ASCII
    return f'"{letters}"'

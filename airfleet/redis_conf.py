"""redis.conf, the URL under which the others reach it, and whom a running Redis is to let in."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airfleet.layout import REDIS_CONF, REDIS_DATA
from airfleet.redis_access import ACCESS, USER, digests, rules
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
    """Return the URL of one of Redis' databases."""
    address = redis_address(inventory)
    host = f"[{address}]" if ":" in address else address
    return f"redis://{USER}:{quote(password, safe='')}@{host}:{inventory.redis.port}/{database}"


def render_redis_conf(inventory: Inventory, secrets: Secrets) -> str:
    """Return redis.conf, for the Redis 7 of Debian 12 as well as for the Redis 8 of Debian 13."""
    redis = inventory.redis
    addresses = [redis.bind] if redis.bind in (LOOPBACK, *ANY) else [LOOPBACK, redis.bind]
    return fill(
        "redis.conf.j2",
        bind=" ".join(addresses),
        port=redis.port,
        user=USER,
        rules=" ".join(rules(*accepted(secrets))),
        access=ACCESS,
        maxmemory=redis.maxmemory,
        databases=max(FEWEST_DATABASES, 1 + max(redis.broker_db, redis.result_db, redis.rate_limit_db)),
        data=REDIS_DATA,
    )


def accepted(secrets: Secrets) -> list[str]:
    """Return the passwords that Redis takes of the services: one, or two amid a rotation."""
    return [each.reveal() for each in secrets.accepted("redis_password")]


def adopt_words(inventory: Inventory, secrets: Secrets, text: str) -> Words:
    """Return, in the agent's words, what a running Redis needs to let in whom this text of redis.conf lets in."""
    place: Words = {"host": redis_address(inventory), "port": inventory.redis.port}
    return {**place, "path": REDIS_CONF, "text": text, "user": USER, "digests": digests(*accepted(secrets))}

"""Before another redis.conf is written: the Redis that runs is told of its passwords, if nothing else is new in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airfleet.layout import REDIS_CONF
from airfleet.redis_conf import adopt_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airfleet.model import Change
    from airfleet.session import Fleet


def adopt(fleet: Fleet, changes: Mapping[str, Sequence[Change]], say: Callable[[str], None]) -> None:
    """Tell it, on each host whose redis.conf is about to change: then nothing finds it stale, or restarts it."""
    for name, made in changes.items():
        for change in made:
            if change.resource.key == REDIS_CONF and change.seen.state:
                words = adopt_words(fleet.inventory, fleet.secrets, str(change.resource.means["text"]))
                if fleet.hosts[name].call("redis_adopt", words).get("live"):
                    say(f"{name}: Redis lets in whom it is to let in, without a restart")

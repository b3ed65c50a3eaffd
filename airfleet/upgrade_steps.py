"""Steps that an upgrade and the way back from one have in common; the lock is held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airfleet import services
from airfleet.generations import is_akin
from airfleet.maintenance import Maintenance
from airfleet.pauses import ENDING
from airfleet.redis_access import USER
from airfleet.redis_conf import redis_address
from airfleet.release_gate import served_queues
from airfleet.workers import Wish

if TYPE_CHECKING:
    from airfleet.bootstrap_run import Screen
    from airfleet.model import Words
    from airfleet.session import Fleet


def stop_all(fleet: Fleet, screen: Screen) -> None:
    """Stop every service of Airflow that this inventory has, in order, on all hosts; Redis and proxies run on."""
    steering = services.Steering(fleet, screen, Wish(allow_gap=True), "stop")
    for step in services.steps_of(fleet.inventory, tuple(fleet.hosts), "stop", services.ALL):
        if step.service not in (services.REDIS, services.PROXY):
            steering.steer(step)


def forget_messages(old: Fleet, new: Fleet, screen: Screen) -> None:
    """Delete the messages that still wait, where the new generation's workers would not understand the old one's.

    Airflow knows the tasks in its database: the scheduler sends them anew.
    """
    inventory = old.inventory
    if is_akin(inventory.airflow.version, new.inventory.airflow.version):
        return
    words: Words = {
        "host": redis_address(inventory),
        "port": inventory.redis.port,
        "user": USER,
        "password": old.secrets.redis_password.reveal(),
        "db": inventory.redis.broker_db,
        "queues": sorted(served_queues(inventory)),
    }
    found: Any = old.everyone[inventory.with_role("redis")[0]].call("forget_messages", words)
    if waiting := {queue: count for queue, count in found.items() if count}:
        said = ", ".join(f"{count} of {queue}" for queue, count in waiting.items())
        screen.say(f"  messages that waited: {said}; the new scheduler sends these tasks anew", "yellow")


def end_maintenance(fleet: Fleet, screen: Screen) -> None:
    """Unpause what maintenance has paused, and give the workers back, if it is on."""
    run = Maintenance(fleet, screen)
    if run.look() is None:
        return
    with run.goes_on():
        run.note(ENDING)
        run.restore()

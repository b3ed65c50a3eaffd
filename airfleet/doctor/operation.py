"""What an operator's command under way brings about by itself: held back while it lasts, and no causes. Data, and pure.

A command has things in hand: services, or what they read. A finding that such a command brings about on its way is held
back if all that it is about is in hand, and if it is not older than the command. Everything else stays a cause.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airfleet.doctor.finding import span
from airfleet.generations import GENERATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airfleet.doctor.finding import Finding

# Workers are drained one after the other, each for an hour at most unless told otherwise. What lasts longer is stuck.
LIMIT_S = 4 * 3600
SLACK_S = 60  # a heart that beat for the last time before it was stopped
QUEUE_S = 15 * 60

CODE, ENVIRONMENT, SCHEMA, SETTINGS = "DAG code", "environment", "schema", "settings"
AIRFLOWS = frozenset(service.name for generation in GENERATIONS for service in generation.services)
SERVICES = AIRFLOWS | {"redis", "proxy"}
WORKERS = frozenset({"worker"})
DEPLOYED = AIRFLOWS | {CODE, ENVIRONMENT, SCHEMA}

# What the command has in hand that holds the lock, by its first word; `restart redis` and the like: see `in_hand`.
IN_HAND: Mapping[str, frozenset[str]] = {
    "bootstrap": SERVICES | {CODE, ENVIRONMENT, SCHEMA, SETTINGS},
    "deploy": DEPLOYED,
    "rollback": DEPLOYED,
    "restart-workers": WORKERS,
    "scale-workers": WORKERS,
    "drain-workers": WORKERS,
    "resume-workers": WORKERS,
    "retire": SERVICES | {CODE, ENVIRONMENT},
    "maintenance.on": WORKERS,
    "maintenance.off": WORKERS,
    "backup.clear": frozenset(),
    "backup.create": frozenset(),
    "backup.verify": frozenset(),
    "backup.restore": SERVICES,
    "upgrade": SERVICES | {CODE, ENVIRONMENT, SCHEMA, SETTINGS},
    "undo-upgrade": SERVICES | {CODE, ENVIRONMENT, SCHEMA, SETTINGS},
    "secrets.rotate": SERVICES | {SETTINGS},
    "users.create": frozenset(),
    "users.reset-password": frozenset(),
    "users.delete": frozenset(),
}
STEERED = ("start", "stop", "restart")
ALL = "all"


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Why a finding comes about on the way; `about` what it is about, where the finding itself does not say.

    With `young_s` it is held back only while it is younger than that.
    """

    why: str
    about: str = ""
    young_s: float | None = None


HELD_BACK: Mapping[str, HeldBack] = {
    "redis-down": HeldBack("Redis is stopped, or loads its data, while it is restarted", "redis"),
    "redis-auth": HeldBack("a new password stands in airflow.cfg before Redis has read it", SETTINGS),
    "db-password-rotated": HeldBack("the database has a new password some seconds before airflow.cfg", SETTINGS),
    "fernet-mismatch": HeldBack("hosts get a new key one after the other", SETTINGS),
    "jwt-mismatch": HeldBack("hosts get a new secret one after the other", SETTINGS),
    "log-403": HeldBack("hosts get a new key one after the other", SETTINGS),
    "dag-checkout-drift": HeldBack("hosts are switched one after the other", CODE),
    "version-skew": HeldBack("hosts get their environment one after the other", ENVIRONMENT),
    "migration-pending": HeldBack("the new environment is there before the database is migrated", SCHEMA),
    "unit-drift": HeldBack("what runs is stale until it has been restarted"),
    "service-stopped": HeldBack("services are stopped and started again"),
    "worker-dead-after-broker-restart": HeldBack("workers are stopped for a moment, also soon after Redis", "worker"),
    "scheduler-hung": HeldBack("the scheduler is restarted", "scheduler"),
    "triggerer-down": HeldBack("the triggerer is restarted", "triggerer"),
    "web-silent": HeldBack("the web pages are restarted", "webserver"),
    "api-server-down-kills-tasks": HeldBack("the API server is restarted, within what tasks outlive", "api-server"),
    "dag-processor-down": HeldBack("the DAG processor is restarted", "dag-processor"),
    "log-unreachable": HeldBack("the log server is restarted", "logs"),
    "worker-wedged": HeldBack("a worker that is about to stop does not answer", "worker"),
    "worker-drained": HeldBack("workers are drained before they are restarted", "worker"),
    "queue-without-consumer": HeldBack("its workers are drained or restarted", "worker", QUEUE_S),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """A command that has the lock: what, whose, since when, and for how long by the clock of the lock's host."""

    doing: str
    who: str
    since: str
    age_s: float

    @property
    def stuck(self) -> bool:
        """Tell whether it takes so long that it excuses nothing any more."""
        return self.age_s > LIMIT_S

    @property
    def in_hand(self) -> frozenset[str]:
        """What it changes on its way; nothing for a command that is not known here."""
        verb, _, name = self.doing.partition(" ")
        if verb in STEERED:
            return SERVICES if name == ALL else _meant(name)
        return IN_HAND.get(verb, frozenset())

    def why(self, finding: Finding) -> str:
        """Return why it brings this finding about, or "" where the finding is not its doing."""
        held = HELD_BACK.get(finding.id)
        about = finding.about or frozenset({held.about} if held else ())
        if held is None or self.stuck or not about <= self.in_hand:
            return ""
        limit = self.age_s + SLACK_S if held.young_s is None else held.young_s
        return held.why if (finding.since_s or 0.0) <= limit else ""

    def __str__(self) -> str:
        if self.stuck:
            return f"`{self.doing}` by {self.who} (since {self.since}) has the lock for {span(self.age_s)}: it is stuck"
        return f"`{self.doing}` by {self.who} (since {self.since}) is under way"


def _meant(name: str) -> frozenset[str]:
    """Return a service by every name that it has in some generation of Airflow."""
    services = [service for generation in GENERATIONS for service in generation.services]
    return frozenset({name, *(service.name for service in services if service.is_called(name))})


def make_operation(seen: Mapping[str, Any] | None) -> Operation | None:
    """Return the operation that holds the lock, from what its host told; None where there is none."""
    if seen is None:
        return None
    who, doing, since = (str(seen.get(name) or "?") for name in ("who", "doing", "since"))
    return Operation(doing, who, since, float(seen.get("age_s") or 0.0))

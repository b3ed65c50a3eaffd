"""How each secret gets another value: phases as data, what they leave in the secrets file, what users notice. Pure.

How far a rotation came is in the secrets file alone, beside the secret NAME:

    NAME_next      the new value is made; whoever reads the secrets may accept it beside the old one
    NAME_previous  NAME is the new value and in use; the old one is still accepted where that is possible
    NAME_dropped   the old one is no longer accepted; what is left is to see that this is so everywhere

What hosts should be follows from that as from every other secret. So a run that was killed is continued by the next
one, and `fab bootstrap` meanwhile brings hosts to where the rotation is, not back.
"""

from __future__ import annotations

import secrets as randomness
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airfleet.secret_forms import DROPPED, GENERATED, MARKS, NEXT, PREVIOUS, whose
from airfleet.secrets import Secret, generate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airfleet.secrets import Secrets

ADMIN = "admin_password"
ORDER = ("", NEXT, PREVIOUS, DROPPED)
BACKUPS = "backups made under the old key can be restored only with it: keep a copy of the secrets file with them"


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase: `state` is the mark that the secrets file has when it begins, and keeps until it is over."""

    name: str
    state: str
    says: str


@dataclass(frozen=True, slots=True)
class Rotation:
    """How one secret is rotated; `settings` are those of airflow.cfg that hold it, `notice` is what users notice."""

    phases: tuple[Phase, ...]
    notice: str
    settings: tuple[str, ...] = ()


def _converge(state: str, says: str) -> Phase:
    return Phase("converge", state, says)


EACH = "workers drained, host after host"
VERIFY = Phase("verify", PREVIOUS, "verify: new connections from every host, and what each process really uses")
ROTATIONS: Mapping[str, Rotation] = {
    "redis_password": Rotation(
        (
            _converge(NEXT, "Redis takes the old password and the new one; nothing restarts"),
            _converge(PREVIOUS, f"every service gets the new one and is restarted: {EACH}"),
            VERIFY,
            _converge(DROPPED, "Redis takes the new one alone; nothing restarts"),
            Phase("refused", DROPPED, "verify: Redis refuses the old one"),
        ),
        "the web pages restart",
        ("broker_url", "result_backend"),
    ),
    "fernet_key": Rotation(
        (
            _converge(NEXT, f"every service can read what either key stored, and stores under the old: {EACH}"),
            _converge(PREVIOUS, f"every service stores under the new key, which is the first: {EACH}"),
            VERIFY,
            Phase("encrypt", PREVIOUS, "airflow rotate-fernet-key, then verify: nothing is left under the old key"),
            _converge(DROPPED, f"every service has the new key alone: {EACH}"),
        ),
        f"the web pages restart three times; {BACKUPS}",
        ("fernet_key",),
    ),
    "database_password": Rotation(
        (
            Phase("drain", NEXT, "the workers of all hosts finish their tasks, then what schedules is stopped"),
            Phase("alter", NEXT, "Airflow's role gets the new password, by a verifier: the server never sees it"),
            _converge(PREVIOUS, "every service gets it and is restarted at once"),
            VERIFY,
        ),
        "no task runs from the drain to the end; the web pages may show errors for a minute, until they are restarted",
        ("database_url",),
    ),
    "jwt_secret": Rotation(
        (
            Phase("empty", NEXT, "what schedules is stopped, the workers of all hosts finish what is queued"),
            _converge(PREVIOUS, "every service gets the new secret and is restarted at once"),
            VERIFY,
        ),
        "no task runs from the drain to the end; who is logged in has to log in again",
        ("jwt_secret",),
    ),
    "webserver_secret_key": Rotation(
        (_converge(PREVIOUS, f"every service gets the new key and is restarted: {EACH}"), VERIFY),
        "who is logged in has to log in again; for minutes a page may not show logs of tasks that run elsewhere",
        ("secret_key",),
    ),
    "flower_password": Rotation(
        (
            _converge(PREVIOUS, f"Flower gets it; it is in airflow.cfg, so every service restarts: {EACH}"),
            VERIFY,
        ),
        "Flower asks for the new password; it is in the secrets file",
    ),
}


def state_of(known: Secrets, name: str) -> str:
    """Return how far the rotation of a secret came: its mark, or "" where there is none."""
    return next((mark for mark in reversed(ORDER[1:]) if name + mark in known), "")


def half_done(known: Secrets) -> tuple[str, ...]:
    """Return the secrets whose rotation was begun and not ended."""
    return tuple(dict.fromkeys(whose(mark) for mark in MARKS if mark in known))


def remaining(known: Secrets, name: str) -> tuple[Phase, ...]:
    """Return the phases that are still to come: the one that was cut short, and what needs no repetition after it."""
    reached = ORDER.index(state_of(known, name))
    return tuple(phase for phase in ROTATIONS[name].phases if ORDER.index(phase.state) >= reached)


def advanced(known: Secrets, name: str, state: str, new: Secret | None = None) -> Secrets:
    """Return the secrets as they are once a rotation has come to this state; `new` is the value that it begins with."""
    now = state_of(known, name)
    values = dict(known.values)
    while now != state:
        if now == "":
            if new is None:
                raise ValueError("a rotation begins with a value")
            values[name + NEXT], now = new, NEXT
        elif now == NEXT:
            values[name + PREVIOUS], values[name], now = values[name], values.pop(name + NEXT), PREVIOUS
        elif now == PREVIOUS and state == DROPPED:
            values[name + DROPPED], now = values.pop(name + PREVIOUS), DROPPED
        else:
            values.pop(name + now)
            now = ""
    return replace(known, values=values)


def new_value(name: str) -> Secret:
    """Return a new random value for a secret, the database's password included."""
    return generate(name) if name in GENERATED else Secret(randomness.token_urlsafe(32))


def unverified(answer: Mapping[str, Any], expected: Mapping[str, str], settings: tuple[str, ...]) -> list[str]:
    """Return what speaks against a host having taken the new value, from what it told of itself (see `vitals`).

    `expected` are the salted digests of the settings as they should be there.
    """
    stores, effective = answer.get("stores"), answer.get("effective")
    if stores is None or effective is None:
        missing = "stores" if stores is None else "effective"
        return [f"could not look: {(answer.get('unknown') or {}).get(missing, 'no answer')}"]
    found = [
        f"a new connection with what {where} says: {told['says']}"
        for store in ("redis", "database")
        for where, told in (stores.get(store) or {}).items()
        if not told["ok"]
    ]
    for where, digests in effective["digests"].items():
        found += [
            f"{where} has another {name}" for name in settings if digests.get(name, expected[name]) != expected[name]
        ]
    return found

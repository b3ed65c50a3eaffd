"""The flow of `fab airflow`: one command of Airflow's on one host, what it prints as it comes, and its exit status."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from airfleet import airflow_words, session
from airfleet.errors import HostUnreachable, RolloutStopped, UsageError
from airfleet.layout import layout_of
from airfleet.metadata import database_host
from airfleet.places import nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from airfleet.model import Words
    from airfleet.remote import Host
    from airfleet.session import Fleet


def run_airflow(env: str, text: str, host: str, write: Callable[[str, bool], None]) -> int:
    """Run it and return its exit status; `write` gets what it prints, without our secrets, and whether on stderr."""
    words = airflow_words.split(text)
    with session.opened(env, doing=f"airflow {words[0]}") as fleet:
        name = _host(fleet, host)
        airflow_words.refuse_passwords(words, fleet.secrets.mask)
        fleet.everyone[name].open()
        return ask_airflow(fleet, fleet.everyone[name], words, write)


def ask_airflow(fleet: Fleet, host: Host, words: list[str], write: Callable[[str, bool], None]) -> int:
    """Run it on a host of the session; else as `run_airflow`."""
    layout, mask = layout_of(fleet.inventory), fleet.secrets.mask

    def take(part: Words) -> None:
        for kind, said in part.items():
            write(mask(str(said)), kind == "err")

    asked: Words = {
        "words": list(words),
        "venv": layout.venv,
        "environment": layout.environment,
        "account": fleet.inventory.airflow.account,
    }
    try:
        answer: Any = host.stream("airflow", asked, take)
    except KeyboardInterrupt:
        raise RolloutStopped("interrupted", place=host.name, state=_ended(words)) from None
    except HostUnreachable as e:
        e.state = _ended(words)
        raise
    return int(answer["rc"])


def _host(fleet: Fleet, host: str) -> str:
    hosts = fleet.inventory.hosts
    if host and host not in hosts:
        raise UsageError(
            f"there is no host {host!r}{nearest(host, hosts)}",
            place="--host",
            remedy=f"one of: {', '.join(hosts)}",
            state="nothing was contacted",
        )
    return host or database_host(fleet.inventory)


def _ended(words: list[str]) -> str:
    return f"`airflow {shlex.join(words)}` is ended there, at once or within 10 s; what it has done by then is done"

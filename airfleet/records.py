"""Keeps the history of an installation on all of its hosts, and reads it from them, merged."""

from __future__ import annotations

import time
import uuid
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airfleet import audit, history, notify
from airfleet.answers import printable
from airfleet.errors import ApplyFailed, FleetError, GateRefused
from airfleet.failures import together
from airfleet.remote import local_user
from airfleet.rollout import on_each

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airfleet.model import Words
    from airfleet.remote import Host
    from airfleet.session import Fleet
    from airfleet.worklist import Worklist

ALL = 1_000_000
INTERRUPTED = "interrupted"


def entry(doing: str, **more: object) -> Words:
    """Return the beginning of an entry: who does what, since when."""
    began = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {"id": uuid.uuid4().hex, "doing": doing, "who": local_user(), "began": began, **more}


def _print(text: str, _style: str) -> None:
    print(printable(text), flush=True)


@contextmanager
def recorded(fleet: Fleet, words: Words, say: Callable[[str, str], None] = _print) -> Iterator[None]:
    """Record on all hosts what became of the block, whatever that is; an entry without a `result` gets one.

    Once the lock has been given back those are told whom the inventory's `notify` names; `say` gets a line for each who
    could not be.
    """
    began = time.monotonic()
    try:
        yield
    except FleetError as e:
        words.setdefault("result", "refused" if isinstance(e, GateRefused) else "stopped")
        words["problem"] = f"{e.place}: {e.problem}" if e.place else e.problem
        raise
    except BaseException as e:
        words.setdefault("result", "stopped")
        words["problem"] = INTERRUPTED if isinstance(e, KeyboardInterrupt) else type(e).__name__
        raise
    else:
        words.setdefault("result", history.DONE)
    finally:
        words["seconds"] = round(time.monotonic() - began, 1)
        try:
            # What went wrong is what the operator must read, not that a host which is gone could not note it down.
            with suppress(*([] if words["result"] == history.DONE else [FleetError])):
                _write(fleet, words, say)
        finally:
            fleet.afterwards.append(lambda: notify.tell(fleet, words, say))


@contextmanager
def worked_off(fleet: Fleet, worklist: Worklist, words: Words, say: Callable[[str, str], None]) -> Iterator[None]:
    """Hold the lock while a list is worked off, and record what became of each host's part of it."""
    with fleet.locked(), recorded(fleet, words, say):
        try:
            yield
        finally:
            words["hosts"] = worklist.became()


def _write(fleet: Fleet, words: Words, say: Callable[[str, str], None]) -> None:
    lost = []

    def work(host: Host) -> None:
        try:
            host.call("record", {"entry": dict(words)})
        except FleetError as e:
            lost.append(e)
            return
        _copy(fleet, host, say)

    on_each(fleet.everyone, work, parallel=fleet.inventory.ssh.parallel)
    if len(lost) == len(fleet.everyone):
        raise ApplyFailed(
            f"what was done could not be noted down: {lost[0].problem}",
            place=lost[0].place,
            remedy="look at /var/log/airfleet there",
            state="all else is done",
        )


def _copy(fleet: Fleet, host: Host, say: Callable[[str, str], None]) -> None:
    """Have a host copy its history to the bucket, where there is one; whoever can't does it with the next entry."""
    if bucket := audit.words_of(fleet.inventory, host.name):
        try:
            host.call("audit_copy", bucket)
        except FleetError as e:
            why = f"{e.problem} (it will be with the next entry)"
            say(f"  {host.name}: its history was not copied to the bucket: {why}", "yellow")


def audited(fleet: Fleet) -> dict[str, Words]:
    """Return how each host's history compares with its copy: `audit_compare` or {"problem"}; {} without a bucket."""

    def work(host: Host) -> Words:
        try:
            return host.call("audit_compare", audit.words_of(fleet.inventory, host.name) or {})
        except FleetError as e:
            return {"problem": e.problem}

    if not audit.words_of(fleet.inventory, ""):
        return {}
    return on_each(fleet.everyone, work, parallel=fleet.inventory.ssh.parallel)


def verify(fleet: Fleet) -> dict[str, Words]:
    """Return what each host finds of its own history (see the agent's `verify_history`); every one has to answer."""

    def work(host: Host) -> Words:
        return host.call("verify_history", {})

    return on_each(fleet.everyone, work, parallel=fleet.inventory.ssh.parallel)


def read(fleet: Fleet, limit: int = ALL) -> list[Words]:
    """Return what was done to the installation, oldest first: the newest `limit` entries.

    Each host has them, so one that can't be asked is done without; when that is every one, its error is raised.
    """
    lost = dict[str, FleetError]()

    def work(host: Host) -> list[Words]:
        try:
            answer: Any = host.call("history", {"limit": limit})
        except FleetError as e:
            lost[host.name] = e
            return []
        return list(answer["entries"])

    found = on_each(fleet.everyone, work, parallel=fleet.inventory.ssh.parallel)
    if len(lost) == len(fleet.everyone):
        raise together(lost)
    return history.merged(found.values())[-limit:]

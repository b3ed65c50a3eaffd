"""What others are told of a run: the JSON of an event, and which entries of `notify` want it. Pure.

docs/notifications.md describes the event. Its form is stable: keys may be added, none goes or gets another meaning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airfleet.model import Words
    from airfleet.sections_notify import Notify

SCHEMA = 1
ALL, GATE, FAILURE = "all", "gate", "failure"
RESULTS = {"refused": GATE, "stopped": FAILURE, "put back": FAILURE}
# Commands that `on` names together.
GROUPS = {
    **dict.fromkeys(("restart-workers", "scale-workers", "drain-workers", "resume-workers"), "workers"),
    **dict.fromkeys(("start", "stop", "restart"), "services"),
}
LONGEST = 4000


def event_of(environment: str, entry: Words, mask: Callable[[str], str]) -> Words:
    """Return the event of a run from its entry in the history; every text of it is masked."""

    def text(name: str) -> str | None:
        return mask(str(entry[name])) if entry.get(name) else None

    hosts = entry.get("hosts")
    event: Words = {
        "schema": SCHEMA,
        "event": entry["doing"],
        "environment": environment,
        "who": text("who"),
        "began": entry["began"],
        "seconds": entry["seconds"],
        "result": entry["result"],
        "problem": (text("problem") or "")[:LONGEST] or None,
        "ref": text("ref"),
        "commit": text("commit"),
        "subject": text("subject"),
        "before": text("before"),
        "reason": text("reason"),
        "user": text("user"),
        "service": text("service"),
        "backup": text("backup"),
        "hosts": {name: mask(str(became)) for name, became in hosts.items()} if isinstance(hosts, dict) else {},
    }
    return event | {"text": line_of(event)}


def line_of(event: Mapping[str, object]) -> str:
    """Return an event as one line for a human."""
    commit = str(event["commit"] or "")[:12]
    ref = str(event["ref"] or "")
    what = " ".join(
        word
        for word in (
            str(event["event"]),
            str(event["service"] or event["user"] or event["backup"] or ""),
            "" if ref.startswith(commit or " ") else ref,
            commit,
        )
        if word
    )
    said = [str(event[name]).splitlines()[0] for name in ("subject", "reason", "problem") if event[name]]
    line = f"{event['environment']}: {what} by {event['who']}: {event['result']} in {event['seconds']} s"
    return "; ".join([line, *said])


def wants(entry: Notify, event: Mapping[str, object]) -> bool:
    """Tell whether an entry of `notify` is for this event: by its command, or by what became of it."""
    command = str(event["event"])
    names = {ALL, GROUPS.get(command, command.partition(".")[0]), RESULTS.get(str(event["result"]), "")}
    return bool(names & set(entry.on))


def shown(url: str) -> str:
    """Return an address as it may be printed: what is behind the host may be a token."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "a webhook"
    return f"{parts.scheme}://{parts.hostname}{port}/…"

"""The scheduled backup: whether it was made when it should have been."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airfleet.doctor.finding import Check, CouldNotLook, Fact, Finding, Layer, span
from airfleet.schedule import SERVICE, TIMER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from airfleet.checkup import Checkup

SLACK_S = 120  # between the timer and what the program writes down first


def missed(c: Checkup) -> Iterator[Finding]:
    """The last scheduled backup failed or came to no end, or nothing will make the next one."""
    if not c.inventory.backup.schedule:
        return
    for name, host in c.hosts.items():
        if "backup" in (host.get("unknown") or {}):
            raise CouldNotLook(f"the scheduled backup of {name}")
        seen = host.get("backup")
        says = _wrong(seen) if seen else ""
        if not seen or not says:
            continue
        last = seen["last"]
        made = f"{last['name'] or 'failed'}, {span(last['ago_s'])} ago" if last else "there is none yet"
        facts = [Fact("what its last run wrote down", made)]
        if last and last["problem"]:
            facts.append(Fact(f"journal of {SERVICE}", str(last["problem"]).splitlines()[0][:160]))
        facts.append(Fact(f"systemctl status {TIMER}", f"{seen['timer'] or 'not there'}, due {_due(seen)}"))
        yield Finding(
            "backup-missed",
            Layer.WORK,
            name,
            says,
            tuple(facts),
            "none for Airflow; whoever needs a backup now has an older one, or none",
            "fab runbook backup-missed",
            host=name,
        )


def _wrong(seen: Mapping[str, Any]) -> str:
    """Return what is wrong with the scheduled backup, or "" where nothing is."""
    last, triggered = seen["last"], seen["triggered_s"]
    if seen["timer"] != "active":
        return "the timer of the scheduled backup does not run"
    if seen["service"] in ("activating", "active"):
        return ""  # it is being made just now: the one before is no news
    if triggered is not None and triggered > SLACK_S and (not last or last["ago_s"] > triggered + SLACK_S):
        return f"the scheduled backup was begun {span(triggered)} ago and came to no end ({seen['result']})"
    if last and not last["ok"]:
        return "the scheduled backup failed"
    return "" if seen["next_s"] is not None else "the time of the scheduled backup never comes again"


def _due(seen: Mapping[str, Any]) -> str:
    return f"in {span(seen['next_s'])}" if seen["next_s"] is not None else "never"


CHECKS = (Check("scheduled backup", missed, quick=True),)

"""What is only read from the hosts: their releases and their history."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airfleet import audit, history, records, session
from airfleet.errors import NotHealthy, UsageError
from airfleet.layout import layout_of
from airfleet.rollout import on_each


def releases(env: str) -> list[dict[str, Any]]:
    """Return each release that is on any host, the newest first: commit, subject, made_at, hosts, current on which."""
    with session.opened(env, doing="releases", connect=True) as fleet:
        words: dict[str, object] = {"releases": layout_of(fleet.inventory).releases}
        seen: dict[str, Any] = on_each(
            fleet.hosts, lambda host: host.call("releases", dict(words)), parallel=fleet.inventory.ssh.parallel
        )
    found: dict[str, dict[str, Any]] = {}
    for name, answer in seen.items():
        for each in answer["releases"]:
            made_at = datetime.fromtimestamp(each["made_at"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            new = {"commit": each["commit"], "subject": each["subject"], "made_at": made_at, "hosts": [], "current": []}
            one = found.setdefault(each["commit"], new)
            one["made_at"] = min(one["made_at"], made_at)
            one["hosts"].append(name)
            if each["current"]:
                one["current"].append(name)
    return sorted(found.values(), key=lambda each: str(each["made_at"]), reverse=True)


def entries(env: str, limit: int) -> list[dict[str, Any]]:
    """Return the newest entries of the history, oldest first."""
    if limit < 1:
        raise UsageError("--limit is a number from 1 on", state="nothing was contacted")
    with session.opened(env, doing="history", connect=True) as fleet:
        return records.read(fleet, limit)


def verified(env: str) -> dict[str, Any]:
    """Return {"hosts": {name: {"lines", "chained", "faults"}}, "contradictions": […], "missed": {name: count}}.

    Where the hosts copy their history to a bucket, each has "bucket": its place, and what `audit_compare` answers.
    """
    with session.opened(env, doing="history", connect=True) as fleet:
        seen = records.verify(fleet)
        copied = records.audited(fleet)
    hosts = {name: {key: answer[key] for key in ("lines", "chained", "faults")} for name, answer in seen.items()}
    for name, answer in copied.items():
        hosts[name]["bucket"] = {"place": audit.place_of(fleet.inventory, name), **answer}
    return {"hosts": hosts, "contradictions": history.contradictions(seen), "missed": history.missed(seen)}


def refuse_broken(found: dict[str, Any]) -> None:
    """Raise NotHealthy where somebody has changed, removed or reordered what was written down."""
    wrong = [
        f"{name}: line {each['line']} {each['what']}"
        for name, host in found["hosts"].items()
        for each in [*host["faults"], *host.get("bucket", {}).get("lost", ())]
    ]
    wrong += [f"{name}: and {more} more lines" for name, host in found["hosts"].items() if (more := _more(host))]
    if wrong := wrong + found["contradictions"]:
        raise NotHealthy(
            "the history was tampered with, or a disk lost something:\n    " + "\n    ".join(wrong),
            place="/var/log/airfleet/history.jsonl",
            remedy="compare the file with that of another host, or with the copy in the bucket, and keep all of them;"
            " where a machine was replaced, move its folder in the bucket aside",
        )
    unread = {
        name: host["bucket"]["problem"] for name, host in found["hosts"].items() if "problem" in host.get("bucket", {})
    }
    if unread:
        raise NotHealthy(
            "the hosts' own lines are whole; their copies could not be looked at:\n    "
            + "\n    ".join(f"{name}: {problem}" for name, problem in unread.items()),
            place="the bucket",
            remedy="fab verify-logs tries it",
        )


def _more(host: dict[str, Any]) -> int:
    return int(host.get("bucket", {}).get("more", 0))

"""Brings hosts to what they should be, stage by stage: look, apply, look again, gate; and says where it stopped."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from airfleet.errors import ApplyFailed, FleetError, RolloutStopped
from airfleet.failures import Failures
from airfleet.plan import describe, differing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from airfleet.model import Change, Facts, Key, Outcome, Resource, Stage, Words
    from airfleet.remote import Host

    Hook = Callable[[Mapping[str, Sequence[Change]]], None]

T = TypeVar("T")
Desire = "Callable[[], Mapping[str, Sequence[Stage]]]"


class Report(Protocol):
    """Where a rollout tells what it is doing: the screen, or a list in the tests."""

    def stage(self, name: str, changes: Mapping[str, Sequence[Change]]) -> None:
        """A stage begins, with these changes on each host."""

    def step(self, host: str, key: Key, text: str) -> None:
        """A change begins (no text) or goes on."""

    def done(self, host: str, outcome: Outcome) -> None:
        """A host has come to the end of its changes in this stage."""


@dataclass
class Account:
    """What was done, what is in doubt and what is untouched, on all hosts."""

    done: list[tuple[str, Key]] = field(default_factory=list)
    in_doubt: list[tuple[str, Key]] = field(default_factory=list)
    untouched: list[tuple[str, Key]] = field(default_factory=list)
    told: list[tuple[str, Key, Words]] = field(default_factory=list)

    def add(self, host: str, outcome: Outcome) -> None:
        """Take a host's outcome in."""
        self.done += [(host, key) for key in outcome.done]
        self.in_doubt += [(host, key) for key in outcome.in_doubt]
        self.untouched += [(host, key) for key in outcome.untouched]
        self.told += [(host, key, words) for key, words in outcome.told.items() if words]

    def state(self, later: Sequence[str] = ()) -> str:
        """Return the state of the world in one sentence."""
        untouched = [_spoken(self.untouched)] if self.untouched else []
        untouched += [f"the stages {', '.join(later)}"] if later else []
        parts = [
            f"done: {_spoken(self.done) or 'nothing'}",
            f"in doubt: {_spoken(self.in_doubt)}" if self.in_doubt else "",
            f"untouched: {'; '.join(untouched)}" if untouched else "",
        ]
        return "; ".join(part for part in parts if part) + " — the next run goes on from here"


@dataclass(frozen=True)
class Hooks:
    """What a flow does around a stage: `before` it is applied (may refuse), `after` it is in order (a gate)."""

    before: Mapping[str, Callable[[Mapping[str, Sequence[Change]]], None]] = field(default_factory=dict)
    after: Mapping[str, Callable[[Sequence[str]], None]] = field(default_factory=dict)


def then(*hooks: Hook) -> Hook:
    """Return what does one after the other."""

    def before(changes: Mapping[str, Sequence[Change]]) -> None:
        for hook in hooks:
            hook(changes)

    return before


def on_each(
    hosts: Mapping[str, Host],
    work: Callable[[Host], T],
    *,
    parallel: int,
    alone: bool = False,
    failures: Failures | None = None,
) -> dict[str, T]:
    """Do the same on all hosts at the same time, at most `parallel` of them; raise if it failed on any.

    With `alone` even a single host gets a thread of its own, so that Ctrl-C reaches this one and `work` can end well.
    With `failures` a host on which it failed may be left out instead.
    """
    hosts = dict(hosts)
    results: dict[str, T] = {}
    errors: dict[str, FleetError] = {}
    if len(hosts) == 1 and not alone and failures is None:
        return {name: work(host) for name, host in hosts.items()}
    with ThreadPoolExecutor(max_workers=max(1, min(parallel, len(hosts)))) as pool:
        futures = {name: pool.submit(work, host) for name, host in hosts.items()}
        try:
            wait(futures.values())
        except KeyboardInterrupt:
            for host in hosts.values():
                host.close()
            raise
    for name, future in futures.items():
        try:
            results[name] = future.result()
        except FleetError as e:
            errors[name] = e
    (failures or Failures()).take(errors)
    return results


def look(
    hosts: Mapping[str, Host],
    wanted: Mapping[str, Sequence[Resource]],
    *,
    parallel: int,
    failures: Failures | None = None,
) -> dict[str, Facts]:
    """Return the facts of each host about exactly the resources that are wanted there: one round trip a host."""
    asked = {name: hosts[name] for name, resources in wanted.items() if resources}
    return on_each(asked, lambda host: host.look(wanted[host.name]), parallel=parallel, failures=failures)


@dataclass(frozen=True)
class Terms:
    """On which terms hosts are brought to what is desired: how many at once, who may fail, and what comes after."""

    parallel: int
    failures: Failures = field(default_factory=Failures)
    later: Sequence[str] = ()


def converge(
    hosts: Mapping[str, Host],
    desire: Callable[[], Mapping[str, Sequence[Stage]]],
    facts: Mapping[str, Facts],
    report: Report,
    hooks: Hooks,
    terms: Terms,
    account: Account | None = None,
) -> Account:
    """Bring the hosts to what is desired, stage by stage, and return what was done.

    `facts` is the look at all stages; a stage is looked at afresh once anything has been changed before it. `desire`
    is asked again at each stage, since a stage may teach something (a release). Raises the first error, with the state
    of the world in it; what was done goes into `account`, which may know of earlier stages.
    """
    names = list(dict.fromkeys(stage.name for stages in desire().values() for stage in stages))
    account = account if account is not None else Account()
    for position, name in enumerate(names):
        later = [*names[position + 1 :], *terms.later]
        try:
            _stage(name, hosts, desire, facts, report, hooks, account, terms)
        except KeyboardInterrupt:
            for host in hosts.values():
                host.close()
            raise RolloutStopped("interrupted", place=f"stage {name}", state=account.state(later)) from None
        except FleetError as e:
            e.state = account.state(later) if account.done or account.in_doubt else e.state
            raise
    return account


def _stage(
    name: str,
    hosts: Mapping[str, Host],
    desire: Callable[[], Mapping[str, Sequence[Stage]]],
    facts: Mapping[str, Facts],
    report: Report,
    hooks: Hooks,
    account: Account,
    terms: Terms,
) -> None:
    def ask(names: Iterable[str]) -> dict[str, Facts]:
        asked = {host: wanted[host] for host in names}
        return look(hosts, asked, parallel=terms.parallel, failures=terms.failures)

    wanted = _resources(desire(), name, hosts)
    seen = ask(wanted) if account.done else facts
    changes = {
        host: differing(resources, seen[host]) for host, resources in wanted.items() if resources and host in hosts
    }
    changes = {host: made for host, made in changes.items() if made}
    if not changes:
        return
    if name in hooks.before:
        hooks.before[name](changes)
        wanted = _resources(desire(), name, hosts)
        fresh = ask(host for host in changes if host in hosts)
        changes = {host: differing(wanted[host], fact) for host, fact in fresh.items()}
    report.stage(name, changes)
    _apply(hosts, changes, report, account, terms)
    again = ask(host for host in changes if host in hosts)
    left = {host: differing(wanted[host], fact) for host, fact in again.items()}
    terms.failures.take({host: _not_so(host, made) for host, made in left.items() if made})
    if name in hooks.after:
        hooks.after[name]([host for host in changes if host in hosts])


def _not_so(host: str, left: Sequence[Change]) -> ApplyFailed:
    words = "; ".join(describe(change) for change in left)
    return ApplyFailed(
        f"still not as it should be after the change: {words}",
        place=host,
        remedy="look at the journal of what it names, then run again",
    )


def _apply(
    hosts: Mapping[str, Host],
    changes: Mapping[str, Sequence[Change]],
    report: Report,
    account: Account,
    terms: Terms,
) -> None:
    errors: dict[str, FleetError] = {}

    def work(host: Host) -> None:
        if one_by_one and errors and not terms.failures.bearable(errors):
            account.untouched += [(host.name, (c.resource.kind, c.resource.key)) for c in changes[host.name]]
            return
        outcome = host.apply(changes[host.name], lambda key, text: report.step(host.name, key, text))
        account.add(host.name, outcome)
        report.done(host.name, outcome)
        if outcome.error:
            errors[host.name] = outcome.error

    one_by_one = any(_restarts(change) for made in changes.values() for change in made)
    concerned = {name: hosts[name] for name, made in changes.items() if made}
    on_each(concerned, work, parallel=1 if one_by_one else terms.parallel, alone=True)
    terms.failures.take(errors)


def _restarts(change: Change) -> bool:
    """Tell whether a process that runs is restarted: that is done on one host after the other."""
    return change.resource.kind == "unit" and (change.seen.state or {}).get("active") == "active"


def _resources(
    desired: Mapping[str, Sequence[Stage]], name: str, hosts: Mapping[str, Host]
) -> dict[str, Sequence[Resource]]:
    return {
        host: [r for s in stages if s.name == name for r in s.resources]
        for host, stages in desired.items()
        if host in hosts
    }


def _spoken(items: Sequence[tuple[str, Key]]) -> str:
    """Return a few of the items in words, and how many more there are."""
    shown = [f"{host} {kind} {key}" for host, (kind, key) in items[-4:]]
    more = len(items) - len(shown)
    return ", ".join([f"{more} others"] * bool(more) + shown)

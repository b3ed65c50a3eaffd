"""One deploy or rollback: resolve, plan; then prepare everywhere, gate, migrate, switch, prune."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airfleet import findings, gates, history, members, records, release_stages, rollout
from airfleet.api_guard import refuse_before_switch
from airfleet.desired import Target, git_words
from airfleet.errors import ChangesPending, FleetError, GateRefused
from airfleet.findings import short
from airfleet.layout import layout_of
from airfleet.plan import differing, make_plan
from airfleet.release_gate import parsed
from airfleet.switch import Switch
from airfleet.way_back import WayBack
from airfleet.wishes import ALWAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airfleet.bootstrap_run import Screen
    from airfleet.model import Change, Facts, Outcome, Stage, Words
    from airfleet.plan import Plan
    from airfleet.remote import Host
    from airfleet.session import Fleet
    from airfleet.wishes import DeployWish


class Deploy:
    """One deploy; the lock is held. What is known grows as it goes."""

    def __init__(self, fleet: Fleet, screen: Screen, wish: DeployWish) -> None:
        self.fleet = fleet
        self.screen = screen
        self.wish = wish
        fleet.bear(wish.max_failures, screen.say)
        self.strict = wish.restart == ALWAYS
        constraints = gates.constraints_of(fleet.inventory)
        self.target = Target(fleet.inventory, fleet.secrets, constraints, every_release=self.strict)
        self.first = next(iter(fleet.hosts.values()))
        self.found: list[findings.Finding] = []
        self.facts: Mapping[str, Facts] = {}
        self.plans: list[Plan] = []
        self.before: dict[str, str] = {}
        self.back = WayBack(fleet, screen.say)

    def to_ref(self) -> None:
        """Deploy what a branch, tag or commit is now."""
        ref = self.wish.ref or self.fleet.inventory.dags.branch
        with ThreadPoolExecutor(max_workers=1) as pool:
            ahead = pool.submit(self._facts)
            resolved = self._resolve(ref)
        self.found += findings.forced_push(ref, resolved)
        entry = records.entry("deploy", ref=ref)
        self._deploy(resolved, entry, gated=True, ahead=ahead.result())

    def backward(self, release: str) -> None:
        """Deploy a release that ran before; it was gated then, and no git server is needed if it is still there."""
        entries = records.read(self.fleet)
        self.before = self._where()
        current = self._current()
        commit = self._named(release, entries) if release else history.previous(entries, current)
        if commit is None:
            raise GateRefused(
                f"there is nothing to roll back to: no other release ran here before {short(current)}",
                place=self.fleet.inventory.environment,
                remedy="fab releases shows what is there; fab deploy --ref COMMIT brings any commit",
            )
        words = {**git_words(self.target), "commit": commit, "requirements": self.fleet.inventory.dags.requirements}
        known = self.first.call("release_of", words)
        self._deploy(known, records.entry(history.BACKWARD, ref=release or "the one before"), gated=False)

    def _resolve(self, ref: str) -> Mapping[str, Any]:
        accept = findings.FORCED_PUSH in self.wish.accepted and not self.wish.dry_run
        words: Words = {
            **git_words(self.target),
            "ref": ref,
            "requirements": self.fleet.inventory.dags.requirements,
            "accept_forced": accept,
        }
        try:
            return self.first.call("resolve", words)
        except FleetError as e:
            e.state = "nothing was switched"
            raise

    def _deploy(
        self,
        resolved: Mapping[str, Any],
        entry: Words,
        *,
        gated: bool,
        ahead: Mapping[str, Facts] | None = None,
    ) -> None:
        commit = str(resolved["commit"])
        self.target = replace(
            self.target,
            release=commit,
            requirements=str(resolved.get("requirements") or ""),
        )
        plans = self.plans = self._look(ahead or {})
        name = f"{short(commit)} ({resolved['subject']})"
        if not any(plans):
            self.screen.say(
                f"nothing to deploy: {', '.join(self.fleet.hosts)} run {name} ({self.screen.elapsed_s:.1f} s)", "green"
            )
            self._stop_if_any_failed()
            return
        before = self._current()
        self.screen.say(f"{entry['doing']}: {name}, now {short(before)}", "bold")
        self.screen.plans(plans, self.fleet.secrets.mask, whole=self.wish.dry_run)
        if self.wish.dry_run:
            self._refuse()
            count = sum(len(plan.changes) for plan in plans)
            raise ChangesPending(
                f"{count} changes pending", place=self.fleet.inventory.environment, remedy="fab deploy"
            )
        entry |= {"commit": commit, "subject": resolved["subject"], "before": before}
        entry["members"] = members.unwritten(self.fleet, members.ask(self.fleet))
        entry |= {"accepted": sorted(self.wish.accepted)} if self.wish.accepted else {}
        with records.recorded(self.fleet, entry, self.screen.say), self.back.watched():
            try:
                self._bring(entry, gated=gated)
            finally:
                entry["hosts"] = self.on_which()
            self._stop_if_any_failed()
        self._prune([commit, before, *history.stack(records.read(self.fleet))[-self.fleet.inventory.dags.keep :]])
        self.screen.say(f"done: every host runs {name} ({self.screen.elapsed_s:.0f} s)", "bold green")

    def _bring(self, entry: Words, *, gated: bool) -> None:
        """Prepare everywhere; then the gate; then switch."""
        restart = self.wish.restart
        self.back.adopt(self.facts)
        self._converge(lambda: {name: release_stages.prepare(self.target, name) for name in self.fleet.hosts})
        if gated and set(self.before.values()) != {self.target.release}:
            self.found += parsed(self.fleet, self.target, self._current(), self.screen)
            self._refuse()
        refuse_before_switch(self.fleet, self.screen, self.plans)
        switch = Switch(self.fleet, self.screen, self.wish, self.back)
        try:
            switch.to(self.target, restart)
        except FleetError as e:
            raise switch.put_back(e, self.target, self.before, restart, entry, self.on_which) from e
        self.back.confirm()

    def _converge(self, desire: Callable[[], Mapping[str, Sequence[Stage]]]) -> None:
        terms = rollout.Terms(self.fleet.inventory.ssh.parallel, self.fleet.failures)
        rollout.converge(self.fleet.hosts, desire, self.facts, Told(self.fleet, self.screen), rollout.Hooks(), terms)

    def _stop_if_any_failed(self) -> None:
        """Raise RolloutStopped when hosts were left out; all the others are on the release and well."""
        if self.fleet.failures.found:
            there = ", ".join(f"{name} {commit}" for name, commit in self.on_which().items())
            self.fleet.failures.stop_if_any(
                remedy="mend what is said, then: fab deploy", state=f"on which release: {there}"
            )

    def _look(self, ahead: Mapping[str, Facts]) -> list[Plan]:
        """Return the plan from a look at all that a deploy changes and needs in order; or raise GateRefused.

        `ahead` is the look at the release that runs, taken while the git server was asked: it is enough if that is the
        one that is wanted.
        """
        hosts = self.fleet.hosts
        same = {self._release_in(fact) for fact in ahead.values()} == {self.target.release}
        self.facts = ahead if same and not self.target.requirements else self._facts()
        stages = release_stages.desired(self.target, hosts, self.wish.restart)
        settled = {name: release_stages.settled(self.target, name) for name in hosts}
        self.before = {name: self._release_in(fact) for name, fact in self.facts.items()}
        pending = {name: differing(settled[name].resources, fact) for name, fact in self.facts.items()}
        if any(pending.values()):
            raise release_stages.not_in_order(pending)
        return [make_plan(name, stages[name], self.facts[name]) for name in hosts]

    def _facts(self) -> Mapping[str, Facts]:
        """Look at every host; of the release that runs, as long as no other one is the target."""
        hosts = self.fleet.hosts
        stages = release_stages.desired(self.target, hosts, self.wish.restart)
        settled = {name: release_stages.settled(self.target, name) for name in hosts}
        return self.fleet.look(
            {name: [*release_stages.all_of(stages[name]), *settled[name].resources] for name in hosts}
        )

    def _where(self) -> dict[str, str]:
        """Look which release each host has."""
        link = release_stages.current_link(self.target)
        links = {name: [link] for name in self.fleet.hosts}
        return {name: self._release_in(fact) for name, fact in self.fleet.look(links).items()}

    def _release_in(self, fact: Facts) -> str:
        state = fact["link", layout_of(self.fleet.inventory).current].state
        return str(state["target"]).rpartition("/")[2] if state else ""

    def _current(self) -> str:
        """Return the release that most hosts have, those first that are first in the inventory."""
        there = [commit for commit in self.before.values() if commit]
        if not there:
            raise GateRefused("there is no release on any host yet", remedy="fab bootstrap")
        return max(there, key=there.count)

    def on_which(self) -> dict[str, str]:
        """Return which release each host has now, in words."""
        link = release_stages.current_link(self.target)

        def work(host: Host) -> str:
            try:
                return short(self._release_in(host.look([link])))
            except FleetError:
                known = self.before.get(host.name)
                return f"can't be asked (had {short(known)})" if known else "can't be asked"

        return rollout.on_each(self.fleet.everyone, work, parallel=self.fleet.inventory.ssh.parallel)

    def _refuse(self) -> None:
        """Refuse what was found and not accepted; say what was accepted."""
        refused = findings.refused(self.found, self.wish.accepted)
        for finding in self.found:
            if finding not in refused:
                self.screen.say(f"accepted: {finding}", "yellow")
        if refused:
            lines = "\n    ".join(map(str, refused))
            raise GateRefused(
                f"{len(refused)} findings against {short(self.target.release)}:\n    {lines}",
                place=self.fleet.inventory.environment,
                remedy=f"mend the code; or accept by name: --accept {','.join(each.name for each in refused)}",
                state=f"nothing was switched: {short(self._current())} runs on",
            )

    def _named(self, release: str, entries: Sequence[Words]) -> str:
        """Return the whole name of a release that is there, or once ran here."""
        there = self.first.call("releases", {"releases": layout_of(self.fleet.inventory).releases})["releases"]
        known = {str(each["commit"]) for each in there} | set(history.stack(entries))  # type: ignore[attr-defined]
        fitting = sorted(commit for commit in known if commit.startswith(release))
        if len(fitting) == 1:
            return fitting[0]
        raise GateRefused(
            f"{release} is {'no release' if not fitting else 'more than one release'} of this installation",
            place="--to",
            remedy=f"one of {', '.join(map(short, sorted(known)))}",
        )

    def _prune(self, keep: Sequence[str]) -> None:
        dags = self.fleet.inventory.dags
        words: Words = {
            **git_words(self.target),
            "releases": layout_of(self.fleet.inventory).releases,
            "keep": [commit for commit in keep if commit],
            "count": dags.keep,
        }
        rollout.on_each(
            self.fleet.hosts, lambda host: host.call("prune", dict(words)), parallel=self.fleet.inventory.ssh.parallel
        )


class Told:
    """Passes a rollout's report on to the screen, and goes on only while the lock is ours."""

    def __init__(self, fleet: Fleet, screen: Screen) -> None:
        self._fleet = fleet
        self._screen = screen
        self.step = screen.step

    def stage(self, name: str, changes: Mapping[str, Sequence[Change]]) -> None:
        """Say that a stage begins."""
        self._fleet.check_lock()
        self._screen.stage(name, changes)

    def done(self, host: str, outcome: Outcome) -> None:
        """Say what is worth a word: edits by hand that were put aside."""
        for words in outcome.told.values():
            if patch := words.get("patch"):
                self._screen.say(f"  {host}: the release was edited by hand; the edits are kept in {patch}", "yellow")
        self._screen.done(host, outcome)

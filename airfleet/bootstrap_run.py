"""One run of `fab bootstrap`: what the hosts should be, what they are, and, under the lock, converging and probing."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from airfleet import bootstrap_guards, gates, members, probes, rollout, way_back_files
from airfleet.desired import Target, git_words, learned, stages_of
from airfleet.layout import layout_of, venv_target
from airfleet.others import Others
from airfleet.plan import make_plan
from airfleet.redis_live import adopt
from airfleet.restarts import Restarts
from airfleet.rotations import half_done
from airfleet.secret_origins import keep
from airfleet.way_back import MIGRATED, WayBack
from airfleet.wishes import BootstrapWish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from airfleet.model import Change, Facts, Outcome, Resource, Stage, Words
    from airfleet.plan import Plan
    from airfleet.session import Fleet

    Ask = Callable[[Mapping[str, Sequence[Resource]]], dict[str, Facts]]

GATED = ("redis", "cloud-sql", "database", "scheduler", "web", "tls", "workers", "flower")


class Screen(rollout.Report, Protocol):
    """What the flow needs of the screen."""

    @property
    def elapsed_s(self) -> float:
        """Seconds since the command began."""

    def say(self, text: str, style: str = "") -> None:
        """Print one line."""

    def plans(self, plans: Sequence[Plan], mask: Callable[[str], str], *, whole: bool) -> None:
        """Print what would change; `whole` with every line of it."""

    def probed(self, says: str) -> None:
        """Say what a probe saw."""


def converge_to(
    fleet: Fleet, screen: Screen, max_wait_s: int = BootstrapWish.max_wait_s, *, upgrading: bool = True
) -> None:
    """Bring every host to the inventory of a session, whatever Airflow is there; the lock is held by the caller."""
    run = Run(fleet, screen, BootstrapWish(max_wait_s=max_wait_s), upgrading=upgrading)
    run.look()
    run.apply()


def look(
    target: Target, hosts: Iterable[str], ask: Ask, beside: Callable[[], Iterable[Facts]] = tuple
) -> tuple[Target, dict[str, Facts]]:
    """Return what is on each host, and the target with the release that is there; `ask` goes to the hosts.

    One round trip; one more where that release's own requirements make another environment the one that is wanted.
    `beside` returns what was seen of hosts that are left alone: their release counts too.
    """

    def wanted(target: Target) -> dict[str, list[Resource]]:
        return {name: _all(stages_of(target, target.inventory.hosts[name])) for name in hosts}

    facts = ask(wanted(target))
    target = learned(target, [*beside(), *facts.values()])
    return target, ask(wanted(target)) if target.requirements else facts


class Run:
    """One run: what is known grows as it goes (the release, the first user's password)."""

    def __init__(self, fleet: Fleet, screen: Screen, wish: BootstrapWish, *, upgrading: bool = False) -> None:
        self.fleet = fleet
        self.upgrading = upgrading
        self.screen = screen
        self.restarts = Restarts(fleet, screen, wish.max_wait_s, wish.batch)
        self.target = Target(fleet.inventory, fleet.secrets, gates.constraints_of(fleet.inventory))
        self.others = Others(fleet)
        self.back = WayBack(fleet, screen.say)
        self.login: Words | None = None
        self.told: list[Words] = []
        self.asked = 0

    def desire(self) -> dict[str, tuple[Stage, ...]]:
        """Return what each chosen host should be, as far as it is known now."""
        hosts = self.fleet.inventory.hosts
        return {name: stages_of(self.target, hosts[name]) for name in list(self.fleet.hosts)}

    def look(self) -> list[Plan]:
        """Look at every host, learn which release they have, and return what would change."""
        with ThreadPoolExecutor(max_workers=2) as pool:
            asked = pool.submit(self.others.look, self.target)
            remembered = pool.submit(members.ask, self.fleet)
            self.target, self.facts = look(
                self.target, self.fleet.hosts, self.fleet.look, lambda: asked.result().values()
            )
        beside, self.told = asked.result(), remembered.result()
        self.asked = sum(len(fact.seen) for fact in self.facts.values())
        self.others.guard_release(self.target)
        bootstrap_guards.same_secrets(self.fleet, [*self.facts.values(), *beside.values()])
        self.others.guard_keys(self.target, beside)
        if not self.upgrading:
            bootstrap_guards.same_airflow(self.fleet.inventory, self.facts)
        return [make_plan(name, stages, self.facts[name]) for name, stages in self.desire().items()]

    def apply(self) -> None:
        """Converge, gate each stage by its probes, and say what was done; the lock is held."""
        fleet = self.fleet
        if fleet.new_secrets:
            self.screen.say(keep(fleet.secrets, fleet.new_secrets, fleet.inventory, fleet.secrets_path, os.environ))
        self.look()
        self.back.adopt(self.facts)
        if self.upgrading:
            self.back.withdraw("an upgrade has a way back of its own: fab undo-upgrade")
        elif rotated := half_done(fleet.secrets):
            self.back.withdraw(f"the rotation of {', '.join(rotated)} has only a way forward")
        gated: list[str] = []

        def gate(stage: str) -> Callable[[Sequence[str]], None]:
            def after(hosts: Sequence[str]) -> None:
                gated.append(stage)
                self._probe(stage, list(hosts))

            return after

        hooks = rollout.Hooks(
            before={
                "config": rollout.then(self._lint, self._arm, self._tell_redis),
                "code": self._arm,
                "release": rollout.then(self._resolve, self._arm),
                "redis": rollout.then(self._arm, self.restarts.redis),
                "database": self._migrate,
                "web": rollout.then(self._arm, self.restarts.web),
                "workers": rollout.then(self._arm, self.restarts.workers),
            },
            after={stage: gate(stage) for stage in GATED},
        )
        terms = rollout.Terms(fleet.inventory.ssh.parallel, fleet.failures)
        account = rollout.converge(fleet.hosts, self._to_make, self.facts, _Told(self), hooks, terms)
        for stage in GATED:
            if stage not in gated:
                self._probe(stage, list(fleet.hosts))
        self.back.confirm()
        self._summary(len(account.done))

    def _to_make(self) -> dict[str, tuple[Stage, ...]]:
        """Return what is made, stage by stage; the confirmation comes behind the probes of all of them."""
        wanted = self.desire()
        return {name: tuple(s for s in stages if s.name != way_back_files.STAGE) for name, stages in wanted.items()}

    def _arm(self, changes: Mapping[str, Sequence[Change]]) -> None:
        """Before something is replaced: keep what is there."""
        concerned = [name for name, made in changes.items() if any(map(way_back_files.replaces, made))]
        self.back.arm(concerned, self.desire(), self.facts)

    def _migrate(self, changes: Mapping[str, Sequence[Change]]) -> None:
        """Before the database is migrated: from then on the old release is no place to go back to."""
        if any(change.resource.kind == "schema" for made in changes.values() for change in made):
            self.back.withdraw(MIGRATED)

    def _probe(self, stage: str, hosts: Sequence[str]) -> None:
        fleet = self.fleet
        found = probes.probes_of(stage, probes.Known(fleet.inventory, fleet.secrets, self.login), hosts)
        if found:
            parallel = fleet.inventory.ssh.parallel
            probes.ask(fleet.hosts, found, self.screen.probed, parallel=parallel, failures=fleet.failures)

    def tell_left_behind(self) -> None:
        """Name the hosts that were taken out of the inventory and not retired."""
        for line in members.lines(self.told, self.fleet.inventory):
            self.screen.say(line, "yellow")

    def stop_if_any_failed(self) -> None:
        """Raise RolloutStopped when hosts were left out; all the others are in order."""
        self.fleet.failures.stop_if_any(
            remedy="mend what is said, then: fab bootstrap", state=f"in order and well: {', '.join(self.fleet.hosts)}"
        )

    def _summary(self, count: int) -> None:
        inventory, say = self.fleet.inventory, self.screen.say
        where = " of the other hosts" if self.fleet.failures.found else ""
        say(
            f"done: {count} changes in {self.screen.elapsed_s:.0f} s; every service{where} was asked and is well",
            "bold green",
        )
        say(f"  web:      {inventory.airflow.base_url}")
        if self.login:
            say(f"  user:     {self.login['username']}")
            say(f"  password: {self.login['password']}   (shown this once: keep it now)")

    def _tell_redis(self, changes: Mapping[str, Sequence[Change]]) -> None:
        adopt(self.fleet, changes, self.screen.probed)

    def _lint(self, changes: Mapping[str, Sequence[Change]]) -> None:
        """Before an airflow.cfg is pushed: does the Airflow that will read it know every setting in it?"""
        layout = layout_of(self.fleet.inventory)
        venv = f"{layout.versions}/{venv_target(self.target.venv_digest)}"
        for name, made in changes.items():
            if any(change.resource.key == layout.config for change in made):
                gates.lint_config(self.fleet.hosts[name], self.fleet.inventory, self.fleet.secrets, venv)
                if says := gates.try_bucket(self.fleet.hosts[name], self.fleet.inventory, venv):
                    self.screen.probed(f"{name}: {says}")

    def _resolve(self, changes: Mapping[str, Sequence[Change]]) -> None:
        """Find out which commit a first release is: the newest of the inventory's branch."""
        if self.target.release is None:
            host = self.fleet.hosts[next(iter(changes))]
            dags = self.fleet.inventory.dags
            found = host.call(
                "resolve", {**git_words(self.target), "ref": dags.branch, "requirements": dags.requirements}
            )
            requirements = str(found.get("requirements") or "")
            self.target = replace(self.target, release=str(found["commit"]), requirements=requirements, late=True)


class _Told:
    """Passes a rollout's report on to the screen, and catches the first user's password on its way."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.step = run.screen.step

    def stage(self, name: str, changes: Mapping[str, Sequence[Change]]) -> None:
        """Go on only while the lock is ours."""
        self._run.fleet.check_lock()
        self._run.screen.stage(name, changes)

    def done(self, host: str, outcome: Outcome) -> None:
        """Keep what is to be shown once."""
        for words in outcome.told.values():
            if isinstance(reveal := words.get("reveal"), dict):
                self._run.login = reveal
        self._run.screen.done(host, outcome)


def _all(stages: Sequence[Stage]) -> list[Resource]:
    return [resource for stage in stages for resource in stage.resources]

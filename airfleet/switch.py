"""The switch of a deploy: migrate, flip, restart what is stale, each gated by its probes; and the way back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airfleet import probes, release_stages, rollout
from airfleet.desired import stages_of
from airfleet.errors import ApplyFailed, FleetError, HostChanged, NotHealthy, RolloutStopped
from airfleet.failures import Failures
from airfleet.findings import short
from airfleet.layout import layout_of
from airfleet.plan import differing
from airfleet.restarts import Restarts
from airfleet.waves import in_waves
from airfleet.way_back import MIGRATED, WayBack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airfleet.bootstrap_run import Screen
    from airfleet.desired import Target
    from airfleet.model import Change, Facts, Stage, Words
    from airfleet.session import Fleet
    from airfleet.wishes import DeployWish

PROBED = (release_stages.SCHEDULER, release_stages.WEB, release_stages.FLOWER)
BEFORE_WORKERS = (release_stages.MIGRATE, release_stages.SWITCH, release_stages.SCHEDULER, release_stages.WEB)


class Switch:
    """Switches the hosts of a fleet to a release; the lock is held."""

    def __init__(self, fleet: Fleet, screen: Screen, wish: DeployWish, back: WayBack) -> None:
        self.fleet = fleet
        self.back = back
        self.screen = screen
        self.batch = wish.batch
        self.restarts = Restarts(fleet, screen, wish.max_wait_s)
        self.stage = ""
        self.inventory = fleet.inventory
        workers = [name for name in fleet.inventory.with_role("worker") if name in fleet.hosts]
        self.canary = release_stages.WORKERS + workers[0] if workers else ""

    def to(self, target: Target, restart: str, *, away_from: str = "") -> None:
        """Bring every host to the target, stage by stage; each stage is gated by the probes of its services.

        With `away_from` a process that runs well and did not start with that release is left alone.
        """
        wanted = {name: release_stages.switch(target, name, restart) for name in self.fleet.hosts}
        facts = self.fleet.look({name: release_stages.all_of(stages) for name, stages in wanted.items()})
        if away_from:
            path = layout_of(self.inventory).current
            wanted = {
                name: release_stages.only_from(wanted[name], fact, path, away_from) for name, fact in facts.items()
            }
        self.restarts.proven.clear()
        workers = [name for name in self.inventory.with_role("worker") if name in self.fleet.hosts]
        run = _Run(self, wanted, facts, [release_stages.WORKERS + name for name in workers])
        if any(of(wanted[name], release_stages.MIGRATE, facts[name]) for name in wanted):
            self.back.withdraw(MIGRATED)
        run.converge(list(self.fleet.hosts), BEFORE_WORKERS[:1])
        changing = [name for name in wanted if of(wanted[name], release_stages.SWITCH, facts[name])]
        hosts = self.inventory.hosts
        self.back.arm(changing, {name: stages_of(target, hosts[name]) for name in changing}, facts)
        run.converge(list(self.fleet.hosts), BEFORE_WORKERS[1:])
        try:
            in_waves(
                self.fleet,
                [name for name in workers if name in self.fleet.hosts],
                self.batch,
                lambda name: run.converge([name], [release_stages.WORKERS + name]),
            )
        except FleetError as e:
            e.state = run.state()
            raise
        run.converge(list(self.fleet.hosts), [release_stages.FLOWER])

    def put_back(
        self,
        error: FleetError,
        target: Target,
        before: Mapping[str, str],
        restart: str,
        entry: Words,
        on_which: Callable[[], Mapping[str, str]],
    ) -> FleetError:
        """Return the error to raise for a switch that failed, having put back what an unhealthy canary ran before.

        The canary is whatever was restarted first: scheduler, web pages, the first host's workers. Behind it a failure
        is a host's own: then the rollout stops there, and the message says who is on which release.
        """
        old = self._old(before)
        gone_wrong = isinstance(error, ApplyFailed | NotHealthy) and not isinstance(error, HostChanged)
        risky = self.stage in (release_stages.SWITCH, *PROBED, self.canary)
        if not gone_wrong or not risky or not old or old == target.release:
            if isinstance(error, ApplyFailed | NotHealthy):
                stopped = RolloutStopped(error.problem, place=error.place, remedy=error.remedy)
            else:
                stopped = type(error)(error.problem, place=error.place, remedy=error.remedy)  # type: ignore[assignment]
            stopped.state = f"{error.state}; on which release: {_spoken(on_which())}"
            return stopped
        self.screen.say(f"not well: {error.place}: {error.problem.splitlines()[0]}", "bold red")
        self.screen.say(f"putting back {short(old)}, which ran before", "bold")
        try:
            back = replace(target, release=old, requirements=self._requirements(old))
            self.to(back, restart, away_from=str(target.release))
            if self.canary:
                self.probed(self.canary)([self.canary.removeprefix(release_stages.WORKERS)])
        except FleetError as e:
            entry["result"] = "stopped"
            return RolloutStopped(
                f"{error.problem}\n  and {short(old)} could not be put back: {e.place}: {e.problem}",
                place=error.place,
                remedy=f"mend what the journal names, then: fab rollback --to {short(old)}",
                state=f"on which release: {_spoken(on_which())}",
            )
        entry["result"] = "put back"
        try:
            self.back.confirm()
        except FleetError as e:
            error.problem += f"\n  and behind that, {e.place}: {e.problem}"
        return RolloutStopped(
            error.problem,
            place=error.place,
            remedy="mend the release, then deploy it again",
            state=f"every host{self._but()} is back on {short(old)} and well; a migrated database stays migrated",
        )

    def _but(self) -> str:
        return f" but {', '.join(self.fleet.failures.found)}" if self.fleet.failures.found else ""

    def _old(self, before: Mapping[str, str]) -> str:
        there = [commit for commit in before.values() if commit]
        return max(there, key=there.count) if there else ""

    def _requirements(self, commit: str) -> str:
        name = self.inventory.dags.requirements
        if not name:
            return ""
        from airfleet.desired import Target, git_words
        from airfleet.gates import constraints_of

        words = git_words(Target(self.inventory, self.fleet.secrets, constraints_of(self.inventory)))
        first = next(iter(self.fleet.hosts.values()))
        return str(first.call("release_of", {**words, "commit": commit, "requirements": name})["requirements"])

    def restarted(self, stage: str) -> Callable[[Mapping[str, Sequence[Change]]], None]:
        """Return what restarts the stale services of a stage before systemd would."""
        restart = self.restarts.web if stage == release_stages.WEB else self.restarts.workers

        def before(changes: Mapping[str, Sequence[Change]]) -> None:
            self.begin(stage)
            restart(changes)

        return before

    def probed(self, stage: str) -> Callable[[Sequence[str]], None]:
        """Return what asks the services of a stage whether they are well."""
        name = "workers" if stage.startswith(release_stages.WORKERS) else stage

        def after(hosts: Sequence[str]) -> None:
            known = probes.Known(self.inventory, self.fleet.secrets)
            # Each worker that was restarted here has run a task already: that need not be asked again.
            asked = probes.probes_of(
                name, known, [h for h in hosts if name != "workers" or h not in self.restarts.proven]
            )
            probes.ask(self.fleet.hosts, asked, self.screen.probed, parallel=self.inventory.ssh.parallel)

        return after

    def begin(self, stage: str) -> None:
        """Note which stage is under way; go on only while the lock is ours."""
        self.fleet.check_lock()
        self.stage = stage


class _Run:
    """One run of a switch over its stages, in parts: what was done in all, and which stages are to come."""

    def __init__(
        self, switch: Switch, wanted: Mapping[str, Sequence[Stage]], facts: Mapping[str, Facts], workers: Sequence[str]
    ) -> None:
        self._switch = switch
        self._wanted = wanted
        self._facts = facts
        self._account = rollout.Account()
        self._stages = (*BEFORE_WORKERS, *workers, release_stages.FLOWER)
        self._begun = set[str]()
        self._workers = frozenset(workers)

    def converge(self, hosts: Sequence[str], stages: Sequence[str]) -> None:
        """Bring these hosts through these stages; a worker's host is borne with by whoever has it do so."""
        switch, fleet = self._switch, self._switch.fleet
        wanted = {name: [s for s in self._wanted[name] if s.name in stages] for name in hosts}
        gated = [stage for stage in stages if stage in PROBED or stage in self._workers]
        hooks = rollout.Hooks(
            before={s: switch.restarted(s) for s in stages if s == release_stages.WEB or s in self._workers},
            after={stage: switch.probed(stage) for stage in gated},
        )
        alone = self._workers.issuperset(stages)
        self._begun.update(stages)
        failures = Failures() if alone else fleet.failures
        terms = rollout.Terms(fleet.inventory.ssh.parallel, failures, self._todo())
        chosen = {name: fleet.hosts[name] for name in hosts} if alone else fleet.hosts
        rollout.converge(chosen, lambda: wanted, self._facts, _Told(switch), hooks, terms, self._account)

    def state(self) -> str:
        """Return the state of the world in one sentence."""
        return self._account.state(self._todo())

    def _todo(self) -> list[str]:
        return [stage for stage in self._stages if stage not in self._begun]


class _Told:
    """A rollout's report: the switch notes the stage, the screen prints."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self.step = switch.screen.step
        self.done = switch.screen.done

    def stage(self, name: str, changes: Mapping[str, Sequence[Change]]) -> None:
        """Say that a stage begins."""
        self._switch.begin(name)
        if any(changes.values()):
            self._switch.screen.stage(name, changes)


def of(stages: Sequence[Stage], name: str, facts: Facts) -> tuple[Change, ...]:
    """Return what would change in one stage."""
    return differing([r for stage in stages if stage.name == name for r in stage.resources], facts)


def _spoken(on_which: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {commit}" for name, commit in on_which.items())

"""airfleet's side of the benchmark: the code path of `fab plan`, with the benchmark's own resources and inventory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasks.door import command

if TYPE_CHECKING:
    from airfleet.model import Stage


def stages() -> tuple[Stage, ...]:
    """The desired state in airfleet's words."""
    from airfleet.model import Stage
    from airfleet.resources import Account, File, Packages, Unit
    from benchmarks import state

    files = [File(state.unit_path(service), state.unit_text(service)) for service in state.SERVICES]
    units = [Unit(f"{service}.service") for service in state.SERVICES]
    system = (Packages(state.PACKAGES), Account(state.ACCOUNT, state.HOME, state.SHELL))
    return (Stage("system", (*system, *files)), Stage("services", tuple(units)))


@command(help={})
def plan(c: Any) -> None:
    """Look, compare, and print what would change."""
    from airfleet import session

    with session.opened("", doing="benchmark", make_secrets=True, connect=True) as fleet:
        # As `bootstrap.bring_up` does: imported while the hosts answer.
        from airfleet.plan import describe, make_plan
        from tasks.screen import Screen

        screen, wanted = Screen(), stages()
        facts = fleet.look({name: [r for stage in wanted for r in stage.resources] for name in fleet.hosts})
        changes = [change for name in fleet.hosts for change in make_plan(name, wanted, facts[name]).changes]
        for change in changes:
            screen.say(describe(change))
        looked_at = sum(len(each.seen) for each in facts.values())
        screen.say(f"{looked_at} resources on {len(facts)} hosts: {len(changes)} changes")


@command(help={})
def status(c: Any) -> None:
    """Ask every host and the Celery workers how they are, judge it, and lay the screen out."""
    from airfleet import session

    with session.opened("", doing="benchmark", make_secrets=True, connect=True) as fleet:
        # As `status.show_status` does.
        from airfleet import board, examine
        from airfleet.doctor.diagnosis import QUICK, diagnose
        from tasks.screen import Screen

        examination = examine.Examination(fleet, deep=False)
        checkup = examination.whole(examination.first())
        lines = board.lines(checkup, diagnose(checkup, QUICK))
        Screen().say(f"{len(checkup.hosts)} hosts answered, {len(checkup.unreachable)} did not; {len(lines)} lines")


@command(help={})
def bring(c: Any) -> None:
    """Bring the hosts to the state, with the package that Ansible's apt module wants of a host beside it."""
    from airfleet import rollout, session
    from airfleet.model import Stage
    from airfleet.resources import Packages
    from tasks.screen import Screen

    wanted = (Stage("for Ansible", (Packages(("python3-apt",), title="for Ansible"),)), *stages())
    with session.opened("", doing="benchmark", make_secrets=True) as fleet:
        facts = fleet.look({name: [r for stage in wanted for r in stage.resources] for name in fleet.hosts})
        desired = dict.fromkeys(fleet.hosts, wanted)
        terms = rollout.Terms(fleet.inventory.ssh.parallel)
        rollout.converge(fleet.hosts, lambda: desired, facts, Screen(), rollout.Hooks(), terms)

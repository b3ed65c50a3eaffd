"""The flow of `fab bootstrap`: look, plan, print; then, under the lock, converge and probe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airfleet import session
from airfleet.batches import checked_failures
from airfleet.errors import ChangesPending

if TYPE_CHECKING:
    from airfleet.bootstrap_run import Screen
    from airfleet.wishes import BootstrapWish


def bring_up(env: str, wish: BootstrapWish, screen: Screen) -> None:
    """Bring every host to the inventory; with `dry_run` print the plan and raise ChangesPending if there is one."""
    limit = checked_failures(wish.max_failures)
    with session.opened(env, doing="bootstrap", only=wish.only, make_secrets=True, connect=True) as fleet:
        fleet.bear(limit, screen.say)
        # Imported while the hosts answer.
        from airfleet import members, records
        from airfleet.bootstrap_run import Run
        from airfleet.cautions import cautions
        from airfleet.rotations import half_done

        for name in half_done(fleet.secrets):
            screen.say(f"the rotation of {name} is half done: fab secrets.rotate {name} goes on with it", "yellow")
        run = Run(fleet, screen, wish)
        plans = run.look()
        for caution in cautions(fleet.inventory):
            screen.say(caution, "yellow")
        changes = sum(len(plan.changes) for plan in plans)
        if not changes:
            if names := ", ".join(fleet.hosts):
                screen.say(
                    f"in order: {names} ({run.asked} resources looked at in {screen.elapsed_s:.1f} s, nothing changed)",
                    "green",
                )
            run.tell_left_behind()
            run.stop_if_any_failed()
            return
        screen.plans(plans, fleet.secrets.mask, whole=wish.dry_run)
        run.tell_left_behind()
        if wish.dry_run:
            raise ChangesPending(
                f"{changes} changes pending", place=fleet.inventory.environment, remedy="fab bootstrap"
            )
        entry = records.entry("bootstrap")
        with fleet.locked(), records.recorded(fleet, entry, screen.say), run.back.watched():
            try:
                run.apply()
            finally:
                entry |= {
                    "commit": run.target.release,
                    "hosts": {plan.host: f"{len(plan.changes)} changes" for plan in plans},
                    "members": members.unwritten(fleet, run.told),
                }
            run.stop_if_any_failed()
